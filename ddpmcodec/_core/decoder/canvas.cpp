#include "canvas.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

std::vector<uint8_t> colours_of(const float* planes, size_t count, int channels) {
    std::vector<uint8_t> pixels(count * size_t(channels));
    if (channels == CHANNELS)
        to_rgb(planes, count, pixels.data());
    else
        for (size_t k = 0; k < count; k++) pixels[k] = uint8_t(std::clamp(std::rint(planes[k * CHANNELS]), 0.0f, 255.0f));
    return pixels;
}

std::vector<uint8_t> shown_by(const Pass& pass, int threads) {
    const Layout& layout = pass.layout();
    const size_t size = size_t(layout.height) * size_t(layout.width), channels = size_t(layout.channels);
    std::vector<uint8_t> pixels(size * channels), known(size);
    pass.pixels(pixels.data(), known.data());
    if (std::ranges::find(known, 0) == known.end()) return pixels;
    std::vector<float> planes(size * CHANNELS);
    means(pass, threads, planes.data());
    const std::vector<uint8_t> found = colours_of(planes.data(), size, layout.channels);
    for (size_t at = 0; at < size; at++)
        if (!known[at]) std::copy_n(&found[at * channels], channels, &pixels[at * channels]);
    return pixels;
}

void Canvas::place(const PixelBox& tile, const std::vector<uint8_t>& pixels) {
    const int left = std::max(tile.left, area_.left), right = std::min(tile.right, area_.right);
    const int top = std::max(tile.top, area_.top), bottom = std::min(tile.bottom, area_.bottom);
    for (int y = top; y < bottom && left < right; y++) {
        const size_t from = size_t(y - tile.top) * size_t(tile.width()) + size_t(left - tile.left);
        const size_t to = size_t(y - area_.top) * size_t(area_.width()) + size_t(left - area_.left);
        std::copy_n(&pixels[from * size_t(channels_)], (right - left) * channels_, &pixels_[to * size_t(channels_)]);
    }
}

void Canvas::fill(const uint8_t* colour) {
    for (size_t k = 0; k < pixels_.size(); k++) pixels_[k] = colour[k % size_t(channels_)];
}

ReducedCanvas::ReducedCanvas(const PixelBox& area, int scale)
    : area_(area), scale_(scale), sum_(area.pixels() * CHANNELS), weight_(area.pixels()) {}

// Each mean shares pixels with the pixel that it begins in, and where its edges lie between theirs, with the next one.
std::vector<ReducedCanvas::Shares> ReducedCanvas::shares(int begin, int end, int count) const {
    Shares near{begin / scale_, {}}, far{near.first + 1, {}};
    bool reaches = false;
    for (int k = 0; k < count; k++) {
        const int start = begin + scale_ * k, stop = std::min(start + scale_, end), border = (start / scale_ + 1) * scale_;
        near.pixels.push_back(float(std::min(stop, border) - start));
        far.pixels.push_back(float(std::max(stop - border, 0)));
        reaches = reaches || stop > border;
    }
    return reaches ? std::vector<Shares>{near, far} : std::vector<Shares>{near};
}

void ReducedCanvas::place(const PixelBox& tile, const Estimate& means) {
    const std::lock_guard<std::mutex> lock(lock_);
    const std::vector<Shares> rows = shares(tile.top, tile.bottom, means.height), columns = shares(tile.left, tile.right, means.width);
    for (const Shares& down : rows)
        for (const Shares& across : columns)
            for (int y = 0; y < means.height; y++)
                for (int x = 0; x < means.width; x++) {
                    const int row = down.first + y - area_.top, column = across.first + x - area_.left;
                    const float weight = down.pixels[size_t(y)] * across.pixels[size_t(x)];
                    if (weight <= 0 || row < 0 || column < 0 || row >= area_.height() || column >= area_.width()) continue;
                    const size_t to = size_t(row) * size_t(area_.width()) + size_t(column), from = size_t(y) * size_t(means.width) + size_t(x);
                    weight_[to] += weight;
                    for (size_t c = 0; c < CHANNELS; c++) sum_[to * CHANNELS + c] += weight * means.mean[from * CHANNELS + c];
                }
}

std::vector<uint8_t> ReducedCanvas::pixels(int channels) const {
    std::vector<float> mean(sum_.size());
    for (size_t at = 0; at < weight_.size(); at++) {
        mean[at * CHANNELS] = UNKNOWN_LUMA;
        for (size_t c = 0; weight_[at] > 0 && c < CHANNELS; c++) mean[at * CHANNELS + c] = sum_[at * CHANNELS + c] / weight_[at];
    }
    return colours_of(mean.data(), weight_.size(), channels);
}

namespace {

// Pillow's product of a colour and an alpha, divided by 255 and rounded, and its inverse.
uint8_t premultiplied(uint8_t colour, uint8_t alpha) {
    const unsigned product = unsigned(colour) * alpha + 128;
    return uint8_t(((product >> 8) + product) >> 8);
}
uint8_t unpremultiplied(uint8_t product, uint8_t alpha) {
    return alpha == 0 || alpha == 255 ? product : uint8_t(std::min(255u * product / alpha, 255u));
}

// The mean of so many values, from their sum, rounded as Pillow does: by a factor of 32 bits.
uint8_t mean_of(uint32_t sum, int count) {
    const uint32_t factor = uint32_t(4294967296.0f / float(256 * count));
    return uint8_t((uint64_t(sum + uint32_t(count) / 2) * factor) >> 24);
}

std::vector<uint8_t> plain_means(const std::vector<uint8_t>& pixels, int height, int width, int channels, int scale) {
    const int rows = (height + scale - 1) / scale, columns = (width + scale - 1) / scale;
    std::vector<uint8_t> means(size_t(rows) * size_t(columns) * size_t(channels));
    for (int v = 0; v < rows; v++)
        for (int u = 0; u < columns; u++)
            for (int c = 0; c < channels; c++) {
                uint32_t sum = 0;
                const int bottom = std::min(height, (v + 1) * scale), right = std::min(width, (u + 1) * scale);
                for (int y = v * scale; y < bottom; y++)
                    for (int x = u * scale; x < right; x++) sum += pixels[(size_t(y) * size_t(width) + size_t(x)) * size_t(channels) + size_t(c)];
                means[(size_t(v) * size_t(columns) + size_t(u)) * size_t(channels) + size_t(c)] = mean_of(sum, (bottom - v * scale) * (right - u * scale));
            }
    return means;
}

}  // namespace

std::vector<uint8_t> box_means(const std::vector<uint8_t>& pixels, int height, int width, int channels, int scale, std::vector<uint8_t>& alpha) {
    if (alpha.empty()) return plain_means(pixels, height, width, channels, scale);
    std::vector<uint8_t> weighed(pixels);
    for (size_t k = 0; k < weighed.size(); k++) weighed[k] = premultiplied(pixels[k], alpha[k / size_t(channels)]);
    std::vector<uint8_t> means = plain_means(weighed, height, width, channels, scale);
    alpha = plain_means(alpha, height, width, 1, scale);
    for (size_t k = 0; k < means.size(); k++) means[k] = unpremultiplied(means[k], alpha[k / size_t(channels)]);
    return means;
}

}  // namespace ddpm
