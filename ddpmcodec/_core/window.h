// What positions see, as inputs of eight bits: see contract.h.
#pragma once
#include <cstring>

#include "contract.h"

namespace ddpm {

// Small differences as they are, larger ones in quarters, at most 127; plus 128.
inline uint8_t input_of(int difference) {
    const int size = std::abs(difference);
    const int bounded = std::min(std::min(size, 64) + (std::max(size - 64, 0) >> 2), 127);
    return uint8_t((difference < 0 ? -bounded : bounded) + ZERO);
}

// An image with a margin on all sides: int16 [height + 6, (width + 6) 3].
struct Margin {
    int height = 0, width = 0;
    size_t stride = 0;
    std::vector<int16_t> values;

    Margin() = default;
    Margin(int height, int width)
        : height(height), width(width), stride(size_t(width + 2 * REACH) * CHANNELS), values(stride * (height + 2 * REACH)) {}

    // Of a row and a column of the image, from -3 on.
    int16_t* at(int y, int x) { return values.data() + size_t(y + REACH) * stride + size_t(x + REACH) * CHANNELS; }
    const int16_t* at(int y, int x) const { return const_cast<Margin*>(this)->at(y, x); }

    // The edge, repeated.
    void repeat_edge() {
        for (int y = 0; y < height; y++)
            for (int side = 0; side < 2; side++)
                for (int m = 1; m <= REACH; m++)
                    std::copy_n(at(y, side ? width - 1 : 0), CHANNELS, at(y, side ? width - 1 + m : -m));
        for (int m = 1; m <= REACH; m++) {
            std::copy_n(at(0, -REACH), stride, at(-m, -REACH));
            std::copy_n(at(height - 1, -REACH), stride, at(height - 1 + m, -REACH));
        }
    }
};

inline Margin with_margin(const Planes& planes, bool edge) {
    Margin found(planes.height, planes.width);
    for (int y = 0; y < planes.height; y++) std::copy_n(planes.at(y, 0), size_t(planes.width) * CHANNELS, found.at(y, 0));
    if (edge) found.repeat_edge();
    return found;
}

// `count` inputs of what `source` is over `centre`, channel by channel.
inline void differences(const int16_t* source, const int16_t* centre, int count, uint8_t* out) {
    for (int k = 0; k < count; k += CHANNELS)
        for (int c = 0; c < CHANNELS; c++) out[k + c] = input_of(source[k + c] - centre[c]);
}

inline void inputs_at(const int16_t* source, int count, uint8_t* out) {
    for (int k = 0; k < count; k++) out[k] = input_of(source[k]);
}

inline int clamped(int value, int lo, int hi) { return std::min(std::max(value, lo), hi); }

// --- a position of a band: the coarse image around it, and the band's own estimates
//
// coded: what is known once this step has coded a position, of which those before (y, x) are read; known: what was known
// before the step, of which the others are. While a band is coded both are one.

inline void gather_band(const Margin& coarse, const Margin& coded, const Margin& known, int y, int x, uint8_t* row) {
    const int16_t* centre = coarse.at(y, x);
    for (int i = 0; i < SIDE; i++) differences(coarse.at(y + i - REACH, x - REACH), centre, ROW, row + i * ROW);
    uint8_t* middle = row + REACH * ROW + REACH * CHANNELS;
    middle[0] = uint8_t(clamped(centre[0], 0, 255));
    for (int c = 1; c < CHANNELS; c++) middle[c] = uint8_t((clamped(centre[c], -255, 255) >> 1) + ZERO);
    uint8_t* own = row + SIDE * ROW;
    for (int i = 0; i < SIDE; i++) inputs_at((i < REACH ? coded : known).at(y + i - REACH, x - REACH), ROW, own + i * ROW);
    inputs_at(coded.at(y, x - REACH), REACH * CHANNELS, own + REACH * ROW);
    own[SIDE * ROW] = own[SIDE * ROW + 1] = ZERO;
}

// --- a pixel: those before it in raster order

inline bool is_inside(int y, int x, int width) { return y >= 0 && x >= 0 && x < width; }

// Which rows above and columns beside there are.
inline void gather_edges(int y, int x, int width, uint8_t* out) {
    for (int m = 1; m <= REACH; m++) {
        out[m - 1] = uint8_t(ZERO + (y >= m ? ONE_INPUT : 0));
        out[m + 2] = uint8_t(ZERO + (x >= m ? ONE_INPUT : 0));
        out[m + 5] = uint8_t(ZERO + (x + m < width ? ONE_INPUT : 0));
    }
}

// Green, red less green, blue less green, in half grey levels: how exact pixels are seen. Whole numbers, for rounding Y,
// Co, Cg hides from a residual what smooth images are made of: 7% of the step after noise levels.
inline void to_seen(const int16_t* grb, int16_t* out) {
    out[0] = int16_t(2 * grb[0]);
    out[1] = int16_t(2 * (grb[1] - grb[0]));
    out[2] = int16_t(2 * (grb[2] - grb[0]));
}

inline Margin seen_of(const Margin& grb) {
    Margin found = grb;
    for (size_t k = 0; k < found.values.size(); k += CHANNELS) to_seen(&grb.values[k], &found.values[k]);
    return found;
}

// Differences of the causal window from `centre`, the inputs of what lies outside zero.
inline void gather_causal(const Margin& seen, int y, int x, const int16_t* centre, uint8_t* out) {
    uint8_t* first = out;
    for (int dy = -REACH; dy <= 0; dy++) {
        const int count = dy ? ROW : REACH * CHANNELS;
        differences(seen.at(y + dy, x - REACH), centre, count, out);
        out += count;
    }
    if (y >= REACH && x >= REACH && x + REACH < seen.width) return;
    out = first;
    for (int dy = -REACH; dy <= 0; dy++)
        for (int dx = -REACH; dx <= (dy ? REACH : -1); dx++, out += CHANNELS)
            if (!is_inside(y + dy, x + dx, seen.width)) std::memset(out, ZERO, CHANNELS);
}

// A pixel itself: green in grey levels from mid-grey, the others in two grey levels from green.
inline void gather_middle(const int16_t* grb, uint8_t* out) {
    out[0] = uint8_t(clamped(grb[0], 0, 255));
    for (int c = 1; c < CHANNELS; c++) out[c] = uint8_t(clamped((grb[c] - grb[0]) >> 1, -128, 127) + ZERO);
}

// The exact pixels of an image, as far as they are known, in green, red, blue and as they are seen; where there were noise
// levels, their residuals from an estimate, and the estimate with its edge repeated.
struct PixelPlanes {
    Margin grb, seen, estimate, estimate_seen;
};

// The pixel that others are seen from: to the left, above, or mid-grey.
inline void pivot_of(const Margin& grb, int y, int x, int16_t* out) {
    if (x || y) std::copy_n(x ? grb.at(y, x - 1) : grb.at(y - 1, x), CHANNELS, out);
    else std::fill_n(out, CHANNELS, int16_t(ZERO));
}

// Inputs of a pixel straight to exact; base: the pivot's green, red, blue.
inline void gather_direct(const PixelPlanes& planes, int y, int x, uint8_t* row, int16_t* base) {
    int16_t pivot[CHANNELS];
    pivot_of(planes.grb, y, x, base);
    to_seen(base, pivot);
    gather_causal(planes.seen, y, x, pivot, row);
    row += CAUSAL * CHANNELS;
    gather_middle(base, row);
    gather_edges(y, x, planes.seen.width, row + CHANNELS);
}

// Inputs of a pixel after noise levels: residuals of those before it, the estimate on all sides, its place in 4x4.
// base: the estimate's green, red, blue.
inline void gather_last(const PixelPlanes& planes, int y, int x, uint8_t* row, int16_t* base) {
    const int16_t none[CHANNELS] = {};
    gather_causal(planes.seen, y, x, none, row);
    row += CAUSAL * CHANNELS;
    const int16_t* centre = planes.estimate_seen.at(y, x);
    for (int i = 0; i < SIDE; i++) differences(planes.estimate_seen.at(y + i - REACH, x - REACH), centre, ROW, row + i * ROW);
    gather_middle(planes.estimate.at(y, x), row + REACH * ROW + REACH * CHANNELS);
    row += SIDE * ROW;
    std::memset(row, ZERO, 16);
    row[(y & 3) * 4 + (x & 3)] = ZERO + ONE_INPUT;
    gather_edges(y, x, planes.seen.width, row + 16);
    std::copy_n(planes.estimate.at(y, x), CHANNELS, base);
}

}  // namespace ddpm
