#include "preview_network.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "inputs.h"
#include "threads.h"

namespace ddpm {

namespace {

constexpr float FLOOR = 1 / 256.0f;          // added to variances, which may be 0
constexpr float LEAST_VARIANCE = 1 / 16.0f;  // of a square, in whose standard deviations differences are measured
constexpr float DIFFERENCE_UNIT = 4;         // inputs to a standard deviation
constexpr float OCTAVE_UNIT = 8;             // inputs to a doubling of a variance
constexpr float MIDDLE_OCTAVE = 4;           // of the inputs that say how uncertain the square is itself

// The logarithm to base 2 of a positive number, to four digits.
inline float log_two(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const int32_t fraction = (bits & 0x7FFFFF) | 0x3F800000;
    float mantissa;
    std::memcpy(&mantissa, &fraction, sizeof mantissa);          // 1 <= mantissa < 2
    const float s = (mantissa - 1) / (mantissa + 1), q = s * s;  // log(mantissa) = 2 artanh(s)
    return float((bits >> 23) - 127) + 2.88539008f * s * (1 + q * (1 / 3.0f + q * (0.2f + q * (1 / 7.0f))));
}

inline uint8_t input(float x) {
    const float above = x > -ZERO ? x : float(-ZERO), bounded = above < ZERO - 1 ? above : float(ZERO - 1);
    return uint8_t(int(bounded + (2 * ZERO + 0.5f)) - ZERO);
}

constexpr int AREA = SQUARE * SQUARE, ROW_OF_SQUARES = 3 * SQUARE_VALUES;

// The values of each square side by side, of a part and one square more on all sides: pixels in order, of each its planes. Where
// pixels end, the last ones are repeated, and where squares do, the outermost ones.
struct Squares {
    const Box part;
    std::vector<float> mean, variance, octaves;  // [height + 2, width + 2, SQUARE_VALUES]; octaves: logarithms of variances

    Squares(const Estimate& image, const Box& part)
        : part(part), mean(size_t(part.height() + 2) * (part.width() + 2) * SQUARE_VALUES), variance(mean.size()), octaves(mean.size()) {
        for (int y = part.top - 1; y <= part.bottom; y++)
            for (int x = part.left - 1; x <= part.right; x++) fill(image, y, x);
        for (size_t k = 0; k < octaves.size(); k++) octaves[k] = log_two(variance[k] + FLOOR);
    }

    size_t at(int y, int x) const { return (size_t(y - part.top + 1) * (part.width() + 2) + x - part.left + 1) * SQUARE_VALUES; }

