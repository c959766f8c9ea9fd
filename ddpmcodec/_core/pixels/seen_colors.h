// Which colours an image has had so far, and of which kind a colour is that it may have next.
//
// A photograph that once was YCC (Photo CD, JPEG, video) has one RGB triple in some, and those make a lattice. Four things tell
// of it before a triple came: whether the same differences red - green and blue - green came with another luma; whether a triple
// came that differs in blue by one to three levels, as neighbours on the lattice lie farther apart; whether JPEG's conversion makes
// the triple, as it does one in four (JFIF, ITU-T T.871); and of red, whether the blue that is expected beside it would be such a
// triple.
//
// Counts have an end, and triples share places: what is known depends on the order in which pixels come, which both sides keep.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "pyramid.h"

namespace ddpm {

inline constexpr int COLOR_KINDS = 80;   // of red; the other channels have fewer
inline constexpr int COLOR_HASH_BITS = 20;
inline constexpr int NEAR_REACH = 3;     // along blue; what is near counts 4, 3, 2, 1

// The blue that is expected beside a red, rounded: a linear function of it, in 2^-12 grey levels.
struct ExpectedBlue {
    int64_t at_zero, by_red;

    int at(int red) const { return int(std::min(std::max((at_zero + by_red * red + 2048) >> 12, int64_t(0)), int64_t(255))); }
};

// What is known of a triple, of a level or of differences, in one byte: how often it came, up to 15; how many near it did, up to 7;
// and of differences whether JPEG's conversion from YCbCr makes them.
struct ColorRecord {
    uint8_t bits = 0;

    constexpr int times() const { return bits & 15; }
    constexpr int near() const { return bits >> 4 & 7; }
    constexpr bool is_from_ycbcr() const { return bits >> 7; }
    void raise() {
        if (times() < 15) bits++;  // otherwise nothing is written, and other threads keep their copy
    }
    void raise_near(int by) { bits = uint8_t((bits & 0x8F) | std::min(near() + by, 7) << 4); }
    void set_from_ycbcr() { bits |= 0x80; }
};

// A kind is the sum of parts, one for each thing that is known.
constexpr int class_of(ColorRecord seen) {
    const int times = seen.times();
    return (times >= 1) + (times >= 2) + (times >= 4) + (times >= 8) + (times >= 15);
}
constexpr int blue_by_triple(ColorRecord seen) { return seen.times() ? 3 + class_of(seen) : 1 + (seen.near() >= 1) + (seen.near() >= 4); }
constexpr int blue_by_differences(ColorRecord seen) {
    const int times = seen.times();
    return 36 * seen.is_from_ycbcr() + 9 * ((times >= 1) + (times >= 4) + (times >= 15));
}
constexpr int red_by_pair(ColorRecord seen) { return (seen.times() >= 1) + (seen.times() >= 4); }
constexpr int red_by_triples(ColorRecord seen) { return 16 * ((seen.near() + 1) >> 1); }
constexpr int red_by_differences(ColorRecord seen) { return 4 * ((seen.near() >= 1) + (seen.near() >= 3) + (seen.near() >= 5)); }

constexpr ColorRecord MOST_SEEN{0xFF};  // is of the last kind
static_assert(red_by_pair(MOST_SEEN) + 1 + red_by_triples(MOST_SEEN) + red_by_differences(MOST_SEEN) == COLOR_KINDS - 1);
static_assert(blue_by_triple(MOST_SEEN) + blue_by_differences(MOST_SEEN) < COLOR_KINDS);

template <class Part> constexpr std::array<uint8_t, 256> tabulated(Part part) {
    std::array<uint8_t, 256> table{};
    for (int bits = 0; bits < 256; bits++) table[bits] = uint8_t(part(ColorRecord{uint8_t(bits)}));
    return table;
}

class SeenColors {
  public:
    SeenColors() : levels_(CHANNELS * 256), pairs_(1 << 16), triples_(TRIPLES), differences_(1 << 18) {
        for (int b = -128; b < 128; b++)  // as libjpeg rounds; luma adds the same to all channels
            for (int r = -128; r < 128; r++) {
                const int red = (91881 * r + 32768) >> 16, blue = (116130 * b + 32768) >> 16;
                const int green = (-22554 * b - 46802 * r + 32768) >> 16;
                if (std::abs(red - green) >= 256 || std::abs(blue - green) >= 256) continue;
                differences_[difference_of(green, red, blue)].set_from_ycbcr();
            }
    }

