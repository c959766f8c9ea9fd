// The pixels that a decoder shows of an image: those of a region, or of coarse bands alone in 1/scale of its size.
#pragma once
#include <optional>

#include "canvas.h"
#include "image_decoder.h"
#include "tile.h"

namespace ddpm {

class PictureBuffer {
  public:
    // mode: of the image. from_bands: of tiles the coarse bands alone are placed.
    PictureBuffer(Mode mode, const PixelBox& region, int scale, bool from_bands);

    // Places what is known of a tile. Several threads may do so at a time.
    void place(const Tile& tile, int threads);
    // Places exact pixels, uint8 [height, width, channels]; not from bands.
    void place(const PixelBox& box, const std::vector<uint8_t>& pixels) { canvas_->place(box, pixels); }
    // What was placed, grey elsewhere. alpha: of the region; empty: opaque.
    Picture picture(std::vector<uint8_t> alpha) const;

  private:
    const Mode mode_;
    const PixelBox region_;
    const int scale_;
    std::optional<Canvas> canvas_;
    std::optional<ReducedCanvas> reduced_;  // from bands
};

}  // namespace ddpm
