// The distribution of a pixel that is known not to have some colours: repeats.h tries these before.
#pragma once
#include "mixture.h"
#include "pyramid.h"

namespace ddpm {

inline constexpr int MEASURE_BITS = 39;  // of the probability of a colour: by 2^24 it still fits 64 bits

// Colours that a pixel does not have, by channel, and how long the intervals of their values are, 2^-24, each given those before it.
struct WrongColors {
    static constexpr int MOST = 6;
    int count = 0, value[MOST][CHANNELS];
    uint32_t freq[MOST][CHANNELS];

    // Returns the probability of the colour, 2^-MEASURE_BITS.
    int64_t add(const int* color, const uint32_t* freqs, int channels) {
        uint64_t mass = uint64_t(1) << MEASURE_BITS;
        for (int c = 0; c < channels; c++) mass = (mass * freqs[c]) >> PRECISION;
        std::copy_n(color, CHANNELS, value[count]);
        std::copy_n(freqs, CHANNELS, freq[count++]);
        return int64_t(mass);
    }
};

// What is left of the distribution of a channel without wrong colours: some values are less likely, of the last channel impossible. With m
// the mass that values lost, in 2^-24, cum(x) = floor((C(x) - sum of m(u) over u < x) 2^24 / (2^24 - sum of m)).
template <class Base> class Without {
  public:
    // known: the channels before this one.
    Without(const Base& base, const Mixture& mixture, const WrongColors& wrong, const Range* known, int c, int channels)
        : base_(base), mixture_(mixture) {
        for (int k = 0; k < wrong.count; k++) {
            bool is_possible = true;
            for (int before = 0; before < c; before++) is_possible = is_possible && wrong.value[k][before] == known[before].lo;
            if (!is_possible) continue;
            uint64_t mass = wrong.freq[k][c];
            for (int later = c + 1; later < channels; later++) mass = (mass * wrong.freq[k][later]) >> PRECISION;
            remove(wrong.value[k][c], int64_t(mass), int64_t(wrong.freq[k][c]) - (c + 1 < channels));
        }
        if (whole_ < 1) count_ = 0, whole_ = int64_t(1) << PRECISION;  // no encoder codes such a pixel
    }

    bool is_whole() const { return !count_; }

    int64_t cumulative(int64_t x) const {
        if (x > mixture_.hi) return int64_t(1) << PRECISION;
        int64_t left = base_.cumulative(x);
        for (int k = 0; k < count_; k++) left -= values_[k] < x ? masses_[k] : 0;
        return (left << PRECISION) / whole_;
    }

    void interval(int64_t value, uint32_t& start, uint32_t& freq) const {
        const int64_t begin = cumulative(value);
        start = uint32_t(begin);
        freq = uint32_t(cumulative(value + 1) - begin);
    }

    int64_t find(uint32_t slot) const {
        return mixture_.search(slot, [&](int64_t x) { return cumulative(x) <= int64_t(slot); });
    }

  private:
    void remove(int64_t value, int64_t mass, int64_t most) {
        int k = 0;
        while (k < count_ && values_[k] != value) k++;
        if (k == count_) values_[count_] = value, masses_[count_++] = 0;
        const int64_t more = std::min(mass, most - masses_[k]);
        masses_[k] += more;
        whole_ -= more;
    }

    const Base& base_;
    const Mixture& mixture_;
    int count_ = 0;
    int64_t whole_ = int64_t(1) << PRECISION, values_[WrongColors::MOST], masses_[WrongColors::MOST];
};

}  // namespace ddpm
