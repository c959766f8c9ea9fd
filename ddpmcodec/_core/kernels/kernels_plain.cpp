// Kernels for any processor. Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno, nothing else.
//
// Weights are 16 bits wide. On x86 their product is in SSE2, which all 64-bit processors have, as compilers make no
// such vectors of loops; elsewhere it is a loop.
#include "kernels_table.h"

#if defined(DDPM_X86)
#include <emmintrin.h>
#endif

namespace ddpm {
namespace {

using Input = uint8_t;
using Weight = int16_t;
constexpr int GROUP = 2, ROWS = 1, COLUMNS = 1;

}  // namespace
}  // namespace ddpm

#include "kernels.inl"

namespace ddpm {
namespace {

#if defined(DDPM_X86)
void add(const uint8_t* x, const int16_t* weights, int groups, int32_t* target) {
    __m128i sums[4];
    DDPM_UNROLL for (int c = 0; c < 4; c++) sums[c] = _mm_setzero_si128();
    for (int g = 0; g < groups; g++) {
        const __m128i pair = _mm_set1_epi32(x[GROUP * g] | x[GROUP * g + 1] << 16);
        DDPM_UNROLL for (int c = 0; c < 4; c++) {
            const __m128i vector = _mm_load_si128((const __m128i*)(weights + g * (VECTOR * GROUP) + 8 * c));
            sums[c] = _mm_add_epi32(sums[c], _mm_madd_epi16(pair, vector));
        }
    }
    DDPM_UNROLL for (int c = 0; c < 4; c++) _mm_storeu_si128((__m128i*)(target + 4 * c), sums[c]);
}
#else
void add(const uint8_t* x, const int16_t* DDPM_RESTRICT weights, int groups, int32_t* DDPM_RESTRICT target) {
    for (int n = 0; n < VECTOR; n++) target[n] = 0;
    for (int g = 0; g < groups; g++) {
        const int16_t a = x[GROUP * g], b = x[GROUP * g + 1];
        const int16_t* DDPM_RESTRICT group_weights = weights + g * (VECTOR * GROUP);
        for (int n = 0; n < VECTOR; n++) target[n] += a * group_weights[GROUP * n] + b * group_weights[GROUP * n + 1];
    }
}
#endif

template <int R, int C>
void block(const Task& task, int row, int column) {
    static_assert(R == 1 && C == 1);
    add(task.x + row * task.x_stride, task.weights + column * task.column_stride, task.groups,
        task.sums + row * task.sums_stride + column * VECTOR);
}

constexpr Kernels PLAIN = table_of("plain", 4, product_of_rows<Input>);

}  // namespace

const Kernels* plain_kernels() { return &PLAIN; }

}  // namespace ddpm
