#include "picture_buffer.h"

#include <bit>

#include "plan.h"

namespace ddpm {

namespace {

constexpr float LACK = 0.25f;  // grey levels of a halving, which rounds down: (a + b) >> 1

std::vector<uint8_t> every_nth(const std::vector<uint8_t>& plane, int height, int width, int step) {
    std::vector<uint8_t> small;
    for (int y = 0; y < height; y += step)
        for (int x = 0; x < width; x += step) small.push_back(plane[size_t(y) * size_t(width) + size_t(x)]);
    return small;
}

}  // namespace

PictureBuffer::PictureBuffer(Mode mode, const PixelBox& region, int scale, bool from_bands) : mode_(mode), region_(region), scale_(scale) {
    if (from_bands)
        reduced_.emplace(PixelBox{region.left / scale, region.top / scale, (region.right + scale - 1) / scale, (region.bottom + scale - 1) / scale}, scale);
    else
        canvas_.emplace(region, channels_of(mode));
}

void PictureBuffer::place(const Tile& tile, int threads) {
    if (reduced_) {
        if (!tile.pass() || !tile.pass()->is_for_previews()) return;
        Estimate means = reduced(*tile.pass(), int(std::bit_width(unsigned(scale_))) - 1, threads);
        const float lack = LACK * float(finest_band(tile.box().height(), tile.box().width(), scale_) - 1);
        for (float& value : means.mean) value += lack;
        reduced_->place(tile.box(), means);
    } else if (!tile.pixels().empty()) {
        canvas_->place(tile.box(), tile.pixels());
    } else if (tile.pass() && tile.pass()->is_for_previews()) {
        canvas_->place(tile.box(), shown_by(*tile.pass(), threads));
    }
}

Picture PictureBuffer::picture(std::vector<uint8_t> alpha) const {
    Picture picture{mode_, region_.width(), region_.height(), {}, std::move(alpha), {}};
    if (has_alpha(mode_) && picture.alpha.empty()) picture.alpha.assign(region_.pixels(), OPAQUE);
    if (canvas_) {
        picture.colour = canvas_->pixels();
        return reduced(std::move(picture), scale_);
    }
    picture.colour = reduced_->pixels(channels_of(mode_));
    if (!picture.alpha.empty()) picture.alpha = every_nth(picture.alpha, region_.height(), region_.width(), scale_);
    return shrunk(std::move(picture), scale_);
}

}  // namespace ddpm
