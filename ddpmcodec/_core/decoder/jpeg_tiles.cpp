#include "jpeg_tiles.h"

#include "checksums.h"
#include "frame.h"
#include "plan.h"
#include "recipe.h"
#include "threads.h"

namespace ddpm {

// --- one tile

void JpegTile::take(const Container& container, const CoefficientNetworks& networks, int limit) {
    result_.is_damaged = result_.is_cut = false;
    target_ = taken_;
    while (taken_ < limit && !result_.is_exact) {
        const Container::ChunkBytes data = container.read_chunk(container.chunk_of(number_, taken_));
        result_.is_cut = data.state == ChunkState::CUT;
        result_.is_damaged = data.state == ChunkState::DAMAGED;
        if (result_.is_damaged || (result_.is_cut && (!container.is_final() || (!taken_ && data.bytes.size() <= MOST_STATE_BYTES)))) return;
        extend(parse_coefficient_chunk(data.bytes, taken_ == 0), networks, container.header().levels);
        target_ = taken_ + 1;
        if (result_.is_cut) return pass_->set_cut();
        taken_++;
    }
}

void JpegTile::extend(CoefficientChunk chunk, const CoefficientNetworks& networks, int levels) {
    result_.words_used += chunk.words.size();
    if (pass_) return pass_->extend(chunk.words);
    values_ = cut_tile(frame_, box_);
    pass_.emplace(networks, values_, levels);
    pass_->decode(std::move(chunk));
    result_.has_begun = true;
}

bool JpegTile::advance(Clock::time_point deadline) {
    if (!pass_ || result_.is_exact) return true;
    const bool is_done = pass_->advance(target_, deadline);
    result_.segments_done = pass_->segments_done();
    if (!is_done) return false;
    result_.is_exact = pass_->has_ended_well();
    const bool has_failed = result_.segments_done < taken_ || taken_ == pass_->segments();
    result_.is_damaged = result_.is_damaged || (has_failed && !result_.is_exact);
    if (result_.is_exact) pass_.reset();
    return true;
}

// --- all of them

Coefficients read_frame(const Container& container) {
    const Header& header = container.header();
    const ByteRange range = header.section(FRAME).value_or(ByteRange{});
    const std::vector<uint8_t> bytes = container.bytes(range);
    ByteReader reader(bytes, "the frame of the JPEG");
    const uint64_t check = reader.integer(CRC16_BYTES);
    const Bytes frame = reader.take(reader.left());
    if (!holds(crc16(frame), uint16_t(check))) throw Error(Fault::CHECKSUM, "the frame of the JPEG is damaged: get the file again");
    Coefficients image = parse_frame(frame, header.width, header.height);
    if ((image.components.size() == 1) != (header.mode == Mode::L)) throw Error(Fault::FORMAT, "the header and the frame of the JPEG contradict each other: the data is damaged");
    return image;
}

PixelBox mcus_around(const PixelBox& region, const Coefficients& frame) {
    const int width = frame.mcu_width(), height = frame.mcu_height();
    return {std::max(0, region.left / width - 1) * width, std::max(0, region.top / height - 1) * height,
            std::min(((region.right - 1) / width + 2) * width, frame.width), std::min(((region.bottom - 1) / height + 2) * height, frame.height)};
}

int jpeg_segments_for_scale(const Header& header, int scale) {
    if (scale == 1) return header.segments();
    const int side = std::max(1, BLOCK_SIDE / scale);  // frequencies of a small block
    int segments = 1;
    while (segments < JPEG_SEGMENTS && SEGMENT_STARTS[segments] <= ZIGZAG.rank[side - 1][side - 1]) segments++;
    return segments;
}

JpegTiles::JpegTiles(const Header& header, Coefficients frame, const std::vector<int>& numbers) : frame_(std::move(frame)), covered_(covered_by(numbers, header)), segments_(header.segments()) {
    for (const int number : numbers) tiles_.push_back(std::make_unique<JpegTile>(number, header.tile(number), frame_));
}

void JpegTiles::take(const Container& container, const CoefficientNetworks& networks, int limit, bool accepts_damage) {
    for (const std::unique_ptr<JpegTile>& tile : tiles_) {
        try {
            tile->take(container, networks, limit);
        } catch (const Error& error) {
            if (error.fault != Fault::CORRUPT || !accepts_damage) throw;
            tile->set_corrupt();
        }
        queue_.push_back(tile.get());
    }
}

bool JpegTiles::advance(Clock::time_point deadline, int threads) {
    std::atomic<size_t> next{0};
    std::vector<char> is_done(queue_.size(), false);
    run_threads(std::max(1, std::min(threads, int(queue_.size()))), [&](Team&, int) {
        for (size_t k; (k = next++) < queue_.size();) {
            const int before = queue_[k]->result().segments_done;
            const Clock::time_point begin = Clock::now();
            is_done[k] = queue_[k]->advance(deadline);
            add_costs(*queue_[k], before, begin);
            if (Clock::now() >= deadline) return;
        }
    });
    size_t kept = 0;
    for (size_t k = 0; k < queue_.size(); k++)
        if (!is_done[k]) queue_[kept++] = queue_[k];
    queue_.resize(kept);
    return queue_.empty();
}

// Segments count as equal shares of a tile.
void JpegTiles::add_costs(const JpegTile& tile, int before, Clock::time_point begin) {
    const int done = tile.result().segments_done - before;
    if (!done) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const std::lock_guard<std::mutex> lock(costs_lock_);
    costs_.push_back({0, 0, 0, seconds, 1, double(done) / segments_, double(tile.box().pixels())});
}

int JpegTiles::segments_done() const {
    int segments = segments_;
    for (const std::unique_ptr<JpegTile>& tile : tiles_)
        if (!tile->result().is_exact) segments = std::min(segments, tile->result().segments_done);
    return segments;
}

// The coefficients of a box of whole MCUs that the tiles cover.
Coefficients JpegTiles::joined(const PixelBox& box) const {
    const auto inside = [this](const PixelBox& part) { return PixelBox{part.left - covered_.left, part.top - covered_.top, part.right - covered_.left, part.bottom - covered_.top}; };
    Coefficients image = cut_tile(frame_, covered_);
    for (const std::unique_ptr<JpegTile>& tile : tiles_)
        if (tile->result().has_begun) paste_tile(tile->expected(), inside(tile->box()), image);
    return box == covered_ ? image : cut_tile(image, inside(box));
}

std::vector<uint8_t> JpegTiles::picture(const PixelBox& box, Bytes recipe) const { return write_preview_jpeg(joined(box), recipe); }

std::vector<uint8_t> JpegTiles::original(Bytes recipe) const { return rebuild_jpeg(joined(covered_), recipe); }

std::vector<SegmentCost> JpegTiles::take_costs() {
    const std::lock_guard<std::mutex> lock(costs_lock_);
    return std::exchange(costs_, {});
}

}  // namespace ddpm
