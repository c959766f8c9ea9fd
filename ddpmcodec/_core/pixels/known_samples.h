// Holds samples in units of the high bits: those that are known exactly, and otherwise the middle of what their high bits leave.
#pragma once
#include <algorithm>
#include <span>

#include "low_bits.h"

namespace ddpm {

class KnownSamples {
  public:
    KnownSamples(const SamplesShape& shape, std::span<const uint8_t> high)
        : channels_(size_t(shape.channels)), pitch_(size_t(shape.width + 2 * MARGIN) * channels_), values_(size_t(shape.height + 2 * MARGIN) * pitch_) {
        for (int y = -MARGIN; y < shape.height + MARGIN; y++)
            for (int x = -MARGIN; x < shape.width + MARGIN; x++)
                for (int c = 0; c < shape.channels; c++) {
                    const size_t row = size_t(std::clamp(y, 0, shape.height - 1)), column = size_t(std::clamp(x, 0, shape.width - 1));
                    at(y, x, c) = float(high[(row * size_t(shape.width) + column) * channels_ + size_t(c)]) + 0.5f;
                }
    }

    float& at(int y, int x, int c) { return values_[index(y, x, c)]; }
    double value(int y, int x, int c) const { return double(values_[index(y, x, c)]); }

  private:
    static constexpr int MARGIN = 2;  // pixels, with the nearest sample once more

    size_t index(int y, int x, int c) const { return size_t(y + MARGIN) * pitch_ + size_t(x + MARGIN) * channels_ + size_t(c); }

    const size_t channels_, pitch_;
    std::vector<float> values_;  // 17 bits, which a float holds
};

}  // namespace ddpm
