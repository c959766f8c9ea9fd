// One position: from a network's outputs to distributions, coded channel by channel, and what the code length says of the
// outputs. Encoders and decoders share it, with a coder that pushes or pops.
#pragma once
#include "adaptation.h"
#include "bounds.h"
#include "coder.h"
#include "colors.h"
#include "wrong_colors.h"

namespace ddpm {

inline constexpr int64_t MEAN_LIMIT = 32767;

// A position, by channel: what is known of it before and after it is coded.
struct Values {
    int value[CHANNELS] = {};  // an encoder's
    Range known[CHANNELS];
    const Bounds* bounds = nullptr;             // of a pixel, beside `known`
    int64_t width[CHANNELS];                    // of cells, 2^-16
    int16_t base[CHANNELS];                     // what its means are relative to
    int16_t near[CHANNELS][4];                  // normalised residuals nearby
    int16_t residual[CHANNELS];                 // its own, filled in
    int16_t mean[CHANNELS], scale[CHANNELS];    // of the distribution, 1/64 and index; filled in

    // Whether a pixel may have these values.
    bool allows(const int* color, int channels) const {
        for (int c = 0; c < channels; c++)
            if (const Range range = remaining(c, color[0], color[1]); color[c] < range.lo || color[c] > range.hi) return false;
        return true;
    }

    // The range of a channel, once those before it are known.
    Range remaining(int c, int first, int second) const { return bounds ? bounds->channel(c, first, second, known[c]) : known[c]; }
};

// The mean (1/64) drawn into the inner half of a range, minus the mean: what later channels see of this one.
inline int64_t residual_of(int64_t mean, Range range) {
    const int64_t quarter = 16 * (range.hi - range.lo);
    return std::min(std::max(mean, 64 * range.lo + quarter), 64 * range.hi - quarter) - mean;
}

// What both sides learn from an image while they code it, and what a wave of a stream adds to that. What does not learn is null.
struct Learning {
    const Biases& biases;
    Scores* scores = nullptr;
    const Colors* colors = nullptr;
    ColorScores* color_scores = nullptr;
    bool wants_gradients = false;  // for `Position::gradients`
    const WrongColors* wrong = nullptr;
};

class Position {
  public:
    // Weights are set one by one: copies of vectors would wait for what was just written value by value.
    Position(const Outputs& shape, const int32_t* output) : shape_(shape), output_(output) {
        set_weights(output + shape.logits(), shape.components, weights_);
        for (int k = 0; k < shape.components; k++) first_.share[k] = weights_.share[k];
    }

    // Codes all channels of `values`, whose ranges become what is then known.
    void code(Values& values, int channels, const Coder& coder, const Learning& learning) {
        channels_ = channels;
        for (int c = 0; c < channels; c++) code_channel(values, c, coder.measured ? Coder(coder.measured + c) : coder, learning);
        for (int c = channels; c < CHANNELS; c++) std::fill_n(means_[c], MOST_COMPONENTS, int64_t(0));  // `gradients` reads all
    }

    // Gradients of the code length, in nats, by every output, float [outputs]: at the distributions that were coded with, as if
    // what adaptation added to scales were constant.
    void gradients(float* grad_output) const;

  private:
    void code_channel(Values& values, int c, const Coder& coder, const Learning& learning);
    Range code_value(Values& values, int c, const Mixture& mixture, const Coder& coder, const Learning& learning, Masses& masses) const;

    // A channel's means are relative to this: `base`, moved by what the channels before it turned out to be.
    int64_t origin(int c, int base) const {
        const int64_t mean = 64 * int64_t(base);
        if (c == 1) return mean + ((output_[shape_.cross(0)] * residual_[0]) >> 6);
        if (c == 2) return mean + ((output_[shape_.cross(1)] * residual_[0] + output_[shape_.cross(2)] * residual_[1]) >> 6);
        return mean;
    }

    // Beside each red: the mean of blue by the weights now, as `origin` moves it.
    ExpectedBlue expected_blue(const Values& values) const {
        int64_t mean = 0;
        for (int k = 0; k < shape_.components; k++) mean += weights_.share[k] * output_[shape_.mean(2, k)];
        mean = 64 * int64_t(values.base[2]) + (mean >> WEIGHT_BITS);
        const int64_t by_green = output_[shape_.cross(1)] * residual_[0], by_red = output_[shape_.cross(2)];
        return {64 * mean + by_green - by_red * expected_[1], 64 * by_red};
    }

