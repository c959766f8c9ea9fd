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

inline void inputs_at(const int16_t* source, int count, int times, uint8_t* out) {
    for (int k = 0; k < count; k++) out[k] = input_of(times * source[k]);
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
    for (int i = 0; i < SIDE; i++) inputs_at((i < REACH ? coded : known).at(y + i - REACH, x - REACH), ROW, 1, own + i * ROW);
    inputs_at(coded.at(y, x - REACH), REACH * CHANNELS, 1, own + REACH * ROW);
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

// Differences of the causal window from `centre`, the inputs of what lies outside zero.
inline void gather_causal(const Margin& planes, int y, int x, const int16_t* centre, int times, uint8_t* out) {
    int16_t scaled[CHANNELS] = {};
    if (centre) std::copy_n(centre, CHANNELS, scaled);
    for (int dy = -REACH; dy <= 0; dy++) {
        const int16_t* source = planes.at(y + dy, x - REACH);
        const int count = dy ? ROW : REACH * CHANNELS;
        for (int k = 0; k < count; k += CHANNELS)
            for (int c = 0; c < CHANNELS; c++) out[k + c] = input_of(times * (source[k + c] - scaled[c]));
        out += count;
    }
    if (!centre || (y >= REACH && x >= REACH && x + REACH < planes.width)) return;
    out -= CAUSAL * CHANNELS;
    for (int dy = -REACH; dy <= 0; dy++)
        for (int dx = -REACH; dx <= (dy ? REACH : -1); dx++, out += CHANNELS)
            if (!is_inside(y + dy, x + dx, planes.width)) std::memset(out, ZERO, CHANNELS);
}

// The exact pixels of an image, as far as they are known, Y, Co, Cg and green, red, blue; where there were noise levels
// also their estimate, and how far pixels are from it.
struct PixelPlanes {
    Margin exact, grb;          // of residuals where there is an estimate
    Margin estimate, estimate_grb;  // with the edge repeated
};

// The pixel that others are seen from: to the left, above, or mid-grey.
inline void pivot_of(const PixelPlanes& planes, int y, int x, int16_t* ycocg, int16_t* grb) {
    if (!x && !y) {
        const int16_t grey[CHANNELS] = {128, 0, 0};
        std::copy_n(grey, CHANNELS, ycocg);
        std::fill_n(grb, CHANNELS, int16_t(128));
        return;
    }
    std::copy_n(x ? planes.exact.at(y, x - 1) : planes.exact.at(y - 1, x), CHANNELS, ycocg);
    std::copy_n(x ? planes.grb.at(y, x - 1) : planes.grb.at(y - 1, x), CHANNELS, grb);
}

// Inputs of a pixel straight to exact; base: the pivot's green, red, blue.
inline void gather_direct(const PixelPlanes& planes, int y, int x, uint8_t* row, int16_t* base) {
    int16_t pivot[CHANNELS];
    pivot_of(planes, y, x, pivot, base);
    gather_causal(planes.exact, y, x, pivot, 1, row);
    row += CAUSAL * CHANNELS;
    row[0] = uint8_t(((pivot[0] - 128) >> 1) + ZERO);
    row[1] = uint8_t((pivot[1] >> 2) + ZERO);
    row[2] = uint8_t((pivot[2] >> 2) + ZERO);
    gather_edges(y, x, planes.exact.width, row + CHANNELS);
}

// Inputs of a pixel after noise levels: residuals of those before it, the estimate on all sides, its place in 4x4.
// base: the estimate's green, red, blue.
inline void gather_last(const PixelPlanes& planes, int y, int x, uint8_t* row, int16_t* base) {
    gather_causal(planes.exact, y, x, nullptr, 2, row);
    row += CAUSAL * CHANNELS;
    const int16_t* centre = planes.estimate.at(y, x);
    for (int i = 0; i < SIDE; i++) differences(planes.estimate.at(y + i - REACH, x - REACH), centre, ROW, row + i * ROW);
    uint8_t* middle = row + REACH * ROW + REACH * CHANNELS;
    middle[0] = uint8_t(clamped((centre[0] - 128) >> 1, -128, 127) + ZERO);
    for (int c = 1; c < CHANNELS; c++) middle[c] = uint8_t(clamped(centre[c] >> 2, -128, 127) + ZERO);
    row += SIDE * ROW;
    std::memset(row, ZERO, 16);
    row[(y & 3) * 4 + (x & 3)] = ZERO + ONE_INPUT;
    gather_edges(y, x, planes.exact.width, row + 16);
    std::copy_n(planes.estimate_grb.at(y, x), CHANNELS, base);
}

}  // namespace ddpm
