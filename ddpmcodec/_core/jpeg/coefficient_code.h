// From outputs of the networks of JPEG coefficients to distributions, by which flags and coefficients are coded.
#pragma once
#include "coefficient_model.h"
#include "position.h"

namespace ddpm {

inline constexpr int LARGEST_CODED = 1024;  // no coefficient of 8-bit samples is larger, but a file may have any
inline constexpr int ESCAPE_BITS = 15;      // for the excess of larger ones
inline constexpr int UNIT_SCALE = 48;       // index of a logistic of scale 1

// Pushes what an encoder has, or pops what a decoder finds: one of both is null.
class CoefficientCoder {
  public:
    CoefficientCoder(Symbols* symbols, Reader* reader) : symbols_(symbols), reader_(reader) {}

    // outputs: of the network. is_on: an encoder's. grad_output, of both: gradients of the code length in nats, by outputs.
    bool flag(const int32_t* outputs, bool is_on, float* grad_output) const {
        const int64_t share = (centred(outputs[0], UNIT_SCALE) + WHOLE / 2) >> (38 - PRECISION);
        const uint32_t on = uint32_t(std::clamp(share, int64_t(1), (int64_t(1) << PRECISION) - 1));
        if (reader_) is_on = reader_->slot() < on;
        take(is_on ? 0 : on, is_on ? on : (uint32_t(1) << PRECISION) - on);
        std::fill_n(grad_output, COEFFICIENT_OUTPUTS, 0.0f);
        grad_output[0] = float((double(on) / double(1 << PRECISION) - is_on) / LOGIT_UNIT);
        return is_on;
    }

    // predicted: what means are relative to, in 1/64. value: an encoder's.
    int coefficient(const int32_t* outputs, int32_t predicted, int value, float* grad_output) const {
        int64_t means[COEFFICIENT_COMPONENTS];
        int scales[COEFFICIENT_COMPONENTS];
        for (int k = 0; k < COEFFICIENT_COMPONENTS; k++) {
            scales[k] = std::clamp(outputs[SCALES_AT + k], 0, SCALES - 1);
            means[k] = predicted + ((outputs[MEANS_AT + k] * EIGHT_SCALES[scales[k]] + 1024) >> 11);
        }
        Shares weights;
        set_weights(outputs + LOGITS_AT, COEFFICIENT_COMPONENTS, weights);
        const Mixture mixture(weights, COEFFICIENT_COMPONENTS, -LARGEST_CODED, LARGEST_CODED, means, scales);
        Masses masses{};
        const int coded = code(mixture, std::clamp(value, -LARGEST_CODED, LARGEST_CODED), masses);
        gradients(mixture, weights, masses, coded, outputs, means, scales, grad_output);
        return std::abs(coded) < LARGEST_CODED ? coded : coded + escape(coded > 0, value - coded);
    }

  private:
    static constexpr int LOGITS_AT = 1, MEANS_AT = 4, SCALES_AT = 7;
    static constexpr double LOGIT_UNIT = 64, MEAN_UNITS = 256;  // outputs to 1; to a scale

    void take(uint32_t start, uint32_t freq) const {
        if (reader_) reader_->take(start, freq);
        else symbols_->put(start, freq);
    }

    // Codes an encoder's value, or finds a decoder's; and its masses. Half of the coefficients are zero, and need not be searched for.
    int code(const Mixture& mixture, int value, Masses& masses) const {
        uint32_t start, freq;
        auto set_interval = [&] {
            mixture.masses(value, value, masses);
            mixture.interval(masses, value, value, start, freq);
        };
        if (reader_) value = 0;
        set_interval();
        if (reader_ && reader_->slot() - start >= freq) {
            value = int(mixture.find(reader_->slot()));
            set_interval();
        }
        take(start, freq);
        return value;
    }

    // A mean lies some scales from where it is predicted: it moves with its scale.
    static void gradients(const Mixture& mixture, const Shares& weights, const Masses& masses, int value, const int32_t* outputs,
                          const int64_t* means, const int* scales, float* grad_output) {
        grad_output[0] = 0;
        const Shares posterior = mixture.after(weights, masses);
        for (int k = 0; k < COEFFICIENT_COMPONENTS; k++) {
            const double prior = double(weights.share[k]) / double(1 << WEIGHT_BITS), share = double(posterior.share[k]) / double(1 << WEIGHT_BITS);
            const Gradients by = mixture.gradients(k, masses, value, value, means[k], scales[k]);
            const double by_scale = share * (by.scale + by.mean * double(outputs[MEANS_AT + k]) / MEAN_UNITS);
            grad_output[LOGITS_AT + k] = float((prior - share) * OCTAVE_SIXTEENTH);
            grad_output[MEANS_AT + k] = float(share * by.mean / MEAN_UNITS);
            grad_output[SCALES_AT + k] = float(std::clamp(by_scale, -SCALE_GRADIENT_LIMIT, SCALE_GRADIENT_LIMIT) / INDICES);
        }
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
