// Mixtures of truncated logistics on integers, in integer arithmetic.
//
// With A_k(x) the mass of component k in lo..x - 1 out of T_k (`TruncatedLogistic`, 2^-38) and weights w_k that add up to 2^14,
//
//     r_k = w_k 2^48 / T_k,    B(x) = sum of floor(A_k(x) r_k / 2^24) <= 2^38
//     cum(x) = floor(B(x) (2^24 - W) / 2^38) + (x - lo),    lo <= x <= hi,    cum(hi + 1) = 2^24
//
// rises by at least 1 from each integer to the next: W = hi - lo + 1. Bounds: A_k <= T_k, so that A_k r_k <= 2^62 up to
// the rounding of r_k, an IEEE quotient; B (2^24 - W) <= 2^62.
//
// The weights belong to a position, not to a channel: what a channel turned out to be moves them towards the components
// that had expected it (Bayes), so that the channels of a position are jointly a mixture.
#pragma once
#include <stdexcept>

#include "logistic.h"
#include "rans.h"

namespace ddpm {

inline constexpr int MOST_COMPONENTS = 4, WEIGHT_BITS = 14;

// Throws std::invalid_argument unless a mixture can have so many.
inline void require_components(int64_t count) {
    if (count < 1 || count > MOST_COMPONENTS) throw std::invalid_argument("a mixture has 1 to 4 components");
}

struct Shares {
    int64_t share[MOST_COMPONENTS];  // in 2^-14, at least 1 each
};

// The largest weight takes what rounding left over.
inline void settle(Shares& weights, int components, int largest) {
    int64_t others = 0;
    for (int k = 0; k < components; k++)
        if (k != largest) others += weights.share[k];
    weights.share[largest] = (int64_t(1) << WEIGHT_BITS) - others;
}

// The softmax of logits in 1/16 of an octave.
inline void set_weights(const int32_t* logits, int components, Shares& weights) {
    if (components == 1) {
        weights.share[0] = int64_t(1) << WEIGHT_BITS;
        return;
    }
    int largest = 0;
    for (int k = 1; k < components; k++)
        if (logits[k] > logits[largest]) largest = k;
    int64_t power[MOST_COMPONENTS], sum = 0;
    for (int k = 0; k < components; k++) {
        const int64_t below = int64_t(logits[largest]) - logits[k];
        power[k] = below >= 16 * 30 ? 0 : SIXTEENTH_POWER[below & 15] >> (below >> 4);
        sum += power[k];
    }
    const double unit = double(1 << WEIGHT_BITS) / double(sum);
    for (int k = 0; k < components; k++) weights.share[k] = std::max(int64_t(double(power[k]) * unit), int64_t(1));
    settle(weights, components, largest);
}

// Masses A at both ends of some consecutive integers, by component: before the first, and behind the last.
struct Masses {
    int64_t before[MOST_COMPONENTS], after[MOST_COMPONENTS];
};

struct Mixture {
    int components;
    int64_t lo, hi, room;
    TruncatedLogistic parts[MOST_COMPONENTS];
    int64_t rates[MOST_COMPONENTS];

    Mixture(const Shares& weights, int components, int64_t lo, int64_t hi, const int64_t* means, const int* scales)
        : components(components), lo(lo), hi(hi), room((int64_t(1) << PRECISION) - (hi - lo + 1)) {
        for (int k = 0; k < components; k++) {
            parts[k] = TruncatedLogistic(lo, hi, means[k], scales[k]);
            rates[k] = int64_t(double(weights.share[k] << 48) / double(parts[k].total));
        }
    }

    // B(x), lo <= x <= hi + 1.
    int64_t mass_before(int64_t x) const {
        int64_t mass = 0;
        for (int k = 0; k < components; k++) mass += (parts[k].before(x) * rates[k]) >> 24;
        return mass;
    }

    int64_t cumulative(int64_t x) const {
        return x > hi ? int64_t(1) << PRECISION : ((mass_before(x) * room) >> 38) + (x - lo);
    }

    void masses(int64_t first, int64_t last, Masses& range_masses) const {
        for (int k = 0; k < components; k++) {
            range_masses.before[k] = parts[k].before(first);
            range_masses.after[k] = parts[k].before(last + 1);
        }
    }

    // before: B at `count` integers from `first` on.
    void masses_before(int64_t first, int count, int64_t* before) const {
        std::fill_n(before, count, 0);
        for (int k = 0; k < components; k++) {
            const TruncatedLogistic part = parts[k];
            const int64_t rate = rates[k];
            for (int j = 0; j < count; j++) before[j] += (part.before(first + j) * rate) >> 24;
        }
    }

    // The interval of the integers first..last, whose masses are known: where it starts and how long it is, in 2^-24.
    void interval(const Masses& masses, int64_t first, int64_t last, uint32_t& start, uint32_t& freq) const {
        int64_t before = 0, after = 0;
        for (int k = 0; k < components; k++) {
            before += (masses.before[k] * rates[k]) >> 24;
            after += (masses.after[k] * rates[k]) >> 24;
        }
        const int64_t begin = ((before * room) >> 38) + (first - lo);
        const int64_t end = last == hi ? int64_t(1) << PRECISION : ((after * room) >> 38) + (last + 1 - lo);
        start = uint32_t(begin);
        freq = uint32_t(end - begin);
    }

    void interval(int64_t value, uint32_t& start, uint32_t& freq) const {
        const int64_t begin = cumulative(value);
        start = uint32_t(begin);
        freq = uint32_t(cumulative(value + 1) - begin);
    }

    // The integer x with cum(x) <= slot < cum(x + 1).
    int64_t find(uint32_t slot) const {
        return search(slot, [&](int64_t x) { return cumulative(x) <= int64_t(slot); });
    }

    // The largest x of lo..hi that `starts` by the slot, as lo does.
    template <class Starts> int64_t search(uint32_t slot, Starts starts) const {
        int likely = 0;
        for (int k = 1; k < components; k++)
            if (rates[k] > rates[likely]) likely = k;
        return last_that_starts(parts[likely].quantile(slot), lo, hi, starts);
    }

    // The weights once the value turned out to be one of the integers that have these masses.
    Shares after(const Shares& prior, const Masses& masses) const {
        if (components == 1) return prior;
        int64_t mass[MOST_COMPONENTS], sum = 0;
        int largest = 0;
        for (int k = 0; k < components; k++) {
            mass[k] = ((masses.after[k] - masses.before[k]) * rates[k]) >> 24;
            sum += mass[k];
            if (mass[k] > mass[largest]) largest = k;
        }
        if (sum < 1 << 10) return prior;  // so far out that no component is likelier than another
        Shares posterior;
        const double unit = double(1 << WEIGHT_BITS) / double(sum);
        for (int k = 0; k < components; k++) posterior.share[k] = std::max(int64_t(double(mass[k]) * unit), int64_t(1));
        settle(posterior, components, largest);
        return posterior;
    }

    // How the code length of integers changes with a component.
    Gradients gradients(int k, const Masses& masses, int64_t first, int64_t last, int64_t mean, int scale) const {
        const TruncatedLogistic& part = parts[k];
        if (part.origin != mean + 32)  // the mean was drawn towards the range
            return code_gradients(Span(lo, hi, mean, scale), Span(first, last, mean, scale), scale);
        const int64_t low = part.below;
        const Span part_span(first, last, mean, low + masses.before[k], low + masses.after[k]);
        return code_gradients(Span(lo, hi, mean, low, low + part.total), part_span, scale);
    }
};

}  // namespace ddpm
