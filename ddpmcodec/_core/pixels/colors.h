// Online adaptation to colours: which of them an image has, and how much likelier those are that it had before.
//
// Images do not use all colours alike. A photograph that once was YCC (Photo CD, JPEG), or whose levels were stretched, has
// one RGB triple in some; everywhere, colours that were there come back. Values near the mean of a channel are weighed by their
// kinds (seen_colors.h): what the image has had of such a green; of such a pair with red; of such a triple.
//
// A weight is observed over expected: how often values of a kind were true, over the probability that their distributions
// gave to all of that kind, so far. A channel whose weights save next to nothing rests for a while, as weighing takes time.
// Everything is an integer, or an IEEE quotient of integers. It is learned after a wave, stream after stream and row after row: the
// order counts, as it does for what has been seen.
#pragma once
#include <array>
#include <cstring>
#include <vector>

#include "cache.h"
#include "mixture.h"
#include "seen_colors.h"

namespace ddpm {

inline constexpr int COLOR_REACH = 15;   // values that are weighed on each side of the mean, at most

// Which values of a channel are weighed: those within two and `scales` scales of the distribution on each side of its mean, but
// not more than `most`. None are where the scale is larger than `largest_scale` (an index, here of 4 and 16): they would be few.
struct ColorReach {
    int scales, most, largest_scale;
};
inline constexpr ColorReach COLOR_NEAR{1, 6, 64}, COLOR_FAR[CHANNELS] = {{4, 12, 80}, {3, 8, 80}, {6, COLOR_REACH, 80}};
// Colours are sparse, and values far from the mean are weighed, where more than one value in ten is expected to be of rare
// kinds: those whose weight is below 100 of COLOR_ONE.
inline constexpr int COLOR_SPARSE = 10;
inline constexpr int64_t COLOR_RARE = 100;
inline constexpr int64_t COLOR_ONE = 256, COLOR_LARGEST_WEIGHT = 1 << 14;
inline constexpr int64_t COLOR_FIRST = int64_t(2) << 24, COLOR_LEAST = 1 << 16;
inline constexpr int COLOR_RENEWAL = 128;  // values of a channel after which its weights are computed anew
inline constexpr int COLOR_MEMORY = 2048;  // and after which all that was observed and expected counts half
inline constexpr size_t COLOR_AHEAD = 8;   // so many pixels before a pixel is counted, its counts are fetched
// After so many values of a channel, and after about COLOR_MEMORY of them each time from then on (a wave is taken as a whole), it
// rests for COLOR_REST pixels if its weights saved less than 1/512 bit of each of COLOR_MEMORY values.
inline constexpr int COLOR_TRIAL = 8192, COLOR_REST = 1 << 15;
inline constexpr int64_t COLOR_LEAST_SAVED = (int64_t(1) << 16) / 512;

// About 2^16 log2(x), x > 0: the line through the powers of two next to x, and a parabola on it. It is off by less than 1/100.
inline int64_t binary_logarithm(int64_t x) {
    const double number = double(x);
    int64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    const int64_t line = (bits >> 36) - (int64_t(1023) << 16), part = line & 0xFFFF;
    return line + ((((22708 * part) >> 16) * (0x10000 - part)) >> 16);
}

// A mixture of which some integers near the mean are likelier, or less so, than it says. With m(x) = floor(B(x) / 2^14) and
// w(u) in 1/256 the weight of an integer u of a window, 256 of others,
//
//     V(x) = sum of w(u) (m(u + 1) - m(u)) over lo <= u < x,    cum(x) = floor(V(x) r) + (x - lo),    r = (2^24 - W) / V(hi + 1)
//
// with an IEEE quotient and product: m is at most 2^24 and weights at most 2^14, so that V is exact, and V r at most
// 2^24 - W and its rounding.
struct WeightedMixture {
    const Mixture* mixture;
    int64_t first;  // of the window
    int count;
    double rate;
    int64_t whole;  // V(hi + 1)
    int64_t masses[2 * COLOR_REACH + 1], sums[2 * COLOR_REACH + 2];
    uint8_t kinds[2 * COLOR_REACH + 1];

