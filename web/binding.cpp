// What src/core.js calls besides the functions of ddpm.h: structs as JSON, which JavaScript reads by itself.
#include <algorithm>
#include <string>
#include <string_view>

#include "ddpm.h"

namespace {

constexpr double MOST_PIXELS = 1e15;

std::string json;  // of the last call

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
    std::string done() const { return text_ + "}"; }

  private:
    std::string text_;
};

template <class Struct> Struct sized() {
    Struct out{};
    out.struct_size = sizeof out;
    return out;
}

const char* mode_of(uint32_t mode) {
    static constexpr const char* NAMES[] = {"L", "RGB", "LA", "RGBA", "1"};
    return NAMES[mode];
}

const char* kind_of(uint32_t kind) {
    static constexpr const char* NAMES[] = {"pixels", "webp", "jpeg", "coefficients"};
    return NAMES[kind];
}

// Its number, or its id; null of a file that is stored as it was.
std::string model_of(const ddpm_info& info) {
    static constexpr char DIGITS[] = "0123456789abcdef";
    if (info.kind == DDPM_KIND_WEBP || info.kind == DDPM_KIND_JPEG) return "null";
    if (info.model_number) return std::to_string(info.model_number);
    std::string id;
    for (const uint8_t byte : info.model_id) id += {DIGITS[byte >> 4], DIGITS[byte & 15]};
    return quoted(id);
}

// As index.d.ts has `Info`.
std::string info_of(const ddpm_info& info, const ddpm_verdict& verdict) {
    return Object().number("width", info.width).number("height", info.height).text("mode", mode_of(info.mode)).number("effort", info.effort)
        .number("levels", info.levels).number("steps", info.steps).number("orientation", info.orientation).number("tiles", info.tiles)
        .add("model", model_of(info)).text("kind", kind_of(info.kind)).truth("lossy", verdict.is_lossy)
        .number("headerBytes", info.header_length).number("missing", verdict.missing).done();
}

// As index.d.ts has `Picture`, but for what needs bytes.
std::string picture_of(const ddpm_layout& layout, const ddpm_info& info, const ddpm_verdict& verdict) {
    const bool is_grey = info.mode == DDPM_BILEVEL && !verdict.colours_exact;
    return Object().number("width", layout.width).number("height", layout.height).number("channels", layout.channels)
        .text("mode", mode_of(is_grey ? uint32_t(DDPM_GREY) : info.mode)).truth("exact", verdict.is_exact).truth("lossy", verdict.is_lossy)
        .truth("damaged", verdict.is_damaged).number("stepsDone", verdict.steps_done).number("steps", verdict.steps)
        .number("orientation", info.orientation).done();
}

std::string image_of(const ddpm_archive* archive, uint32_t number) {
    auto entry = sized<ddpm_entry>();
    ddpm_archive_entry(archive, number, &entry);
    return Object().text("name", ddpm_archive_name(archive, number)).number("width", entry.width).number("height", entry.height)
        .text("mode", mode_of(entry.mode)).add("bytes", entry.coding == DDPM_CODED_ALONE ? std::to_string(entry.file_length) : "null").done();
}

}  // namespace

extern "C" {

// Numbers that JavaScript does not define are 0.
DDPM_API ddpm_error web_set_plan(ddpm_decoder* decoder, uint32_t left, uint32_t top, uint32_t width, uint32_t height, uint32_t scale, uint32_t partial, double max_pixels) {
    auto plan = sized<ddpm_plan>();
    plan.left = left, plan.top = top, plan.width = width, plan.height = height, plan.scale = scale, plan.partial = partial;
    plan.max_pixels = max_pixels > 0 ? uint64_t(std::min(max_pixels, MOST_PIXELS)) : 0;
    return ddpm_decoder_set_plan(decoder, &plan);
}

// { info, picture } of a decoder; picture: null while nothing can be shown. "null" before the header was read.
DDPM_API const char* web_facts(const ddpm_decoder* decoder) {
    auto info = sized<ddpm_info>();
    auto verdict = sized<ddpm_verdict>();
    auto layout = sized<ddpm_layout>();
    json = "null";
    if (ddpm_decoder_info(decoder, &info) || ddpm_decoder_verdict(decoder, &verdict)) return json.c_str();
    const bool is_shown = ddpm_decoder_layout(decoder, &layout) == DDPM_OK;
    json = Object().add("info", info_of(info, verdict)).add("picture", is_shown ? picture_of(layout, info, verdict) : "null")
        .number("channels", info.channels).number("modelNumber", info.model_number).done();
    return json.c_str();
}

// The images of an archive, by number.
DDPM_API const char* web_images(const ddpm_archive* archive) {
    auto index = sized<ddpm_index>();
    ddpm_archive_index(archive, &index);
    json = "[";
    for (uint32_t number = 0; number < index.images; number++) json += (number ? "," : "") + image_of(archive, number);
    return (json += "]").c_str();
}

}
