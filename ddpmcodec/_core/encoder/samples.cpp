#include "samples.h"

#include <algorithm>
#include <bit>

namespace ddpm {

namespace {

// Whether the high bits of all samples follow once more.
bool are_repeated(const std::vector<uint16_t>& samples, int source_bits, int bits) {
    const int more = source_bits - bits;
    return std::ranges::all_of(samples, [&](uint16_t sample) { return (sample & ((1 << more) - 1)) == sample >> (source_bits - more); });
}

}  // namespace

SampleCoding sample_coding(const std::vector<uint16_t>& samples, int source_bits) {
    unsigned used = 0;
    for (const uint16_t sample : samples) used |= sample;
    SampleCoding best{std::max(int(std::bit_width(used)), SAMPLE_BITS), Scaling::NONE};
    const int shifted = std::max(source_bits - (used ? std::countr_zero(used) : 0), SAMPLE_BITS);
    if (shifted < best.bits) best = {shifted, Scaling::SHIFTED};
    for (int bits = std::max(SAMPLE_BITS, (source_bits + 1) / 2); bits < std::min(source_bits, best.bits); bits++)
        if (are_repeated(samples, source_bits, bits)) return {bits, Scaling::REPEATED};
    return best;
}

void set_high_bits(Picture& picture, const SampleCoding& coding, int source_bits) {
    const size_t colours = size_t(channels_of(picture.mode)), channels = colours + has_alpha(picture.mode), count = picture.samples.size() / channels;
    picture.colour.resize(count * colours);
    picture.alpha.resize(has_alpha(picture.mode) ? count : 0);
    for (size_t k = 0; k < picture.samples.size(); k++) {
        const uint8_t high = uint8_t(coding.value_of(picture.samples[k], source_bits) >> coding.low_bits());
        const size_t pixel = k / channels, channel = k % channels;
        (channel < colours ? picture.colour[pixel * colours + channel] : picture.alpha[pixel]) = high;
    }
}

}  // namespace ddpm
