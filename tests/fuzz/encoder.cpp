// Fuzzes the encoder for C: pictures of any fields, strides and metadata, JPEG files, options, and calls in any order. What is encoded must
// decode to what was given, and errors be of the kinds that ddpm.h names. The first bytes are choices, the rest is pixels and metadata, or a file.
#include <cstring>
#include <initializer_list>

#include "ddpm.h"
#include "fuzz.h"

namespace {

using fuzz::Bytes;
using fuzz::Choices;
using Decoder = std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)>;
using Encoder = std::unique_ptr<ddpm_encoder, decltype(&ddpm_encoder_free)>;

constexpr size_t CHOICES = 5;  // of options
constexpr int MOST_SLICES = 200;  // of the time of an encoder, which is then freed in the middle of its work

ddpm_model* loaded(const std::string& file) {
    ddpm_model* model = nullptr;
    fuzz::require(ddpm_model_load(&model, file.data(), file.size(), nullptr, 0) == DDPM_OK);
    return model;
}

const ddpm_model* pixel_model() {
    static ddpm_model* const model = loaded(fuzz::model_bytes());
    return model;
}

const ddpm_model* jpeg_model() {
    static ddpm_model* const model = loaded(fuzz::read(FUZZ_JPEG_MODEL));
    return model;
}

void require_kind(const Encoder& encoder, ddpm_error error, std::initializer_list<ddpm_error> kinds) {
    ddpm_error kind = DDPM_OK;
    const char* text = ddpm_encoder_error(encoder.get(), &kind);
    if (error) fuzz::require(kind == error && *text && std::ranges::count(kinds, error));
}

// A picture, and how its samples are found without the library.
struct Given {
    ddpm_picture picture{};
    std::vector<uint8_t> data;  // exactly as many bytes as may be read
    uint32_t channels = 1;

    uint32_t sample(uint64_t y, uint64_t x, uint32_t channel) const {
        const uint64_t bytes = picture.bits > 8 ? 2 : 1, together = picture.planes[1] ? 1 : channels;
        const uint64_t pixel = picture.pixel_stride ? picture.pixel_stride : together * bytes, row = picture.row_stride ? picture.row_stride : picture.width * pixel;
        const void* plane = picture.planes[1] ? picture.planes[channel] : static_cast<const uint8_t*>(picture.planes[0]) + channel * bytes;
        const uint8_t* at = static_cast<const uint8_t*>(plane) + y * row + x * pixel;
        uint16_t wide = 0;
        if (bytes == 2) std::memcpy(&wide, at, 2);
        return bytes == 2 ? wide : *at;
    }
};

void set_metadata(const void*& data, uint64_t& size, Bytes& rest, uint8_t choice) {
    if (choice == 255) return void(size = 1);  // of NULL
    const Bytes part = rest.first(std::min<size_t>(choice, rest.size()));
    data = part.empty() ? nullptr : part.data(), size = part.size();
    rest = rest.subspan(part.size());
}

Given given_picture(Choices& choices) {
    Given given;
    ddpm_picture& picture = given.picture;
    const uint8_t hostile = choices.byte();
    picture.struct_size = hostile == 255 ? 3 : uint32_t(sizeof picture);
    picture.width = choices.word(), picture.height = choices.word();
    if (hostile & 1) picture.width *= 257, picture.height *= 257;
    picture.mode = choices.byte(), picture.bits = choices.byte(), picture.orientation = choices.byte();
    picture.row_stride = choices.word(), picture.pixel_stride = choices.byte();
    if (hostile & 2) picture.row_stride <<= 40, picture.pixel_stride <<= 56;
    const uint8_t planes = choices.byte(), icc = choices.byte(), exif = choices.byte(), xmp = choices.byte();
    Bytes rest = choices.rest();
    set_metadata(picture.icc, picture.icc_size, rest, icc);
    set_metadata(picture.exif, picture.exif_size, rest, exif);
    set_metadata(picture.xmp, picture.xmp_size, rest, xmp);
    given.channels = picture.mode == DDPM_RGB ? 3 : picture.mode == DDPM_RGBA ? 4 : picture.mode == DDPM_GREY_ALPHA ? 2 : 1;
    given.data.assign(rest.begin(), rest.end());
    if (picture.mode == DDPM_BILEVEL && planes & 64)
        for (uint8_t& value : given.data) value = value & 1 ? 255 : 0;
    const size_t count = planes % 5, part = given.data.size() / std::max<size_t>(count, 1);
    for (size_t k = 0; k < count; k++) picture.planes[k] = given.data.data() + k * part;
    picture.size = part - std::min<size_t>(part, planes >> 5);
    return given;
}

