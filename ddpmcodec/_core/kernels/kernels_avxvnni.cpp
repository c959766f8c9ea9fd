// Kernels for x86 with AVX-VNNI, but without AVX-512.
// Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno -mavx2 -mavxvnni.
//
// One instruction (vpdpbusd) adds the products of four inputs and eight outputs to eight sums. Nothing saturates.
#include "kernels_table.h"

#if defined(DDPM_X86) && (defined(__AVXVNNI__) || (defined(_MSC_VER) && !defined(__clang__) && defined(__AVX2__)))
#include <immintrin.h>

namespace ddpm {
namespace {

using Input = uint8_t;
using Weight = int8_t;
constexpr int GROUP = 4, ROWS = 6, COLUMNS = 1;  // twelve of sixteen registers are sums

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
    __m256i sums[R][2 * C];
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) sums[r][c] = _mm256_setzero_si256();
    }
    for (int g = 0; g < task.groups; g++) {
        __m256i vectors[2 * C];
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
            const int8_t* group_weights = weights + (c / 2) * task.column_stride + g * (VECTOR * GROUP) + (c % 2) * 32;
            vectors[c] = _mm256_load_si256((const __m256i*)group_weights);
        }
        DDPM_UNROLL for (int r = 0; r < R; r++) {
            int32_t quad;
            memcpy(&quad, x + r * task.x_stride + g * GROUP, sizeof quad);
            const __m256i everywhere = _mm256_set1_epi32(quad);
            DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
                sums[r][c] = _mm256_dpbusd_avx_epi32(sums[r][c], everywhere, vectors[c]);
            }
        }
    }
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
            _mm256_storeu_si256((__m256i*)(target + r * task.sums_stride + 8 * c), sums[r][c]);
        }
    }
}

constexpr Kernels AVXVNNI = table_of("avxvnni", GROUP, product_of_rows<Input>);

}  // namespace

const Kernels* avxvnni_kernels() { return &AVXVNNI; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* avxvnni_kernels() { return nullptr; }
}  // namespace ddpm
#endif
