#include "canvas.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

namespace {

constexpr int ROWS = 1024, COLUMNS = 4096;  // of a preview that are denoised together: memory grows with them
constexpr int MARGIN = 16;  // pixels around them that they depend on, or more: 7 convolutions at half the resolution

}  // namespace

Canvas::Canvas(int height, int width, int channels)
    : height_(height), width_(width), channels_(channels), mean_(size_t(height) * width * CHANNELS),
      deviation_(mean_.size(), UNKNOWN_DEVIATION), known_(size_t(height) * width), exact_(known_.size() * channels),
      shown_(exact_.size()) {
    for (size_t k = 0; k < mean_.size(); k += CHANNELS) mean_[k] = UNKNOWN_LUMA;
}

void Canvas::place(int top, int left, const Pass& pass) {
    const int height = pass.layout().height, width = pass.layout().width;
    const size_t size = size_t(height) * width;
    std::vector<float> mean(size * CHANNELS), deviation(mean.size());
    std::vector<uint8_t> pixels(size * channels_), known(size);
    moments(pass, 0, 1, mean.data(), deviation.data());
    pass.pixels(pixels.data(), known.data());
    begun_ = begun_ || has_coefficients(pass, 0);
    for (int y = 0; y < height; y++) {
        const size_t from = size_t(y) * width, to = at(top + y, left);
        std::copy_n(&mean[from * CHANNELS], width * CHANNELS, &mean_[to * CHANNELS]);
        std::copy_n(&deviation[from * CHANNELS], width * CHANNELS, &deviation_[to * CHANNELS]);
        std::copy_n(&known[from], width, &known_[to]);
        std::copy_n(&pixels[from * channels_], width * channels_, &exact_[to * channels_]);
    }
}

const uint8_t* Canvas::show(const Denoiser* denoiser) {
    double sums[CHANNELS] = {};
    for (size_t k = 0; k < mean_.size(); k++) sums[k % CHANNELS] += mean_[k];
    float level[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) level[c] = float(sums[c] / double(known_.size()));
    shown_ = exact_;
    for (int top = 0; top < height_; top += ROWS)
        for (int left = 0; left < width_; left += COLUMNS)
            show({top, left, std::min(top + ROWS, height_), std::min(left + COLUMNS, width_)}, denoiser, level);
    return shown_.data();
}

void Canvas::show(const Box& box, const Denoiser* denoiser, const float* level) {
    if (is_known(box)) return;
    const bool denoises = denoiser && begun_;
    const int margin = denoises ? MARGIN : 0;
    const Box seen{std::max(box.top - margin, 0), std::max(box.left - margin, 0), std::min(box.bottom + margin, height_),
                   std::min(box.right + margin, width_)};
    std::vector<float> planes = part(mean_, seen);
    if (denoises) {
        const std::vector<float> deviation = part(deviation_, seen);
        std::vector<float> better(planes.size());
        denoiser->denoise({planes.data(), deviation.data(), level, seen.height(), seen.width()}, 1, better.data());
        planes.swap(better);
    }
    std::vector<uint8_t> row(size_t(box.width()) * channels_);
    for (int y = box.top; y < box.bottom; y++) {
        const size_t from = size_t(y - seen.top) * seen.width() + (box.left - seen.left);
        colours(&planes[from * CHANNELS], box.width(), row.data());
        for (int x = box.left; x < box.right; x++) {
            const size_t place = at(y, x);
            if (!known_[place]) std::copy_n(&row[size_t(x - box.left) * channels_], channels_, &shown_[place * channels_]);
        }
    }
}

bool Canvas::is_known(const Box& box) const {
    for (int y = box.top; y < box.bottom; y++)
        for (int x = box.left; x < box.right; x++)
            if (!known_[at(y, x)]) return false;
    return true;
}

std::vector<float> Canvas::part(const std::vector<float>& planes, const Box& box) const {
    const size_t row = size_t(box.width()) * CHANNELS;
    std::vector<float> found(box.height() * row);
    for (int y = 0; y < box.height(); y++) std::copy_n(&planes[at(box.top + y, box.left) * CHANNELS], row, &found[y * row]);
    return found;
}

void Canvas::colours(const float* planes, size_t count, uint8_t* out) const {
    if (channels_ == CHANNELS) return to_rgb(planes, count, out);
    for (size_t k = 0; k < count; k++) out[k] = uint8_t(std::min(std::max(std::rint(planes[k * CHANNELS]), 0.0f), 255.0f));
}

}  // namespace ddpm
