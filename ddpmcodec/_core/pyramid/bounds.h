// Bounds that noise levels and the pixels before it set to a pixel's green, red and blue.
//
// With s the coarse value of a pair and d its difference, the first of it is s + ceil(d / 2), the second s - floor(d / 2), and
// s is half of their sum, rounded down. The cells of the two finest bands bound d along rows and, of coarse values, along columns.
// So in a block of 2x2 every pixel but the first is bounded by those before it, in Y, Co, Cg; and by these are green, then red
// where green is known, then blue.
#pragma once
#include "pyramid.h"

namespace ddpm {

inline Range both(Range a, Range b) { return {std::max(a.lo, b.lo), std::min(a.hi, b.hi)}; }

inline constexpr int FAR = 2048;  // beyond what any value of a pixel can be

// The bounds of one pixel's Y, Co, Cg.
struct Bounds {
    Range of[CHANNELS] = {{-FAR, FAR}, {-FAR, FAR}, {-FAR, FAR}};

    // The range that remains for a channel of green, red, blue once those before it are known; all of `known` where none
    // would remain, as in a damaged file.
    Range channel(int c, int green, int red, Range known) const {
        const Range remaining = both(known, c == 0 ? greens() : c == 1 ? reds(green) : blues(green, red));
        return remaining.lo <= remaining.hi ? remaining : known;
    }

  private:
    // Green is Y + ceil(Cg / 2).
    Range greens() const { return {of[0].lo + ((of[2].lo + 1) >> 1), of[0].hi + ((of[2].hi + 1) >> 1)}; }

    // Half the sum of red and blue is green - Cg.
    Range middles(int green) const {
        const Range cg = both({2 * (green - of[0].hi) - 1, 2 * (green - of[0].lo)}, of[2]);
        return {green - cg.hi, green - cg.lo};
    }

    // Red is that half sum and ceil(Co / 2).
    Range reds(int green) const {
        const Range middle = middles(green);
        return {middle.lo + ((of[1].lo + 1) >> 1), middle.hi + ((of[1].hi + 1) >> 1)};
    }

    // Blue is red - Co.
    Range blues(int green, int red) const {
        const Range middle = middles(green), co = both({2 * (red - middle.hi) - 1, 2 * (red - middle.lo)}, of[1]);
        return {red - co.hi, red - co.lo};
    }
};

// The ranges that are known of a band's coefficients, [positions, 3].
struct Cells {
    const int16_t *lo = nullptr, *hi = nullptr;
    int width = 0;

    Range at(int y, int x, int c) const {
        const size_t k = (size_t(y) * width + x) * CHANNELS + c;
        return {lo[k], hi[k]};
    }
};

// The ranges that are known of one image's 2x2 blocks, in images of one row of its pairs. Images of one column have none; nor has a
// last column that is single.
struct Blocks {
    Cells along_rows, along_columns;  // band 1; band 2, which is stored transposed

    // The bounds of pixel (y, x); exact: Y, Co, Cg of a pixel before it.
    template <class Exact> Bounds bounds(int y, int x, Exact exact) const {
        Bounds pixel_bounds;
        const int u = x / 2, v = y / 2;
        const bool right = x % 2, below = y % 2;
        if ((!right && !below) || u >= along_rows.width) return pixel_bounds;
        int16_t left[CHANNELS] = {}, above[2][CHANNELS] = {};
        if (right) exact(y, x - 1, left);
        for (int j = 0; below && j < 2; j++) exact(y - 1, 2 * u + j, above[j]);
        for (int c = 0; c < CHANNELS; c++) {
            const Range d = along_rows.at(y, u, c);
            if (right) pixel_bounds.of[c] = {left[c] - d.hi, left[c] - d.lo};
            if (!below) continue;
            const int top = (above[0][c] + above[1][c]) >> 1;
            const Range e = along_columns.at(u, v, c), s{top - e.hi, top - e.lo};
            pixel_bounds.of[c] = right ? both(pixel_bounds.of[c], {2 * s.lo - left[c], 2 * s.hi + 1 - left[c]})
                                       : Range{s.lo + ((d.lo + 1) >> 1), s.hi + ((d.hi + 1) >> 1)};
        }
        return pixel_bounds;
    }
};

}  // namespace ddpm
