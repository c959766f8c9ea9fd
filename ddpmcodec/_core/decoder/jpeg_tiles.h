// The tiles of a JPEG file's coefficients, decoded as far as their chunks are there, and the JPEG files that are made of them.
#pragma once
#include <mutex>
#include <optional>

#include "coefficient_pass.h"
#include "coefficient_tiles.h"
#include "container.h"
#include "tile.h"

namespace ddpm {

// One tile.
class JpegTile {
  public:
    // frame: of all tiles, which outlives this one. Throws Error (FORMAT) for a box that cuts MCUs.
    JpegTile(int number, const PixelBox& box, const Coefficients& frame) : number_(number), box_(box), frame_(frame) { require_whole_mcus(frame, box); }

    const PixelBox& box() const { return box_; }
    const TileResult& result() const { return result_; }

    // Takes the chunks of segments up to `limit` that the container has. Throws Error: CORRUPT where no encoder writes that.
    void take(const Container& container, const CoefficientNetworks& networks, int limit);
    // Decodes what was taken. Returns whether all of that is done; false at the deadline.
    bool advance(Clock::time_point deadline);
    void set_corrupt() { result_.is_damaged = true; }

    // What is known, with conditional means of the rest.
    Coefficients expected() const { return pass_ && !result_.is_exact ? pass_->expected() : values_; }

  private:
    void extend(CoefficientChunk chunk, const CoefficientNetworks& networks, int levels);

    const int number_;
    const PixelBox box_;
    const Coefficients& frame_;
    Coefficients values_;                  // once a chunk is there: a file may claim many more pixels than it has bytes
    std::optional<CoefficientPass> pass_;  // until all is done
    int taken_ = 0, target_ = 0;           // segments: that are whole; to be decoded
    TileResult result_;
};

class JpegTiles {
  public:
    // frame: without values. numbers: tiles in a rectangle, row by row. Throws Error (FORMAT) for tiles that cut MCUs.
    JpegTiles(const Header& header, Coefficients frame, const std::vector<int>& numbers);

    const std::vector<std::unique_ptr<JpegTile>>& tiles() const { return tiles_; }

    // Takes what there is of segments up to `limit`. accepts_damage: a tile may be left out.
    void take(const Container& container, const CoefficientNetworks& networks, int limit, bool accepts_damage);
    // Returns whether all that was taken is decoded; false at the deadline.
    bool advance(Clock::time_point deadline, int threads);

    int segments_done() const;  // of every tile
    bool is_exact() const { return std::ranges::all_of(tiles_, [](const auto& tile) { return tile->result().is_exact; }); }
    bool is_damaged() const { return std::ranges::any_of(tiles_, [](const auto& tile) { return tile->result().is_damaged; }); }

    // A JPEG file of what is known of a box of whole MCUs. recipe: for its metadata, if it is there.
    std::vector<uint8_t> picture(const PixelBox& box, Bytes recipe) const;
    // The very file, of all tiles. Throws Error as `rebuild_jpeg` does.
    std::vector<uint8_t> original(Bytes recipe) const;

    std::vector<SegmentCost> take_costs();  // Those of segments that were done since the last call.

  private:
    Coefficients joined(const PixelBox& box) const;
    void add_costs(const JpegTile& tile, int before, Clock::time_point begin);

    const Coefficients frame_;                 // without values
    const PixelBox covered_;                   // by all tiles
    const int segments_;                       // of a tile
    std::vector<std::unique_ptr<JpegTile>> tiles_;
    std::vector<JpegTile*> queue_;             // tiles that are not done in this round
    std::vector<SegmentCost> costs_;
    std::mutex costs_lock_;
};

// The frame in the section of a file. Throws Error: FORMAT, TRUNCATED or CHECKSUM.
Coefficients read_frame(const Container& container);

// The whole MCUs that a region touches, and those around them: pixels depend on these, as chroma is interpolated.
PixelBox mcus_around(const PixelBox& region, const Coefficients& frame);

// How many segments an image of 1/scale the size needs.
int jpeg_segments_for_scale(const Header& header, int scale);

}  // namespace ddpm
