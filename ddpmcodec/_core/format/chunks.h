// rANS streams as bytes: a state, then words; and the four streams of a tile, its lanes, in chunks. docs/format.md has the layout.
#pragma once
#include <vector>

#include "header.h"
#include "streams.h"

namespace ddpm {

// A stream as far as its bytes are there.
struct StreamStart {
    uint64_t state = 0;
    std::vector<uint32_t> words;
};

// A stream of a state of so many bytes; a word that is cut is left out. Throws Error: TRUNCATED where the data end inside the state,
// CORRUPT where no encoder writes that state.
StreamStart parse_stream(Bytes data, int state_bytes);

// What a chunk holds of the lanes. states: 0 unless it is the first of a tile.
struct LaneWords {
    StreamStart lanes[LANES];
};

// data: the chunk, or its beginning. length: bytes of the whole chunk. parts: of its segment.
// Throws Error: TRUNCATED where a chunk that is cut ends before its words, CORRUPT where it contradicts itself.
LaneWords parse_chunk(Bytes data, uint64_t length, bool is_first, int parts);

// --- the same as bytes

int state_bytes(uint64_t state);  // the fewest that hold it

std::vector<uint8_t> pack_stream(const Stream& stream);

// The chunk of a segment, whose words are those of so many parts of all lanes. The first chunk of a tile also has the states.
std::vector<uint8_t> pack_chunk(const std::vector<Stream>& lanes, size_t first_part, size_t parts);

}  // namespace ddpm
