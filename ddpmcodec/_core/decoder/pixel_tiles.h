// The tiles of an image of pixels. They are decoded in rounds, each as far as its bytes have arrived.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tile.h"

namespace ddpm {

// One round: all tiles take what has arrived of them, and decode it.
struct Round {
    const Container& container;
    const Model& model;
    bool is_last;
    bool for_previews;    // passes keep what previews need
    bool accepts_damage;  // a tile may be left out
    std::function<void(const Tile&, int threads)> place;  // called of each tile that the last round has decoded, from several threads
};

class PixelTiles {
  public:
    // segments: how many are wanted.
    void add(int number, const PixelBox& box, int segments) { tiles_.push_back(std::make_unique<Tile>(number, box, segments)); }
    const std::vector<std::unique_ptr<Tile>>& tiles() const { return tiles_; }

    // Begins a round through so many segments. The last round takes tiles that are exact already, too.
    void begin_round(int limit, bool is_last);
    // Returns whether the round is done; false at the deadline. Throws Error as `Tile::take` does, unless damage is accepted.
    bool advance(const Round& round, Clock::time_point deadline, int threads);

    // Takes a tile that has not begun out of the round; the last one stays. Returns its box, which `set_delegated` brings back.
    std::optional<PixelBox> delegate();
    // The exact pixels of that tile, which is placed; or none: then it is decoded here. Throws Error (ARGUMENT) for any other box.
    void set_delegated(const PixelBox& box, std::vector<uint8_t> pixels, const std::function<void(const Tile&, int threads)>& place);
    bool is_waiting() const { return queue_.empty() && !delegated_.empty(); }

    // Whole segments, of at most `wanted`, that all tiles of a tiled file have taken. Throws Error (CHECKSUM) if one of them is damaged.
    int segments_taken(int wanted) const;
    int steps_done(const Header& header) const;  // that every pixel has been through
    uint64_t words_used() const;

    std::vector<SegmentCost> take_costs();  // Those of segments that were done since the last call.

  private:
    // A tile that is not done in this round. fresh: it has taken nothing in this round.
    struct QueuedTile {
        Tile* tile;
        bool is_fresh;
    };

    void advance_tile(const Round& round, QueuedTile& queued, int threads, Clock::time_point deadline);

    std::vector<std::unique_ptr<Tile>> tiles_;
    std::vector<QueuedTile> queue_;
    std::vector<Tile*> delegated_;
    std::vector<SegmentCost> costs_;
    std::mutex costs_lock_;
};

}  // namespace ddpm
