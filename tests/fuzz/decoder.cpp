// Fuzzes the decoder of files: 8 bytes choose a plan and the pieces, the rest is the file. Checks that pieces change nothing.
#include "decoder.h"
#include "fuzz.h"

using namespace ddpm;

namespace {

constexpr double FOREVER = 1e9;  // seconds

struct Setting {
    Plan plan;
    int threads = 1;
    bool sets_pixels = false;  // of files inside
    size_t piece = 0;          // bytes that are fed at a time; 0: the decoder reads a source
};

Setting setting_of(fuzz::Choices& choices) {
    Setting setting;
    const uint8_t flags = choices.byte(), number = choices.byte(), box[] = {choices.byte(), choices.byte(), choices.byte(), choices.byte()};
    setting.plan.max_pixels = fuzz::MOST_PIXELS;
    setting.plan.is_partial = flags & 1;
    if (flags & 2) setting.plan.step = number % 8;
    if (flags & 4) setting.plan.box = PixelBox{box[0], box[1], box[0] + box[2], box[1] + box[3]};
    setting.plan.each_segment = flags & 8;
    setting.threads = flags & 16 ? 2 : 1;
    setting.sets_pixels = flags & 32;
    setting.plan.scale = flags & 2 ? 1 : REDUCTIONS[number / 8 % std::size(REDUCTIONS)];
    setting.piece = choices.byte();
    choices.byte();
    return setting;
}

void set_networks(Decoder& decoder) {
    const Header& header = *decoder.header();
    if (header.has_coefficients()) return decoder.set_jpeg_networks(fuzz::jpeg_model().networks(header.effort));
    if (decoder.needs_alpha_networks()) return decoder.set_alpha_networks(fuzz::model().networks(header.effort, 0));
    decoder.set_networks(fuzz::model().networks(header.effort, header.levels));
}

void set_pixels(Decoder& decoder) {
    const Header& header = *decoder.header();
    const size_t pixels = size_t(decoder.box_inside().pixels());
    decoder.set_pixels(std::vector<uint8_t>(pixels * size_t(header.channels())));
}

void check_picture(const Picture& picture) {
    const size_t pixels = size_t(picture.width) * size_t(picture.height);
    fuzz::require(picture.colour.size() == pixels * size_t(channels_of(picture.mode)));
    fuzz::require(picture.alpha.size() == (has_alpha(picture.mode) ? pixels : 0));
}

// The picture, if all went well.
std::optional<Picture> decode(const Setting& setting, Bytes data) {
    Decoder decoder(setting.plan);
    const size_t piece = std::max(setting.piece, data.size() / 8 + 1);  // few pieces: each may be decoded
    if (!setting.piece) decoder.open(std::make_shared<MemorySource>(data)), data = {};
    bool has_finished = !setting.piece;
    try {
        while (true) switch (decoder.advance(FOREVER, setting.threads)) {
                case Event::NEED_BYTES:
                    fuzz::require(!has_finished);
                    decoder.feed(data.first(std::min(piece, data.size())));
                    data = data.subspan(std::min(piece, data.size()));
                    if (data.empty()) decoder.finish(), has_finished = true;
                    break;
                case Event::NEED_MODEL: set_networks(decoder); break;
                case Event::NEED_PIXELS:
                    decoder.file_inside();
                    if (setting.sets_pixels) set_pixels(decoder);
                    break;
                case Event::PREVIEW: check_picture(decoder.picture(setting.threads)); [[fallthrough]];
                case Event::MORE: decoder.bytes_shown(); break;
                case Event::DONE: {
                    if (!data.empty()) return std::nullopt;  // bytes follow, which a decoder that has them refuses
                    const Picture picture = decoder.picture(setting.threads);
                    check_picture(picture);
                    fuzz::require(decoder.verdict().is_exact || setting.plan.is_partial || setting.plan.step || setting.plan.scale > 1 ||
                                  decoder.verdict().is_lossy || decoder.header()->kind != Kind::PIXELS);
                    return picture;
                }
            }
    } catch (const Error& error) {
        fuzz::require(error.fault != Fault::ARGUMENT);
        return std::nullopt;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::Choices choices({data, size});
    Setting setting = setting_of(choices);
    const std::optional<Picture> picture = decode(setting, choices.rest());
    const bool is_whole = !setting.plan.is_partial && !setting.plan.step && setting.plan.scale == 1;  // else all depends on what is there
    if (!setting.piece || !is_whole) return 0;
    setting.piece = 0;
    const std::optional<Picture> at_once = decode(setting, choices.rest());
    fuzz::require(picture.has_value() == at_once.has_value());
    fuzz::require(!picture || (picture->colour == at_once->colour && picture->alpha == at_once->alpha));
    return 0;
}
