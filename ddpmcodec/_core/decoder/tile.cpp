#include "tile.h"

#include <algorithm>

#include "checksums.h"
#include "learning_rules.h"

namespace ddpm {

namespace {

// Into how many parts a segment of every tile is cut.
int parts_of(const Header& header, int segment) { return segments_of(header.levels, 1, 1)[size_t(segment)].parts; }

}  // namespace

bool have_ended_well(const Pass& pass, uint32_t check, int first_stream, int streams) {
    for (int s = first_stream; s < first_stream + streams; s++) {
        const Reader& reader = pass.reader(s);
        if (reader.state != LEAST_STATE + check || reader.position != reader.words.size()) return false;
    }
    return true;
}

void Tile::take(const Container& container, const TileDecoding& decoding) {
    is_done_ = false;
    result_.is_damaged = false;
    if (last_ == 0) return;
    if (!container.header().is_tiled)
        take_stream(container, decoding);
    else
        take_chunks(container, decoding);
}

// A stream that is cut is decoded from its beginning each time.
void Tile::take_stream(const Container& container, const TileDecoding& decoding) {
    const Header& header = container.header();
    result_.is_cut = !container.has(header.payload());
    target_ = std::min(last_, limit_);
    if (taken_) return;
    taken_ = result_.is_cut ? 0 : header.segments();
    const std::vector<uint8_t> data = container.bytes(header.payload());
    if (data.size() < size_t(header.state_bytes) && result_.is_cut) return;
    if (header.is_plain()) covered_ = container.bytes({0, header.covered});
    std::vector<StreamStart> streams;
    streams.push_back(parse_stream(data, header.state_bytes));
    begin(header, decoding, std::move(streams), result_.is_cut);
}

void Tile::take_chunks(const Container& container, const TileDecoding& decoding) {
    const Header& header = container.header();
    ChunkState next = ChunkState::WHOLE;
    std::vector<StreamStart> streams(LANES);
    const int first = taken_;
    while (taken_ < std::min(last_, limit_)) {
        const int number = container.chunk_of(number_, taken_);
        const Container::ChunkBytes data = container.read_chunk(number);
        if ((next = data.state) != ChunkState::WHOLE) break;
        LaneWords chunk = parse_chunk(data.bytes, data.bytes.size(), taken_ == 0, parts_of(header, taken_));
        for (size_t lane = 0; lane < LANES; lane++) {
            if (taken_ == 0) streams[lane].state = chunk.lanes[lane].state;
            streams[lane].words.insert(streams[lane].words.end(), chunk.lanes[lane].words.begin(), chunk.lanes[lane].words.end());
        }
        taken_++;
    }
    target_ = taken_;
    result_.is_cut = next == ChunkState::CUT;
    result_.is_damaged = next == ChunkState::DAMAGED;
    if (first == 0 && taken_ > 0)
        begin(header, decoding, std::move(streams), false);
    else
        for (int lane = 0; pass_ && lane < LANES; lane++) pass_->pass().extend(lane, streams[size_t(lane)].words.data(), streams[size_t(lane)].words.size());
    if (next == ChunkState::WHOLE || !container.is_final()) return;
    if (result_.is_cut) take_cut_chunk(container, decoding);
    if (pass_) target_ = last_, pass_->pass().set_cut();  // states hold some symbols of the next segment
}

// The beginning of a chunk. No checksum holds for it: where it makes no sense it is left out.
void Tile::take_cut_chunk(const Container& container, const TileDecoding& decoding) {
    const ByteRange range = container.chunk(container.chunk_of(number_, taken_));
    LaneWords chunk;
    try {
        chunk = parse_chunk(container.bytes(range), range.size(), taken_ == 0, parts_of(container.header(), taken_));
    } catch (const Error&) {
        return;
    }
    if (!pass_) return begin(container.header(), decoding, {std::begin(chunk.lanes), std::end(chunk.lanes)}, true);
    for (int lane = 0; lane < LANES; lane++) pass_->pass().extend(lane, chunk.lanes[lane].words.data(), chunk.lanes[lane].words.size());
}

void Tile::begin(const Header& header, const TileDecoding& decoding, std::vector<StreamStart> streams, bool is_cut) {
    const bool learns = box_.pixels() >= LEARNING_PIXELS;
    const Layout layout{1, box_.height(), box_.width(), header.channels(), int(streams.size()), learns, decoding.threads, header.repeats};
    pass_.emplace(decoding.model, header.levels, layout);
    costs_taken_ = 0;
    result_.has_begun = true;
    std::vector<uint64_t> states;
    std::vector<std::vector<uint32_t>> words;
    for (StreamStart& stream : streams) states.push_back(stream.state), words.push_back(std::move(stream.words));
    pass_->pass().decode(states, std::move(words), decoding.for_previews, is_cut);
}

bool Tile::advance(Clock::time_point deadline) {
    if (is_done_) return true;
    if (pass_ && !pass_->advance(target_, deadline)) return false;
    is_done_ = true;
    if (pass_) check();
    return true;
}

void Tile::check() {
    const Pass& pass = pass_->pass();
    const Layout& layout = pass.layout();
    result_.segments_done = pass.segments_done();
    result_.words_used = 0;
    for (int s = 0; s < layout.streams; s++) result_.words_used += pass.reader(s).position;
    if (!pass.is_exact()) return;
    pixels_.resize(size_t(box_.pixels()) * size_t(layout.channels));
    std::vector<uint8_t> known(size_t(box_.pixels()));
    pass.pixels(pixels_.data(), known.data());
    const uint32_t check = crc32(pixels_, crc32(covered_)) % CHECKS;
    result_.is_exact = have_ended_well(pass, check, 0, layout.streams);
    if (result_.is_exact) return;
    result_.is_damaged = !result_.is_cut;  // where words are missing, wrong symbols may reach the last pixel without them
    pixels_ = {};
}

void Tile::set_pixels(std::vector<uint8_t> pixels) {
    pixels_ = std::move(pixels);
    result_ = {.has_begun = true, .is_exact = !pixels_.empty(), .is_damaged = pixels_.empty()};
    is_done_ = true;
}

std::vector<SegmentCost> Tile::take_costs() {
    if (!pass_) return {};
    const std::vector<SegmentCost>& all = pass_->costs();
    std::vector<SegmentCost> fresh(all.begin() + std::ptrdiff_t(costs_taken_), all.end());
    costs_taken_ = all.size();
    return fresh;
}

}  // namespace ddpm
