#include "access.h"

#include "handles.h"

namespace ddpm {

Mode mode_shown(const ddpm_decoder& decoder) {
    require(decoder.decoder && decoder.decoder->header(), "the header was not read yet");
    const Mode mode = decoder.decoder->header()->mode;
    const bool is_whole = decoder.plan.scale == 1 && decoder.decoder->verdict().colours_exact;
    return mode == Mode::BILEVEL && !is_whole ? Mode::L : mode;
}

PixelBox box_of_pixels(const ddpm_decoder& decoder) {
    require(decoder.event == DDPM_NEED_PIXELS, "no pixels are needed now");
    return decoder.file->box_inside();
}

std::optional<PixelBox> delegate_tile(ddpm_decoder& decoder) { return decoder.file ? decoder.file->delegate_tile() : std::nullopt; }

void set_delegated(ddpm_decoder& decoder, const PixelBox& box, Bytes pixels) {
    require(decoder.file && decoder.file->header(), "the decoder has no file");
    const Mode mode = decoder.file->header()->mode;
    const size_t channels = channels_with_alpha(mode), colours = size_t(channels_of(mode));
    std::vector<uint8_t> colour;
    colour.reserve(pixels.size() / channels * colours);
    for (size_t at = 0; at + channels <= pixels.size(); at += channels)
        colour.insert(colour.end(), pixels.begin() + std::ptrdiff_t(at), pixels.begin() + std::ptrdiff_t(at + colours));
    decoder.file->set_delegated(box, std::move(colour));
}

bool is_waiting(const ddpm_decoder& decoder) { return decoder.file && decoder.file->is_waiting(); }

}  // namespace ddpm
