// What src/core.js calls: functions that answer in JSON, which JavaScript reads by itself. An answer is valid until the next call.
//
// { "error": name of a class of errors.js, "message": text } is the answer of every function that fails. Bytes are { "at", "size" } in
// the memory of this module.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>

#include "access.h"
#include "checksums.h"
#include "guard.h"

using namespace ddpm;

namespace {

constexpr uint64_t MAX_PIXELS_HERE = uint64_t(1) << 26;  // that are decoded by default: a browser has little memory
constexpr double MOST_PIXELS = 1e15;
constexpr size_t MESSAGE_BYTES = 1024;
constexpr const char* ERRORS[] = {"", "DdpmError", "FormatError", "TruncatedError", "ChecksumError", "CorruptError", "ModelError", "ImageError", "DdpmError", "ImageError", "DdpmError"};
constexpr const char* EVENTS[] = {"DONE", "ERROR", "NEED_BYTES", "NEED_MODEL", "NEED_PIXELS", "MORE", "PREVIEW"};

std::string json;                                // the last answer
std::vector<uint8_t> pixels, jpeg;               // of it
char message[MESSAGE_BYTES];

// --- JSON

std::string quoted(std::string_view text) {
    static constexpr char DIGITS[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char byte : text) {
        if (byte == '"' || byte == '\\') out += '\\';
        if (uint8_t(byte) < 0x20)
            out += std::string("\\u00") + DIGITS[byte >> 4] + DIGITS[byte & 15];
        else
            out += byte;
    }
    return out + '"';
}

// A JSON object, member by member.
class Object {
  public:
    Object& add(const char* name, const std::string& value) {
        text_ += (text_.empty() ? "{" : ",") + quoted(name) + ":" + value;
        return *this;
    }
    Object& number(const char* name, uint64_t value) { return add(name, std::to_string(value)); }
    Object& text(const char* name, std::string_view value) { return add(name, quoted(value)); }
    Object& truth(const char* name, uint32_t value) { return add(name, value ? "true" : "false"); }
    Object& bytes(const char* name, Bytes value) { return add(name, Object().number("at", uintptr_t(value.data())).number("size", value.size()).done()); }
    Object& pointer(const char* name, const void* value) { return number(name, uintptr_t(value)); }
    std::string done() const { return text_.empty() ? "{}" : text_ + "}"; }

  private:
    std::string text_;
};

const char* answer(const Object& object) { return (json = object.done()).c_str(); }
const char* failed(ddpm_error kind, const char* text) { return answer(Object().text("error", ERRORS[kind]).text("message", text)); }
const char* failed(const ddpm_decoder* decoder) {
    ddpm_error kind = DDPM_OK;
    const char* text = ddpm_decoder_error(decoder, &kind);
    return failed(kind, text);
}
const char* failed(const ddpm_encoder* encoder) {
    ddpm_error kind = DDPM_OK;
    const char* text = ddpm_encoder_error(encoder, &kind);
    return failed(kind, text);
}

// The answer of work(), or what it throws.
template <class Work> const char* answered(Work work) {
    const ddpm_error kind = attempt([](ddpm_error, const char* text) { copy_text(text, message, sizeof message); }, [&] { answer(work()); });
    return kind ? failed(kind, message) : json.c_str();
}

// The answer of a function of ddpm.h that has no other result.
template <class Handle> const char* answered(const Handle* handle, ddpm_error kind) { return kind ? failed(handle) : answer({}); }

// --- structs of ddpm.h

template <class Struct> Struct sized() {
    Struct out{};
    out.struct_size = sizeof out;
    return out;
}

ddpm_info info_of(const ddpm_decoder* decoder) {
    auto info = sized<ddpm_info>();
    ddpm_decoder_info(decoder, &info);
    return info;
}

ddpm_verdict verdict_of(const ddpm_decoder* decoder) {
    auto verdict = sized<ddpm_verdict>();
    ddpm_decoder_verdict(decoder, &verdict);
    return verdict;
}

std::string id_of(const ddpm_info& info) { return hex({info.model_id, MODEL_ID_BYTES}); }

Bytes section_of(ddpm_decoder* decoder, ddpm_section section) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    if (const ddpm_error kind = ddpm_decoder_section(decoder, section, &data, &size)) throw Error(kind == DDPM_ERROR_CHECKSUM ? Fault::CHECKSUM : Fault::ARGUMENT, ddpm_decoder_error(decoder, nullptr));
    return {data, size};
}

