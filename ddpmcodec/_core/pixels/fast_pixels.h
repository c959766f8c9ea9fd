// Exact pixels without noise levels by a network of one logistic, as effort 0 has it: nothing is truncated, weighed or sought that takes time.
//
// What a channel sees of those before it, and how scales adapt, is as in `position.h`.
#pragma once
#include "position.h"
#include "single_logistic.h"
#include "stages.h"

namespace ddpm {

class FastPixels {
  public:
    FastPixels(int images, int height, int width) : stride_(size_t(width + 2) * CHANNELS), sizes_(size_t(images) * (height + 1) * stride_, USUAL) {
        image_stride_ = size_t(height + 1) * stride_;
        for (int scale = 0; scale < SCALES; scale++) scale_class_[scale] = uint8_t(context_of(scale, NOTHING).by_scale);
    }

    // Codes a pixel: values are an encoder's samples, or become a decoder's. gradients: of the code length by outputs; null: nobody wants them.
    void code(int n, int y, int x, const int32_t* output, const int16_t* base, int channels, const Coder& coder, const Biases& biases,
              Scores& scores, int* values, float* gradients) {
        uint16_t* own = &sizes_[size_t(n) * image_stride_ + size_t(y + 1) * stride_ + size_t(x + 1) * CHANNELS];
        const uint16_t *left = own - CHANNELS, *above = own - stride_;
        int64_t residual[CHANNELS] = {};
        double by_mean[CHANNELS] = {}, by_scale[CHANNELS] = {};
        for (int c = 0; c < channels; c++) {
            const int predicted = clamped(output[SHAPE.scale(c, 0)], 0, SCALES - 1);
            const int near = (left[c] + above[c - CHANNELS] + above[c] + above[c + CHANNELS]) >> 2;
            const Context context{scale_class_[predicted], SCALE_CLASSES + 1 + RESIDUAL_CLASS.of[std::min(near, ResidualClasses::LARGEST)]};
            const int scale = clamped(predicted + biases.of(c, context), 0, SCALES - 1);
            int64_t mean = 64 * int64_t(base[c]) + output[SHAPE.mean(c, 0)];
            if (c == 1) mean += (output[SHAPE.cross(0)] * residual[0]) >> 6;
            if (c == 2) mean += (output[SHAPE.cross(1)] * residual[0] + output[SHAPE.cross(2)] * residual[1]) >> 6;
            mean = std::min(std::max(mean, -MEAN_LIMIT), MEAN_LIMIT);
            const SingleLogistic logistic(mean, scale);
            const SingleLogistic::Sample sample = coder.reader ? logistic.find(coder.reader->slot()) : logistic.at(values[c]);
            coder.put(sample.start, sample.end - sample.start);
            values[c] = sample.value;
            residual[c] = MEAN_UNIT * sample.value - mean;
            own[c] = uint16_t(std::abs(normalised(residual[c], scale)));
            const Span span(sample.value, sample.value, mean, sample.low, sample.high);
            const Gradients mass = mass_gradients(span, scale);
            scores.add(c, context, -mass.scale, scale);
            by_mean[c] = -mass.mean * UNITS.of[scale];
            by_scale[c] = -mass.scale;
        }
        if (gradients) gradients_of(output, residual, by_mean, by_scale, gradients);
    }

  private:
    static constexpr Outputs SHAPE{1};
    static constexpr uint16_t USUAL = 89;  // the normalised residual that pixels outside the image count as
    static constexpr int16_t NOTHING[4] = {NOT_CODED, NOT_CODED, NOT_CODED, NOT_CODED};

    // As in `Position::gradients`.
    static void gradients_of(const int32_t* output, const int64_t* residual, const double* by_mean, const double* by_scale, float* gradients) {
        const double third = by_mean[2], second = by_mean[1] - third * double(output[SHAPE.cross(2)]) / 64.0;
        const double first = by_mean[0] - (second * double(output[SHAPE.cross(0)]) + third * double(output[SHAPE.cross(1)])) / 64.0;
        const double means[CHANNELS] = {first, second, third};
        gradients[SHAPE.logits()] = 0.0f;
        for (int c = 0; c < CHANNELS; c++) {
            gradients[SHAPE.mean(c, 0)] = float(means[c]);
            gradients[SHAPE.scale(c, 0)] = float(std::min(std::max(by_scale[c], -SCALE_GRADIENT_LIMIT), SCALE_GRADIENT_LIMIT) / INDICES);
        }
        gradients[SHAPE.cross(0)] = float(second * double(residual[0]) / 64.0);
        gradients[SHAPE.cross(1)] = float(third * double(residual[0]) / 64.0);
        gradients[SHAPE.cross(2)] = float(third * double(residual[1]) / 64.0);
    }

    size_t stride_, image_stride_;
    std::vector<uint16_t> sizes_;  // each pixel's normalised residuals without their sign, in 1/64
    uint8_t scale_class_[SCALES];
};

}  // namespace ddpm
