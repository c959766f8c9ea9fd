// Pixels of one kind, colours or alpha, on their way into streams: how they are coded, and what becomes of their tiles.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "context_model.h"
#include "grid.h"
#include "jobs.h"
#include "streams.h"

namespace ddpm {

// How pixels are coded.
struct Coding {
    std::shared_ptr<const ContextModel> model;
    int effort = 0, levels = 0;
    bool repeats = false;  // exact pixels are first sought among repeats

    bool operator==(const Coding&) const = default;
};

// A view of pixels uint8 [height, width, channels].
struct PlaneView {
    const uint8_t* pixels;
    int height, width, channels;

    uint64_t count() const { return uint64_t(height) * uint64_t(width); }
};

// A rectangle of pixels that is coded alone.
struct EncodeTile {
    PlaneView plane;
    PixelBox box;
    Coding coding;
    bool has_lanes = false;            // LANES streams; otherwise one
    std::vector<uint8_t> covered;      // that the check of the stream covers before the pixels
    bool is_trial = false;             // its costs are nobody's
    std::vector<Stream> streams;       // once it was encoded

    // The bytes of the words of its streams.
    uint64_t word_bytes() const;
    std::vector<uint8_t> pixels() const;
};

// Adds jobs that encode tiles, which outlive them. Small ones of one size are coded side by side, as many as give all threads work. What they are
// coded with does not change a stream.
void add_tile_jobs(JobQueue& queue, const std::vector<EncodeTile*>& tiles, int threads);

}  // namespace ddpm