// As index.d.ts has `Info`.
Object info_in(const ddpm_decoder* decoder) {
    const ddpm_info info = info_of(decoder);
    const ddpm_verdict verdict = verdict_of(decoder);
    const std::string model = info.model_number ? std::to_string(info.model_number) : quoted(id_of(info));
    return Object().number("width", info.width).number("height", info.height).text("mode", MODE_NAMES[info.mode]).number("effort", info.effort)
        .number("levels", info.levels).number("steps", info.steps).number("orientation", info.orientation).number("tiles", info.tiles)
        .add("model", model).text("kind", KIND_NAMES[info.kind]).truth("lossy", verdict.is_lossy)
        .number("headerBytes", info.header_length).number("missing", verdict.missing);
}

// The model that a decoder needs: the name of an embedded one, or null, and its id.
Object model_in(const ddpm_decoder* decoder) {
    const ddpm_info info = info_of(decoder);
    const char* name = ddpm_model_name(info.model_number);
    if (info.model_number && !name)
        throw Error(Fault::MODEL, "the file was written with model number " + std::to_string(info.model_number) + ", which is not here: a newer decoder is needed");
    return Object().add("name", name ? quoted(name) : "null").text("id", id_of(info));
}

Object picture_in(ddpm_decoder* decoder) {
    auto layout = sized<ddpm_layout>();
    ddpm_decoder_layout(decoder, &layout);
    pixels.resize(layout.size);
    if (ddpm_decoder_pixels(decoder, pixels.data(), pixels.size(), 0)) throw std::bad_alloc();
    const ddpm_info info = info_of(decoder);
    const ddpm_verdict verdict = verdict_of(decoder);
    return Object().number("width", layout.width).number("height", layout.height).number("channels", layout.channels)
        .text("mode", MODE_NAMES[size_t(mode_shown(*decoder))]).truth("exact", verdict.is_exact).truth("lossy", verdict.is_lossy)
        .truth("damaged", verdict.is_damaged).number("stepsDone", verdict.steps_done).number("steps", verdict.steps)
        .number("orientation", info.orientation).bytes("data", pixels)
        .bytes("icc", section_of(decoder, DDPM_SECTION_ICC)).bytes("exif", section_of(decoder, DDPM_SECTION_EXIF)).bytes("xmp", section_of(decoder, DDPM_SECTION_XMP));
}

std::string image_in(const ddpm_archive* archive, uint32_t number) {
    auto entry = sized<ddpm_entry>();
    ddpm_archive_entry(archive, number, &entry);
    return Object().text("name", ddpm_archive_name(archive, number)).number("width", entry.width).number("height", entry.height)
        .text("mode", MODE_NAMES[entry.mode]).add("bytes", entry.coding == DDPM_CODED_ALONE ? std::to_string(entry.file_length) : "null").done();
}

// Makes the EXIF of a JPEG file one that nobody knows: browsers turn the image by it, whatever they are asked.
void hide_exif(std::vector<uint8_t>& jpeg) {
    for (size_t at = 2; at + 4 < jpeg.size() && jpeg[at] == 0xFF && jpeg[at + 1] != 0xDA; at += 2 + 256 * size_t(jpeg[at + 2]) + jpeg[at + 3])
        if (jpeg[at + 1] == 0xE1) jpeg[at + 4] = 0;  // the first letter of its name
}

// The samples of RGBA that an opaque image of so many channels has.
std::vector<uint8_t> samples_of(Bytes rgba, uint32_t channels) {
    std::vector<uint8_t> samples;
    samples.reserve(rgba.size() / 4 * channels);
    for (size_t at = 0; at < rgba.size(); at += 4) samples.insert(samples.end(), &rgba[at], &rgba[at] + channels);
    return samples;
}

// An option as an unsigned number; one that no option has of what is no whole number, and 0 of what is not defined.
uint32_t whole(double value) { return std::isnan(value) ? 0 : value >= 0 && value == std::floor(value) && value < UINT32_MAX ? uint32_t(value) : UINT32_MAX; }

}  // namespace

