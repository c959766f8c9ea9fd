// Pixels that are put together from tiles.
#pragma once
#include <mutex>
#include <vector>

#include "header.h"
#include "previews.h"

namespace ddpm {

// Pixels uint8 [height, width, channels] of planes Y, Co, Cg, float32 [height, width, 3].
std::vector<uint8_t> colours_of(const float* planes, size_t count, int channels);

// What a decoder knows of a tile: exact pixels, and conditional means in place of others, uint8 [height, width, channels].
std::vector<uint8_t> shown_by(const Pass& pass, int threads);

// An area of an image, grey where nothing was placed. Several threads may place tiles at a time.
class Canvas {
  public:
    Canvas(const PixelBox& area, int channels) : area_(area), channels_(channels), pixels_(area.pixels() * uint64_t(channels), UNKNOWN_LUMA) {}

    // Places a tile, uint8 [height, width, channels], as far as it lies in the area.
    void place(const PixelBox& tile, const std::vector<uint8_t>& pixels);
    void fill(const uint8_t* colour);
    const std::vector<uint8_t>& pixels() const { return pixels_; }  // [height, width, channels]

  private:
    const PixelBox area_;
    const int channels_;
    std::vector<uint8_t> pixels_;
};

// An area of an image of 1/scale the size, put together from means of tiles, whose edges need not lie between its pixels.
class ReducedCanvas {
  public:
    // area: of the small image.
    ReducedCanvas(const PixelBox& area, int scale);

    // Adds the means of a tile, planes float32 [height / scale, width / scale, 3], with sizes rounded up. tile: in the whole image.
    void place(const PixelBox& tile, const Estimate& means);
    std::vector<uint8_t> pixels(int channels) const;  // [height, width, channels]

  private:
    // How many pixels some means of a tile share with pixels of the small image, of which these are neighbours from `first` on.
    struct Shares {
        int first;
        std::vector<float> pixels;
    };
    std::vector<Shares> shares(int begin, int end, int count) const;

    const PixelBox area_;
    const int scale_;
    std::vector<float> sum_, weight_;
    std::mutex lock_;
};

// Means of scale x scale pixels, [height / scale, width / scale, channels], with sizes rounded up, as Pillow's `reduce` makes them. alpha:
// empty, or a plane that weighs the colours; it is reduced as well.
std::vector<uint8_t> box_means(const std::vector<uint8_t>& pixels, int height, int width, int channels, int scale, std::vector<uint8_t>& alpha);

}  // namespace ddpm
