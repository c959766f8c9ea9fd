// From outputs of the networks of JPEG coefficients to distributions, by which flags and coefficients are coded.
#pragma once
#include <optional>
#include <span>

#include "coefficient_model.h"
#include "coder.h"

namespace ddpm {

inline constexpr int LARGEST_CODED = 1024;  // no coefficient of 8-bit samples is larger, but a file may have any
inline constexpr int ESCAPE_BITS = 15;      // for the excess of larger ones
inline constexpr int UNIT_SCALE = 48;       // index of a logistic of scale 1
inline constexpr int EIGHTHS[MOST_NETWORKS] = {5, 3};  // of each network's distribution, if two predict a coefficient

// What one network says of a position, and where gradients of its code length in nats, by its outputs, are to be written.
struct NetworkOpinion {
    std::span<const int32_t> outputs;
    int32_t predicted;   // what means are relative to, in 1/64
    int sign;            // parts of a cell are multiplied by it
    float* grad_output;
};

// A network's distribution of a coefficient.
class CoefficientDistribution {
  public:
    explicit CoefficientDistribution(const NetworkOpinion& opinion) : opinion_(opinion), weights_(weights_of(opinion.outputs.data())), mixture_(mixture_of()) {}

    const Mixture& mixture() const { return mixture_; }

    // A mean lies some scales from where it is predicted: it moves with its scale.
    void write_gradients(int value) const {
        float* const grad_output = opinion_.grad_output;
        Masses masses{};
        mixture_.masses(value, value, masses);
        const Shares posterior = mixture_.after(weights_, masses);
        grad_output[0] = 0;
        for (int k = 0; k < COEFFICIENT_COMPONENTS; k++) {
            const double prior = double(weights_.share[k]) / double(1 << WEIGHT_BITS), share = double(posterior.share[k]) / double(1 << WEIGHT_BITS);
            const Gradients by = mixture_.gradients(k, masses, value, value, means_[k], scales_[k]);
            const double by_scale = share * (by.scale + by.mean * double(opinion_.outputs[size_t(MEANS_AT + k)]) / MEAN_UNITS);
            grad_output[LOGITS_AT + k] = float((prior - share) * OCTAVE_SIXTEENTH);
            grad_output[MEANS_AT + k] = float(share * by.mean / MEAN_UNITS);
            grad_output[SCALES_AT + k] = float(std::clamp(by_scale, -SCALE_GRADIENT_LIMIT, SCALE_GRADIENT_LIMIT) / INDICES);
        }
    }

  private:
    static constexpr int LOGITS_AT = 1, MEANS_AT = 4, SCALES_AT = 7;  // outputs
    static constexpr double MEAN_UNITS = 256;                         // to a scale

    static Shares weights_of(const int32_t* outputs) {
        Shares weights;
        set_weights(outputs + LOGITS_AT, COEFFICIENT_COMPONENTS, weights);
        return weights;
    }

    Mixture mixture_of() {
        for (int k = 0; k < COEFFICIENT_COMPONENTS; k++) {
            scales_[k] = std::clamp(opinion_.outputs[size_t(SCALES_AT + k)], 0, SCALES - 1);
            means_[k] = opinion_.predicted + ((opinion_.outputs[size_t(MEANS_AT + k)] * EIGHT_SCALES[scales_[k]] + 1024) >> 11);
        }
        return Mixture(weights_, COEFFICIENT_COMPONENTS, -LARGEST_CODED, LARGEST_CODED, means_, scales_);
    }

    const NetworkOpinion opinion_;
    const Shares weights_;
    int64_t means_[COEFFICIENT_COMPONENTS];
    int scales_[COEFFICIENT_COMPONENTS];
    const Mixture mixture_;
};

// Pushes what an encoder has, or pops what a decoder finds: one of both is null. Of two networks, the distributions are averaged.
class CoefficientCoder {
  public:
    CoefficientCoder(Symbols* symbols, Reader* reader) : symbols_(symbols), reader_(reader) {}

    // is_on: an encoder's.
    bool flag(std::span<const NetworkOpinion> opinions, bool is_on) const {
        int64_t shares[MOST_NETWORKS];
        for (size_t k = 0; k < opinions.size(); k++) shares[k] = centred(opinions[k].outputs[0], UNIT_SCALE) + WHOLE / 2;
        const int64_t share = averaged(opinions.size(), [&](size_t k) { return shares[k]; }) >> (38 - PRECISION);
        const uint32_t on = uint32_t(std::clamp(share, int64_t(1), (int64_t(1) << PRECISION) - 1));
        if (reader_) is_on = reader_->slot() < on;
        take(is_on ? 0 : on, is_on ? on : (uint32_t(1) << PRECISION) - on);
        for (size_t k = 0; k < opinions.size(); k++) {
            std::fill_n(opinions[k].grad_output, opinions[k].outputs.size(), 0.0f);
            opinions[k].grad_output[0] = float((double(shares[k]) / double(WHOLE) - is_on) / LOGIT_UNIT);
        }
        return is_on;
    }