    const Outputs shape_;
    const int32_t* output_;
    int channels_ = CHANNELS;
    Shares weights_, first_;
    int64_t residual_[CHANNELS] = {};
    bool coded_[CHANNELS] = {};
    double grad_mean_[CHANNELS][MOST_COMPONENTS], grad_scale_[CHANNELS][MOST_COMPONENTS];  // these three of coded channels
    int used_[CHANNELS][MOST_COMPONENTS];  // scale indices that were coded with
    int64_t means_[CHANNELS][MOST_COMPONENTS], expected_[CHANNELS] = {};  // 1/64; by the weights at first
};

// Codes one channel: by colours, where it becomes exact and its distribution, of values.mean and values.scale, is narrow.
inline Range Position::code_value(Values& values, int c, const Mixture& mixture, const Coder& coder, const Learning& learning,
                                  Masses& masses) const {
    auto code_exact = [&](const auto& distribution) {
        if (learning.wrong)
            if (const Without left(distribution, mixture, *learning.wrong, values.known, c, channels_); !left.is_whole())
                return coder.code(left, values.value[c]);
        return coder.code(distribution, values.value[c]);
    };
    if (!learning.colors || !learning.colors->weighs(c, values.scale[c])) {
        if (!learning.wrong) return coder.code(mixture, values.value[c], values.known[c], values.width[c], masses);
        const int64_t value = code_exact(mixture);
        mixture.masses(value, value, masses);
        return {int(value), int(value)};
    }
    const int pixel[CHANNELS] = {values.known[0].lo, values.known[1].lo, 0};
    WeightedMixture weighed;
    const ExpectedValue expected{values.mean[c], values.scale[c], c == 1 ? expected_blue(values) : ExpectedBlue{}};
    learning.colors->weigh(mixture, c, pixel, expected, weighed);
    const int64_t value = code_exact(weighed);
    if (learning.color_scores) learning.colors->observe(weighed, c, value, *learning.color_scores);
    mixture.masses(value, value, masses);
    return {int(value), int(value)};
}

inline void Position::code_channel(Values& values, int c, const Coder& coder, const Learning& learning) {
    const int K = shape_.components;
    const Range known = values.known[c] = values.remaining(c, values.known[0].lo, values.known[1].lo);
    const int64_t origin = this->origin(c, values.base[c]);
    int64_t means[MOST_COMPONENTS], middle = 0, expected = 0;  // by the weights now; by those at first
    int scales[MOST_COMPONENTS], typical = 0;
    for (int k = 0; k < K; k++) {
        scales[k] = std::min(std::max(output_[shape_.scale(c, k)], 0), SCALES - 1);
        typical += int(weights_.share[k]) * scales[k];
    }
    typical >>= WEIGHT_BITS;
    const Context context = context_of(typical, values.near[c]);
    const int bias = learning.biases.of(c, context);
    for (int k = 0; k < K; k++) {
        means[k] = std::min(std::max(origin + output_[shape_.mean(c, k)], -MEAN_LIMIT), MEAN_LIMIT);
        expected += first_.share[k] * means[k];
        means_[c][k] = means[k];
        scales[k] = std::min(std::max(scales[k] + bias, 0), SCALES - 1);
        middle += weights_.share[k] * means[k];
    }
    middle >>= WEIGHT_BITS;
    expected_[c] = expected >> WEIGHT_BITS;
    typical = std::min(std::max(typical + bias, 0), SCALES - 1);
    values.mean[c] = int16_t(middle);
    values.scale[c] = int16_t(typical);
    if (!known.is_exact() && !coder.has_ended()) {
        const Mixture mixture(weights_, K, known.lo, known.hi, means, scales);
        Masses masses;
        const Range range = values.known[c] = code_value(values, c, mixture, coder, learning, masses);
        if (K > 1) weights_ = mixture.after(weights_, masses);
        if (learning.scores || learning.wants_gradients) {
            double grad_scale = 0;
            coded_[c] = true;
            for (int k = 0; k < K; k++) {
                const Gradients gradients = mixture.gradients(k, masses, range.lo, range.hi, means[k], scales[k]);
                grad_mean_[c][k] = gradients.mean;
                grad_scale_[c][k] = gradients.scale;
                used_[c][k] = scales[k];
                grad_scale += double(weights_.share[k]) * gradients.scale;
            }
            if (learning.scores) learning.scores->add(c, context, grad_scale / double(1 << WEIGHT_BITS), typical);
        }
        values.residual[c] = int16_t(normalised(residual_of(middle, range), typical));
    }
    residual_[c] = residual_of(expected_[c], values.known[c]);
}

inline void Position::gradients(float* grad_output) const {
    const int K = shape_.components;
    double share[MOST_COMPONENTS], grad_base[CHANNELS] = {};
    for (int k = 0; k < K; k++) {
        share[k] = double(weights_.share[k]) / double(1 << WEIGHT_BITS);
        const double first = double(first_.share[k]) / double(1 << WEIGHT_BITS);
        grad_output[shape_.logits() + k] = float((first - share[k]) * OCTAVE_SIXTEENTH);
    }
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < K; k++) {
            if (!coded_[c]) {
                grad_output[shape_.mean(c, k)] = grad_output[shape_.scale(c, k)] = 0;
                continue;
            }
            const double mean = share[k] * grad_mean_[c][k] * UNITS.of[used_[c][k]];  // nats in 1/64 of a unit
            const double scale = std::min(std::max(share[k] * grad_scale_[c][k], -SCALE_GRADIENT_LIMIT), SCALE_GRADIENT_LIMIT);
            grad_output[shape_.mean(c, k)] = float(mean);
            grad_output[shape_.scale(c, k)] = float(scale / INDICES);
            grad_base[c] += mean;
        }
    // Back through the channels: a residual falls as its mean rises.
    const double third = grad_base[2];
    const double second = grad_base[1] - third * double(output_[shape_.cross(2)]) / 64.0;
    const double first = grad_base[0] - (second * double(output_[shape_.cross(0)]) + third * double(output_[shape_.cross(1)])) / 64.0;
    const double later[CHANNELS] = {first - grad_base[0], second - grad_base[1], 0};  // of the residual, by its mean
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < K; k++) {
            const double part = later[c] * double(first_.share[k]) / double(1 << WEIGHT_BITS);
            grad_output[shape_.mean(c, k)] += float(part);
            grad_output[shape_.logits() + k] += float(part * double(means_[c][k] - expected_[c]) * OCTAVE_SIXTEENTH);
        }
    grad_output[shape_.cross(0)] = float(second * double(residual_[0]) / 64.0);
    grad_output[shape_.cross(1)] = float(third * double(residual_[0]) / 64.0);
    grad_output[shape_.cross(2)] = float(third * double(residual_[1]) / 64.0);
}

}  // namespace ddpm
