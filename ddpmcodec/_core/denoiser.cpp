#include "denoiser.h"

#include <algorithm>
#include <cmath>

#include "pyramid.h"
#include "threads.h"

namespace ddpm {

namespace {

constexpr float UNIT = 1.0f / 32;  // of a grey level, as the network sees it
constexpr float LEAST_DEVIATION = 0.05f;
constexpr float FARTHEST = 4096.0f;  // grey levels from 0: only a network that nobody trained goes there
constexpr int LEAST_STRIP = 16;      // rows of patches: a strip begins seven rows before its own

float limited(float x) { return std::isnan(x) ? 0.0f : std::min(std::max(x, -FARTHEST), FARTHEST); }

// The last rows of what a layer sees, with zeros around them.
class Ring {
  public:
    Ring(int rows, int positions, int channels)
        : rows_(rows), channels_(channels), size_(size_t(positions + 2) * channels), values_(size_t(rows) * size_) {}

    float* row(int y) { return values_.data() + size_t((y + 8 * rows_) % rows_) * size_; }
    float* first(int y) { return row(y) + channels_; }
    void clear(int y) { std::fill_n(row(y), size_, 0.0f); }

  private:
    int rows_, channels_;
    size_t size_;
    std::vector<float> values_;
};

// Rows [first, last) of patches, from above to below, each layer one row behind the layer before: few rows need be kept.
class Strip {
  public:
    Strip(const Denoiser& denoiser, const Denoiser::Image& image)
        : denoiser_(denoiser), image_(image), blocks_((image.columns() + ROW_BLOCK - 1) / ROW_BLOCK),
          trunk_(Denoiser::LAYERS + 1, blocks_ * ROW_BLOCK, DENOISER_WIDTH),
          residual_(size_t(blocks_) * ROW_BLOCK * denoiser.layer(Denoiser::LAYERS - 1).padded) {
        for (int k = 0; k < Denoiser::LAYERS; k++) seen_.emplace_back(3, blocks_ * ROW_BLOCK, Denoiser::inputs_of(k));
    }

    void run(int first, int last, float* out) {
        constexpr int LAYERS = Denoiser::LAYERS;
        for (int time = first - LAYERS; time < last + LAYERS; time++)
            for (int done = 0; done <= LAYERS; done++) {  // layers that have seen the row
                const int y = time - done, margin = LAYERS - done;
                if (y < first - margin || y >= last + margin) continue;
                if (y < 0 || y >= image_.rows()) seen_[done].clear(y);
                else if (done == 0) look(y);
                else if (done < LAYERS) layer(done - 1, y);
                else leave(y, out);
            }
    }

  private:
    // What the network sees of a row of patches. Odd images end with their last row and column once more.
    void look(int y) {
        for (int dy = 0; dy < PATCH; dy++) {
            const size_t row = size_t(std::min(PATCH * y + dy, image_.height - 1)) * image_.width;
            for (int x = 0; x < PATCH * image_.columns(); x++) {
                const size_t at = (row + std::min(x, image_.width - 1)) * CHANNELS;
                float* target = seen_[0].first(y) + size_t(x / PATCH) * DENOISER_INPUTS + PATCH * dy + x % PATCH;
                for (int c = 0; c < CHANNELS; c++, target += PATCH * PATCH) {
                    const float scale = std::max(image_.deviation[at + c], LEAST_DEVIATION);
                    const float value = (image_.mean[at + c] - image_.level[c]) * UNIT;
                    target[0] = value;
                    target[PATCH_VALUES] = std::log2(scale);
                    target[2 * PATCH_VALUES] = value / std::max(scale, 1.0f);
                }
            }
        }
    }

    void convolve(int number, int y, float* out) {
        const Denoiser::Layer& layer = denoiser_.layer(number);
        Ring& seen = seen_[number];
        const Convolution convolution{{seen.row(y - 1), seen.row(y), seen.row(y + 1)}, layer.inputs, layer.weights.data(), layer.bias.data(), layer.padded};
        denoiser_.kernel().row(convolution, blocks_, out);
    }

    // `enter` or a block, which adds to the trunk.
    void layer(int number, int y) {
        float* trunk = trunk_.first(y);
        if (number == 0) trunk_.clear(y);
        convolve(number, y, trunk);
        float* seen = seen_[number + 1].first(y);
        for (int k = 0; k < image_.columns() * DENOISER_WIDTH; k++) seen[k] = trunk[k] > 0 ? trunk[k] : 0.0f;
    }

    void leave(int y, float* out) {
        const int number = Denoiser::LAYERS - 1, padded = denoiser_.layer(number).padded;
        std::fill(residual_.begin(), residual_.end(), 0.0f);
        convolve(number, y, residual_.data());
        for (int v = PATCH * y; v < std::min(PATCH * (y + 1), image_.height); v++)
            for (int x = 0; x < image_.width; x++) {
                const float* residual = &residual_[size_t(x / PATCH) * padded + PATCH * (v % PATCH) + x % PATCH];
                const size_t at = (size_t(v) * image_.width + x) * CHANNELS;
                for (int c = 0; c < CHANNELS; c++)
                    out[at + c] = limited(image_.mean[at + c] + residual[PATCH * PATCH * c] * image_.deviation[at + c]);
            }
    }

    const Denoiser& denoiser_;
    const Denoiser::Image& image_;
    const int blocks_;
    Ring trunk_;
    std::vector<Ring> seen_;  // by layer
    std::vector<float> residual_;
};

bool in_doubt(const Denoiser::Image& image, int y) {
    const size_t size = size_t(image.width) * CHANNELS, end = std::min(PATCH * (y + 1), image.height) * size;
    for (size_t k = PATCH * y * size; k < end; k++)
        if (image.deviation[k] > 0) return true;
    return false;
}

}  // namespace

void Denoiser::add(const float* weights, const float* bias) {
    const int number = int(layers_.size()), inputs = inputs_of(number), outputs = outputs_of(number);
    const int group = kernel_->group_of(outputs), padded = (outputs + group - 1) / group * group;
    Layer layer{inputs, outputs, padded, std::vector<float>(size_t(padded) * 9 * inputs), std::vector<float>(padded)};
    std::copy_n(bias, outputs, layer.bias.begin());
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i++)
            for (int k = 0; k < 9; k++)
                layer.weights[((size_t(o / group) * 9 + k) * inputs + i) * group + o % group] = weights[(size_t(o) * inputs + i) * 9 + k];
    layers_.push_back(std::move(layer));
}

void Denoiser::denoise(const Image& image, int threads, float* out) const {
    int first = 0, last = image.rows();
    while (first < last && !in_doubt(image, first)) first++;
    while (first < last && !in_doubt(image, last - 1)) last--;
    const size_t size = size_t(PATCH) * image.width * CHANNELS, whole = size_t(image.height) * image.width * CHANNELS;
    std::transform(image.mean, image.mean + std::min(first * size, whole), out, limited);
    const size_t below = std::min(last * size, whole);
    std::transform(image.mean + below, image.mean + whole, out + below, limited);
    if (first == last) return;
    const int count = std::max(1, std::min(threads, (last - first) / LEAST_STRIP));
    std::vector<Strip> strips;
    strips.reserve(count);
    for (int t = 0; t < count; t++) strips.emplace_back(*this, image);
    run_threads(count, [&](const Team& team, int t) {
        auto start = [&](int of) { return first + int(int64_t(last - first) * of / team.threads()); };
        strips[t].run(start(t), start(t + 1), out);
    });
}

}  // namespace ddpm
