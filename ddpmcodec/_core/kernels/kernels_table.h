// The functions that each instruction set gives, as a table: one for each `kernels_<name>.cpp`.
//
// Files that are compiled for more than the least processor include this header, `kernels.inl` and intrinsics, but
// nothing of the standard library that is inline: the linker would be free to keep their copy of such a function for
// everybody, and a processor without those instructions would stop there.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#define DDPM_X86 1
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
#define DDPM_ARM 1
#endif
#define DDPM_RESTRICT __restrict
// DDPM_UNROLL is for loops over registers: GCC would unroll them too late, and then copy each sum at each step.
// DDPM_VECTORISE is for loops over a vector, which GCC would unroll before it looks for vectors.
#if defined(__clang__)
#define DDPM_UNROLL _Pragma("unroll")
#define DDPM_VECTORISE
#elif defined(__GNUC__)
#define DDPM_UNROLL _Pragma("GCC unroll 16")
#define DDPM_VECTORISE _Pragma("GCC unroll 1")
#else
#define DDPM_UNROLL
#define DDPM_VECTORISE
#endif

namespace ddpm {

constexpr int VECTOR = 16;      // outputs that lie side by side in packed weights; divides every width
constexpr int ROW_UNIT = 64;    // rows of activations can be read up to a multiple of so many bytes
constexpr int LARGEST_WIDTH = 512;
constexpr int LARGEST_BLOCK = 1024;  // inputs of a block: its own activations, and those that others show
constexpr int WEIGHED = 24, LINEAR = 8;  // sums that `weigh` adds to; of values, not of sizes
constexpr float LARGEST_ACTIVATION = 255.0f;
constexpr float LARGEST_WEIGHT = 127.0f;
constexpr float LARGEST_GRADIENT = 127.0f;  // in eight bits
constexpr float OUTPUT_LIMIT = 32767.0f;
constexpr float BETA1 = 0.5f, BETA2 = 0.998f;  // how much of the past the averages keep
constexpr float EPSILON = 1e-20f;

// int8 weights [16 blocks, inputs] as a kernel takes them: [blocks][inputs / group][16][group], each weight of
// `weight_bytes`. offset: 128 times the sum of each output's weights.
struct Weights {
    void* data;
    int32_t* offset;
    int blocks, inputs;
};

// What learning keeps of one output's weights, and by how much it moves them where all gradients agree.
struct LearnedRow {
    float *weights, *first_moment, *second_moment;
    int8_t* quantised;  // integers to the weights
    float step_size;
};

// Rows between two layers: sums of the last product, the trunk, and what the next product takes.
struct Rows {
    const int32_t* sums;
    float* trunk;  // [count][width]
    uint8_t* activation;
    size_t sums_stride, activation_stride;
    int count, width;
    const float* shift = nullptr;  // [width], added to the trunk for activations alone; null: nothing is
};

// What becomes outputs: sums of the head, and of the skip layer, which are too large by `skip_offset`.
struct HeadSums {
    const int32_t *sums, *skip_sums;
    size_t sums_stride, skip_stride;
    const float *factor, *bias;
    const int32_t* skip_offset;
    const float* skip_factor;
    int count, outputs;
};

// Gradients by outputs at several positions, and what they are rounded to, output by output.
struct GradientColumns {
    const float* values;  // [position][stride]
    size_t stride;
    uint8_t* rows;  // 128 plus -127 .. 127 units: [output][row_stride], in which are positions
    size_t row_stride;
    float *units, *shares;  // what 1 stands for, and its inverse
    int32_t* totals;        // 128 times the sum of an output's integers
};

struct Kernels {
    const char* name;
    int group, weight_bytes;
    int input_unit;  // inputs are padded to a multiple of it, which divides ROW_UNIT
    // sums[m][n] = sum over k of x[m][k] w[n][k], for all padded outputs. Exact while inputs < 65536.
    void (*product)(const uint8_t* x, size_t x_stride, int rows, const Weights&, int32_t* sums, size_t sums_stride);
    // One output's weights, int8 [inputs], and their offset.
    void (*pack_row)(const Weights&, int output, const int8_t* row, int inputs);
    // Weights w[n][k] = x[k][n] ^ flip, read as int8, of outputs in blocks [first, last), and offsets; 0 for
    // k >= count.
    void (*pack_columns)(const Weights&, int first, int last, const uint8_t* x, size_t x_stride, int count,
                         uint8_t flip);
    // After the stem: trunk and activation.
    void (*after_stem)(const Rows&, const int32_t* offset, const float* factor, const float* bias);
    // After a block: trunk and activation.
    void (*after_block)(const Rows&, const float* factor);
    // After the head and the skip layer: the first `outputs` of each row.
    void (*after_head)(const HeadSums&, int32_t* target, size_t stride);
    // Inputs of rows of a window: differences from a pixel. source: int16 [rows][stride]; centre: int16 [3]; out: uint8, each row
    // `length` behind the one before it. WINDOW_ROW values of each row are read and written.
    void (*differences)(const int16_t* source, size_t stride, int rows, const int16_t* centre, uint8_t* out, size_t length);
    // Adds to WEIGHED sums those of values times their weights, of which the first LINEAR are of values, the others of their sizes.
    // Values are taken in pairs, from offsets on. weights: int16 [pairs][WEIGHED][2]. Exact while sums fit int32.
    void (*weigh)(const int16_t* weights, const int32_t* offsets, int pairs, const int16_t* values, int32_t* sums);
    // Rounds gradients of one position to eight bits, 128 plus -127 .. 127 units. Returns the unit.
    float (*quantise_row)(const float* gradients, int count, uint8_t* row);
    // Rounds gradients of outputs [first, last) at `count` positions to eight bits, each output's in its own unit.
    void (*quantise_columns)(const GradientColumns&, int count, int first, int last);
    // Adds gradients by what a layer saw to those by the trunk, but where the activation is at a bound; and from these, gradients by
    // the sums of the block before, which has these factors.
    void (*backward)(const int32_t* sums, const int32_t* offset, float unit, const float* factor, const uint8_t* seen,
                     float* trunk, float* gradients, int width);
    // Moves one output's weights. sums: of gradients plus 128 times inputs less 128, over all positions. total: 128 times
    // the sum of gradients. width: a multiple of 16 up to 1024.
    void (*adam_step)(const int32_t* sums, const int32_t* excess, int32_t total, float unit, const LearnedRow&, int width);
};

// nullptr where this build or this architecture lacks them.
const Kernels* plain_kernels();
const Kernels* avx2_kernels();
const Kernels* avxvnni_kernels();
const Kernels* avx512vnni_kernels();
const Kernels* amx_kernels();
const Kernels* neon_kernels();
const Kernels* wasm_kernels();

}  // namespace ddpm
