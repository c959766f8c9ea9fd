// What a decoder does of alpha, which precedes the colours.
#include <utility>

#include "decoder.h"

namespace ddpm {

// Reads the alpha section, which precedes the colours, then plans the tiles. Returns an event while that is not done. Low bits need the plane
// of whole tiles.
std::optional<Event> Decoder::read_alpha(double seconds, int threads) {
    const Header& header = container_->header();
    const PixelBox box = header.low_bits() && plan_.scale == 1 ? covered_by(tiles_needed_, header) : region_;
    if (const auto range = header.section(ALPHA)) {
        const bool is_cut = !container_->has(*range);
        if (is_cut && !container_->is_final()) return Event::NEED_BYTES;
        try {
            if (const std::optional<Event> event = decode_alpha(*range, box, seconds, threads)) return event;
        } catch (const Error& error) {
            if (!container_->is_final() && container_->size() < range->end + MARK_BYTES) return Event::NEED_BYTES;  // a mark may be arriving
            if (!accepts_damage() && !has_bands_for(header, plan_.scale) && !(plan_.step && is_cut)) throw;
            alpha_ = {std::vector<uint8_t>(box.pixels(), OPAQUE)};
            verdict_.alpha_damaged = error.fault != Fault::TRUNCATED;
        }
    }
    set_alpha(box);
    return std::nullopt;
}

// A coded plane is decoded once it cannot end in a mark.
std::optional<Event> Decoder::decode_alpha(ByteRange section, const PixelBox& box, double seconds, int threads) {
    const Header& header = container_->header();
    if (!is_coded_alpha(container_->bytes({section.begin, section.begin + 1}))) {
        alpha_ = parse_alpha(container_->bytes(section), !container_->has(section), header.width, header.height, box);
        return std::nullopt;
    }
    if (!container_->is_final() && container_->size() < section.end + MARK_BYTES) return Event::NEED_BYTES;
    if (!alpha_tiles_) alpha_tiles_ = std::make_unique<AlphaTiles>(source_, *container_, box);
    if (!alpha_model_) return Event::NEED_MODEL;
    if (!alpha_tiles_->advance(*alpha_model_, deadline_after(seconds), threads)) return Event::MORE;
    alpha_ = alpha_tiles_->alpha();
    return std::nullopt;
}

// Where alpha varies, it weighs the colours of a small image, which then cannot be made of coarse bands alone.
void Decoder::set_alpha(const PixelBox& box) {
    from_bands_ = has_bands_for(container_->header(), plan_.scale) && !alpha_.varies;
    alpha_tiles_.reset();
    has_read_alpha_ = true;
    make_tiles();
    if (low_bits_ && !alpha_.plane.empty()) {
        Canvas plane(region_, 1);
        plane.place(box, alpha_.plane);
        low_bits_->set_alpha(std::exchange(alpha_.plane, plane.pixels()));
    }
}

}  // namespace ddpm
