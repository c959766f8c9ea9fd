// Previews of a prefix: conditional means of all coefficients, brought back to pixels. They are not exact, and never used for coding.
#pragma once
#include "pass.h"
#include "preview_network.h"

namespace ddpm {

constexpr int UNKNOWN_LUMA = 128;  // grey level, where nothing is known

// Means float32 [H, W, 3] of the planes Y, Co, Cg of the image, as far as a decoder knows it.
void means(const Pass& pass, int threads, float* out);

// What the bands of a pass with noise levels say of its image. first: index of the finest band that is applied.
Estimate of_bands(const Pass& pass, int threads, size_t first = 0);

// The planes, float32 [H, W, 3], of an image that is halved several times in both directions, as far as a decoder knows it.
// Passes without noise levels have none. Finer bands are neither read nor predicted.
Estimate reduced(const Pass& pass, int halvings, int threads);

// Means of up to CHUNK coefficients, in a band's order, their variances, roughly, and what (a + b) >> 1 lacks of (a + b) / 2.
constexpr int CHUNK = 192;  // a multiple of CHANNELS
struct BandCoefficients {
    float mean[CHUNK], variance[CHUNK], lack[CHUNK];

    void find(const BandRanges& ranges, size_t first, int count);
};

// uint8 [count, 3] of planes [count, 3].
void to_rgb(const float* planes, size_t count, uint8_t* out);

}  // namespace ddpm
