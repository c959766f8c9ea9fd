// All instruction sets share this: the loops around a block of sums, and elementwise work.
//
// Included by each `kernels_<name>.cpp` after it has defined, in namespace ddpm and an anonymous one,
//   Input, Weight       types of an activation and of a weight, as its block reads them
//   GROUP               inputs that lie side by side in packed weights
//   ROWS, COLUMNS       the largest block, in rows and in columns of 16 outputs
//   template <int R, int C> void block(const Task&, int row, int column)
// All else is plain loops without dependences, which compilers make vectors of. Arithmetic on floats is IEEE's, one
// rounding for each operation in the order that is written: nothing may be contracted (-ffp-contract=off). GCC makes
// vectors of comparisons only where it is told that nobody traps exceptions (-fno-trapping-math), and of roots where nobody
// reads errno (-fno-math-errno), which changes no result: bounds are branches otherwise, and take three times as long as
// the products.
#pragma once

#include <math.h>
#include <string.h>

#include "inputs.h"
#include "kernels_table.h"

namespace ddpm {
namespace {

constexpr float ROUNDER = 12582912.0f;  // 1.5 * 2^23: adding it rounds |x| < 2^22 to the nearest integer, ties to even

inline float larger(float a, float b) { return a > b ? a : b; }    // b where a is not a number
inline float smaller(float a, float b) { return a < b ? a : b; }

// The integer nearest to |x| < 2^22: (x + ROUNDER) - ROUNDER, which the low bits of the sum are already.
inline int32_t rounded(float x) {
    float sum = x + ROUNDER;
    int32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return bits - 0x4B400000;
}

inline uint8_t activation_of(float x) {  // ReLU, quantised
    return (uint8_t)rounded(smaller(larger(x, 0.0f), LARGEST_ACTIVATION));
}

inline int32_t eight_bits_of(float x) {  // |x| <= 127, but for rounding; the bounds are for what is not a number
    return rounded(smaller(larger(x, -LARGEST_GRADIENT), LARGEST_GRADIENT));
}

// ---- Blocks of sums

// The product of a matrix, in which blocks of sums are computed. begins: sums are overwritten, not added to.
struct Task {
    const Input* x;
    size_t x_stride;
    const Weight* weights;
    size_t column_stride;  // weights from one column of 16 outputs to the next
    int groups;
    int32_t* sums;
    size_t sums_stride;
    const int32_t* offset;
    bool begins;
};

template <int R, int C>
void block(const Task& task, int row, int column);

template <int R, int C>
void rest_of_rows(const Task& task, int row, int column, int left) {
    if (left == R) return block<R, C>(task, row, column);
    if constexpr (R > 1) rest_of_rows<R - 1, C>(task, row, column, left);
}

template <int C>
void all_rows(const Task& task, int rows, int column) {
    int row = 0;
    for (; row + ROWS <= rows; row += ROWS) block<ROWS, C>(task, row, column);
    if constexpr (ROWS > 1) rest_of_rows<ROWS - 1, C>(task, row, column, rows - row);
}

template <int C>
void rest_of_columns(const Task& task, int rows, int column, int left) {
    if (left == C) return all_rows<C>(task, rows, column);
    if constexpr (C > 1) rest_of_columns<C - 1>(task, rows, column, left);
}

// Columns outside, rows inside: a column's weights stay in the first cache.
void all_blocks(const Task& task, int rows, int columns) {
    int column = 0;
    for (; column + COLUMNS <= columns; column += COLUMNS) all_rows<COLUMNS>(task, rows, column);
    if constexpr (COLUMNS > 1) rest_of_columns<COLUMNS - 1>(task, rows, column, columns - column);
}

// Rows whose inputs are read as they are.
template <class X>
void product_of_rows(const X* x, size_t x_stride, int rows, const Weights& w, int32_t* sums, size_t sums_stride) {
    const size_t column_stride = (size_t)w.inputs * VECTOR;
    all_blocks({x, x_stride, (const Weight*)w.data, column_stride, w.inputs / GROUP, sums, sums_stride, w.offset, true},
               rows, w.blocks);
}

// Rows whose inputs are widened first, LANES at a time, to 48 KiB that stay in the first cache.
template <int LANES, void (*widen)(const uint8_t* bytes, Input* wide)>
void product_of_wide_rows(const uint8_t* x, size_t x_stride, int rows, const Weights& w, int32_t* sums, size_t sums_stride) {
    constexpr int CHUNK_ROWS = 48, CHUNK_INPUTS = 512;
    alignas(64) Input wide[CHUNK_ROWS * CHUNK_INPUTS];
    const size_t column_stride = (size_t)w.inputs * VECTOR;
    for (int row = 0; row < rows; row += CHUNK_ROWS) {
        const int chunk_rows = rows - row < CHUNK_ROWS ? rows - row : CHUNK_ROWS;
        for (int k = 0; k < w.inputs; k += CHUNK_INPUTS) {
            const int inputs = w.inputs - k < CHUNK_INPUTS ? w.inputs - k : CHUNK_INPUTS;
            const size_t stride = (inputs + LANES - 1) / LANES * LANES;
            for (int r = 0; r < chunk_rows; r++) {
                const uint8_t* source = x + (row + r) * x_stride + k;
                for (int i = 0; i < inputs; i += LANES) widen(source + i, wide + r * stride + i);  // rows reach to a multiple of 64
            }
            const Weight* weights = (const Weight*)w.data + (size_t)k * VECTOR;
            all_blocks({wide, stride, weights, column_stride, inputs / GROUP, sums + row * sums_stride, sums_stride,
                        w.offset, k == 0},
                       chunk_rows, w.blocks);
        }
    }
}

// ---- Packing

// The inputs of a group and of one output lie in one number of 32 bits, the first lowest.
constexpr int PACKED_BITS = 8 * (int)sizeof(Weight);
constexpr uint32_t PACKED_MASK = (uint32_t)(((uint64_t)1 << PACKED_BITS) - 1);
static_assert(GROUP * PACKED_BITS == 32, "a group has 32 bits");

inline uint32_t in_group(int32_t weight, int i) { return ((uint32_t)weight & PACKED_MASK) << (PACKED_BITS * i); }

void pack_row(const Weights& packed, int output, const int8_t* DDPM_RESTRICT row, int inputs) {
    uint8_t* DDPM_RESTRICT target = (uint8_t*)packed.data + (size_t)(output / VECTOR) * packed.inputs * VECTOR * sizeof(Weight);
    target += output % VECTOR * sizeof(uint32_t);
    int32_t total = 0;
    for (int k = 0; k < inputs; k++) total += row[k];
    const int whole = inputs / GROUP * GROUP;  // groups of bytes are copied: processors that are supported have the lowest first
    for (int k = 0; k < packed.inputs; k += GROUP) {
        uint32_t group = 0;
        if (sizeof(Weight) == 1 && k < whole) memcpy(&group, row + k, sizeof group);
        else for (int i = 0; i < GROUP && k + i < inputs; i++) group |= in_group(row[k + i], i);
        memcpy(target + (size_t)k * VECTOR * sizeof(Weight), &group, sizeof group);
    }
    packed.offset[output] = 128 * total;
}

// Packs one group of inputs for 16 outputs, and adds its weights to their totals.
void pack_group(const uint8_t* const (&rows)[GROUP], uint8_t flip, uint32_t* DDPM_RESTRICT groups,
                int32_t* DDPM_RESTRICT totals) {
    DDPM_VECTORISE for (int n = 0; n < VECTOR; n++) {
        uint32_t group = 0;
        int32_t total = 0;
        DDPM_UNROLL for (int i = 0; i < GROUP; i++) {
            const int32_t weight = (int8_t)(rows[i][n] ^ flip);
            total += weight;
            group |= in_group(weight, i);
        }
        groups[n] = group;
        totals[n] += total;
    }
}

void pack_columns(const Weights& packed, int first, int last, const uint8_t* x, size_t x_stride, int count,
                  uint8_t flip) {
    uint8_t blank[VECTOR];
    memset(blank, flip, sizeof blank);
    for (int column = first; column < last; column++) {
        Weight* target = (Weight*)packed.data + (size_t)column * packed.inputs * VECTOR;
        int32_t totals[VECTOR] = {};
        for (int k = 0; k < packed.inputs; k += GROUP) {
            const uint8_t* rows[GROUP];
            for (int i = 0; i < GROUP; i++)
                rows[i] = k + i < count ? x + (size_t)(k + i) * x_stride + (size_t)column * VECTOR : blank;
            uint32_t groups[VECTOR];
            pack_group(rows, flip, groups, totals);
            memcpy(target + (size_t)k * VECTOR, groups, sizeof groups);
        }
        for (int n = 0; n < VECTOR; n++) packed.offset[column * VECTOR + n] = 128 * totals[n];
    }
}

// ---- Rows of a network

// One row each, as functions: their arguments are known not to overlap, which makes them vectors.
template <bool SHIFTED>
void after_stem_row(const int32_t* DDPM_RESTRICT sums, const int32_t* DDPM_RESTRICT offset,
                    const float* DDPM_RESTRICT factor, const float* DDPM_RESTRICT bias, const float* DDPM_RESTRICT shift,
                    float* DDPM_RESTRICT trunk, uint8_t* DDPM_RESTRICT activation, int width) {
    for (int c = 0; c < width; c++) {
        trunk[c] = (float)(sums[c] - offset[c]) * factor[c] + bias[c];
        activation[c] = activation_of(SHIFTED ? trunk[c] + shift[c] : trunk[c]);
    }
}

template <bool SHIFTED>
void after_block_row(const int32_t* DDPM_RESTRICT sums, const float* DDPM_RESTRICT factor, const float* DDPM_RESTRICT shift,
                     float* DDPM_RESTRICT trunk, uint8_t* DDPM_RESTRICT activation, int width) {
    for (int c = 0; c < width; c++) {
        trunk[c] = trunk[c] + (float)sums[c] * factor[c];
        activation[c] = activation_of(SHIFTED ? trunk[c] + shift[c] : trunk[c]);
    }
}

void after_head_row(const int32_t* DDPM_RESTRICT sums, const float* DDPM_RESTRICT factor, const float* DDPM_RESTRICT bias,
                    const int32_t* DDPM_RESTRICT skip_sums, const int32_t* DDPM_RESTRICT skip_offset,
                    const float* DDPM_RESTRICT skip_factor, int32_t* DDPM_RESTRICT target, int outputs) {
    for (int c = 0; c < outputs; c++) {
        const float deep = (float)sums[c] * factor[c] + bias[c];
        const float real = deep + (float)(skip_sums[c] - skip_offset[c]) * skip_factor[c];
        target[c] = rounded(smaller(larger(real, -OUTPUT_LIMIT), OUTPUT_LIMIT));
    }
}

void after_stem(const Rows& given, const int32_t* offset, const float* factor, const float* bias) {
    const Rows rows = given;  // a copy, which no activation that is written may change
    const auto after_row = rows.shift ? after_stem_row<true> : after_stem_row<false>;
    for (int m = 0; m < rows.count; m++) {
        after_row(rows.sums + m * rows.sums_stride, offset, factor, bias, rows.shift, rows.trunk + (size_t)m * rows.width,
                  rows.activation + m * rows.activation_stride, rows.width);
    }
}

void after_block(const Rows& given, const float* factor) {
    const Rows rows = given;
    const auto after_row = rows.shift ? after_block_row<true> : after_block_row<false>;
    for (int m = 0; m < rows.count; m++) {
        after_row(rows.sums + m * rows.sums_stride, factor, rows.shift, rows.trunk + (size_t)m * rows.width,
                  rows.activation + m * rows.activation_stride, rows.width);
    }
}

void after_head(const HeadSums& ends, int32_t* target, size_t stride) {
    for (int m = 0; m < ends.count; m++) {
        after_head_row(ends.sums + m * ends.sums_stride, ends.factor, ends.bias, ends.skip_sums + m * ends.skip_stride,
                       ends.skip_offset, ends.skip_factor, target + m * stride, ends.outputs);
    }
}

// ---- What positions see

void differences_of_row(const int16_t* DDPM_RESTRICT source, const int16_t* DDPM_RESTRICT centre, uint8_t* DDPM_RESTRICT out) {
    for (int k = 0; k < WINDOW_ROW; k++) out[k] = input_of((int16_t)(source[k] - centre[k]));
}

void differences(const int16_t* source, size_t stride, int rows, const int16_t* centre, uint8_t* out, size_t length) {
    int16_t repeated[WINDOW_ROW + 2];
    for (int k = 0; k < WINDOW_ROW; k += 3) repeated[k] = centre[0], repeated[k + 1] = centre[1], repeated[k + 2] = centre[2];
    for (int i = 0; i < rows; i++) differences_of_row(source + i * stride, repeated, out + i * length);
}

#ifdef __AVX2__
void weigh(const int16_t* weights, const int32_t* offsets, int pairs, const int16_t* values, int32_t* sums) {
    static_assert(LINEAR == 8 && WEIGHED == 24);
    auto vector = [](const void* from) { return (__m256i*)from; };
    __m256i found[3];
    DDPM_UNROLL for (int v = 0; v < 3; v++) found[v] = _mm256_loadu_si256(vector(sums + 8 * v));
    for (int k = 0; k < pairs; k++) {
        int32_t pair;
        memcpy(&pair, values + offsets[k], sizeof pair);
        const __m256i both = _mm256_set1_epi32(pair), sizes = _mm256_abs_epi16(both);
        const __m256i factors[3] = {both, sizes, sizes};
        DDPM_UNROLL for (int v = 0; v < 3; v++)
            found[v] = _mm256_add_epi32(found[v], _mm256_madd_epi16(_mm256_loadu_si256(vector(weights + k * 2 * WEIGHED + 16 * v)), factors[v]));
    }
    DDPM_UNROLL for (int v = 0; v < 3; v++) _mm256_storeu_si256(vector(sums + 8 * v), found[v]);
}
#else
void weigh(const int16_t* weights, const int32_t* offsets, int pairs, const int16_t* values, int32_t* sums) {
    int32_t linear[LINEAR], sizes[WEIGHED - LINEAR];
    for (int i = 0; i < LINEAR; i++) linear[i] = sums[i];
    for (int i = LINEAR; i < WEIGHED; i++) sizes[i - LINEAR] = sums[i];
    for (int k = 0; k < pairs; k++) {
        const int16_t* DDPM_RESTRICT of_pair = weights + (size_t)k * (2 * WEIGHED);
        const int16_t one = values[offsets[k]], other = values[offsets[k] + 1];
        const int16_t size = (int16_t)(one < 0 ? -one : one), other_size = (int16_t)(other < 0 ? -other : other);
        DDPM_VECTORISE for (int i = 0; i < LINEAR; i++) linear[i] += one * of_pair[2 * i] + other * of_pair[2 * i + 1];
        DDPM_VECTORISE for (int i = 0; i < WEIGHED - LINEAR; i++)
            sizes[i] += size * of_pair[2 * (LINEAR + i)] + other_size * of_pair[2 * (LINEAR + i) + 1];
    }
    for (int i = 0; i < LINEAR; i++) sums[i] = linear[i];
    for (int i = LINEAR; i < WEIGHED; i++) sums[i] = sizes[i - LINEAR];
}
#endif

// ---- Learning

inline float unit_of(float largest) { return largest > EPSILON ? largest / LARGEST_GRADIENT : 0.0f; }
inline float share_of(float largest) { return largest > EPSILON ? LARGEST_GRADIENT / largest : 0.0f; }

// 128 and the gradients of 16 outputs, in eight bits. Rounded first, then narrowed: compilers would otherwise make short vectors.
inline void quantise_vector(const float* DDPM_RESTRICT gradients, float share, uint8_t* DDPM_RESTRICT row) {
    int32_t steps[VECTOR];
    DDPM_VECTORISE for (int i = 0; i < VECTOR; i++) steps[i] = 128 + eight_bits_of(gradients[i] * share);
    DDPM_VECTORISE for (int i = 0; i < VECTOR; i++) row[i] = (uint8_t)steps[i];
}

float quantise_row(const float* DDPM_RESTRICT gradients, int count, uint8_t* DDPM_RESTRICT row) {
    float of_lane[VECTOR] = {};  // compilers make no vectors of one maximum
    for (int o = 0; o < count; o += VECTOR)
        DDPM_VECTORISE for (int i = 0; i < VECTOR; i++) of_lane[i] = larger(fabsf(gradients[o + i]), of_lane[i]);
    DDPM_UNROLL for (int half = VECTOR / 2; half > 0; half /= 2)
        DDPM_VECTORISE for (int i = 0; i < half; i++) of_lane[i] = larger(of_lane[i], of_lane[half + i]);
    const float largest = of_lane[0], share = share_of(largest);
    for (int o = 0; o < count; o += VECTOR) quantise_vector(gradients + o, share, row + o);
    return unit_of(largest);
}

const float NO_GRADIENTS[LARGEST_WIDTH] = {};

// Quantises gradients of four positions, of `outputs` outputs from o on: up to 16.
inline void quantise_four(const float* const (&four)[4], int o, int outputs, const float* DDPM_RESTRICT shares,
                          int32_t* DDPM_RESTRICT totals, uint8_t* target, size_t row_stride) {
    uint32_t words[VECTOR];
    int32_t sums[VECTOR], steps[VECTOR];
    for (int i = 0; i < outputs; i++) words[i] = 0x80808080, sums[i] = 0;
    for (int j = 0; j < 4; j++) {
        const float* DDPM_RESTRICT position = four[j] + o;
        DDPM_VECTORISE for (int i = 0; i < outputs; i++) steps[i] = eight_bits_of(position[i] * shares[o + i]);
        DDPM_VECTORISE for (int i = 0; i < outputs; i++) {
            sums[i] += steps[i];
            words[i] ^= (uint32_t)(steps[i] & 255) << 8 * j;  // 128 + step: its top bit flipped
        }
    }
    for (int i = 0; i < outputs; i++) totals[o + i] += 128 * sums[i];
    for (int i = 0; i < outputs; i++) memcpy(target + i * row_stride, &words[i], 4);
}

void quantise_columns(const GradientColumns& columns, int count, int first, int last) {
    const size_t stride = columns.stride, row_stride = columns.row_stride;
    float *DDPM_RESTRICT units = columns.units, *DDPM_RESTRICT shares = columns.shares;
    int32_t* DDPM_RESTRICT totals = columns.totals;
    for (int o = first; o < last; o++) units[o] = 0.0f, totals[o] = 0;
    for (int k = 0; k < count; k++) {
        const float* DDPM_RESTRICT position = columns.values + (size_t)k * stride;
        for (int o = first; o < last; o++) units[o] = larger(fabsf(position[o]), units[o]);
    }
    for (int o = first; o < last; o++) shares[o] = share_of(units[o]), units[o] = unit_of(units[o]);
    for (int k = 0; k < count; k += 4) {  // which are one number of each output: a quarter of the stores, far apart
        const float* four[4];
        for (int j = 0; j < 4; j++) four[j] = k + j < count ? columns.values + (size_t)(k + j) * stride : NO_GRADIENTS;
        for (int o = first; o < last; o += VECTOR) {
            const int outputs = last - o < VECTOR ? last - o : VECTOR;
            uint8_t* target = columns.rows + (size_t)o * row_stride + k;
            if (outputs == VECTOR) quantise_four(four, o, VECTOR, shares, totals, target, row_stride);
            else quantise_four(four, o, outputs, shares, totals, target, row_stride);
        }
    }
}

void backward(const int32_t* DDPM_RESTRICT sums, const int32_t* DDPM_RESTRICT offset, float unit,
              const float* DDPM_RESTRICT factor, const uint8_t* DDPM_RESTRICT seen, float* DDPM_RESTRICT trunk,
              float* DDPM_RESTRICT gradients, int width) {
    for (int i = 0; i < width; i++) {
        const float gradient = (float)(sums[i] - offset[i]) * unit;
        trunk[i] = trunk[i] + (seen[i] > 0 && seen[i] < 255 ? gradient : 0.0f);
        gradients[i] = trunk[i] * factor[i];
    }
}

// Adam. With s + 128 and x - 128 for s and x: sum of s x = sum of (s + 128)(x - 128) - 128 sum of (x - 128) + 128 sum of s.
// The last is `total`.
void adam_step(const int32_t* DDPM_RESTRICT sums, const int32_t* DDPM_RESTRICT excess, int32_t total, float unit,
          const LearnedRow& row, int width) {
    float *DDPM_RESTRICT weights = row.weights, *DDPM_RESTRICT first_moment = row.first_moment, *DDPM_RESTRICT second_moment = row.second_moment;
    int8_t* DDPM_RESTRICT quantised = row.quantised;
    const float step_size = row.step_size;
    for (int i = 0; i < width; i++) {
        const float gradient = (float)(sums[i] + (total - excess[i])) * unit;
        first_moment[i] = BETA1 * first_moment[i] + (1.0f - BETA1) * gradient;
        second_moment[i] = BETA2 * second_moment[i] + (1.0f - BETA2) * (gradient * gradient);
        const float moved = step_size * (first_moment[i] / (sqrtf(second_moment[i]) + EPSILON));
        weights[i] = smaller(larger(weights[i] - moved, -LARGEST_WEIGHT), LARGEST_WEIGHT);
        quantised[i] = (int8_t)rounded(weights[i]);
    }
}

constexpr Kernels table_of(const char* name, int input_unit, decltype(Kernels::product) product) {
    return {name, GROUP, (int)sizeof(Weight), input_unit, product, pack_row, pack_columns, after_stem, after_block, after_head,
            differences, weigh, quantise_row, quantise_columns, backward, adam_step};
}

}  // namespace
}  // namespace ddpm
