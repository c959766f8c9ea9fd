#include "luma_grid.h"

#include <bit>

#include "coefficient_tables.h"

namespace ddpm {

namespace {

constexpr int BITS = 13;  // with which all sums fit 32 bits: weights of one coefficient add up to less than 5.4

// The share, in 2^-14, of frequency `from` of block `part` in frequency `to`, along one axis.
int share(int ratio, int part, int from, int to) { return ratio == 2 ? HALF[to][BLOCK_SIDE * part + from] : (from == to) << 14; }

}  // namespace

LumaGrid::LumaGrid(const CoefficientPlane& luma, int across, int down)
    : luma_(luma), across_(across), down_(down), plane_(luma.columns / across, luma.rows / down) {
    for (int y = 0; y < down; y++)
        for (int x = 0; x < across; x++)
            for (int from = 0; from < BLOCK_VALUES; from++)
                for (int to = 0; to < BLOCK_VALUES; to++) {
                    const int weight = share(down, y, ZIGZAG.row[from], ZIGZAG.row[to]) * share(across, x, ZIGZAG.column[from], ZIGZAG.column[to]);
                    weights_.push_back(int16_t((weight + (1 << (27 - BITS))) >> (28 - BITS)));
                }
}

void LumaGrid::renew() {
    for (int row = 0; row < plane_.rows; row++)
        for (int column = 0; column < plane_.columns; column++) renew_block(column, row);
}

void LumaGrid::renew_block(int column, int row) {
    int32_t sums[BLOCK_VALUES] = {};
    for (int part = 0; part < across_ * down_; part++) {
        const size_t source = luma_.at(column * across_ + part % across_, row * down_ + part / across_);
        for (uint64_t left = luma_.nonzero[source]; left; left &= left - 1) {
            const int rank = std::countr_zero(left);
            const int16_t value = luma_.block(source)[rank];
            const int16_t* weights = &weights_[size_t(part * BLOCK_VALUES + rank) * BLOCK_VALUES];
            for (int to = 0; to < BLOCK_VALUES; to++) sums[to] += value * weights[to];
        }
    }
    const size_t target = plane_.at(column, row);
    for (int rank = 0; rank < BLOCK_VALUES; rank++) plane_.set(target, rank, (sums[rank] + (1 << (BITS - 1))) >> BITS);
}

}  // namespace ddpm
