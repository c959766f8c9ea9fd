// What a prefix shows: conditional means of all coefficients, brought back to pixels. Not exact, never used for coding.
#pragma once
#include "pass.h"

namespace ddpm {

constexpr float UNKNOWN_LUMA = 128, UNKNOWN_DEVIATION = 64;  // grey levels, where nothing is known

// Means and standard deviations, float32 [H, W, 3], of the planes Y, Co, Cg of one image, as far as a decoder knows it.
void moments(const Pass& pass, int image, int threads, float* mean, float* deviation);

// What halving an image so many times in both directions leaves, float32 [H, W, 3] of planes, as far as a decoder knows it: for
// passes with noise levels. Finer bands are neither read nor predicted.
struct Reduced {
    int height, width;
    std::vector<float> mean;
};
Reduced reduced(const Pass& pass, int image, int halvings, int threads);

// Whether a coefficient of a band is coded: without one there is nothing to denoise.
bool has_coefficients(const Pass& pass, int image);

// Of count coefficients, as a band keeps them: means, variances, and what (a + b) >> 1 lacks of (a + b) / 2. Up to CHUNK.
constexpr int CHUNK = 192;  // a multiple of CHANNELS
struct Coefficients {
    float mean[CHUNK], variance[CHUNK], lack[CHUNK];

    void find(const BandRanges& ranges, size_t first, int count);
};

// uint8 [count, 3] of planes [count, 3].
void to_rgb(const float* planes, size_t count, uint8_t* out);

}  // namespace ddpm
