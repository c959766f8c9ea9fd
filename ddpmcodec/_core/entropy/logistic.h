// The discretised logistic on integers, in integer arithmetic: its CDF from a table.
//
// A mean is an integer in 1/64 of a unit. A scale is an index i of 0 to 127, 2^((i - 48)/8) units.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstdint>
#include <cstring>

#include "logistic_table.h"

namespace ddpm {

inline constexpr int SCALES = 128, MEAN_UNIT = 64;
inline constexpr int64_t WHOLE = int64_t(1) << 38;          // the integer that stands for probability one
inline constexpr int64_t LAST_STEP = (int64_t(28 * 64) << 24) - 1;  // where the table ends
inline constexpr int64_t LEAST_MASS = int64_t(1) << 14;     // a smaller one has no gradient to speak of

// 2^38 (CDF - 1/2) at a distance from the mean in 1/64 of a unit: odd, never falling.
inline int64_t centred(int64_t distance, int scale) {
    const int64_t size = distance < 0 ? -distance : distance;
    const int64_t t = std::min(size * RECIPROCAL[scale], LAST_STEP);
    const int64_t low = LOGISTIC[t >> 24], high = LOGISTIC[(t >> 24) + 1];
    const int64_t value = low + (((high - low) * (t & 0xFFFFFF)) >> 24);
    return distance < 0 ? -value : value;
}

// 64 |distance| / scale, floored, with its sign, within int16: a normalised residual of a distance in 1/64 of a unit.
inline int normalised(int64_t distance, int scale) {
    const int64_t size = std::min((std::min(std::abs(distance) * RECIPROCAL[scale], LAST_STEP)) >> 24, int64_t(32767));
    return int(distance < 0 ? -size : size);
}

// A logistic truncated to lo..hi. Far from its mean a logistic is exponential, hence without memory: the mean is drawn to
// within eight scales of the range, which changes the distribution by a factor of exp(-8) at most, and leaves the range a
// mass of 2^16 or more.
struct TruncatedLogistic {
    int64_t origin, below, total;  // drawn mean plus 1/2; centred at lo; mass of lo..hi, in 2^-38
    int scale;

    TruncatedLogistic() = default;
    TruncatedLogistic(int64_t lo, int64_t hi, int64_t mean, int scale) : scale(scale) {
        const int64_t margin = EIGHT_SCALES[scale];
        origin = std::min(std::max(mean, 64 * lo - 32 - margin), 64 * hi + 32 + margin) + 32;
        below = centred(64 * lo - origin, scale);
        total = centred(64 * (hi + 1) - origin, scale) - below;
    }

    // Mass of lo..x - 1.
    int64_t before(int64_t x) const { return centred(64 * x - origin, scale) - below; }

    // About the integer below which a share (in 2^-24) of the mass lies.
    int64_t quantile(int64_t share) const {
        const int64_t target = below + WHOLE / 2 + ((share * total) >> 24);
        const double tail = double(std::max(std::min(target, WHOLE - target), int64_t(1)));
        int64_t bits;
        std::memcpy(&bits, &tail, sizeof bits);
        const int64_t distance = (int64_t(GUIDE[(bits >> 46) - 1023 * 64]) * EIGHT_SCALES[scale]) >> 13;
        return (origin + (2 * target >= WHOLE ? distance : -distance)) >> 6;
    }
};

// The largest x of lo..hi that `starts`, as lo does, and as all before one that does: steps of doubling length from an estimate,
// then bisection.
template <class Starts> int64_t last_that_starts(int64_t estimate, int64_t lo, int64_t hi, Starts starts) {
    int64_t x = std::min(std::max(estimate, lo), hi), end, step = 1;
    if (starts(x)) {
        end = x + 1;
        while (end <= hi && starts(end)) {
            step *= 2;
            x = end;
            end = std::min(end + step, hi + 1);
        }
    } else {
        end = x--;
        while (!starts(x)) {
            step *= 2;
            end = x;
            x = std::max(x - step, lo);
        }
    }
    while (end - x > 1) {
        const int64_t middle = (x + end) >> 1;
        (starts(middle) ? x : end) = middle;
    }
    return x;
}

struct Gradients {
    double mean, scale;  // by the mean, in scales; by the logarithm of the scale
};
inline constexpr double SCALE_GRADIENT_LIMIT = 8.0;  // a value far out must not drown the rest
inline constexpr double INDICES = 11.541560327111707;  // scale indices per unit of the logarithm: 8 / log 2
inline constexpr double OCTAVE_SIXTEENTH = 0.043321698784996581;  // log 2 / 16

// The part of the line that integers occupy: its ends as distances from the mean in 1/64 of a unit, and `centred` there.
struct Span {
    int64_t below, above, low, high;

    Span(int64_t lo, int64_t hi, int64_t mean, int64_t low, int64_t high)
        : below(64 * lo - 32 - mean), above(64 * hi + 32 - mean), low(low), high(high) {}
    Span(int64_t lo, int64_t hi, int64_t mean, int scale) : Span(lo, hi, mean, 0, 0) {
        low = centred(below, scale), high = centred(above, scale);
    }
};

struct Units {
    double of[SCALES];  // of a distance of 1/64, in scales

    constexpr Units() : of() {
        for (int scale = 0; scale < SCALES; scale++) of[scale] = 8.0 / double(EIGHT_SCALES[scale]);
    }
};
inline constexpr Units UNITS;

// Gradients of the logarithm of a span's mass, by IEEE operations in this order.
inline Gradients mass_gradients(const Span& span, int scale) {
    const double unit = UNITS.of[scale];
    if (span.high - span.low < LEAST_MASS) {  // exponential: exp(-z) (1 - exp(-d)), z scales away, d scales wide
        const double wide = double(span.above - span.below) * unit;
        const double away = double(span.below > 0 ? span.below : -span.above) * unit;
        return {span.below > 0 ? 1.0 : -1.0, away - 1.0 / ((1.0 + wide / 2.0) + wide * wide / 6.0)};
    }
    const double low_share = double(span.low) / double(WHOLE), high_share = double(span.high) / double(WHOLE);
    const double share = 1.0 / (high_share - low_share);
    const double low_density = 0.25 - low_share * low_share, high_density = 0.25 - high_share * high_share;
    const double grad_scale = ((double(span.below) * unit) * low_density - (double(span.above) * unit) * high_density) * share;
    return {(low_density - high_density) * share, grad_scale};
}

// Gradients of the code length, in nats, of `part` given `whole`.
inline Gradients code_gradients(const Span& whole, const Span& part, int scale) {
    const Gradients by_whole = mass_gradients(whole, scale), by_part = mass_gradients(part, scale);
    return {by_whole.mean - by_part.mean, by_whole.scale - by_part.scale};
}

}  // namespace ddpm
