// YCoCg-R, the S-transform pyramid, and the nested cells of its noise levels: docs/architecture.md.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

namespace ddpm {

inline constexpr int CHANNELS = 3;
inline constexpr int EXACT = 0;       // the level at which values are exact
inline constexpr int CELL_BITS = 16;  // of fraction of a cell's width

// Halving n of an image, as it is stored: columns are halved; where rows are, everything is transposed.
struct Band {
    int number;  // 1 the finest
    bool transposed;
    int height, width, coarse_width;

    size_t positions() const { return size_t(height) * width; }
};

// The bands of an image, finest first.
inline std::vector<Band> bands_of(int height, int width) {
    std::vector<Band> bands;
    for (bool rows = false; height > 1 || width > 1; rows = !rows) {
        int& length = rows ? height : width;
        if (length == 1) continue;
        const int other = rows ? width : height, half = length / 2;
        bands.push_back({int(bands.size()) + 1, rows, other, half, length - half});
        length -= half;
    }
    return bands;
}

// --- colours: Y, Co, Cg from red, green, blue by reversible lifting

inline void to_ycocg(int red, int green, int blue, int16_t* out) {
    const int co = red - blue, middle = blue + (co >> 1), cg = green - middle;
    out[0] = int16_t(middle + (cg >> 1));
    out[1] = int16_t(co);
    out[2] = int16_t(cg);
}

// Of a pixel of three channels, or of one, which is grey.
inline void to_ycocg(const uint8_t* pixel, int channels, int16_t* out) {
    const bool is_grey = channels == 1;
    to_ycocg(pixel[0], pixel[is_grey ? 0 : 1], pixel[is_grey ? 0 : 2], out);
}

// Green, red, blue: the order in which channels are coded. May be done in place.
inline void to_grb(const int16_t* ycocg, int16_t* out) {
    const int middle = ycocg[0] - (ycocg[2] >> 1), co = ycocg[1], blue = middle - (co >> 1);
    out[0] = int16_t(middle + ycocg[2]);
    out[1] = int16_t(blue + co);
    out[2] = int16_t(blue);
}

// --- planes: int16 [height, width, 3]

struct Planes {
    int height = 0, width = 0;
    std::vector<int16_t> values;

    Planes() = default;
    Planes(int height, int width) : height(height), width(width), values(size_t(height) * width * CHANNELS) {}
    int16_t* at(int y, int x) {
        assert(y >= 0 && y < height && x >= 0 && x < width);
        return values.data() + (size_t(y) * width + x) * CHANNELS;
    }
    const int16_t* at(int y, int x) const { return const_cast<Planes*>(this)->at(y, x); }

    Planes turned() const {
        Planes transposed(width, height);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) std::copy_n(at(y, x), CHANNELS, transposed.at(x, y));
        return transposed;
    }
};

// Y, Co, Cg of pixels uint8 [height, width, channels].
inline Planes planes_of(const uint8_t* pixels, int height, int width, int channels) {
    Planes planes(height, width);
    for (size_t k = 0; k < planes.values.size(); k += CHANNELS, pixels += channels) to_ycocg(pixels, channels, &planes.values[k]);
    return planes;
}

// Takes an upright image apart: its differences, as stored, and the coarse image, upright, which is returned.
inline Planes analyse_band(const Planes& image, const Band& band, Planes& differences) {
    const Planes fine = band.transposed ? image.turned() : image;
    Planes coarse(band.height, band.coarse_width);
    differences = Planes(band.height, band.width);
    for (int y = 0; y < band.height; y++) {
        for (int x = 0; x < band.width; x++)
            for (int c = 0; c < CHANNELS; c++) {
                const int a = fine.at(y, 2 * x)[c], b = fine.at(y, 2 * x + 1)[c];
                differences.at(y, x)[c] = int16_t(a - b);
                coarse.at(y, x)[c] = int16_t((a + b) >> 1);
            }
        if (band.coarse_width > band.width) std::copy_n(fine.at(y, 2 * band.width), CHANNELS, coarse.at(y, band.width));
    }
    return band.transposed ? coarse.turned() : coarse;
}

// An image as its root and the differences of every band, as stored, finest first.
struct Pyramid {
    Planes root;
    std::vector<Planes> differences;

    Pyramid(Planes image, const std::vector<Band>& geometry) : root(std::move(image)), differences(geometry.size()) {
        for (size_t b = 0; b < geometry.size(); b++) root = analyse_band(root, geometry[b], differences[b]);
    }
};

// The finer image, upright, from a coarse image and differences, both as stored.
inline Planes synthesise_band(const Planes& coarse, const Planes& differences, const Band& band) {
    Planes fine(band.height, band.width + band.coarse_width);
    for (int y = 0; y < band.height; y++) {
        for (int x = 0; x < band.width; x++)
            for (int c = 0; c < CHANNELS; c++) {
                const int difference = differences.at(y, x)[c];
                const int first = coarse.at(y, x)[c] + ((difference + 1) >> 1);
                fine.at(y, 2 * x)[c] = int16_t(first);
                fine.at(y, 2 * x + 1)[c] = int16_t(first - difference);
            }
        if (band.coarse_width > band.width) std::copy_n(coarse.at(y, band.width), CHANNELS, fine.at(y, 2 * band.width));
    }
    return band.transposed ? fine.turned() : fine;
}

// --- cells: what a noise level says of a coefficient

inline int64_t root_of(int64_t square) {  // floored
    int64_t root = int64_t(std::sqrt(double(square)));
    while (root * root > square) root--;
    while ((root + 1) * (root + 1) <= square) root++;
    return root;
}

// The width D of cells in a band's own units, 2^-16: s sqrt(12) in orthonormal units of RGB, where s is the level.
inline int64_t cell_width(int band, int channel, int level) {
    constexpr int64_t TWELFTHS[CHANNELS] = {36, 6, 9};  // twelve times what an error of Y, Co, Cg counts in RGB
    if (level == EXACT) return int64_t(1) << CELL_BITS;
    const int64_t square = (int64_t(12) << 34) / (TWELFTHS[channel] << band);
    return std::max(root_of(square) * level, int64_t(1) << CELL_BITS);
}

struct Range {
    int lo, hi;

    bool is_exact() const { return lo == hi; }
};

// The part of a range that is left by a value's cell. Cell k holds k D <= |x| < (k + 1) D of one sign; the dead zone k = 0 has both.
inline Range cell_of(int value, Range known, int64_t width) {
    const int64_t size = std::abs(value), index = (size << CELL_BITS) / width;
    const int far = int(-((-(index + 1) * width) >> CELL_BITS) - 1);
    if (index == 0) return {std::max(known.lo, -far), std::min(known.hi, far)};
    const int near = int(-((-index * width) >> CELL_BITS));
    if (value > 0) return {std::max(known.lo, near), std::min(known.hi, far)};
    return {std::max(known.lo, -far), std::min(known.hi, -near)};
}

// The value that stands for a range where others are predicted from it: 0 in a dead zone.
inline int estimate_of(Range range) {
    const int inward = ((range.hi - range.lo) * 3) >> 3;
    return range.lo > 0 ? range.lo + inward : range.hi < 0 ? range.hi - inward : 0;
}

}  // namespace ddpm
