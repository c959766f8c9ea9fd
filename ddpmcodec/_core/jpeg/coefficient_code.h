// From outputs of the networks of JPEG coefficients to distributions, by which flags and coefficients are coded.
#pragma once
#include "coefficient_model.h"
#include "mixture.h"

namespace ddpm {

inline constexpr int LARGEST_CODED = 1024;  // no coefficient of 8-bit samples is larger, but a file may have any
inline constexpr int ESCAPE_BITS = 15;      // for the excess of larger ones
inline constexpr int UNIT_SCALE = 48;       // index of a logistic of scale 1

// Pushes what an encoder has, or pops what a decoder finds: one of both is null.
class CoefficientCoder {
  public:
    CoefficientCoder(Symbols* symbols, Reader* reader) : symbols_(symbols), reader_(reader) {}

    // outputs: of the network. is_on: an encoder's.
    bool flag(const int32_t* outputs, bool is_on) const {
        const int64_t share = (centred(outputs[0], UNIT_SCALE) + WHOLE / 2) >> (38 - PRECISION);
        const uint32_t on = uint32_t(std::clamp(share, int64_t(1), (int64_t(1) << PRECISION) - 1));
        if (reader_) is_on = reader_->slot() < on;
        take(is_on ? 0 : on, is_on ? on : (uint32_t(1) << PRECISION) - on);
        return is_on;
    }

    // predicted: what means are relative to, in 1/64. value: an encoder's.
    int coefficient(const int32_t* outputs, int32_t predicted, int value) const {
        int64_t means[COEFFICIENT_COMPONENTS];
        int scales[COEFFICIENT_COMPONENTS];
        for (int k = 0; k < COEFFICIENT_COMPONENTS; k++) {
            scales[k] = std::clamp(outputs[SCALES_AT + k], 0, SCALES - 1);
            means[k] = predicted + ((outputs[MEANS_AT + k] * EIGHT_SCALES[scales[k]] + 1024) >> 11);
        }
        Shares weights;
        set_weights(outputs + LOGITS_AT, COEFFICIENT_COMPONENTS, weights);
        const Mixture mixture(weights, COEFFICIENT_COMPONENTS, -LARGEST_CODED, LARGEST_CODED, means, scales);
        int coded = std::clamp(value, -LARGEST_CODED, LARGEST_CODED);
        if (!reader_ || !pop_zero(mixture, coded)) {
            if (reader_) coded = int(mixture.find(reader_->slot()));
            code(mixture, coded);
        }
        return std::abs(coded) < LARGEST_CODED ? coded : coded + escape(coded > 0, value - coded);
    }

  private:
    static constexpr int LOGITS_AT = 1, MEANS_AT = 4, SCALES_AT = 7;

    void take(uint32_t start, uint32_t freq) const {
        if (reader_) reader_->take(start, freq);
        else symbols_->put(start, freq);
    }

    void code(const Mixture& mixture, int value) const {
        Masses masses;
        uint32_t start, freq;
        mixture.masses(value, value, masses);
        mixture.interval(masses, value, value, start, freq);
        take(start, freq);
    }

    // Half of the coefficients are zero, and need not be searched for.
    bool pop_zero(const Mixture& mixture, int& value) const {
        Masses masses;
        uint32_t start, freq;
        mixture.masses(0, 0, masses);
        mixture.interval(masses, 0, 0, start, freq);
        if (reader_->slot() - start >= freq) return false;
        reader_->take(start, freq);
        value = 0;
        return true;
    }

    // By how much a coefficient exceeds the largest one, or falls below the least.
    int escape(bool is_above, int excess) const {
        const uint32_t size = uint32_t(1) << (PRECISION - ESCAPE_BITS);
        if (reader_) excess = int(reader_->slot() / size);
        else excess = is_above ? excess : -excess;
        excess = std::min(excess, is_above ? INT16_MAX - LARGEST_CODED : -INT16_MIN - LARGEST_CODED);
        take(uint32_t(excess) * size, size);
        return is_above ? excess : -excess;
    }

    Symbols* const symbols_;
    Reader* const reader_;
};

}  // namespace ddpm