    static int64_t mass(const Mixture& mixture, int64_t x) { return mixture.mass_before(x) >> 14; }

    int64_t before(int64_t x) const {
        if (x < first) return mass(*mixture, x) * COLOR_ONE;
        const int64_t end = first + count;
        if (x <= end) return sums[x - first];
        return sums[count] + (mass(*mixture, x) - mass(*mixture, end)) * COLOR_ONE;
    }

    int64_t cumulative(int64_t x) const {
        if (x > mixture->hi) return int64_t(1) << PRECISION;
        return int64_t(double(before(x)) * rate) + (x - mixture->lo);
    }

    void interval(int64_t value, uint32_t& start, uint32_t& freq) const {
        const int64_t begin = cumulative(value);
        start = uint32_t(begin);
        freq = uint32_t(cumulative(value + 1) - begin);
    }

    int64_t find(uint32_t slot) const {
        return mixture->search(slot, [&](int64_t x) { return cumulative(x) <= int64_t(slot); });
    }
};

// Of a channel of a pixel: the mean (1/64) and the scale's index of its distribution; where it is red, the blue beside it.
struct ExpectedValue {
    int64_t mean;
    int scale;
    ExpectedBlue blue;
};

// What one wave of a stream observed.
struct alignas(CACHE_LINES) ColorScores {
    std::array<std::array<int64_t, COLOR_KINDS>, CHANNELS> observed{}, expected{};
    std::array<int64_t, CHANNELS> saved{};  // bits that weights saved, 2^-16
    std::array<int, CHANNELS> coded{};
    std::vector<std::array<int, CHANNELS>> pixels;  // green, red, blue

    void clear() {
        for (int c = 0; c < CHANNELS; c++) observed[c].fill(0), expected[c].fill(0), saved[c] = coded[c] = 0;
        pixels.clear();
    }
};

class Colors {
  public:
    Colors() {
        for (int c = 0; c < CHANNELS; c++) {
            coded_[c] = rest_[c] = 0;
            saved_[c] = 0;
            observed_[c].fill(COLOR_FIRST);
            expected_[c].fill(COLOR_FIRST);
            weights_[c].fill(COLOR_ONE);
            reach_[c] = COLOR_NEAR;
        }
    }

    // Whether values of a channel are weighed in a distribution of this scale.
    bool weighs(int channel, int scale) const { return !rest_[channel] && scale <= reach_[channel].largest_scale; }

    // Weighs the values near the mean of a channel. pixel: green, red, blue, those before it known.
    void weigh(const Mixture& mixture, int channel, const int* pixel, const ExpectedValue& expected, WeightedMixture& weighed) const {
        const int64_t centre = (expected.mean + 32) >> 6;
        const ColorReach& limits = reach_[channel];
        const int64_t reach = std::min(limits.most, 2 + int((limits.scales * EIGHT_SCALES[expected.scale]) >> 9));
        weighed.mixture = &mixture;
        weighed.first = std::min(std::max(centre - reach, mixture.lo), mixture.hi);
        weighed.count = int(std::min(std::max(centre + reach, mixture.lo), mixture.hi) + 1 - weighed.first);
        seen_.kinds(channel, pixel, expected.blue, int(weighed.first), weighed.count, weighed.kinds);  // first, as it waits for memory
        int64_t before[2 * COLOR_REACH + 2] = {};
        mixture.masses_before(weighed.first, weighed.count + 1, before);
        for (int k = 0; k <= weighed.count; k++) before[k] >>= 14;
        weighed.sums[0] = before[0] * COLOR_ONE;
        for (int k = 0; k < weighed.count; k++) {
            weighed.masses[k] = before[k + 1] - before[k];
            weighed.sums[k + 1] = weighed.sums[k] + weighed.masses[k] * weights_[channel][weighed.kinds[k]];
        }
        const int64_t behind = WeightedMixture::mass(mixture, mixture.hi + 1) - before[weighed.count];
        weighed.whole = weighed.sums[weighed.count] + behind * COLOR_ONE;
        weighed.rate = double(mixture.room) / double(weighed.whole);
    }

