#include "steps.h"

#include "varints.h"

namespace ddpm {

namespace {

constexpr int LISTED = 0, QUALITIES = 100, FIRST_KNOWN = 2 * QUALITIES + 1;  // codes; 1 to 200 are tables of the standard

constexpr Steps LUMA = {16, 11, 12, 14, 12, 10, 16, 14,  13, 14,  18,  17,  16,  19, 24, 40,  26,  24,  22,  22,  24, 49,  35, 37,  29, 40, 58, 51, 61, 60,  57, 51,
                        56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99};
constexpr int FIRST_EQUAL = 15;  // rank from which on all steps of chroma are 99
constexpr uint16_t CHROMA[FIRST_EQUAL] = {17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99};

}  // namespace

Steps standard_steps(int quality, bool is_chroma) {
    const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    Steps steps;
    for (size_t rank = 0; rank < BLOCK_VALUES; rank++) {
        const int base = !is_chroma ? LUMA[rank] : rank < FIRST_EQUAL ? CHROMA[rank] : 99;
        steps[rank] = uint16_t(std::clamp((base * percent + 50) / 100, 1, 255));
    }
    return steps;
}

void write_steps(std::vector<uint8_t>& out, const Steps& steps, std::span<const JpegComponent> known) {
    for (size_t k = 0; k < known.size(); k++)
        if (known[k].steps == steps) return out.push_back(uint8_t(FIRST_KNOWN + int(k)));
    for (int code = 1; code < FIRST_KNOWN; code++)
        if (standard_steps((code - 1) % QUALITIES + 1, code > QUALITIES) == steps) return out.push_back(uint8_t(code));
    out.push_back(LISTED);
    for (const uint16_t step : steps) write_varint(out, step);
}

Steps read_steps(ByteReader& reader, std::span<const JpegComponent> known) {
    const int code = reader.byte();
    if (code > LISTED && code < FIRST_KNOWN) return standard_steps((code - 1) % QUALITIES + 1, code > QUALITIES);
    if (code >= FIRST_KNOWN && size_t(code - FIRST_KNOWN) < known.size()) return known[size_t(code - FIRST_KNOWN)].steps;
    Steps steps;
    for (uint16_t& step : steps) {
        const uint64_t value = reader.varint();
        if (code != LISTED || !value || value > UINT16_MAX) throw Error(Fault::FORMAT, "a quantisation table of the JPEG is damaged: its code is " + std::to_string(code));
        step = uint16_t(value);
    }
    return steps;
}

}  // namespace ddpm