void set_options(const Encoder& encoder, Choices& choices) {
    const uint8_t effort = choices.byte(), levels = choices.byte(), tile = choices.byte(), more = choices.byte();
    ddpm_encode_options options{};
    options.struct_size = more == 255 ? 0 : uint32_t(sizeof options);
    options.has_effort = effort < 250, options.effort = effort % 5;
    options.has_levels = levels & 1, options.levels = levels / 2 % 7;
    options.tile = tile & 1 ? 64 : tile & 2 ? tile : 0;
    options.no_verify = more & 1, options.threads = more & 2 ? 2 : 0;
    require_kind(encoder, ddpm_encoder_set_options(encoder.get(), &options), {DDPM_ERROR_ARGUMENT});
}

// Whether the file is done. The calls in between come too early or too late.
bool encode(const Encoder& encoder, uint8_t choice) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    for (int slice = 0; slice < MOST_SLICES; slice++) {
        if (choice & 8) require_kind(encoder, ddpm_encoder_file(encoder.get(), &data, &size), {DDPM_ERROR_ARGUMENT});
        if (choice & 16) require_kind(encoder, ddpm_encoder_set_file(encoder.get(), &choice, 1), {DDPM_ERROR_ARGUMENT, DDPM_ERROR_FORMAT});
        const ddpm_event event = ddpm_encoder_advance(encoder.get(), choice & 4 ? 0 : DDPM_FOREVER);
        const double progress = ddpm_encoder_progress(encoder.get());
        fuzz::require(progress >= 0 && progress <= 1);
        if (event == DDPM_DONE) return true;
        if (event == DDPM_MORE) continue;
        ddpm_error kind = DDPM_OK;
        ddpm_encoder_error(encoder.get(), &kind);
        if (event == DDPM_NEED_MODEL) {  // an embedded model, which the one of golden files is not
            fuzz::require(ddpm_encoder_model_number(encoder.get()) && ddpm_encoder_set_model(encoder.get(), pixel_model()) == DDPM_ERROR_MODEL);
            return false;
        }
        fuzz::require(event == DDPM_ERROR && (kind == DDPM_ERROR_ARGUMENT || kind == DDPM_ERROR_MODEL));
        return false;
    }
    return false;
}

// A decoder that has decoded the file.
Decoder decoded(const Encoder& encoder) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    fuzz::require(ddpm_encoder_file(encoder.get(), &data, &size) == DDPM_OK);
    Decoder decoder(ddpm_decoder_new(), &ddpm_decoder_free);
    fuzz::require(ddpm_decoder_feed(decoder.get(), data, size) == DDPM_OK && ddpm_decoder_finish(decoder.get()) == DDPM_OK);
    while (true) {
        const ddpm_event event = ddpm_decoder_advance(decoder.get(), DDPM_FOREVER);
        if (event == DDPM_DONE) return decoder;
        ddpm_info info{};
        info.struct_size = sizeof info;
        fuzz::require(ddpm_decoder_info(decoder.get(), &info) == DDPM_OK);
        const ddpm_model* model = info.kind == DDPM_KIND_COEFFICIENTS ? jpeg_model() : pixel_model();
        fuzz::require(event == DDPM_NEED_PIXELS || (event == DDPM_NEED_MODEL && ddpm_decoder_set_model(decoder.get(), model) == DDPM_OK));
    }
}

