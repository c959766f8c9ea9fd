#include "graphics.h"

#include <algorithm>

namespace ddpm {

namespace {

// PredictedShares of pixels. Equal to the left one: of photographs up to 0.41, of screenshots and plots 0.87 or more.
constexpr double UNLIKELY_REPEATS = 0.2, CERTAIN_REPEATS = 0.5;
// Predicted by another neighbour or a slope: of photographs up to 0.38, of their parts up to 0.88.
constexpr double UNLIKELY_SLOPES = 0.3, MANY_SLOPES = 0.5, CERTAIN_SLOPES = 0.9;
constexpr uint64_t LEAST_PIXELS = 100;  // of an image that can repeat itself
constexpr int TRIAL_SIDE = 96;          // pixels of the middle of an image

// A number for each pixel of a row, whose bytes are the channels. A slope of all channels is one of these numbers.
void pack_row(const PlaneView& image, int y, std::vector<uint32_t>& row) {
    const uint8_t* pixel = image.pixels + size_t(y) * size_t(image.width) * size_t(image.channels);
    for (uint32_t& number : row) {
        number = 0;
        for (int c = 0; c < image.channels; c++) number = number << 8 | *pixel++;
    }
}

EncodeTile middle_of(const PlaneView& image, Coding coding) {
    const int top = std::max(0, image.height - TRIAL_SIDE) / 2, left = std::max(0, image.width - TRIAL_SIDE) / 2;
    EncodeTile tile{image, {left, top, std::min(left + TRIAL_SIDE, image.width), std::min(top + TRIAL_SIDE, image.height)}, std::move(coding), false, {}, true, {}};
    return tile;
}

}  // namespace

PredictedShares predicted_shares(const PlaneView& image) {
    uint64_t left = 0, slopes[4] = {};
    std::vector<uint32_t> above(size_t(image.width)), row(above);
    for (int y = 0; y < image.height; y++, std::swap(above, row)) {
        pack_row(image, y, row);
        for (size_t x = 1; x < row.size(); x++) {
            left += row[x] == row[x - 1];
            if (y == 0) continue;
            const uint32_t here = row[x], west = row[x - 1], north = above[x], corner = above[x - 1];
            slopes[0] += here == north;
            slopes[1] += here == corner;
            slopes[2] += west == north;
            slopes[3] += here + corner == west + north;
        }
    }
    auto share = [](uint64_t count, uint64_t all) { return double(count) / double(std::max<uint64_t>(1, all)); };
    const uint64_t height = uint64_t(image.height), width = uint64_t(image.width);
    return {share(left, height * (width - 1)), share(*std::ranges::max_element(slopes), (height - 1) * (width - 1))};
}

Guess has_repeats(const PlaneView& image, const PredictedShares& shares) {
    if (image.count() < LEAST_PIXELS) return Guess::NO;
    if (shares.left >= CERTAIN_REPEATS || shares.slopes >= CERTAIN_SLOPES) return Guess::YES;
    return shares.left <= UNLIKELY_REPEATS && shares.slopes < UNLIKELY_SLOPES ? Guess::NO : Guess::MAYBE;
}

bool may_have_costly_levels(const PlaneView& image, const PredictedShares& shares) { return image.count() >= LEAST_PIXELS && shares.slopes >= MANY_SLOPES; }

Trial Trial::of_repeats(const PlaneView& image, std::shared_ptr<const ContextModel> model) {
    return {middle_of(image, {model, TRIAL_EFFORT, 0, false}), middle_of(image, {model, TRIAL_EFFORT, 0, true})};
}

Trial Trial::of_levels(const PlaneView& image, std::shared_ptr<const ContextModel> model) {
    return {middle_of(image, {model, TRIAL_EFFORT, 0, false}), middle_of(image, {model, TRIAL_EFFORT, 1, false})};
}

}  // namespace ddpm