    // Whether JPEG's conversion makes a colour, but for what it cuts off at 0 and 255.
    bool is_from_ycbcr(int red, int green, int blue) const { return differences_[difference_of(green, red, blue)].is_from_ycbcr(); }

    // Counts a pixel: green, red, blue.
    void count(const int* pixel) {
        const int green = pixel[0], red = pixel[1], blue = pixel[2];
        for (int c = 0; c < CHANNELS; c++) levels_[256 * c + pixel[c]].raise();
        pairs_[green << 8 | red].raise();
        raise(&triples_[triple_of(green, red, 0)], blue);
        raise(&differences_[difference_of(green, red, 0)], blue);
    }

    // Has a pixel's counts near when they are needed.
    void fetch(const int* pixel) const {
        prefetch(&pairs_[pixel[0] << 8 | pixel[1]]);
        prefetch(&triples_[triple_of(pixel[0], pixel[1], pixel[2])]);
        prefetch(&differences_[difference_of(pixel[0], pixel[1], pixel[2])]);
    }

    // The kinds of `count` values of a channel from `first` on. pixel: its channels before this one.
    void kinds(int channel, const int* pixel, const ExpectedBlue& beside, int first, int count, uint8_t* kinds) const {
        if (channel == 0) greens(first, count, kinds);
        if (channel == 1) reds(pixel[0], beside, first, count, kinds);
        if (channel == 2) blues(pixel[0], pixel[1], first, count, kinds);
    }

  private:
    static void prefetch(const ColorRecord* counts) {
#if defined(__GNUC__)
        __builtin_prefetch(counts, 1);
#endif
    }

    static constexpr size_t TRIPLES = (size_t(1) << COLOR_HASH_BITS) + 256;

    // Where a triple is counted, and where the differences that it shares with triples of other lumas: what differs in blue follows
    // each other.
    static size_t triple_of(int green, int red, int blue) {
        return ((uint32_t(red - green + 256) << 8 | uint32_t(green)) * 0x9E3779B1u >> (32 - COLOR_HASH_BITS)) + size_t(blue);
    }
    static size_t difference_of(int green, int red, int blue) { return size_t((red - green + 256) << 9 | (blue - green + 256)); }

    static void raise(ColorRecord* blues, int blue) {
        if (!blues[blue].times())
            for (int b = std::max(blue - NEAR_REACH, 0); b <= std::min(blue + NEAR_REACH, 255); b++)
                blues[b].raise_near(NEAR_REACH + 1 - std::abs(b - blue));
        blues[blue].raise();
    }

    void greens(int first, int count, uint8_t* kinds) const {
        for (int k = 0; k < count; k++) kinds[k] = uint8_t(class_of(levels_[first + k]));
    }

    // By how often red came with this green; and how near triples, and differences, came to the blue that is expected.
    void reds(int green, const ExpectedBlue& beside, int first, int count, uint8_t* kinds) const {
        static constexpr auto BY_DIFFERENCES = tabulated(red_by_differences);
        for (int k = 0; k < count; k++) {
            const int red = first + k, blue = beside.at(red);
            const int by_pair = red_by_pair(pairs_[green << 8 | red]) + (levels_[256 + red].bits != 0);
            const ColorRecord differences = differences_[difference_of(green, red, blue)];
            kinds[k] = uint8_t(by_pair + red_by_triples(triples_[triple_of(green, red, blue)]) + BY_DIFFERENCES[differences.bits]);
        }
    }

    // By how often the triple came, or how near one did; how often its differences came; and whether YCbCr makes it.
    void blues(int green, int red, int first, int count, uint8_t* kinds) const {
        static constexpr auto BY_TRIPLE = tabulated(blue_by_triple), BY_DIFFERENCES = tabulated(blue_by_differences);
        const ColorRecord *levels = &levels_[512 + first], *triples = &triples_[triple_of(green, red, first)];
        const ColorRecord* differences = &differences_[difference_of(green, red, first)];
        for (int k = 0; k < count; k++)
            kinds[k] = uint8_t((levels[k].bits ? BY_TRIPLE[triples[k].bits] : 0) + BY_DIFFERENCES[differences[k].bits]);
    }

    std::vector<ColorRecord> levels_, pairs_, triples_, differences_;
};

}  // namespace ddpm
