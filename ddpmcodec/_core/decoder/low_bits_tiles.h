// The low bits of an image whose samples have more than eight, put together from tiles.
#pragma once
#include <atomic>

#include "canvas.h"
#include "container.h"
#include "image_decoder.h"
#include "tile.h"

namespace ddpm {

class LowBitsTiles {
  public:
    // region: what is shown. tiles: those that it touches.
    LowBitsTiles(const Container& container, const PixelBox& region, const std::vector<int>& tiles);

    // plane: the high bits of alpha, of all that the tiles cover.
    void set_alpha(std::vector<uint8_t> plane) { alpha_ = std::move(plane); }
    // Reads the index, if all of the section is there. Throws Error as `parse_low_bits_index`.
    void read();
    // Decodes those of a tile whose high bits are exact. Several threads may do so at a time.
    void place(const Tile& tile);

    bool are_whole() const { return placed_ == tiles_; }
    bool are_damaged() const { return is_damaged_; }

    // Gives a picture its samples. Unknown low bits are in the middle of what is possible.
    void complete(Picture& picture) const;

  private:
    std::vector<uint8_t> high_bits_of(const Tile& tile) const;

    const Container& container_;
    const PixelBox covered_;  // by tiles
    const int channels_, tiles_;
    std::vector<uint8_t> alpha_;
    std::vector<ByteRange> streams_;  // in the file
    Canvas low_;
    std::atomic<int> placed_{0};
    std::atomic<bool> is_damaged_{false};
};

// Gives a picture the samples of the image. low: empty if there are none, or none are known: then they are in the middle of what is possible.
void make_samples(Picture& picture, const Header& header, const std::vector<uint8_t>& low);

}  // namespace ddpm