    // value: an encoder's.
    int coefficient(std::span<const NetworkOpinion> opinions, int value) const {
        std::optional<CoefficientDistribution> distributions[MOST_NETWORKS];
        for (size_t k = 0; k < opinions.size(); k++) distributions[k].emplace(opinions[k]);
        const int coded = code({distributions, opinions.size()}, std::clamp(value, -LARGEST_CODED, LARGEST_CODED));
        for (size_t k = 0; k < opinions.size(); k++) distributions[k]->write_gradients(coded);
        return std::abs(coded) < LARGEST_CODED ? coded : coded + escape(coded > 0, value - coded);
    }

    // Which part of its cell a coefficient is in: -1, 0 or 1. part: an encoder's.
    int refined(std::span<const NetworkOpinion> opinions, int part) const {
        Shares shares[MOST_NETWORKS];
        for (size_t k = 0; k < opinions.size(); k++) set_weights(opinions[k].outputs.data(), CELL_PARTS, shares[k]);
        const auto share = [&](int of) { return averaged(opinions.size(), [&](size_t k) { return shares[k].share[1 + of * opinions[k].sign]; }); };
        const uint32_t below = uint32_t(share(-1)) << (PRECISION - WEIGHT_BITS), above = uint32_t(share(1)) << (PRECISION - WEIGHT_BITS);
        const uint32_t above_at = (uint32_t(1) << PRECISION) - above;
        if (reader_) part = reader_->slot() < below ? -1 : reader_->slot() >= above_at;
        const uint32_t start = part < 0 ? 0 : part > 0 ? above_at : below;
        take(start, part < 0 ? below : part > 0 ? above : above_at - below);
        for (size_t k = 0; k < opinions.size(); k++) {
            for (int place = 0; place < CELL_PARTS; place++) {
                const double prior = double(shares[k].share[place]) / double(1 << WEIGHT_BITS);
                opinions[k].grad_output[place] = float((prior - (place == 1 + part * opinions[k].sign)) * OCTAVE_SIXTEENTH);
            }
        }
        return part;
    }

  private:
    using Distributions = std::span<const std::optional<CoefficientDistribution>>;
    static constexpr double LOGIT_UNIT = 64;

    template <class Of> static int64_t averaged(size_t count, Of of) { return count == 1 ? of(0) : (EIGHTHS[0] * of(0) + EIGHTHS[1] * of(1)) >> 3; }

    // As `Mixture::cumulative`, from the average of masses.
    static int64_t cumulative(Distributions distributions, int64_t x) {
        if (x > LARGEST_CODED) return int64_t(1) << PRECISION;
        const int64_t mass = averaged(distributions.size(), [&](size_t k) { return distributions[k]->mixture().mass_before(x); });
        return ((mass * distributions[0]->mixture().room) >> 38) + (x + LARGEST_CODED);
    }

    void take(uint32_t start, uint32_t freq) const {
        if (reader_) reader_->take(start, freq);
        else symbols_->put(start, freq);
    }

    // Codes an encoder's value, or finds a decoder's. Half of the coefficients are zero, and need not be searched for.
    int code(Distributions distributions, int64_t value) const {
        if (reader_) value = 0;
        int64_t start = cumulative(distributions, value), end = cumulative(distributions, value + 1);
        if (reader_ && (reader_->slot() < start || reader_->slot() >= end)) {
            const int64_t slot = reader_->slot();
            value = distributions[0]->mixture().search(uint32_t(slot), [&](int64_t x) { return cumulative(distributions, x) <= slot; });
            start = cumulative(distributions, value), end = cumulative(distributions, value + 1);
        }
        take(uint32_t(start), uint32_t(end - start));
        return int(value);
    }

    // By how much a coefficient exceeds the largest one, or falls below the least.
    int escape(bool is_above, int excess) const {
        const uint32_t size = uint32_t(1) << (PRECISION - ESCAPE_BITS);
        const uint32_t stored = reader_ ? reader_->slot() / size : uint32_t(is_above ? excess : -excess);
        take(stored * size, size);
        const int bounded = std::min(int(stored), is_above ? INT16_MAX - LARGEST_CODED : -INT16_MIN - LARGEST_CODED);  // no encoder has more
        return is_above ? bounded : -bounded;
    }

    Symbols* const symbols_;
    Reader* const reader_;
};

}  // namespace ddpm
