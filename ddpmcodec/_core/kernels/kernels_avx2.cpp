// Kernels for x86 with AVX2. Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno -mavx2 (not -mfma).
//
// Weights and activations are widened to 16 bits, beforehand: then one instruction (vpmaddwd) multiplies two inputs
// with those of eight outputs and adds the pairs, exactly. Its likeness for bytes (vpmaddubsw) would saturate.
#include "kernels_table.h"

#if defined(DDPM_X86) && defined(__AVX2__)
#include <immintrin.h>

namespace ddpm {
namespace {

using Input = int16_t;
using Weight = int16_t;
constexpr int GROUP = 2, ROWS = 6, COLUMNS = 1;  // twelve of sixteen registers are sums

}  // namespace
}  // namespace ddpm

#include "kernels.inl"

namespace ddpm {
namespace {

template <int R, int C>
void block(const Task& task, int row, int column) {
    const int16_t* x = task.x + row * task.x_stride;
    const int16_t* weights = task.weights + column * task.column_stride;
    int32_t* target = task.sums + row * task.sums_stride + column * VECTOR;
    __m256i sums[R][2 * C];
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
            sums[r][c] = task.begins ? _mm256_setzero_si256()
                                     : _mm256_loadu_si256((const __m256i*)(target + r * task.sums_stride + 8 * c));
        }
    }
    for (int g = 0; g < task.groups; g++) {
        __m256i vectors[2 * C];
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
            const int16_t* group_weights = weights + (c / 2) * task.column_stride + g * (VECTOR * GROUP) + (c % 2) * VECTOR;
            vectors[c] = _mm256_load_si256((const __m256i*)group_weights);
        }
        DDPM_UNROLL for (int r = 0; r < R; r++) {
            int32_t pair;
            memcpy(&pair, x + r * task.x_stride + g * GROUP, sizeof pair);
            const __m256i everywhere = _mm256_set1_epi32(pair);
            DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
                sums[r][c] = _mm256_add_epi32(sums[r][c], _mm256_madd_epi16(everywhere, vectors[c]));
            }
        }
    }
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 2 * C; c++) {
            _mm256_storeu_si256((__m256i*)(target + r * task.sums_stride + 8 * c), sums[r][c]);
        }
    }
}

void widen(const uint8_t* bytes, int16_t* wide) {
    _mm256_store_si256((__m256i*)wide, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)bytes)));
}

void product(const uint8_t* x, size_t x_stride, int rows, const Weights& w, int32_t* sums, size_t sums_stride) {
    product_of_wide_rows<16, widen>(x, x_stride, rows, w, sums, sums_stride);
}

constexpr Kernels AVX2 = table_of("avx2", 4, product);

}  // namespace

const Kernels* avx2_kernels() { return &AVX2; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace ddpm
#endif