extern "C" {

// --- models and archives, which ddpm_model_free and ddpm_archive_free free

DDPM_API const char* web_model(const uint8_t* data, size_t size) {
    ddpm_model* model = nullptr;
    const ddpm_error kind = ddpm_model_load(&model, data, size, message, sizeof message);
    return kind ? failed(kind, message) : answer(Object().pointer("model", model));
}

// { names } of embedded models.
DDPM_API const char* web_models() {
    std::string names;
    for (uint32_t number = 1; const char* name = ddpm_model_name(number); number++) names += (number > 1 ? "," : "") + quoted(name);
    return answer(Object().add("names", "[" + names + "]"));
}

DDPM_API const char* web_archive(const uint8_t* data, size_t size) {
    ddpm_archive* archive = nullptr;
    const ddpm_error kind = ddpm_archive_open(&archive, data, size, message, sizeof message);
    if (kind) return failed(kind, message);
    auto index = sized<ddpm_index>();
    ddpm_archive_index(archive, &index);
    std::string images;
    for (uint32_t number = 0; number < index.images; number++) images += (number ? "," : "") + image_in(archive, number);
    return answer(Object().pointer("archive", archive).add("images", "[" + images + "]"));
}

// --- decoders, which ddpm_decoder_free frees

// Numbers that JavaScript does not define are 0.
DDPM_API const char* web_decoder(uint32_t left, uint32_t top, uint32_t width, uint32_t height, uint32_t scale, uint32_t partial, double max_pixels) {
    ddpm_decoder* decoder = ddpm_decoder_new();
    if (!decoder) return failed(DDPM_ERROR_MEMORY, "there is not enough memory for a decoder");
    auto plan = sized<ddpm_plan>();
    plan.left = left, plan.top = top, plan.width = width, plan.height = height, plan.scale = scale, plan.partial = partial;
    plan.max_pixels = max_pixels > 0 ? uint64_t(std::min(max_pixels, MOST_PIXELS)) : MAX_PIXELS_HERE;
    if (!ddpm_decoder_set_plan(decoder, &plan)) return answer(Object().pointer("decoder", decoder));
    failed(decoder);
    ddpm_decoder_free(decoder);
    return json.c_str();
}

DDPM_API const char* web_feed(ddpm_decoder* decoder, const uint8_t* data, size_t size) { return answered(decoder, ddpm_decoder_feed(decoder, data, size)); }
DDPM_API const char* web_finish(ddpm_decoder* decoder) { return answered(decoder, ddpm_decoder_finish(decoder)); }
DDPM_API const char* web_set_member(ddpm_decoder* decoder, const ddpm_archive* archive, uint32_t image) { return answered(decoder, ddpm_decoder_set_member(decoder, archive, image)); }
DDPM_API const char* web_set_model(ddpm_decoder* decoder, const ddpm_model* model) { return answered(decoder, ddpm_decoder_set_model(decoder, model)); }

// { event }, with NEED_TILES besides those of ddpm.h; and the `model` that is needed.
DDPM_API const char* web_advance(ddpm_decoder* decoder, double seconds) {
    const ddpm_event event = ddpm_decoder_advance(decoder, seconds);
    if (event == DDPM_ERROR) return failed(decoder);
    return answered([&] {
        Object object;
        object.text("event", event == DDPM_MORE && is_waiting(*decoder) ? "NEED_TILES" : EVENTS[event]);
        if (event == DDPM_NEED_MODEL) object.add("model", model_in(decoder).done());
        return object;
    });
}

// { info } of the header, as far as the first limit after it.
DDPM_API const char* web_info(const uint8_t* data, size_t size) {
    const std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)> decoder(ddpm_decoder_new(), &ddpm_decoder_free);
    auto plan = sized<ddpm_plan>();
    plan.partial = 1, plan.max_pixels = 1;
    ddpm_decoder_set_plan(decoder.get(), &plan), ddpm_decoder_feed(decoder.get(), data, size), ddpm_decoder_finish(decoder.get());
    ddpm_error kind = DDPM_OK;
    if (ddpm_decoder_advance(decoder.get(), 0) == DDPM_ERROR && (ddpm_decoder_error(decoder.get(), &kind), kind != DDPM_ERROR_IMAGE)) return failed(decoder.get());
    return answered([&] { return info_in(decoder.get()); });
}

// As index.d.ts has `Picture`.
DDPM_API const char* web_picture(ddpm_decoder* decoder) {
    return answered([&] { return picture_in(decoder); });
}

// --- the JPEG file of all coefficients that are known, whose pixels are needed

DDPM_API const char* web_jpeg(ddpm_decoder* decoder) {
    return answered([&] {
        const PixelBox box = box_of_pixels(*decoder);
        const Bytes payload = section_of(decoder, DDPM_SECTION_PAYLOAD);
        jpeg.assign(payload.begin(), payload.end());
        hide_exif(jpeg);
        return Object().number("width", uint32_t(box.width())).number("height", uint32_t(box.height())).bytes("data", jpeg);
    });
}

