// A coded alpha plane: an image of grey levels with the tiles of its image, straight to exact.
#pragma once
#include "canvas.h"
#include "pixel_tiles.h"
#include "sections.h"

namespace ddpm {

class AlphaTiles {
  public:
    // file: what `image` was cut from; its section of alpha has been begun. box: the part that is wanted. Throws Error: TRUNCATED if the section
    // is cut before its streams, otherwise CORRUPT or FORMAT.
    AlphaTiles(const std::shared_ptr<const Source>& file, const Container& image, const PixelBox& box);

    // Decodes all that there is. Returns whether that is done; false at the deadline. Throws Error as `Tile::take`.
    bool advance(const Model& model, Clock::time_point deadline, int threads);
    // The part of the plane. Pixels that a cut section does not reach are opaque. Throws Error (CHECKSUM) if others are not exact.
    Alpha alpha() const;

    // Throws Error: CHECKSUM if chunks of the part are damaged, CORRUPT if a single stream begins as none does. No network runs.
    void require_sound() const;

  private:
    void place(const Tile& tile);

    // The section, after the beginning of the header that it leaves out.
    class File : public Source {
      public:
        File(std::vector<uint8_t> head, const std::shared_ptr<const Source>& file, ByteRange rest) : head_(std::move(head)), rest_(file, rest) {}

        uint64_t size() const override { return head_.size() + rest_.size(); }
        void read(uint64_t offset, std::span<uint8_t> out) const override;

      private:
        const std::vector<uint8_t> head_;
        const PartSource rest_;
    };

    const bool is_cut_;
    const File file_;
    Container container_;
    const std::vector<int> tiles_needed_;
    PixelTiles tiles_;
    Canvas canvas_;
};

}  // namespace ddpm
