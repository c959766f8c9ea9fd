// How the decoder goes through the coefficients of a JPEG file: segments that are whole give a JPEG file of what is known, whose pixels the
// caller decodes.
#include "decoder.h"

namespace ddpm {

void Decoder::set_jpeg_networks(CoefficientNetworks networks) {
    if (!container_ || !container_->header().has_coefficients()) throw Error(Fault::ARGUMENT, "networks of a JPEG are set once the header of such a file was read");
    jpeg_networks_ = std::move(networks);
}

Event Decoder::advance_jpeg(double seconds, int threads) {
    if (std::exchange(has_asked_, false)) {
        if (!is_last_round_) return Event::PREVIEW;
        judge_jpeg();
        is_done_ = true;
        return Event::DONE;
    }
    if (!jpeg_ && container_->is_final() && !is_preview() && plan_.scale == 1) container_->require_length();
    if (!jpeg_ && !read_jpeg_frame()) return Event::NEED_BYTES;
    if (!jpeg_) return Event::DONE;
    if (!in_round_ && container_->is_final() && !accepts_damage()) require_wanted();
    if (!jpeg_networks_) return Event::NEED_MODEL;
    if (!in_round_ && !begin_jpeg_round()) return Event::NEED_BYTES;
    if (!jpeg_->advance(deadline_after(seconds), threads)) return Event::MORE;
    end_jpeg_round();
    has_asked_ = true, has_pixels_ = false;  // those of the picture before are none of this one
    return Event::NEED_PIXELS;
}

// Reads the frame, which precedes the payload, then plans the tiles. Returns whether it is there, or never will be: then nothing is shown.
bool Decoder::read_jpeg_frame() {
    const Header& header = container_->header();
    const bool is_there = container_->has(header.section(FRAME).value_or(ByteRange{}));
    if (!is_there && !container_->is_final()) return false;
    try {
        Coefficients frame = read_frame(*container_);
        jpeg_box_ = plan_.box ? mcus_around(region_, frame) : PixelBox{0, 0, header.width, header.height};
        tiles_needed_ = tiles_of(jpeg_box_, header);
        jpeg_ = std::make_unique<JpegTiles>(header, std::move(frame), tiles_needed_);
    } catch (const Error&) {
        if (!accepts_damage()) throw;
        verdict_.is_damaged = is_there;
        is_done_ = true;
    }
    segments_wanted_ = plan_.step ? segments_of_steps(header, *plan_.step) : jpeg_segments_for_scale(header, plan_.scale);
    return true;
}

bool Decoder::begin_jpeg_round() {
    is_last_round_ = container_->is_final();
    int limit = segments_wanted_;
    if (is_last_round_ && plan_.each_segment) {
        limit = std::min(segments_taken_ + 1, limit);
    } else if (!is_last_round_) {
        limit = arrived_segments(MARK_BYTES);  // a mark may be arriving, which is none of a chunk
        if (limit <= segments_taken_) return false;
    }
    is_last_round_ = (is_last_round_ || plan_.scale > 1 || plan_.step) && limit >= segments_wanted_;
    jpeg_->take(*container_, *jpeg_networks_, limit, accepts_damage());
    segments_taken_ = limit;
    in_round_ = true;
    return true;
}

// Makes a file of what is known.
void Decoder::end_jpeg_round() {
    in_round_ = false;
    if (jpeg_->is_damaged() && !accepts_damage()) {
        container_->require_undamaged(tiles_needed_);
        throw Error(Fault::CHECKSUM, DAMAGED);
    }
    has_original_ = is_last_round_ && make_original();
    if (!has_original_) make_picture();
}

// A damaged recipe is left out, if damage is accepted.
void Decoder::make_picture() {
    const ByteRange range = container_->header().section(RECIPE).value_or(ByteRange{});
    const std::vector<uint8_t> recipe = is_last_round_ && container_->has(range) ? container_->bytes(range) : std::vector<uint8_t>();
    try {
        jpeg_file_ = jpeg_->picture(jpeg_box_, recipe);
    } catch (const Error&) {
        if (!accepts_damage()) throw;
        jpeg_file_ = jpeg_->picture(jpeg_box_, {});
    }
}

// Rebuilds the very file, if all of it was decoded.
bool Decoder::make_original() {
    const auto recipe = container_->header().section(RECIPE);
    if (plan_.box || segments_wanted_ < container_->header().segments() || !jpeg_->is_exact() || !container_->has(*recipe)) return false;
    try {
        jpeg_file_ = jpeg_->original(container_->bytes(*recipe));
    } catch (const Error&) {
        if (!accepts_damage()) throw;
        original_damaged_ = true;
    }
    return !original_damaged_;
}

void Decoder::judge_jpeg() {
    verdict_.colours_exact = has_pixels_ && segments_wanted_ == container_->header().segments() && (plan_.box ? jpeg_->is_exact() : has_original_);
    verdict_.is_damaged = jpeg_->is_damaged() || original_damaged_;
    verdict_.is_exact = verdict_.colours_exact && !verdict_.is_damaged && plan_.scale == 1;
    verdict_.steps_done = steps_of_tiles();
    verdict_.bytes_used = bytes_used(verdict_.is_exact);
}

}  // namespace ddpm
