// Coefficients of a component as far as they are coded, dequantised: what the networks of JPEG coefficients see.
#pragma once
#include <algorithm>
#include <cstddef>

#include "ranks.h"

namespace ddpm {

inline constexpr int LARGEST_DEQUANTISED = 32767;

// The step of a rank; damaged files may have 0.
inline int step_of(const JpegComponent& component, int rank) { return std::max(int(component.steps[size_t(rank)]), 1); }

using CellWidths = std::array<int, BLOCK_VALUES>;  // by rank, dequantised

// Blocks in raster order, with a margin of one block, which is zero.
struct CoefficientPlane {
    int columns, rows;
    size_t stride;
    std::vector<int16_t> values;     // [blocks][rank]: coefficient times step
    std::vector<uint64_t> nonzero;   // a bit for each rank
    std::vector<uint8_t> goes_on;    // 0: a flag said that the rest of the block is zero; or it is of the margin

    CoefficientPlane(int columns, int rows)
        : columns(columns), rows(rows), stride(size_t(columns) + 2), values(blocks() * BLOCK_VALUES), nonzero(blocks()), goes_on(blocks()) {
        let_all_go_on();
    }

    void let_all_go_on() {
        for (int row = 0; row < rows; row++) std::fill_n(&goes_on[at(0, row)], columns, uint8_t(1));
    }

    size_t blocks() const { return stride * (size_t(rows) + 2); }
    size_t at(int column, int row) const { return size_t(row + 1) * stride + size_t(column + 1); }
    const int16_t* block(size_t at) const { return &values[at * BLOCK_VALUES]; }

    void set(size_t at, int rank, int value) {
        const uint64_t bit = uint64_t(1) << rank;
        values[at * BLOCK_VALUES + size_t(rank)] = int16_t(std::clamp(value, -LARGEST_DEQUANTISED, LARGEST_DEQUANTISED));
        nonzero[at] = value ? nonzero[at] | bit : nonzero[at] & ~bit;
    }
};

}  // namespace ddpm