    // Counts the true value of a channel that was weighed.
    void observe(const WeightedMixture& weighed, int channel, int64_t value, ColorScores& scores) const {
        for (int k = 0; k < weighed.count; k++) scores.expected[channel][weighed.kinds[k]] += weighed.masses[k];
        int64_t weight = COLOR_ONE;
        if (value >= weighed.first && value < weighed.first + weighed.count) {
            const int kind = weighed.kinds[value - weighed.first];
            scores.observed[channel][kind] += int64_t(1) << 24;
            weight = weights_[channel][kind];
        }
        scores.saved[channel] += binary_logarithm(weight << PRECISION) - binary_logarithm(weighed.whole);
        scores.coded[channel]++;
    }

    // Takes over a wave: what its streams observed, which becomes empty.
    void learn(std::vector<ColorScores>& streams) {
        std::array<int, CHANNELS> coded = coded_;
        int count = 0;
        for (const ColorScores& scores : streams) {
            count += int(scores.pixels.size());
            for (int c = 0; c < CHANNELS; c++) {
                if (!scores.coded[c]) continue;
                coded[c] += scores.coded[c];
                saved_[c] += scores.saved[c];
                for (int k = 0; k < COLOR_KINDS; k++) observed_[c][k] += scores.observed[c][k];
                for (int k = 0; k < COLOR_KINDS; k++) expected_[c][k] += scores.expected[c][k];
            }
        }
        for (int c = 0; c < CHANNELS; c++) {
            const bool is_full = coded_[c] / COLOR_MEMORY != coded[c] / COLOR_MEMORY;
            if (coded_[c] / COLOR_RENEWAL != coded[c] / COLOR_RENEWAL) renew(c, is_full);
            coded_[c] = coded[c];
            rest_[c] = std::max(rest_[c] - count, 0);
            if (!is_full) continue;
            if (coded_[c] >= COLOR_TRIAL && saved_[c] < COLOR_LEAST_SAVED * COLOR_MEMORY) rest_[c] = COLOR_REST;
            saved_[c] = 0;
        }
        for (ColorScores& scores : streams) {
            const auto& pixels = scores.pixels;
            for (size_t k = 0; k < pixels.size(); k++) {
                if (k + COLOR_AHEAD < pixels.size()) seen_.fetch(pixels[k + COLOR_AHEAD].data());
                seen_.count(pixels[k].data());
            }
            scores.clear();
        }
    }

  private:
    void renew(int channel, bool halves) {
        int64_t all = 0, rare = 0;
        for (int k = 0; k < COLOR_KINDS; k++) {
            int64_t &observed = observed_[channel][k], &expected = expected_[channel][k];
            if (halves) observed = std::max(observed >> 1, COLOR_LEAST), expected = std::max(expected >> 1, COLOR_LEAST);
            const int64_t weight = int64_t(double(COLOR_ONE * observed) / double(expected));  // both below 2^53
            weights_[channel][k] = std::min(std::max(weight, int64_t(1)), COLOR_LARGEST_WEIGHT);
            all += expected;
            if (weights_[channel][k] < COLOR_RARE) rare += expected;
        }
        reach_[channel] = rare * COLOR_SPARSE > all ? COLOR_FAR[channel] : COLOR_NEAR;
    }

    SeenColors seen_;
    std::array<int, CHANNELS> coded_, rest_;  // values that were weighed; pixels until they are again
    std::array<int64_t, CHANNELS> saved_;     // bits that weights saved of late, 2^-16
    std::array<std::array<int64_t, COLOR_KINDS>, CHANNELS> observed_, expected_, weights_;  // the first two in 2^-24
    std::array<ColorReach, CHANNELS> reach_;
};

}  // namespace ddpm
