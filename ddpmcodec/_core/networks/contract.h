// What goes in and out of the networks: docs/architecture.md draws what a position sees.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cstdint>

#include "inputs.h"
#include "mixture.h"
#include "pyramid.h"

namespace ddpm {

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "weights are packed for processors whose lowest byte comes first, and streams are written as they have them: port both"
#endif
static_assert(FLT_EVAL_METHOD == 0, "operations of float and double must be rounded to these types, as by SSE: bits differ otherwise");

inline constexpr int REACH = 3, SIDE = 2 * REACH + 1, ROW = SIDE * CHANNELS;
static_assert(ROW <= WINDOW_ROW, "kernels take whole rows of windows");
inline constexpr int DELAY = REACH + 1;  // waves that a row is behind the row above
inline constexpr int ONE_INPUT = 16;     // how far above it an input is that is on, not off

// The positions of an image in waves, whose positions depend on none of each other: wave w has column w - DELAY y of row y.
struct Waves {
    int height, width;

    int count() const { return width + DELAY * (height - 1); }
    int first_row(int wave) const { return wave < width ? 0 : (wave - width) / DELAY + 1; }
    int end_row(int wave) const { return std::min(height, wave / DELAY + 1); }
    int most_rows() const { return std::min(height, (width + DELAY - 1) / DELAY); }  // of one wave
};

// Noise levels of a band; pixels straight to exact; pixels after noise levels; corrections of previews.
enum class Role { BAND, DIRECT, LAST, PREVIEW };

inline constexpr int CAUSAL = REACH * SIDE + REACH;  // positions before a pixel in its window
inline constexpr int EDGES = 3 * REACH;              // inputs that say which rows and columns of it lie inside
inline constexpr int MIDDLE_LEVEL = 8;               // networks of the exact step are told whether noise levels end below or above it
inline constexpr int SQUARE = 2;                     // side, in pixels, of a position of the network of previews
inline constexpr int SQUARE_VALUES = SQUARE * SQUARE * CHANNELS;

// A multiple of 16, as the kernels take them: inputs at the end, which nothing is gathered for, are ZERO.
constexpr int inputs_of(Role role) {
    constexpr int window = SIDE * ROW, causal = CAUSAL * CHANNELS;
    const int gathered = role == Role::BAND     ? 2 * window
                         : role == Role::DIRECT ? causal + CHANNELS + EDGES
                         : role == Role::LAST   ? 2 * causal + window + 16 + EDGES + 3 * CHANNELS + 2
                                                : 2 * 9 * SQUARE_VALUES + CHANNELS;
    return (gathered + 15) / 16 * 16;
}

// Where a network's outputs stand. Logits are in 1/16 of an octave, means in 1/64 of a unit from what a position is seen
// from, scales are indices, cross-channel coefficients in 1/64: second channel by the first, third by the first, third by
// the second.
struct Outputs {
    int components;

    int logits() const { return 0; }
    int mean(int channel, int k) const { return components * (1 + channel) + k; }
    int scale(int channel, int k) const { return components * (4 + channel) + k; }
    int cross(int pair) const { return 7 * components + pair; }
    int count() const { return 7 * components + 3; }
};

// Of a network of previews: by how much each value of a square is to be corrected, in 1/64 of its standard deviation.
inline constexpr float CORRECTION_UNIT = 64.0f;
inline int outputs_in(Role role, int components) { return role == Role::PREVIEW ? SQUARE_VALUES : Outputs{components}.count(); }

}  // namespace ddpm
