#include "chunks.h"

#include <algorithm>
#include <bit>

#include "rans.h"

namespace ddpm {

namespace {

constexpr int PLACE_BITS = 31;

uint64_t take_state(ByteReader& reader, int bytes) {
    const uint64_t state = reader.integer(bytes);
    const int least = std::max(LEAST_STATE_BYTES, (int(std::bit_width(state)) + 7) / 8);
    if (state < LEAST_STATE || state > MOST_STATE || least != bytes)
        throw Error(Fault::CORRUPT, "a stream begins with a state that no encoder writes: the data is damaged");
    return state;
}

uint64_t take_lane_state(ByteReader& reader) {
    const int bytes = reader.byte();
    if (bytes < LEAST_STATE_BYTES || bytes > MOST_STATE_BYTES)
        throw Error(Fault::CORRUPT, "a lane claims a state of " + std::to_string(bytes) + " bytes (4 to 8 are possible): the data is damaged");
    return take_state(reader, bytes);
}

uint32_t take_word(ByteReader& reader) { return uint32_t(reader.integer(WORD_BYTES)); }

// Deals the words of a part out to the lanes, in the order of their places: word i of n has the place floor((2 i + 1) 2^31 / n).
void take_part(ByteReader& reader, const uint64_t* counts, LaneWords& chunk) {
    uint64_t taken[LANES] = {}, places[LANES];
    auto place = [&](int lane) {
        return taken[lane] < counts[lane] ? ((2 * taken[lane] + 1) << PLACE_BITS) / counts[lane] : UINT64_MAX;
    };
    for (int lane = 0; lane < LANES; lane++) places[lane] = place(lane);
    while (reader.left() >= WORD_BYTES) {
        const int lane = int(std::min_element(places, places + LANES) - places);
        if (places[lane] == UINT64_MAX) return;
        chunk.lanes[lane].words.push_back(take_word(reader));
        taken[lane]++;
        places[lane] = place(lane);
    }
}

}  // namespace

StreamStart parse_stream(Bytes data, int state_bytes) {
    ByteReader reader(data, "the state of a stream");
    StreamStart stream{take_state(reader, state_bytes), {}};
    stream.words.reserve(reader.left() / WORD_BYTES);
    while (reader.left() >= WORD_BYTES) stream.words.push_back(take_word(reader));
    return stream;
}

LaneWords parse_chunk(Bytes data, uint64_t length, bool is_first, int parts) {
    auto misfit = [&] { return Error(Fault::CORRUPT, "the lanes of a chunk of " + std::to_string(length) + " bytes do not fit into it: the data is damaged"); };
    ByteReader reader(data, "a chunk");
    LaneWords chunk;
    std::vector<uint64_t> counts(size_t(LANES * parts));
    uint64_t total = 0;
    try {
        for (size_t k = 0; k + 1 < counts.size(); k++) total += counts[k] = reader.varint();
        for (int lane = 0; is_first && lane < LANES; lane++) chunk.lanes[lane].state = take_lane_state(reader);
    } catch (const Error& error) {
        if (error.fault == Fault::TRUNCATED && data.size() < length) throw;
        throw misfit();
    }
    const uint64_t start = reader.position();
    if (length < start || (length - start) % WORD_BYTES || (length - start) / WORD_BYTES < total) throw misfit();
    counts.back() = (length - start) / WORD_BYTES - total;
    for (int part = 0; part < parts; part++) take_part(reader, &counts[size_t(LANES * part)], chunk);
    return chunk;
}

}  // namespace ddpm
