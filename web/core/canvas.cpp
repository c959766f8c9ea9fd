#include "canvas.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

void Canvas::place(int top, int left, const Pass& pass) {
    const int height = pass.layout().height, width = pass.layout().width;
    const size_t size = size_t(height) * width;
    std::vector<uint8_t> pixels(size * channels_), known(size);
    pass.pixels(pixels.data(), known.data());
    if (std::find(known.begin(), known.end(), 0) != known.end()) {
        std::vector<float> planes(size * CHANNELS);
        means(pass, 1, planes.data());
        std::vector<uint8_t> found(pixels.size());
        colours(planes.data(), size, found.data());
        for (size_t at = 0; at < size; at++)
            if (!known[at]) std::copy_n(&found[at * channels_], channels_, &pixels[at * channels_]);
    }
    const size_t row = size_t(width) * channels_;
    for (int y = 0; y < height; y++) std::copy_n(&pixels[y * row], row, &shown_[(size_t(top + y) * width_ + left) * channels_]);
}

void Canvas::colours(const float* planes, size_t count, uint8_t* out) const {
    if (channels_ == CHANNELS) return to_rgb(planes, count, out);
    for (size_t k = 0; k < count; k++) out[k] = uint8_t(std::min(std::max(std::rint(planes[k * CHANNELS]), 0.0f), 255.0f));
}

}  // namespace ddpm
