// The product in vectors of AVX-512 VNNI, for `kernels_avx512vnni.cpp`, and for few rows in `kernels_amx.cpp`.
//
// One instruction (vpdpbusd) adds the products of four inputs and sixteen outputs to sixteen sums. Nothing saturates.
#pragma once

#include <immintrin.h>

#include "kernels_table.h"

namespace ddpm {
namespace {

using Input = uint8_t;
using Weight = int8_t;
constexpr int GROUP = 4, ROWS = 6, COLUMNS = 4;  // 24 of 32 registers are sums

}  // namespace
}  // namespace ddpm

#include "kernels.inl"

namespace ddpm {
namespace {

template <int R, int C>
void block(const Task& task, int row, int column) {
    const uint8_t* x = task.x + row * task.x_stride;
    const int8_t* weights = task.weights + column * task.column_stride;
    int32_t* target = task.sums + row * task.sums_stride + column * VECTOR;
    __m512i sums[R][C];
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < C; c++) sums[r][c] = _mm512_setzero_si512();
    }
    for (int g = 0; g < task.groups; g++) {
        __m512i vectors[C];
        DDPM_UNROLL for (int c = 0; c < C; c++) {
            vectors[c] = _mm512_load_si512(weights + c * task.column_stride + g * (VECTOR * GROUP));
        }
        DDPM_UNROLL for (int r = 0; r < R; r++) {
            int32_t quad;
            memcpy(&quad, x + r * task.x_stride + g * GROUP, sizeof quad);
            const __m512i everywhere = _mm512_set1_epi32(quad);
            DDPM_UNROLL for (int c = 0; c < C; c++) {
                sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], everywhere, vectors[c]);
            }
        }
    }
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < C; c++) {
            _mm512_storeu_si512(target + r * task.sums_stride + VECTOR * c, sums[r][c]);
        }
    }
}

}  // namespace
}  // namespace ddpm
