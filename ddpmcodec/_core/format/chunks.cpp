#include "chunks.h"

#include <algorithm>
#include <bit>

#include "rans.h"

namespace ddpm {

namespace {

constexpr int PLACE_BITS = 31;

uint64_t take_state(ByteReader& reader, int bytes) {
    const uint64_t state = reader.integer(bytes);
    if (state < LEAST_STATE || state > MOST_STATE || state_bytes(state) != bytes)
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

// The lanes in the order in which a part has their words: word i of n has the place floor((2 i + 1) 2^31 / n).
class LaneOrder {
  public:
    explicit LaneOrder(const uint64_t* counts) : counts_(counts) {
        for (int lane = 0; lane < LANES; lane++) places_[lane] = place(lane);
    }

    // The lane of the next word; LANES after the last one.
    int next() {
        const int lane = int(std::min_element(places_, places_ + LANES) - places_);
        if (places_[lane] == UINT64_MAX) return LANES;
        taken_[lane]++;
        places_[lane] = place(lane);
        return lane;
    }

  private:
    uint64_t place(int lane) const { return taken_[lane] < counts_[lane] ? ((2 * taken_[lane] + 1) << PLACE_BITS) / counts_[lane] : UINT64_MAX; }

    const uint64_t* counts_;
    uint64_t taken_[LANES] = {}, places_[LANES];
};

void take_part(ByteReader& reader, const uint64_t* counts, LaneWords& chunk) {
    LaneOrder order(counts);
    for (int lane; reader.left() >= WORD_BYTES && (lane = order.next()) < LANES;) chunk.lanes[lane].words.push_back(take_word(reader));
}

void put_part(ByteWriter& writer, const uint64_t* counts, const std::vector<Stream>& lanes, size_t part) {
    LaneOrder order(counts);
    size_t taken[LANES] = {};
    for (int lane; (lane = order.next()) < LANES;) writer.integer(lanes[size_t(lane)].words[part][taken[lane]++], WORD_BYTES);
}

}  // namespace

int state_bytes(uint64_t state) { return std::max(LEAST_STATE_BYTES, (int(std::bit_width(state)) + 7) / 8); }

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

std::vector<uint8_t> pack_stream(const Stream& stream) {
    ByteWriter writer;
    writer.integer(stream.state, state_bytes(stream.state));
    for (const std::vector<uint32_t>& words : stream.words)
        for (const uint32_t word : words) writer.integer(word, WORD_BYTES);
    return writer.take();
}

std::vector<uint8_t> pack_chunk(const std::vector<Stream>& lanes, size_t first_part, size_t parts) {
    ByteWriter writer;
    std::vector<uint64_t> counts;
    for (size_t part = first_part; part < first_part + parts; part++)
        for (const Stream& lane : lanes) counts.push_back(lane.words[part].size());
    for (size_t k = 0; k + 1 < counts.size(); k++) writer.varint(counts[k]);  // the last one follows from the length
    for (size_t lane = 0; first_part == 0 && lane < lanes.size(); lane++) {
        const int bytes = state_bytes(lanes[lane].state);
        writer.byte(bytes);
        writer.integer(lanes[lane].state, bytes);
    }
    for (size_t part = 0; part < parts; part++) put_part(writer, &counts[LANES * part], lanes, first_part + part);
    return writer.take();
}

}  // namespace ddpm
