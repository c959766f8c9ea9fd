// Kernels for 64-bit ARM with the dot product of bytes.
// Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno -march=armv8.2-a+dotprod.
//
// One instruction (sdot) adds the products of four inputs and four outputs to four sums. Both its factors are signed:
// it takes activations less 128, and the sums begin with what that leaves out, 128 times the sum of the weights.
#include "kernels_table.h"

#if defined(DDPM_ARM) && (defined(__ARM_FEATURE_DOTPROD) || defined(_MSC_VER))
#include <arm_neon.h>

namespace ddpm {
namespace {

using Input = uint8_t;
using Weight = int8_t;
constexpr int GROUP = 4, ROWS = 4, COLUMNS = 1;  // 16 of 32 registers are sums
constexpr int LOADED = 16;                       // inputs of a row that are loaded at a time

}  // namespace
}  // namespace ddpm

#include "kernels.inl"

namespace ddpm {
namespace {

// Adds the products of the inputs in one lane.
template <int LANE, int R>
void add(int32x4_t (&sums)[R][4], const int8x16_t (&x)[R], const int8_t* weights) {
    int8x16_t vectors[4];
    DDPM_UNROLL for (int c = 0; c < 4; c++) vectors[c] = vld1q_s8(weights + LANE * (VECTOR * GROUP) + 16 * c);
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 4; c++) sums[r][c] = vdotq_laneq_s32(sums[r][c], vectors[c], x[r], LANE);
    }
}

template <int R, int C>
void block(const Task& task, int row, int column) {
    static_assert(C == 1);
    const uint8_t* x = task.x + row * task.x_stride;
    const int8_t* weights = task.weights + column * task.column_stride;
    int32_t* target = task.sums + row * task.sums_stride + column * VECTOR;
    int32x4_t sums[R][4];
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 4; c++) sums[r][c] = vld1q_s32(task.offset + column * VECTOR + 4 * c);
    }
    for (int k = 0; k < GROUP * task.groups; k += LOADED) {
        int8x16_t less[R];
        DDPM_UNROLL for (int r = 0; r < R; r++) {
            less[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x + r * task.x_stride + k), vdupq_n_u8(128)));
        }
        const int8_t* group_weights = weights + k * VECTOR;
        add<0, R>(sums, less, group_weights);
        add<1, R>(sums, less, group_weights);
        add<2, R>(sums, less, group_weights);
        add<3, R>(sums, less, group_weights);
    }
    DDPM_UNROLL for (int r = 0; r < R; r++) {
        DDPM_UNROLL for (int c = 0; c < 4; c++) vst1q_s32(target + r * task.sums_stride + 4 * c, sums[r][c]);
    }
}

constexpr Kernels NEON = table_of("neon", LOADED, product_of_rows<Input>);

}  // namespace

const Kernels* neon_kernels() { return &NEON; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* neon_kernels() { return nullptr; }
}  // namespace ddpm
#endif
