// Low bits of samples of 9 to 16 bits. The high eight bits of all samples are an image, which is coded first, as any other. The low
// bits follow in raster order, bit by bit from the highest. Least squares predict a sample from exact neighbours before it, and from the high
// bits of all around it. Encoder and decoder share one loop, of IEEE + - * / and square roots in a written order.
#pragma once
#include <span>
#include <vector>

#include "bytes.h"

namespace ddpm {

inline constexpr int HIGH_BITS = 8;

// Samples [height, width, channels]: of one or three colours, then of alpha if there is one.
struct SamplesShape {
    int height, width, channels;
    int low_bits;  // of a sample, 1 to 8

    size_t samples() const { return size_t(height) * size_t(width) * size_t(channels); }
};

// A stream of low bits: the number of bytes of its state, the state, and words. high, low: uint8 of the shape.
std::vector<uint8_t> encode_low_bits(const SamplesShape& shape, std::span<const uint8_t> high, std::span<const uint8_t> low);

// The low bits of a whole stream. Throws Error: CORRUPT if no encoder writes such a stream, CHECKSUM if it held others.
std::vector<uint8_t> decode_low_bits(const SamplesShape& shape, std::span<const uint8_t> high, Bytes stream);

}  // namespace ddpm
