#include "frame.h"

#include "header.h"
#include "steps.h"

namespace ddpm {

namespace {

constexpr int SAMPLING_SHIFT = 3;
constexpr int COMPONENTS[JPEG_COLOURS] = {1, 3, 3, 4, 4, 4};
// Factors of the first component, if those of all others are 1 x 1, by their number in a frame. 0: all are listed.
constexpr uint8_t SAMPLINGS[] = {0, 0x11, 0x22, 0x21, 0x12};

uint8_t factors_of(const JpegComponent& component) { return uint8_t(component.horizontal << 4 | component.vertical); }

int sampling_of(const Coefficients& image) {
    for (size_t k = 1; k < image.components.size(); k++)
        if (factors_of(image.components[k]) != 0x11) return 0;
    return int(std::ranges::find(SAMPLINGS, factors_of(image.components[0])) - std::begin(SAMPLINGS)) % int(std::size(SAMPLINGS));
}

Error damaged(const std::string& subject, int value) {
    return {Fault::FORMAT, "the frame of the JPEG is damaged: " + subject + " does not exist, number " + std::to_string(value)};
}

}  // namespace

std::vector<uint8_t> write_frame(const Coefficients& image) {
    const int sampling = sampling_of(image);
    std::vector<uint8_t> out{uint8_t(uint8_t(image.colour) | sampling << SAMPLING_SHIFT)};
    for (size_t k = 0; k < image.components.size(); k++) {
        if (!sampling) out.push_back(factors_of(image.components[k]));
        write_steps(out, image.components[k].steps, {image.components.data(), k});
    }
    return out;
}

Coefficients parse_frame(Bytes frame, int width, int height) {
    ByteReader reader(frame, "the frame of the JPEG");
    const int first = reader.byte(), colour = first & ((1 << SAMPLING_SHIFT) - 1), sampling = first >> SAMPLING_SHIFT;
    if (colour >= JPEG_COLOURS) throw damaged("its colours", colour);
    if (sampling >= int(std::size(SAMPLINGS))) throw damaged("its sampling", sampling);
    Coefficients image{width, height, {}, JpegColour(colour)};
    for (int k = 0; k < COMPONENTS[colour]; k++) {
        const int factors = !sampling ? reader.byte() : k ? 0x11 : SAMPLINGS[sampling];
        const Steps steps = read_steps(reader, image.components);
        image.components.push_back({factors >> 4, factors & 15, 0, 0, steps, {}});
    }
    if (!reader.at_end()) throw damaged("what follows its components", int(reader.left()));
    require_layout(image);
    image.lay_out();
    return image;
}

void require_layout(const Coefficients& image) {
    const auto require = [](bool condition, const std::string& subject, int value) {
        if (!condition) throw Error(Fault::FORMAT, subject + " of the JPEG file must be in the range that is coded, got " + std::to_string(value));
    };
    require(image.width >= 1 && image.width <= int(MAX_JPEG_SIDE), "the width", image.width);
    require(image.height >= 1 && image.height <= int(MAX_JPEG_SIDE) && uint64_t(image.width) * uint64_t(image.height) <= MAX_PIXELS, "the height", image.height);
    int blocks = 0;
    for (const JpegComponent& component : image.components) {
        require(component.horizontal >= 1 && component.horizontal <= 4, "a sampling factor", component.horizontal);
        require(component.vertical >= 1 && component.vertical <= 4, "a sampling factor", component.vertical);
        blocks += component.horizontal * component.vertical;
    }
    require(blocks <= MOST_MCU_BLOCKS || image.components.size() == 1, "the number of blocks in an MCU", blocks);
}

}  // namespace ddpm
