#include "decoder.h"

#include <algorithm>
#include <climits>

#include "learning_rules.h"

namespace ddpm {

namespace {

constexpr uint64_t FIRST_BYTES = 32;  // A single stream that is shorter gets no preview.

}  // namespace

// --- what goes in

void Decoder::feed(Bytes data) {
    if (source_ && !fed_) throw Error(Fault::ARGUMENT, "a decoder that reads a source takes no other bytes");
    if (is_last_) throw Error(Fault::ARGUMENT, "bytes after the end were announced to be the last");
    if (!fed_) source_ = fed_ = std::make_shared<FedSource>();
    fed_->feed(data);
}

void Decoder::open(std::shared_ptr<const Source> source) {
    if (source_) throw Error(Fault::ARGUMENT, "a decoder reads one file");
    source_ = std::move(source);
    is_last_ = true;
}

void Decoder::set_networks(const std::vector<std::shared_ptr<const Trained>>& networks) {
    if (!container_ || container_->header().has_coefficients()) throw Error(Fault::ARGUMENT, "networks of pixels are set once the header of such a file was read");
    model_ = model_of(networks, container_->header().levels);
}

void Decoder::set_pixels(const std::vector<uint8_t>& colour) {
    const Header& header = planned_header();
    if (!header.has_coefficients()) throw Error(Fault::ARGUMENT, "only pixels of JPEG files are set");
    if (colour.size() != jpeg_box_.pixels() * uint64_t(header.channels())) throw Error(Fault::CORRUPT, "the JPEG inside has another size than the header says");
    clear();
    shown_->place(jpeg_box_, colour);
    has_pixels_ = true;
}

bool Decoder::is_batchable() const {
    if (!container_ || tiles_.tiles().size() != 1 || container_->header().is_tiled || is_preview() || from_bands_ || low_bits_ || in_round_ || is_done_) return false;
    return container_->is_final() && tiles_.tiles()[0]->box().pixels() < LEARNING_PIXELS;
}

void Decoder::set_tile(std::vector<uint8_t> pixels) {
    if (!is_batchable()) throw Error(Fault::ARGUMENT, "the file is not one that is decoded in a batch");
    const size_t size = size_t(tiles_.tiles()[0]->box().pixels()) * size_t(container_->header().channels());
    if (!pixels.empty() && pixels.size() != size)
        throw Error(Fault::ARGUMENT, "the tile has " + std::to_string(size) + " samples, not " + std::to_string(pixels.size()));
    tiles_.tiles()[0]->set_pixels(std::move(pixels));
    is_last_round_ = true;
    shown_->place(*tiles_.tiles()[0], 1);
    judge();
    is_done_ = true;
}

// Previews and reduced images need more of a tile than its pixels.
std::optional<PixelBox> Decoder::delegate_tile() {
    const bool wants_pixels = in_round_ && is_last_round_ && !is_preview() && !from_bands_ && !container_->header().has_coefficients();
    return wants_pixels ? tiles_.delegate() : std::nullopt;
}

void Decoder::set_delegated(const PixelBox& box, std::vector<uint8_t> pixels) {
    const uint64_t size = container_ ? box.pixels() * uint64_t(container_->header().channels()) : 0;
    if (!pixels.empty() && pixels.size() != size)
        throw Error(Fault::ARGUMENT, "the tile has " + std::to_string(size) + " samples, not " + std::to_string(pixels.size()));
    tiles_.set_delegated(box, std::move(pixels), [this](const Tile& tile, int threads) { place(tile, threads); });
}

// --- from event to event

Event Decoder::advance(double seconds, int threads) {
    if (threads < 1) throw Error(Fault::ARGUMENT, "threads must be 1 or more, not " + std::to_string(threads));
    if (has_failed_) throw Error(Fault::ARGUMENT, "a decoder that has failed does not go on");
    has_failed_ = true;
    const Event event = next_event(seconds, threads);
    has_failed_ = false;
    return event;
}

Event Decoder::next_event(double seconds, int threads) {
    if (is_done_) return Event::DONE;
    if (!source_ || !read_header()) return Event::NEED_BYTES;
    if (!is_planned_) make_plan();
    if (container_->following() && !plan_.is_partial)
        throw Error(Fault::FORMAT, std::to_string(container_->following()) + (container_->following() == 1 ? " byte follows" : " bytes follow") +
                                       " the end of the image: keep what precedes it, `head -c " + std::to_string(container_->size()) + "`, or decode with partial=True");
    if (container_->header().has_coefficients()) return advance_jpeg(seconds, threads);
    if (!has_read_alpha_ && container_->is_final() && !is_preview() && plan_.scale == 1) container_->require_length();
    if (!has_read_alpha_)
        if (const std::optional<Event> event = read_alpha(seconds, threads)) return *event;
    if (!in_round_ && container_->is_final() && !accepts_damage()) require_wanted();
    if (!model_) return Event::NEED_MODEL;
    if (!in_round_ && !begin_round()) return Event::NEED_BYTES;
    if (!advance_tiles(seconds, threads)) return Event::MORE;
    const bool is_better = end_round();
    if (is_last_round_) {
        judge();
        is_done_ = true;
        return Event::DONE;
    }
    return is_better ? Event::PREVIEW : Event::NEED_BYTES;
}

bool Decoder::read_header() {
    if (!container_) try {
            container_ = std::make_unique<Container>(*source_);
        } catch (const Error& error) {
            if (error.fault != Fault::TRUNCATED || is_last_) throw;
            return false;
        }
    container_->update(is_last_);
    return true;
}

void Decoder::make_plan() {
    const Header& header = container_->header();
    region_ = region_of(plan_, header);
    tiles_needed_ = tiles_of(region_, header);
    const PixelBox covered = covered_by(tiles_needed_, header);
    require_pixels(plan_, covered.width(), covered.height());
    verdict_.steps = header.steps();
    next_size_ = std::min(header.payload().begin + FIRST_BYTES, header.end());
    is_planned_ = true;
}

void Decoder::make_tiles() {
    const Header& header = container_->header();
    const int scale = plan_.scale;
    clear();
    if (header.low_bits() && scale == 1) low_bits_ = std::make_unique<LowBitsTiles>(*container_, region_, tiles_needed_);
    for (const int number : tiles_needed_) {
        const PixelBox box = header.tile(number);
        const int last = from_bands_     ? segments_for_scale(header, box.height(), box.width(), scale)
                         : plan_.step ? segments_of_steps(header, *plan_.step)
                                      : header.segments();
        segments_wanted_ = std::max(segments_wanted_, last);
        tiles_.add(number, box, last);
    }
}

void Decoder::read_low_bits() {
    try {
        low_bits_->read();
    } catch (const Error&) {
        if (!accepts_damage()) throw;
        verdict_.low_bits_damaged = true;
    }
}

void Decoder::place(const Tile& tile, int threads) {
    shown_->place(tile, threads);
    if (wants_low_bits() && is_last_round_) low_bits_->place(tile);
}

void Decoder::clear() { shown_ = std::make_unique<PictureBuffer>(container_->header().mode, region_, plan_.scale, from_bands_); }

void Decoder::read_metadata() {
    const auto range = container_->header().section(METADATA);
    if (has_read_metadata_ || !range || !container_->has(*range)) return;
    has_read_metadata_ = true;
    try {
        metadata_ = parse_metadata(container_->bytes(*range));
    } catch (const Error&) {
        if (!accepts_damage() && !from_bands_) throw;
        verdict_.metadata_damaged = true;
    }
}

void Decoder::read_kept() {
    const auto range = container_->header().section(KEPT);
    if (has_read_kept_ || !range || !container_->has(*range)) return;
    has_read_kept_ = true;
    try {
        kept_ = parse_kept(container_->bytes(*range), true);
    } catch (const Error&) {
        if (!accepts_damage()) throw;
        verdict_.kept_damaged = true;
    }
}

// Throws Error where less is there than is wanted, before any network runs. Small images from bands are judged by tile.
void Decoder::require_wanted() {
    if (from_bands_) return;
    const bool wants_all = segments_wanted_ == container_->header().segments();
    if (wants_all || container_->size() < container_->end_of_segment(segments_wanted_)) container_->require_whole(tiles_needed_);
    read_metadata();
    if (wants_all) read_kept();
}

// --- rounds: what has arrived is decoded in all tiles; the last round decodes tile after tile, as all is there

int Decoder::arrived_segments(uint64_t behind) const {
    int segments = segments_taken_;
    while (segments < segments_wanted_ && container_->end_of_segment(segments + 1) + behind <= container_->size()) segments++;
    return segments;
}

bool Decoder::begin_round() {
    is_last_round_ = container_->is_final();
    int limit = INT_MAX;  // segments of every tile that this round decodes
    if (is_last_round_ && plan_.each_segment) {
        limit = segments_taken_ + 1;
        is_last_round_ = limit >= segments_wanted_;
    } else if (!is_last_round_ && container_->header().is_tiled) {
        limit = arrived_segments();
        if (limit <= segments_taken_) return false;
        is_last_round_ = limit >= segments_wanted_ && (from_bands_ || plan_.step);
    } else if (!is_last_round_) {
        if (container_->size() < next_size_) return false;
        next_size_ = 2 * container_->size();
    }
    if (is_last_round_ && wants_low_bits()) read_low_bits();
    tiles_.begin_round(limit, is_last_round_);
    in_round_ = true;
    return true;
}

bool Decoder::advance_tiles(double seconds, int threads) {
    const bool for_previews = is_preview() || from_bands_ || plan_.each_segment || !container_->is_final();
    const auto place_tile = [this](const Tile& tile, int threads_of_tile) { place(tile, threads_of_tile); };
    return tiles_.advance({*container_, *model_, is_last_round_, for_previews, accepts_damage(), place_tile}, deadline_after(seconds), threads);
}

// Returns whether more is known than before.
bool Decoder::end_round() {
    in_round_ = false;
    if (is_last_round_) return true;
    if (plan_.each_segment && container_->is_final()) return segments_taken_++, true;
    if (!container_->header().is_tiled) return true;
    const int taken = tiles_.segments_taken(segments_wanted_);
    // A chunk may seem to be damaged while a mark arrives that ends the file before the chunk does.
    if (taken < arrived_segments() && container_->size() >= container_->end_of_segment(taken + 1) + MARK_BYTES) throw Error(Fault::CHECKSUM, DAMAGED);
    const bool is_better = taken > segments_taken_;
    segments_taken_ = taken;
    return is_better;
}

// --- what comes out

const Header& Decoder::planned_header() const {
    if (!is_planned_) throw Error(Fault::ARGUMENT, "nothing is known of a file before `advance` has read its header and accepted it");
    return container_->header();
}

Picture Decoder::picture(int threads) {
    const Header& header = planned_header();
    if (!is_done_ && !in_round_ && has_read_alpha_) {
        clear();
        for (const std::unique_ptr<Tile>& tile : tiles_.tiles()) shown_->place(*tile, threads);
    }
    if (!shown_) clear();
    Picture picture = shown_->picture(alpha_.plane);
    if (low_bits_) low_bits_->complete(picture);
    else if (header.source_bits > SAMPLE_BITS && plan_.scale == 1) make_samples(picture, header, {});
    return picture;
}

// Adds up what became of the tiles. Throws Error where that is less than is wanted.
void Decoder::judge() {
    const Header& header = container_->header();
    if (accepts_damage() || from_bands_) read_metadata();
    if (accepts_damage() && !from_bands_ && !plan_.step) read_kept();
    const bool nothing_wanted = segments_wanted_ == 0;
    bool is_exact = true, is_complete = true, is_damaged = false;
    for (const std::unique_ptr<Tile>& tile : tiles_.tiles()) {
        const TileResult& result = tile->result();
        const int wanted = from_bands_ ? segments_for_scale(header, tile->box().height(), tile->box().width(), plan_.scale) : segments_wanted_;
        const bool is_unfinished = from_bands_ || nothing_wanted ? false : plan_.step ? !result.has_begun : !result.is_exact;
        is_exact = is_exact && result.is_exact;
        is_complete = is_complete && (result.is_exact || result.segments_done >= wanted);
        is_damaged = is_damaged || result.is_damaged || (is_unfinished && !result.is_cut);
    }
    if (wants_low_bits() && low_bits_->are_damaged()) verdict_.low_bits_damaged = true;
    if (wants_low_bits() && !low_bits_->are_whole()) is_exact = is_complete = false;
    verdict_.steps_done = from_bands_ ? (is_complete ? step_for(header.levels, plan_.scale) : 0) : steps_of_tiles();
    verdict_.colours_exact = is_exact && !is_damaged;
    verdict_.is_damaged = is_damaged || verdict_.low_bits_damaged || verdict_.alpha_damaged || verdict_.metadata_damaged || verdict_.kept_damaged;
    verdict_.is_exact = is_exact && !verdict_.is_damaged && plan_.scale == 1 && (plan_.box || !container_->missing());
    verdict_.bytes_used = bytes_used(is_exact);
    if (!plan_.is_partial && container_->is_lossy() && verdict_.is_damaged) throw Error(Fault::CHECKSUM, DAMAGED);
    if (accepts_damage() || (is_complete && !is_damaged && !verdict_.low_bits_damaged)) return;
    if (from_bands_ && !is_damaged) throw Error(Fault::TRUNCATED, "the file ends before the small image does");
    if (!from_bands_) container_->require_whole(tiles_needed_);
    throw Error(Fault::CHECKSUM, DAMAGED);
}

uint64_t Decoder::bytes_shown() const {
    const Header& header = planned_header();
    return header.is_tiled ? container_->end_of_segment(std::min(segments_taken_ + is_done_, segments_wanted_)) : bytes_used(verdict_.colours_exact);
}

// Bytes of the file up to the last one that was needed; of a part of the image those of its tiles.
uint64_t Decoder::bytes_used(bool is_exact) const {
    const Header& header = container_->header();
    if (!header.is_tiled) {
        const uint64_t begin = header.payload().begin, words = tiles_.words_used(), state = words || verdict_.steps_done ? uint64_t(header.state_bytes) : 0;
        return is_exact ? container_->size() : std::min(container_->size(), begin + state + WORD_BYTES * words);
    }
    const bool wants_all = segments_wanted_ == header.segments() && !plan_.step;
    if (!plan_.box && !from_bands_) return wants_all ? container_->size() : std::min(container_->size(), container_->end_of_segment(segments_wanted_));
    uint64_t chunks = 0;
    for (const int tile : tiles_needed_)
        for (int segment = 0; segment < segments_wanted_; segment++) {
            const ByteRange range = container_->chunk(container_->chunk_of(tile, segment));
            chunks += std::clamp(container_->size(), range.begin, range.end) - range.begin;
        }
    const uint64_t metadata = container_->size() > header.payload().end ? container_->size() - header.payload().end : 0;
    return std::min(container_->size(), header.payload().begin) + chunks + metadata;
}

Verdict Decoder::verdict() const {
    Verdict verdict = verdict_;
    if (!container_) return verdict;
    verdict.is_lossy = container_->is_lossy();
    verdict.missing = container_->missing();
    verdict.following = container_->following();
    if (!is_done_ && !from_bands_) verdict.steps_done = steps_of_tiles();
    return verdict;
}

int Decoder::steps_of_tiles() const {
    const Header& header = container_->header();
    return jpeg_ ? steps_done(header, jpeg_->segments_done()) : tiles_.steps_done(header);
}

}  // namespace ddpm