DDPM_API const char* web_set_rgba(ddpm_decoder* decoder, const uint8_t* rgba, size_t size) {
    return answered([&] {
        if (size != 4 * box_of_pixels(*decoder).pixels())
            throw Error(Fault::CORRUPT, "the JPEG file inside has another size than the header states: get the file again");
        const std::vector<uint8_t> samples = samples_of({rgba, size}, info_of(decoder).channels);
        if (ddpm_decoder_set_pixels(decoder, samples.data(), samples.size())) throw Error(Fault::ARGUMENT, ddpm_decoder_error(decoder, nullptr));
        return Object();
    });
}

// --- tiles that other workers decode

// { box } of a tile, or {} while none is to be had.
DDPM_API const char* web_delegate(ddpm_decoder* decoder) {
    return answered([&] {
        const auto box = delegate_tile(*decoder);
        if (!box) return Object();
        return Object().add("box", Object().number("left", uint32_t(box->left)).number("top", uint32_t(box->top)).number("width", uint32_t(box->width())).number("height", uint32_t(box->height())).done());
    });
}

// The pixels of such a tile, with alpha if the image has it; size 0: it is to be decoded here.
DDPM_API const char* web_set_delegated(ddpm_decoder* decoder, int left, int top, int width, int height, const uint8_t* data, size_t size) {
    return answered([&] {
        set_delegated(*decoder, {left, top, left + width, top + height}, {data, size});
        return Object();
    });
}

// --- encoders, which ddpm_encoder_free frees

// Numbers that JavaScript does not define have the defaults of ddpm.h.
DDPM_API const char* web_encoder(double effort, double levels, double tile, uint32_t verify) {
    ddpm_encoder* encoder = ddpm_encoder_new();
    if (!encoder) return failed(DDPM_ERROR_MEMORY, "there is not enough memory for an encoder");
    auto options = sized<ddpm_encode_options>();
    options.has_effort = !std::isnan(effort), options.effort = whole(effort);
    options.has_levels = !std::isnan(levels), options.levels = whole(levels);
    options.tile = whole(tile), options.no_verify = !verify;
    if (!ddpm_encoder_set_options(encoder, &options)) return answer(Object().pointer("encoder", encoder));
    failed(encoder);
    ddpm_encoder_free(encoder);
    return json.c_str();
}

DDPM_API const char* web_set_file(ddpm_encoder* encoder, const uint8_t* data, size_t size) { return answered(encoder, ddpm_encoder_set_file(encoder, data, size)); }
DDPM_API const char* web_set_encoders_model(ddpm_encoder* encoder, const ddpm_model* model) { return answered(encoder, ddpm_encoder_set_model(encoder, model)); }

// Samples without gaps. bits: 0 for bytes.
DDPM_API const char* web_set_picture(ddpm_encoder* encoder, uint32_t width, uint32_t height, uint32_t mode, uint32_t bits, uint32_t orientation, const uint8_t* data, size_t size,
                                     const uint8_t* icc, size_t icc_size, const uint8_t* exif, size_t exif_size, const uint8_t* xmp, size_t xmp_size) {
    auto picture = sized<ddpm_picture>();
    picture.width = width, picture.height = height, picture.mode = mode, picture.bits = bits, picture.orientation = orientation;
    picture.planes[0] = data, picture.size = size;
    picture.icc = icc, picture.icc_size = icc_size, picture.exif = exif, picture.exif_size = exif_size, picture.xmp = xmp, picture.xmp_size = xmp_size;
    return answered(encoder, ddpm_encoder_set_picture(encoder, &picture));
}

// { event, progress }, and the `model` that is needed.
DDPM_API const char* web_encode(ddpm_encoder* encoder, double seconds) {
    const ddpm_event event = ddpm_encoder_advance(encoder, seconds);
    if (event == DDPM_ERROR) return failed(encoder);
    Object object;
    object.text("event", EVENTS[event]).add("progress", std::to_string(ddpm_encoder_progress(encoder)));
    if (event == DDPM_NEED_MODEL) object.text("model", ddpm_model_name(ddpm_encoder_model_number(encoder)));
    return answer(object);
}

// { data } of the file.
DDPM_API const char* web_encoded(const ddpm_encoder* encoder) {
    const uint8_t* data = nullptr;
    size_t size = 0;
    return ddpm_encoder_file(encoder, &data, &size) ? failed(encoder) : answer(Object().bytes("data", {data, size}));
}

}
