// The network of previews: convolutions that correct what bands say of an image, where they leave it uncertain.
//
// A position is a square of 2x2 pixels. Around it the network sees all values less the means of its own, in standard deviations of
// its own, and how large those of others are beside them: so noise of any level looks alike, and a bright part like a dark one. It
// says by how much values are to be corrected, in their own standard deviations. The network computes in
// integers, as those that code; the variances that it is given do not, so that previews are not exact.
#pragma once
#include <vector>

#include "contract.h"
#include "kernels.h"

namespace ddpm {

// Planes Y, Co, Cg of an image as far as they are known: float32 [height, width, 3] each.
struct Estimate {
    int height, width;
    std::vector<float> mean, variance;

    Estimate(int height, int width)
        : height(height), width(width), mean(size_t(height) * width * CHANNELS), variance(mean.size()) {}

    int squares_high() const { return (height + SQUARE - 1) / SQUARE; }
    int squares_wide() const { return (width + SQUARE - 1) / SQUARE; }
};

// Squares of an image: rows [top, bottom), columns [left, right).
struct Box {
    int top, left, bottom, right;

    int height() const { return bottom - top; }
    int width() const { return right - left; }
};

// What the network sees of a part: uint8 [height, width][stride]. stride: at least the inputs, of which the last stay as they are.
void gather_squares(const Estimate& estimate, const Box& part, uint8_t* rows, size_t stride);

// Outputs int32 [height width][outputs] of inputs uint8 [height width][stride], which can be read as `product` says. The network sees
// all that lies around a position; outside there are zeros.
std::vector<int32_t> convolved(const Network& network, const uint8_t* inputs, size_t stride, int height, int width);

// Adds the network's corrections to the means.
void correct(const Network& network, int threads, Estimate& estimate);

}  // namespace ddpm
