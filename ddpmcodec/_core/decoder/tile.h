// A tile of a .ddpm file, or its only stream, decoded as far as its bytes are there.
#pragma once
#include <climits>
#include <optional>

#include "container.h"
#include "chunks.h"
#include "timed_pass.h"

namespace ddpm {

inline constexpr const char* DAMAGED = "the data is damaged: it decodes to another image than was encoded; get the file again";

// Whether streams ended as they must where they decode to what was encoded: in state and length. check: 24 bits, of the samples.
bool have_ended_well(const Pass& pass, uint32_t check, int first_stream, int streams);

// How tiles of a file are decoded.
struct TileDecoding {
    Model model;
    bool for_previews;
    int threads;
};

// What became of a tile.
struct TileResult {
    bool has_begun = false;    // some of it is there
    bool is_exact = false;     // it is what was encoded
    bool is_damaged = false;   // a chunk of it is damaged, or it decoded to something else
    bool is_cut = false;       // the bytes end before it does
    int segments_done = 0;
    uint64_t words_used = 0;   // of all its streams
};

class Tile {
  public:
    // last: how many of its segments are wanted.
    Tile(int number, const PixelBox& box, int last) : number_(number), box_(box), last_(last) {}

    int number() const { return number_; }
    const PixelBox& box() const { return box_; }

    // From now on only so many segments are decoded.
    void set_limit(int segments) { limit_ = segments; }

    // Takes what the container has of it and it has not taken. Throws Error: CORRUPT where no encoder writes that.
    void take(const Container& container, const TileDecoding& decoding);

    // Decodes what was taken. Returns whether all of that is done; false at the deadline.
    bool advance(Clock::time_point deadline);

    int taken() const { return taken_; }  // whole segments
    bool is_done() const { return is_done_; }
    const TileResult& result() const { return result_; }
    // Takes over what was decoded elsewhere; nothing: it is damaged.
    void set_pixels(std::vector<uint8_t> pixels);
    void set_corrupt() { result_.is_damaged = true; }

    // Until `release`: what was decoded. pixels: [height, width, channels], empty unless they are exact. pass: null where nothing
    // was there.
    const std::vector<uint8_t>& pixels() const { return pixels_; }
    const Pass* pass() const { return pass_ ? &pass_->pass() : nullptr; }
    void release() { pass_.reset(), pixels_ = {}; }  // a pass takes fifty bytes a pixel

    std::vector<SegmentCost> take_costs();  // Those of segments that were done since the last call.

  private:
    void take_stream(const Container& container, const TileDecoding& decoding);
    void take_chunks(const Container& container, const TileDecoding& decoding);
    void take_cut_chunk(const Container& container, const TileDecoding& decoding);
    void begin(const Header& header, const TileDecoding& decoding, std::vector<StreamStart> streams, bool is_cut);
    void check();

    const int number_;
    const PixelBox box_;
    const int last_;
    int limit_ = INT_MAX;
    int taken_ = 0, target_ = 0;      // segments; target: to be decoded
    bool is_done_ = false;
    std::vector<uint8_t> covered_;    // bytes that the check of a plain stream covers
    std::optional<TimedPass> pass_;
    size_t costs_taken_ = 0;
    std::vector<uint8_t> pixels_;
    TileResult result_;
};

}  // namespace ddpm
