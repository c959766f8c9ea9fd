// Kernels for x86 with AMX. Flags: those of kernels_avx512vnni.cpp, and -mamx-tile -mamx-int8.
//
// A tile is a register of up to 16 rows of 64 bytes, and one instruction (tdpbusd) adds the products of 16 rows x 64
// inputs and 64 inputs x 16 outputs to 256 sums. Two tiles of rows and two of outputs are four tiles of sums. Inputs
// are padded to whole tiles: zeros among the weights. The process needs the system's permission (`kernels_choice.cpp`).
#include "kernels_table.h"

#if defined(DDPM_X86) && defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AVX512VNNI__)
#include "kernels_avx512vnni.inl"

namespace ddpm {
namespace {

constexpr int SIDE = 16, DEPTH = 64;  // of a tile
constexpr int LEAST_ROWS = 4;         // fewer do not pay for setting tiles up

// GCC's intrinsics do not tell it which memory a tile is loaded from: it must have written all of it before.
inline void written() { __asm__ volatile("" ::: "memory"); }

struct alignas(64) Shape {
    uint8_t palette, start, zeros[14];
    uint16_t row_bytes[16];  // of each tile
    uint8_t rows[16];
};
static_assert(sizeof(Shape) == 64);

// Tiles 0 .. 3: sums, (upper, lower) x two columns. 4, 5: activations, upper and lower. 6, 7: weights of two columns.
void shape_tiles(int upper, int lower) {
    Shape shape;
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    const int rows[8] = {upper, upper, lower, lower, upper, lower, DEPTH / GROUP, DEPTH / GROUP};
    for (int tile = 0; tile < 8; tile++) {
        shape.row_bytes[tile] = DEPTH;
        shape.rows[tile] = (uint8_t)rows[tile];
    }
    written();
    _tile_loadconfig(&shape);
}

// Sums of two or one tiles of rows and of columns.
template <bool LOWER, bool RIGHT>
void tiles(const uint8_t* x, size_t x_stride, const int8_t* weights, size_t column_stride, int steps, int32_t* sums,
           size_t sums_stride) {
    _tile_zero(0);
    if constexpr (RIGHT) _tile_zero(1);
    if constexpr (LOWER) _tile_zero(2);
    if constexpr (LOWER && RIGHT) _tile_zero(3);
    for (int step = 0; step < steps; step++) {
        const uint8_t* source = x + step * DEPTH;
        const int8_t* factor = weights + step * (SIDE * DEPTH);
        _tile_loadd(4, source, x_stride);
        _tile_loadd(6, factor, DEPTH);
        _tile_dpbusd(0, 4, 6);
        if constexpr (RIGHT) {
            _tile_loadd(7, factor + column_stride, DEPTH);
            _tile_dpbusd(1, 4, 7);
        }
        if constexpr (LOWER) {
            _tile_loadd(5, source + SIDE * x_stride, x_stride);
            _tile_dpbusd(2, 5, 6);
        }
        if constexpr (LOWER && RIGHT) _tile_dpbusd(3, 5, 7);
    }
    const size_t sums_bytes = sums_stride * sizeof(int32_t);
    int32_t* below = sums + SIDE * sums_stride;
    _tile_stored(0, sums, sums_bytes);
    if constexpr (RIGHT) _tile_stored(1, sums + SIDE, sums_bytes);
    if constexpr (LOWER) _tile_stored(2, below, sums_bytes);
    if constexpr (LOWER && RIGHT) _tile_stored(3, below + SIDE, sums_bytes);
}

template <bool LOWER>
void tiles_of_rows(const uint8_t* x, size_t x_stride, const Weights& w, int32_t* sums, size_t sums_stride) {
    const size_t column_stride = (size_t)w.inputs * VECTOR;
    const int8_t* weights = (const int8_t*)w.data;
    const int steps = w.inputs / DEPTH;
    int column = 0;
    for (; column + 2 <= w.blocks; column += 2) {
        tiles<LOWER, true>(x, x_stride, weights + column * column_stride, column_stride, steps, sums + column * SIDE,
                           sums_stride);
    }
    if (column < w.blocks) {
        tiles<LOWER, false>(x, x_stride, weights + column * column_stride, column_stride, steps, sums + column * SIDE,
                            sums_stride);
    }
}

void product(const uint8_t* x, size_t x_stride, int rows, const Weights& w, int32_t* sums, size_t sums_stride) {
    if (rows < LEAST_ROWS) return product_of_rows(x, x_stride, rows, w, sums, sums_stride);
    written();
    int shaped = 0;  // rows that tiles are shaped for
    for (int row = 0; row < rows; row += 2 * SIDE) {
        const int tile_rows = rows - row < 2 * SIDE ? rows - row : 2 * SIDE;
        const int upper = tile_rows < SIDE ? tile_rows : SIDE, lower = tile_rows - upper;
        if (tile_rows != shaped) shape_tiles(upper, lower > 0 ? lower : 1);
        shaped = tile_rows;
        const uint8_t* source = x + row * x_stride;
        int32_t* target = sums + row * sums_stride;
        if (lower > 0) {
            tiles_of_rows<true>(source, x_stride, w, target, sums_stride);
        } else {
            tiles_of_rows<false>(source, x_stride, w, target, sums_stride);
        }
    }
    _tile_release();
    written();
}

constexpr Kernels AMX = table_of("amx", DEPTH, product);

}  // namespace

const Kernels* amx_kernels() { return &AMX; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* amx_kernels() { return nullptr; }
}  // namespace ddpm
#endif
