// The denoiser of previews: a small convolutional network at half the resolution, in float32. Not exact, never used for coding.
//
// It sees the conditional means of Y, Co, Cg and their standard deviations in 2x2 patches, and returns residuals in standard
// deviations: `networks/reconstruction.py`, which trains it.
#pragma once
#include <vector>

#include "convolution.h"

namespace ddpm {

constexpr int PATCH = 2, PATCH_VALUES = 12;  // of three planes
constexpr int DENOISER_WIDTH = 48, DENOISER_BLOCKS = 5, DENOISER_INPUTS = 3 * PATCH_VALUES;

class Denoiser {
  public:
    struct Layer {
        int inputs, outputs, padded;  // padded: whole groups of outputs
        std::vector<float> weights, bias;
    };

    // Planes float32 [height, width, 3], in grey levels; level [3]: the mean of the image whose part this may be.
    struct Image {
        const float *mean, *deviation, *level;
        int height, width;

        int rows() const { return (height + PATCH - 1) / PATCH; }  // of patches
        int columns() const { return (width + PATCH - 1) / PATCH; }
    };

    static constexpr int LAYERS = DENOISER_BLOCKS + 2;  // enter, blocks, leave
    static int inputs_of(int layer) { return layer == 0 ? DENOISER_INPUTS : DENOISER_WIDTH; }
    static int outputs_of(int layer) { return layer == LAYERS - 1 ? PATCH_VALUES : DENOISER_WIDTH; }

    // Layer after layer. weights: [outputs, inputs, 3, 3].
    void add(const float* weights, const float* bias);
    // Better means, [height, width, 3]. Rows in which nothing is in doubt stay as they are.
    void denoise(const Image& image, int threads, float* out) const;

    const Convolver& kernel() const { return *kernel_; }
    const Layer& layer(int number) const { return layers_[number]; }

  private:
    const Convolver* kernel_ = &convolver();
    std::vector<Layer> layers_;
};

}  // namespace ddpm