  private:
    void fill(const Estimate& image, int y, int x) {
        const int top = SQUARE * std::clamp(y, 0, image.squares_high() - 1), left = SQUARE * std::clamp(x, 0, image.squares_wide() - 1);
        for (int k = 0; k < AREA; k++) {
            const int v = std::min(top + k / SQUARE, image.height - 1), u = std::min(left + k % SQUARE, image.width - 1);
            const size_t from = (size_t(v) * image.width + u) * CHANNELS, to = at(y, x) + k * CHANNELS;
            std::copy_n(&image.mean[from], CHANNELS, &mean[to]);
            std::copy_n(&image.variance[from], CHANNELS, &variance[to]);
        }
    }
};

// Of a row of three squares, inputs: values less an origin, times a unit.
inline void differences(const float* DDPM_RESTRICT values, const float* DDPM_RESTRICT origin, const float* DDPM_RESTRICT unit,
                        uint8_t* DDPM_RESTRICT out) {
    for (int k = 0; k < ROW_OF_SQUARES; k++) out[k] = input((values[k] - origin[k]) * unit[k]);
}

void gather_square(const Squares& squares, int y, int x, uint8_t* row) {
    const float *mean = &squares.mean[squares.at(y, x)], *variance = &squares.variance[squares.at(y, x)];
    float middle[ROW_OF_SQUARES], share[ROW_OF_SQUARES], octave[ROW_OF_SQUARES], unit[ROW_OF_SQUARES];
    for (int c = 0; c < CHANNELS; c++) {
        float mean_sum = 0, variance_sum = 0;
        for (int k = c; k < SQUARE_VALUES; k += CHANNELS) mean_sum += mean[k], variance_sum += variance[k];
        const float own = std::max(variance_sum / AREA, LEAST_VARIANCE), own_octave = log_two(own);
        const float inverse = DIFFERENCE_UNIT / std::sqrt(own);
        for (int k = c; k < ROW_OF_SQUARES; k += CHANNELS)
            middle[k] = mean_sum / AREA, share[k] = inverse, octave[k] = own_octave, unit[k] = OCTAVE_UNIT;
        row[6 * ROW_OF_SQUARES + c] = input((own_octave - MIDDLE_OCTAVE) * OCTAVE_UNIT);
    }
    for (int k = 0; k < 3; k++) {
        const size_t first = squares.at(y + k - 1, x - 1);
        differences(&squares.mean[first], middle, share, row + k * ROW_OF_SQUARES);
        differences(&squares.octaves[first], octave, unit, row + (3 + k) * ROW_OF_SQUARES);
    }
}

// What blocks see at a position: its own activations, then those around it by rows. row: from one row of them to the next.
void gather_around(const uint8_t* own, size_t row, size_t channels, uint8_t* out) {
    constexpr int PLACES[AROUND + 1][2] = {{0, 0}, {-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};
    for (const auto& place : PLACES) {
        std::memcpy(out, own + place[0] * ptrdiff_t(row) + place[1] * ptrdiff_t(channels), channels);
        out += channels;
    }
}

}  // namespace

void gather_squares(const Estimate& estimate, const Box& part, uint8_t* rows, size_t stride) {
    const Squares squares(estimate, part);
    for (int y = part.top; y < part.bottom; y++)
        for (int x = part.left; x < part.right; x++, rows += stride) gather_square(squares, y, x, rows);
}

std::vector<int32_t> convolved(const Network& network, const uint8_t* inputs, size_t stride, int height, int width) {
    const Kernels& kernels = *network.stem.kernels;
    const size_t channels = size_t(network.width), row = size_t(width + 2) * channels;
    Scratch scratch(network);
    std::vector<int32_t> outputs(size_t(height) * width * network.outputs);
    std::vector<float> trunk(size_t(height) * width * channels);
    // With a margin of zeros, and room behind it from which whole units can be read.
    Aligned<uint8_t> seen((height + 2) * row + ROW_UNIT), next(seen.size());
    auto at = [&](int y, int x) { return (y + 1) * row + (x + 1) * channels; };
    // Calls work(index of the first, y, x, rows) for all positions, BLOCK_ROWS of a row at a time at most.
    auto visit = [&](Aligned<uint8_t>& activations, auto work) {
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x += BLOCK_ROWS) {
                const size_t first = size_t(y) * width + x;
                work(first, y, x, Rows{scratch.sums.data(), &trunk[first * channels], &activations[at(y, x)], scratch.sums_stride, channels,
                                       std::min(BLOCK_ROWS, width - x), network.width, nullptr});
            }
    };
    visit(seen, [&](size_t first, int, int, const Rows& rows) {
        product(inputs + first * stride, stride, rows.count, network.stem, scratch.sums.data(), rows.sums_stride);
        kernels.after_stem(rows, network.stem.offset.data(), network.stem_factor.data(), network.stem_bias.data());
    });
    for (int block = 0; block < network.depth; block++, seen.swap(next))
        visit(next, [&](size_t, int y, int x, const Rows& rows) {
            for (int m = 0; m < rows.count; m++)
                gather_around(&seen[at(y, x + m)], row, channels, &scratch.activation[m * scratch.activation_stride]);
            product(scratch.activation.data(), scratch.activation_stride, rows.count, network.blocks[block], scratch.sums.data(),
                    rows.sums_stride);
            kernels.after_block(rows, network.block_factor[block].data());
        });
    visit(seen, [&](size_t first, int, int, const Rows& rows) {
        product(inputs + first * stride, stride, rows.count, network.skip, scratch.skip_sums.data(), scratch.skip_stride);
        product(rows.activation, channels, rows.count, network.head, scratch.sums.data(), rows.sums_stride);
        kernels.after_head(scratch.ends(network, network.head_bias.data(), rows.count), &outputs[first * network.outputs], network.outputs);
    });
    return outputs;
}

// In parts, so that little memory is needed. What a part sees beyond its edges is computed there once more.
void correct(const Network& network, int threads, Estimate& estimate) {
    constexpr int SIDE = 64;  // squares
    const int high = estimate.squares_high(), wide = estimate.squares_wide(), columns = (wide + SIDE - 1) / SIDE;
    const int parts = (high + SIDE - 1) / SIDE * columns;
    const size_t stride = size_t(rounded_up(network.inputs, ROW_UNIT));
    std::vector<float> corrected(estimate.mean.size());
    auto correct_part = [&](const Box& own) {
        const int reach = network.depth;
        const Box seen{std::max(0, own.top - reach), std::max(0, own.left - reach), std::min(high, own.bottom + reach),
                        std::min(wide, own.right + reach)};
        Aligned<uint8_t> rows(size_t(seen.height()) * seen.width() * stride, uint8_t(ZERO));
        gather_squares(estimate, seen, rows.data(), stride);
        const std::vector<int32_t> corrections = convolved(network, rows.data(), stride, seen.height(), seen.width());
        for (int y = own.top * SQUARE; y < std::min(own.bottom * SQUARE, estimate.height); y++)
            for (int x = own.left * SQUARE; x < std::min(own.right * SQUARE, estimate.width); x++) {
                const size_t square = size_t(y / SQUARE - seen.top) * seen.width() + x / SQUARE - seen.left;
                const int32_t* found = &corrections[square * SQUARE_VALUES + (y % SQUARE * SQUARE + x % SQUARE) * CHANNELS];
                const size_t pixel = (size_t(y) * estimate.width + x) * CHANNELS;
                for (size_t k = pixel; k < pixel + CHANNELS; k++, found++)
                    corrected[k] = estimate.mean[k] + float(*found) * (1 / CORRECTION_UNIT) * std::sqrt(estimate.variance[k]);
            }
    };
    run_threads(std::min(threads, parts), [&](Team& team, int thread) {
        for (int part = thread; part < parts; part += team.threads()) {
            const int top = part / columns * SIDE, left = part % columns * SIDE;
            correct_part({top, left, std::min(high, top + SIDE), std::min(wide, left + SIDE)});
        }
    });
    estimate.mean = std::move(corrected);
}

}  // namespace ddpm
