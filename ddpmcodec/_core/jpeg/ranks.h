// The order in which coefficients of a JPEG file are coded: by rank, in segments, some of which begin with flags; in cells first that are
// several steps wide, where steps are small. Each finer level is a segment, which says where in their cells coefficients are.
#pragma once
#include "coefficients.h"
#include "header.h"

namespace ddpm {

inline constexpr int SEGMENT_STARTS[JPEG_SEGMENTS + 1] = {0, 1, 3, 6, 10, 15, 21, 28, 36, 64};  // ranks
inline constexpr int FLAGS = 4, FLAG_SEGMENTS[FLAGS] = {2, 4, 6, 8};  // before which flags tell which blocks go on
inline constexpr int JPEG_CONDITIONS = BLOCK_VALUES + FLAGS;           // of a component: a coefficient's rank, or 64 + a flag's number

// The flag at the beginning of a segment; -1: none.
constexpr int flag_of(int segment) {
    for (int flag = 0; flag < FLAGS; flag++)
        if (FLAG_SEGMENTS[flag] == segment) return flag;
    return -1;
}

// The rank of the coefficient that a condition is about: of a flag the first that it tells of.
constexpr int rank_of(int condition) {
    return condition < BLOCK_VALUES ? condition : SEGMENT_STARTS[FLAG_SEGMENTS[condition - BLOCK_VALUES]];
}

inline constexpr int CELL_PARTS = 3;    // how many cells of a level make one of the next coarser level
inline constexpr int WIDEST_CELL = 27;  // in dequantised units

// The steps that a cell of a level is wide; those of level 0 are one.
constexpr int cell_width(int level) {
    int width = 1;
    while (level-- > 0) width *= CELL_PARTS;
    return width;
}

// The nearest cell, whose middle is this number times its width. Widths are odd, so no value lies between two.
constexpr int cell_of(int value, int level) {
    const int width = cell_width(level), half = width / 2;
    return value < 0 ? (value - half) / width : (value + half) / width;
}

// The coarsest of so many levels that coefficients of a step have.
constexpr int coarsest_level(int step, int levels) {
    while (levels > 0 && step * cell_width(levels) > WIDEST_CELL) levels--;
    return levels;
}

// The zigzag: frequencies by rank, ranks by frequency.
struct Zigzag {
    uint8_t row[BLOCK_VALUES] = {}, column[BLOCK_VALUES] = {};
    uint8_t rank[BLOCK_SIDE][BLOCK_SIDE] = {};

    constexpr Zigzag() {
        int next = 0;
        for (int sum = 0; sum < 2 * BLOCK_SIDE - 1; sum++)
            for (int k = 0; k <= sum; k++) {
                const int u = sum % 2 ? k : sum - k, v = sum - u;  // odd diagonals go down
                if (u >= BLOCK_SIDE || v >= BLOCK_SIDE) continue;
                row[next] = uint8_t(u), column[next] = uint8_t(v);
                rank[u][v] = uint8_t(next++);
            }
    }
};
inline constexpr Zigzag ZIGZAG;
static_assert(ZIGZAG.rank[0][1] == 1 && ZIGZAG.rank[1][0] == 2 && ZIGZAG.rank[7][6] == 62);

// Of a component, which network codes it and in which of its conditions.
enum class JpegRole { LUMA, CB, CR };

// The first component, and black as the fourth, are coded as luma.
constexpr JpegRole jpeg_role(int component) {
    return component == 1 ? JpegRole::CB : component == 2 ? JpegRole::CR : JpegRole::LUMA;
}

}  // namespace ddpm
