// Which colours an image has had so far, and of which kind a colour is that it may have next.
//
// A photograph that once was YCC (Photo CD, JPEG, video) has one RGB triple in some, and those make a lattice. Four things tell
// of it before a triple came: whether the same differences red - green and blue - green came with another luma; whether a triple
// came that differs in blue by one to three levels, as neighbours on the lattice lie farther apart; whether JPEG's conversion makes
// the triple, as it does one in four (JFIF, ITU-T T.871); and of red, whether the blue that is expected beside it would be such a
// triple.
//
// Counts have an end, and may be raised in any order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "pyramid.h"

namespace ddpm {

inline constexpr int COLOR_WINDOW = 32;  // values of a channel whose kinds are asked together, at most
inline constexpr int COLOR_KINDS = 80;   // of red; the other channels have fewer
inline constexpr int COLOR_HASH_BITS = 20;
inline constexpr int NEAR_REACH = 3;     // along blue; what is near counts 4, 3, 2, 1

// Whether conversion to YCbCr and back, rounded as libjpeg does, leaves a colour as it is.
inline bool is_from_ycbcr(int red, int green, int blue) {
    const int luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
    const int b = (-11059 * red - 21709 * green + 32768 * blue + 32767) >> 16;
    const int r = (32768 * red - 27439 * green - 5329 * blue + 32767) >> 16;
    const int by_red = luma + ((91881 * r + 32768) >> 16), by_blue = luma + ((116130 * b + 32768) >> 16);
    const int by_both = luma + ((-22554 * b - 46802 * r + 32768) >> 16);
    return ((by_red ^ red) | (by_blue ^ blue) | (by_both ^ green)) == 0;  // at once, without branches
}

// The blue that is expected beside a red, rounded: a linear function of it, in 2^-12 grey levels.
struct ExpectedBlue {
    int64_t at_zero, by_red;

    int at(int red) const { return int(std::min(std::max((at_zero + by_red * red + 2048) >> 12, int64_t(0)), int64_t(255))); }
};

// How often something came, up to 31, and how many of those near it did, up to 7, in one byte.
struct Seen {
    uint8_t bits = 0;

    int times() const { return bits & 31; }
    int near() const { return bits >> 5; }
    void raise() {
        if (times() < 31) bits++;  // otherwise nothing is written, and other threads keep their copy
    }
    void raise_near(int by) { bits = uint8_t(std::min(near() + by, 7) << 5 | times()); }
};

class SeenColors {
  public:
    SeenColors() : levels_(CHANNELS * 256 + COLOR_WINDOW), pairs_(1 << 16), triples_(TRIPLES), differences_(DIFFERENCES) {}

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
        if (channel == 2) blues(pixel[0], pixel[1], first, kinds);
    }

  private:
    static void prefetch(const Seen* counts) {
#if defined(__GNUC__)
        __builtin_prefetch(counts, 1);
#endif
    }

    static constexpr size_t TRIPLES = (size_t(1) << COLOR_HASH_BITS) + 256 + COLOR_WINDOW;
    static constexpr size_t DIFFERENCES = (size_t(1) << 18) + COLOR_WINDOW;

    // Where a triple is counted, and where the differences that it shares with triples of other lumas: what differs in blue follows
    // each other.
    static size_t triple_of(int green, int red, int blue) {
        return ((uint32_t(red - green + 256) << 8 | uint32_t(green)) * 0x9E3779B1u >> (32 - COLOR_HASH_BITS)) + size_t(blue);
    }
    static size_t difference_of(int green, int red, int blue) { return size_t((red - green + 256) << 9 | (blue - green + 256)); }

    static void raise(Seen* blues, int blue) {
        if (!blues[blue].times())
            for (int b = std::max(blue - NEAR_REACH, 0); b <= std::min(blue + NEAR_REACH, 255); b++)
                blues[b].raise_near(NEAR_REACH + 1 - std::abs(b - blue));
        blues[blue].raise();
    }

    static int class_of(int times) { return (times >= 1) + (times >= 2) + (times >= 4) + (times >= 16) + (times >= 31); }

    void greens(int first, int count, uint8_t* kinds) const {
        for (int k = 0; k < count; k++) kinds[k] = uint8_t(class_of(levels_[first + k].times()));
    }

    // By how often red came with this green; and how near triples, and differences, came to the blue that is expected.
    void reds(int green, const ExpectedBlue& beside, int first, int count, uint8_t* kinds) const {
        for (int k = 0; k < count; k++) {
            const int red = first + k, blue = beside.at(red), pair = pairs_[green << 8 | red].times();
            const int triples = triples_[triple_of(green, red, blue)].near();
            const int differences = differences_[difference_of(green, red, blue)].near();
            const int seen = (levels_[256 + red].times() >= 1) + (pair >= 1) + (pair >= 4);
            const int near = (differences >= 1) + (differences >= 3) + (differences >= 5);
            kinds[k] = uint8_t((((triples + 1) >> 1) * 4 + near) * 4 + seen);
        }
    }

    // By how often the triple came, or how near one did; how often its differences came; and whether YCbCr makes it.
    void blues(int green, int red, int first, uint8_t* kinds) const {
        Seen levels[COLOR_WINDOW], triples[COLOR_WINDOW], differences[COLOR_WINDOW];  // all, as that is faster
        std::memcpy(levels, &levels_[512 + first], COLOR_WINDOW);
        std::memcpy(triples, &triples_[triple_of(green, red, first)], COLOR_WINDOW);
        std::memcpy(differences, &differences_[difference_of(green, red, first)], COLOR_WINDOW);
        for (int k = 0; k < COLOR_WINDOW; k++) {
            const int times = triples[k].times(), near = triples[k].near(), other = differences[k].times();
            const int unseen = levels[k].times() ? 1 + (near >= 1) + (near >= 4) : 0;
            kinds[k] = uint8_t(9 * ((other >= 1) + (other >= 4) + (other >= 31)) + (times ? 3 + class_of(times) : unseen));
        }
        for (int k = 0; k < COLOR_WINDOW; k++) kinds[k] = uint8_t(kinds[k] + 36 * is_from_ycbcr(red, green, first + k));
    }

    std::vector<Seen> levels_, pairs_, triples_, differences_;
};

}  // namespace ddpm
