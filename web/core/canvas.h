// A preview that is put together from tiles and shown at the end, so that the denoiser sees across their edges: what
// `codec/previews.py` is to Python.
#pragma once
#include "denoiser.h"
#include "previews.h"

namespace ddpm {

class Canvas {
  public:
    Canvas(int height, int width, int channels);

    // A tile, as far as a decoder knows it.
    void place(int top, int left, const Pass& pass);
    // uint8 [height, width, channels]. denoiser: used where something is not exact, and more is known than pixels.
    const uint8_t* show(const Denoiser* denoiser);

  private:
    struct Box {
        int top, left, bottom, right;
        int height() const { return bottom - top; }
        int width() const { return right - left; }
    };

    size_t at(int y, int x) const { return size_t(y) * width_ + x; }
    void show(const Box& box, const Denoiser* denoiser, const float* level);
    bool is_known(const Box& box) const;
    std::vector<float> part(const std::vector<float>& planes, const Box& box) const;
    void colours(const float* planes, size_t count, uint8_t* out) const;

    const int height_, width_, channels_;
    std::vector<float> mean_, deviation_;  // [height, width, 3]
    std::vector<uint8_t> known_;           // [height, width]
    std::vector<uint8_t> exact_, shown_;   // [height, width, channels]
    bool begun_ = false;  // a coefficient is coded: of a flat image a denoiser makes what is not there
};

}  // namespace ddpm
