// Online adaptation of scales: what an image teaches while it is coded.
//
// A network predicts from what is around a position, and does not know whether it is right in this image. Both sides move
// scales by the sum of two biases, one by the size of the predicted scale and one by the size of the normalised residuals
// nearby, by gradient descent on the code length, after every wave. A normalised residual is (value - mean) / scale.
#pragma once
#include <cstdlib>
#include <vector>

#include "cache.h"
#include "contract.h"

namespace ddpm {

inline constexpr int SCALE_CLASSES = 8, RESIDUAL_CLASSES = 8;  // of sizes; the first of residuals: none is coded nearby
inline constexpr int CONTEXTS = SCALE_CLASSES + RESIDUAL_CLASSES;
inline constexpr int FIRST_COUNT = 100, LAST_COUNT = 1000;  // values that a bias counts as the mean of: at first, at most
inline constexpr double SCORE_LIMIT = 6.0, SCORE_UNIT = 65536.0;
inline constexpr int64_t BIAS_LIMIT = int64_t(24) << 16;
inline constexpr int NARROW = 16;  // scale index, 1/16: nothing is left to win by a narrower distribution
inline constexpr int16_t NOT_CODED = -32768;

struct Context {
    int by_scale, by_residuals;
};

// Classes of the mean of sizes nearby, 1/64: from 24, 48, 80, 120, 180 and 280 on.
struct ResidualClasses {
    static constexpr int LARGEST = 280;
    uint8_t of[LARGEST + 1];

    constexpr ResidualClasses() : of() {
        constexpr int THRESHOLDS[RESIDUAL_CLASSES - 2] = {24, 48, 80, 120, 180, 280};
        for (int mean = 0; mean <= LARGEST; mean++)
            for (int threshold : THRESHOLDS) of[mean] = uint8_t(of[mean] + (mean >= threshold));
    }
};
inline constexpr ResidualClasses RESIDUAL_CLASS;

// The context of one channel's value. near: normalised residuals (1/64) of the four nearest coded positions, or NOT_CODED.
inline Context context_of(int scale, const int16_t* near) {
    constexpr int64_t SHARE[5] = {0, int64_t(1) << 32, int64_t(1) << 31, 1431655766, int64_t(1) << 30};  // 2^32 / coded, rounded up
    int total = 0, coded = 0;
    for (int j = 0; j < 4; j++) {
        const bool is_coded = near[j] != NOT_CODED;
        total += is_coded ? std::abs(int(near[j])) : 0;
        coded += is_coded;
    }
    const int mean = int((total * SHARE[coded]) >> 32);
    const int by_residuals = coded ? 1 + RESIDUAL_CLASS.of[std::min(mean, ResidualClasses::LARGEST)] : 0;
    return {std::min(std::max((scale - 24) / 12, 0), SCALE_CLASSES - 1), SCALE_CLASSES + by_residuals};
}

// What the values of one wave say about one set of biases. These are sums of integers, so that their order does not matter.
struct alignas(CACHE_LINES) Scores {
    int64_t sum[CHANNELS][CONTEXTS] = {}, count[CHANNELS][CONTEXTS] = {};

    // gradient: how the code length changes with the logarithm of the scale, nats.
    void add(int channel, const Context& context, double gradient, int scale) {
        const double exact = std::min(-gradient, SCORE_LIMIT) * SCORE_UNIT;
        int64_t score = int64_t(exact);
        score -= double(score) > exact;  // the floor, without a call of the library
        if (score <= 0 && scale <= NARROW) return;
        for (int c : {context.by_scale, context.by_residuals}) sum[channel][c] += score, count[channel][c]++;
    }

    // Takes over those of another stream, and empties them.
    void take(Scores& others) {
        for (int c = 0; c < CHANNELS; c++)
            for (int j = 0; j < CONTEXTS; j++) sum[c][j] += others.sum[c][j], count[c][j] += others.count[c][j];
        others = Scores();
    }
};

struct Biases {
    int64_t bias[CHANNELS][CONTEXTS], count[CHANNELS][CONTEXTS];  // in 2^-16 of a scale index

    Biases() {
        for (int c = 0; c < CHANNELS; c++)
            for (int j = 0; j < CONTEXTS; j++) bias[c][j] = 0, count[c][j] = FIRST_COUNT;
    }

    int of(int channel, const Context& context) const {
        return int((bias[channel][context.by_scale] + bias[channel][context.by_residuals] + (1 << 15)) >> 16);
    }

    // Takes a step by the scores of a wave, and empties them.
    void learn(Scores& scores) {
        for (int c = 0; c < CHANNELS; c++)
            for (int j = 0; j < CONTEXTS; j++) {
                int64_t &n = scores.count[c][j], &sum = scores.sum[c][j];
                if (!n) continue;
                bias[c][j] = std::min(std::max(bias[c][j] + 12 * sum / (count[c][j] + n), -BIAS_LIMIT), BIAS_LIMIT);
                count[c][j] = std::min(count[c][j] + n, int64_t(LAST_COUNT));
                n = sum = 0;
            }
    }
};

}  // namespace ddpm
