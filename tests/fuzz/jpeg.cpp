// Fuzzes the syntax of JPEG files. The first byte chooses what the rest is: a file, a frame, or a recipe for coefficients from a few bytes.
#include "frame.h"
#include "fuzz.h"
#include "recipe.h"

using namespace ddpm;

namespace {

constexpr uint64_t MOST_RECIPE_PIXELS = 64 * 64;

void parse(Bytes data) {
    const ParsedJpeg parsed = parse_jpeg(data);
    Coefficients other = parse_frame(parsed.frame, parsed.image.width, parsed.image.height);
    for (size_t k = 0; k < other.components.size(); k++) other.components[k].values = parsed.image.components[k].values;
    fuzz::require(std::ranges::equal(rebuild_jpeg(other, parsed.recipe), data));
    write_preview_jpeg(other);
}

void rebuild(fuzz::Choices choices) {
    const int width = choices.byte(), height = choices.byte();
    const uint8_t seed = choices.byte();
    const size_t stated = choices.byte(), frame_size = std::min(stated, choices.rest().size());
    Coefficients image = parse_frame(choices.rest().first(frame_size), width, height);
    if (uint64_t(width) * uint64_t(height) > MOST_RECIPE_PIXELS) return;
    image.clear();
    uint32_t state = seed;
    for (JpegComponent& component : image.components)
        for (int16_t& value : component.values)
            if ((state = state * 1664525u + 1013904223u) >> 29 == 0) value = int16_t(int(state >> 8) % (seed % 2 ? 1 << 15 : 9));
    write_preview_jpeg(image);
    rebuild_jpeg(image, choices.rest().subspan(frame_size));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::Choices choices({data, size});
    try {
        choices.byte() % 2 ? parse(choices.rest()) : rebuild(choices);
    } catch (const Error& error) {
        fuzz::require(error.fault == Fault::FORMAT || error.fault == Fault::TRUNCATED || error.fault == Fault::CORRUPT || error.fault == Fault::CHECKSUM);
    }
    return 0;
}
