// A preview that is put together from tiles: what `codec/previews.py` is to Python.
#pragma once
#include "previews.h"

namespace ddpm {

class Canvas {
  public:
    Canvas(int height, int width, int channels) : width_(width), channels_(channels), shown_(size_t(height) * width * channels, UNKNOWN_LUMA) {}

    // A tile, as far as a decoder knows it.
    void place(int top, int left, const Pass& pass);
    const uint8_t* shown() const { return shown_.data(); }

  private:
    void colours(const float* planes, size_t count, uint8_t* out) const;

    const int width_, channels_;
    std::vector<uint8_t> shown_;  // [height, width, channels]
};

}  // namespace ddpm
