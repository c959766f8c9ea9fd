// What positions see, as inputs of eight bits: see contract.h.
#pragma once
#include <cassert>
#include <cstring>

#include "bounds.h"
#include "contract.h"
#include "kernels.h"

namespace ddpm {

inline constexpr int SPARE = WINDOW_ROW - ROW;  // values behind a row of a window that are read and written with it

// An image with a margin on all sides: [height + 2 REACH, (width + 2 REACH) 3], and SPARE more.
template <class T> struct Bordered {
    int height = 0, width = 0;
    size_t stride = 0;
    std::vector<T> values;

    Bordered() = default;
    Bordered(int height, int width, T filler)
        : height(height), width(width), stride(size_t(width + 2 * REACH) * CHANNELS),
          values(stride * (height + 2 * REACH) + SPARE, filler) {}

    // The pixel at a row and a column of the image, which begin at -REACH.
    T* at(int y, int x) {
        assert(y >= -REACH && y < height + REACH && x >= -REACH && x <= width + REACH);
        return values.data() + size_t(y + REACH) * stride + size_t(x + REACH) * CHANNELS;
    }
    const T* at(int y, int x) const { return const_cast<Bordered*>(this)->at(y, x); }

    // Fills the margin with the edge, repeated.
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

// Values, with 0 or the edge outside; or what stands for them as inputs, with ZERO outside.
struct Margin : Bordered<int16_t> {
    Margin() = default;
    Margin(int height, int width) : Bordered(height, width, 0) {}
};
struct Inputs : Bordered<uint8_t> {
    Inputs() = default;
    Inputs(int height, int width) : Bordered(height, width, ZERO) {}

    void set(int y, int x, int channel, int value) { at(y, x)[channel] = input_of(int16_t(value)); }
};

inline Margin with_margin(const Planes& planes) {
    Margin margin(planes.height, planes.width);
    for (int y = 0; y < planes.height; y++) std::copy_n(planes.at(y, 0), size_t(planes.width) * CHANNELS, margin.at(y, 0));
    margin.repeat_edge();
    return margin;
}

inline Inputs inputs_of(const Planes& planes) {
    Inputs inputs(planes.height, planes.width);
    for (int y = 0; y < planes.height; y++)
        std::transform(planes.at(y, 0), planes.at(y, 0) + size_t(planes.width) * CHANNELS, inputs.at(y, 0), input_of);
    return inputs;
}

inline int clamped(int value, int lo, int hi) { return std::min(std::max(value, lo), hi); }

// --- a position of a band: the coarse image around it, and the band's own estimates
//
// coded: what is known once this step has coded a position; it is read before (y, x). known: what was known before the step; it
// is read from (y, x) on. While a band is coded both are one.

inline void gather_band(const Kernels& kernels, const Margin& coarse, const Inputs& coded, const Inputs& known, int y, int x, uint8_t* row) {
    const int16_t* centre = coarse.at(y, x);
    kernels.differences(coarse.at(y - REACH, x - REACH), coarse.stride, SIDE, centre, row, ROW);
    uint8_t* middle = row + REACH * ROW + REACH * CHANNELS;
    middle[0] = uint8_t(clamped(centre[0], 0, 255));
    for (int c = 1; c < CHANNELS; c++) middle[c] = uint8_t((clamped(centre[c], -255, 255) >> 1) + ZERO);
    uint8_t* estimates = row + SIDE * ROW;
    for (int i = 0; i < SIDE; i++) std::memcpy(estimates + i * ROW, (i < REACH ? coded : known).at(y + i - REACH, x - REACH), ROW);
    std::memcpy(estimates + REACH * ROW, coded.at(y, x - REACH), REACH * CHANNELS);
}

// --- a pixel: those before it in raster order

inline bool is_inside(int y, int x, int width) { return y >= 0 && x >= 0 && x < width; }

// Inputs that say which rows above and which columns beside exist.
inline void gather_edges(int y, int x, int width, uint8_t* out) {
    for (int m = 1; m <= REACH; m++) {
        out[m - 1] = uint8_t(ZERO + (y >= m ? ONE_INPUT : 0));
        out[REACH + m - 1] = uint8_t(ZERO + (x >= m ? ONE_INPUT : 0));
        out[2 * REACH + m - 1] = uint8_t(ZERO + (x + m < width ? ONE_INPUT : 0));
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
    Margin seen = grb;
    for (size_t k = 0; k + SPARE < seen.values.size(); k += CHANNELS) to_seen(&grb.values[k], &seen.values[k]);
    return seen;
}

// Differences of the causal window from `centre`, the inputs of what lies outside zero.
inline void gather_causal(const Kernels& kernels, const Margin& seen, int y, int x, const int16_t* centre, uint8_t* out) {
    kernels.differences(seen.at(y - REACH, x - REACH), seen.stride, REACH - 1, centre, out, ROW);
    int16_t nearest[2][WINDOW_ROW] = {};  // copies: behind the window, another thread may be writing to these rows
    std::memcpy(nearest[0], seen.at(y - 1, x - REACH), ROW * sizeof(int16_t));
    std::memcpy(nearest[1], seen.at(y, x - REACH), REACH * CHANNELS * sizeof(int16_t));
    uint8_t seen_nearest[2 * WINDOW_ROW];
    kernels.differences(nearest[0], WINDOW_ROW, 2, centre, seen_nearest, ROW);
    std::memcpy(out + (REACH - 1) * ROW, seen_nearest, ROW + REACH * CHANNELS);
    if (y >= REACH && x >= REACH && x + REACH < seen.width) return;
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
// levels, `grb` has their residuals from an estimate; the residuals as inputs, and the estimate with its edge repeated.
struct PixelPlanes {
    Margin grb, seen, estimate, estimate_seen;
    Inputs residuals;
    int level = EXACT;  // the last noise level
};

// Copies the pixel from which the others are seen: the one to the left, the one above, or mid-grey.
inline void pivot_of(const Margin& margin, int y, int x, const int16_t* grey, int16_t* out) {
    std::copy_n(x ? margin.at(y, x - 1) : y ? margin.at(y - 1, x) : grey, CHANNELS, out);
}
inline constexpr int16_t MID_GREY[CHANNELS] = {ZERO, ZERO, ZERO}, MID_GREY_SEEN[CHANNELS] = {2 * ZERO, 0, 0};

// Inputs of a pixel straight to exact; base: the pivot's green, red, blue.
inline void gather_direct(const Kernels& kernels, const PixelPlanes& planes, int y, int x, uint8_t* row, int16_t* base) {
    int16_t pivot[CHANNELS];
    pivot_of(planes.grb, y, x, MID_GREY, base);
    to_seen(base, pivot);
    gather_causal(kernels, planes.seen, y, x, pivot, row);
    row += CAUSAL * CHANNELS;
    gather_middle(base, row);
    gather_edges(y, x, planes.seen.width, row + CHANNELS);
}

// Inputs of a pixel after noise levels: residuals of those before it, the estimate on all sides, its position in 4x4, from the
// estimate to its bounds of Y, Co, Cg, in half grey levels, and the exact pixels as straight to exact. base: the estimate's
// green, red, blue.
inline void gather_last(const Kernels& kernels, const PixelPlanes& planes, const Bounds& bounds, int y, int x, uint8_t* row, int16_t* base) {
    for (int i = 0; i < REACH; i++) std::memcpy(row + i * ROW, planes.residuals.at(y + i - REACH, x - REACH), ROW);
    std::memcpy(row + REACH * ROW, planes.residuals.at(y, x - REACH), REACH * CHANNELS);
    row += CAUSAL * CHANNELS;
    const Margin& seen = planes.estimate_seen;
    kernels.differences(seen.at(y - REACH, x - REACH), seen.stride, SIDE, seen.at(y, x), row, ROW);
    gather_middle(planes.estimate.at(y, x), row + REACH * ROW + REACH * CHANNELS);
    row += SIDE * ROW;
    std::memset(row, ZERO, 16);
    row[(y & 3) * 4 + (x & 3)] = ZERO + ONE_INPUT;
    gather_edges(y, x, planes.grb.width, row + 16);
    std::copy_n(planes.estimate.at(y, x), CHANNELS, base);
    row += 16 + EDGES;
    int16_t estimate[CHANNELS];
    to_ycocg(base[1], base[0], base[2], estimate);
    for (int c = 0; c < CHANNELS; c++, row += 2) {
        row[0] = input_of(int16_t(2 * (bounds.of[c].lo - estimate[c])));
        row[1] = input_of(int16_t(2 * (bounds.of[c].hi - estimate[c])));
    }
    row[0] = planes.level < MIDDLE_LEVEL ? ZERO + ONE_INPUT : ZERO;
    row[1] = planes.level > MIDDLE_LEVEL ? ZERO + ONE_INPUT : ZERO;
    row += 2;
    int16_t pivot[CHANNELS];
    pivot_of(planes.seen, y, x, MID_GREY_SEEN, pivot);
    gather_causal(kernels, planes.seen, y, x, pivot, row);
    row += CAUSAL * CHANNELS;
    for (int c = 0; c < CHANNELS; c++) row[c] = input_of(int16_t(pivot[c] - seen.at(y, x)[c]));
}

}  // namespace ddpm
