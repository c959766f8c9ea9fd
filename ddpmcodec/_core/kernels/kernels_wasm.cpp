// Kernels for WebAssembly with SIMD of 128 bits. Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno -msimd128.
//
// As on AVX2, weights and activations are widened to 16 bits, beforehand: then one instruction (i32x4.dot_i16x8_s)
// multiplies two inputs with those of four outputs and adds the pairs, exactly.
#include "kernels_table.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

namespace ddpm {
namespace {

using Input = int16_t;
using Weight = int16_t;
constexpr int GROUP = 2, ROWS = 2, COLUMNS = 1;     // eight of the sixteen registers of x86 are sums, and four weights

}  // namespace
}  // namespace ddpm

#include "kernels.inl"

namespace ddpm {
namespace {

template <int R, int C>
void block(const Task& task, int row, int column) {
    static_assert(C == 1);
    const int16_t* x = task.x + row * task.x_stride;
    const int16_t* weights = task.weights + column * task.column_stride;
    int32_t* target = task.sums + row * task.sums_stride + column * VECTOR;
    v128_t sums[R][4];
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 4; c++) {
            sums[r][c] = task.begins ? wasm_i32x4_splat(0) : wasm_v128_load(target + r * task.sums_stride + 4 * c);
        }
    }
    for (int g = 0; g < task.groups; g++) {
        v128_t vectors[4];
        DDPM_UNROLL for (int c = 0; c < 4; c++) vectors[c] = wasm_v128_load(weights + g * (VECTOR * GROUP) + 8 * c);
        DDPM_UNROLL for (int r = 0; r < R; r++) {
            const v128_t everywhere = wasm_v128_load32_splat(x + r * task.x_stride + g * GROUP);
            DDPM_UNROLL for (int c = 0; c < 4; c++) {
                sums[r][c] = wasm_i32x4_add(sums[r][c], wasm_i32x4_dot_i16x8(everywhere, vectors[c]));
            }
        }
    }
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 4; c++) wasm_v128_store(target + r * task.sums_stride + 4 * c, sums[r][c]);
    }
}

void widen(const uint8_t* bytes, int16_t* wide) { wasm_v128_store(wide, wasm_u16x8_load8x8(bytes)); }

void product(const uint8_t* x, size_t x_stride, int rows, const Weights& w, int32_t* sums, size_t sums_stride) {
    product_of_wide_rows<8, widen>(x, x_stride, rows, w, sums, sums_stride);
}

constexpr Kernels WASM = table_of("wasm", 4, product);

}  // namespace

const Kernels* wasm_kernels() { return &WASM; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* wasm_kernels() { return nullptr; }
}  // namespace ddpm
#endif