void require_section(const Decoder& decoder, ddpm_section section, const void* expected, uint64_t expected_size) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    fuzz::require(ddpm_decoder_section(decoder.get(), section, &data, &size) == DDPM_OK);
    fuzz::require(size == expected_size && std::equal(data, data + size, static_cast<const uint8_t*>(expected)));
}

void compare(const Decoder& decoder, const Given& given) {
    const ddpm_picture& picture = given.picture;
    ddpm_info info{};
    ddpm_verdict verdict{};
    info.struct_size = sizeof info, verdict.struct_size = sizeof verdict;
    fuzz::require(ddpm_decoder_info(decoder.get(), &info) == DDPM_OK && ddpm_decoder_verdict(decoder.get(), &verdict) == DDPM_OK);
    fuzz::require(verdict.is_exact && info.width == picture.width && info.height == picture.height && info.mode == picture.mode);
    fuzz::require(info.sample_bits == (picture.bits ? picture.bits : 8) && info.channels == given.channels);
    fuzz::require(picture.orientation ? info.orientation == picture.orientation : info.orientation >= 1 && info.orientation <= 8);
    std::vector<uint16_t> samples(size_t(info.width) * info.height * info.channels);
    fuzz::require(ddpm_decoder_samples(decoder.get(), samples.data(), samples.size(), 0) == DDPM_OK);
    size_t at = 0;
    for (uint32_t y = 0; y < info.height; y++)
        for (uint32_t x = 0; x < info.width; x++)
            for (uint32_t channel = 0; channel < info.channels; channel++) fuzz::require(samples[at++] == given.sample(y, x, channel));
    require_section(decoder, DDPM_SECTION_ICC, picture.icc, picture.icc_size);
    require_section(decoder, DDPM_SECTION_EXIF, picture.exif, picture.exif_size);
    require_section(decoder, DDPM_SECTION_XMP, picture.xmp, picture.xmp_size);
}

void encode_picture(const Encoder& encoder, Choices& choices, uint8_t choice) {
    const Given given = given_picture(choices);
    const ddpm_error error = ddpm_encoder_set_picture(encoder.get(), &given.picture);
    require_kind(encoder, error, {DDPM_ERROR_ARGUMENT, DDPM_ERROR_IMAGE});
    fuzz::require(error || ddpm_encoder_set_picture(encoder.get(), &given.picture) == DDPM_ERROR_ARGUMENT);
    if (!error && uint64_t(given.picture.width) * given.picture.height > fuzz::MOST_PIXELS) return;
    if (encode(encoder, choice)) compare(decoded(encoder), given);
}

void encode_file(const Encoder& encoder, Choices& choices, uint8_t choice) {
    const std::vector<uint8_t> file(choices.rest().begin(), choices.rest().end());
    require_kind(encoder, ddpm_encoder_set_file(encoder.get(), file.data(), file.size()),
                 {DDPM_ERROR_FORMAT, DDPM_ERROR_TRUNCATED, DDPM_ERROR_CORRUPT, DDPM_ERROR_IMAGE, DDPM_ERROR_ARGUMENT});
    if (encode(encoder, choice | 4)) require_section(decoded(encoder), DDPM_SECTION_PAYLOAD, file.data(), file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < CHOICES) return 0;
    Choices choices({data, size});
    const uint8_t choice = choices.byte();
    const Encoder encoder(ddpm_encoder_new(), &ddpm_encoder_free);
    set_options(encoder, choices);
    if (!(choice & 2)) {
        fuzz::require(ddpm_encoder_set_model(encoder.get(), pixel_model()) == DDPM_OK);
        fuzz::require(ddpm_encoder_set_model(encoder.get(), jpeg_model()) == DDPM_OK);
    }
    choice & 1 ? encode_file(encoder, choices, choice) : encode_picture(encoder, choices, choice);
    return 0;
}
