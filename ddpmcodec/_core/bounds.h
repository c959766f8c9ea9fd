// What noise levels and the pixels before it leave of a pixel: bounds of green, red and blue.
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

// Of one pixel: Y, Co, Cg.
struct Bounds {
    Range of[CHANNELS] = {{-FAR, FAR}, {-FAR, FAR}, {-FAR, FAR}};

    // What is left of a channel of green, red, blue, those before it known; all of `known` where nothing would be, as in a
    // damaged file.
    Range channel(int c, int green, int red, Range known) const {
        const Range left = both(known, c == 0 ? greens() : c == 1 ? reds(green) : blues(green, red));
        return left.lo <= left.hi ? left : known;
    }

  private:
    // Green is Y + ceil(Cg / 2).
    Range greens() const { return {of[0].lo + ((of[2].lo + 1) >> 1), of[0].hi + ((of[2].hi + 1) >> 1)}; }

    // Of half the sum of red and blue, green - Cg.
    Range middles(int green) const {
        const Range other = both({2 * (green - of[0].hi) - 1, 2 * (green - of[0].lo)}, of[2]);
        return {green - other.hi, green - other.lo};
    }

    // Red is that half sum and ceil(Co / 2).
    Range reds(int green) const {
        const Range middle = middles(green);
        return {middle.lo + ((of[1].lo + 1) >> 1), middle.hi + ((of[1].hi + 1) >> 1)};
    }

    // Blue is red - Co.
    Range blues(int green, int red) const {
        const Range middle = middles(green), orange = both({2 * (red - middle.hi) - 1, 2 * (red - middle.lo)}, of[1]);
        return {red - orange.hi, red - orange.lo};
    }
};

// What is known of a band's coefficients, [positions, 3].
struct Cells {
    const int16_t *lo = nullptr, *hi = nullptr;
    int width = 0;

    Range at(int y, int x, int c) const {
        const size_t k = (size_t(y) * width + x) * CHANNELS + c;
        return {lo[k], hi[k]};
    }
};

// Of the 2x2 blocks of one image. Images of one row or column have none; nor has a last column that is single.
struct Blocks {
    Cells along_rows, along_columns;  // band 1; band 2, which is stored transposed

    // The bounds of pixel (y, x); exact: Y, Co, Cg of a pixel before it.
    template <class Exact> Bounds bounds(int y, int x, Exact exact) const {
        Bounds found;
        const int u = x / 2, v = y / 2;
        const bool right = x % 2, below = y % 2;
        if ((!right && !below) || u >= along_rows.width) return found;
        int16_t left[CHANNELS] = {}, above[2][CHANNELS] = {};
        if (right) exact(y, x - 1, left);
        for (int j = 0; below && j < 2; j++) exact(y - 1, 2 * u + j, above[j]);
        for (int c = 0; c < CHANNELS; c++) {
            const Range d = along_rows.at(y, u, c);
            if (right) found.of[c] = {left[c] - d.hi, left[c] - d.lo};
            if (!below) continue;
            const int top = (above[0][c] + above[1][c]) >> 1;
            const Range e = along_columns.at(u, v, c), s{top - e.hi, top - e.lo};
            found.of[c] = right ? both(found.of[c], {2 * s.lo - left[c], 2 * s.hi + 1 - left[c]})
                                : Range{s.lo + ((d.lo + 1) >> 1), s.hi + ((d.hi + 1) >> 1)};
        }
        return found;
    }
};

}  // namespace ddpm
