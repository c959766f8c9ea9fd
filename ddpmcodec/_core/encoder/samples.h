// Samples of 9 to 16 bits, taken apart: as few bits as they can be coded in, of which the high eight are an image.
#pragma once
#include <vector>

#include "image.h"

namespace ddpm {

struct SampleCoding {
    int bits = SAMPLE_BITS;  // of a coded value
    Scaling scaling = Scaling::NONE;

    int low_bits() const { return bits - SAMPLE_BITS; }
    // The value that is coded of a sample, which `Header::sample_of` makes of it again.
    int value_of(uint16_t sample, int source_bits) const { return sample >> (scaling == Scaling::NONE ? 0 : source_bits - bits); }
};

// The coding with the fewest bits. source_bits: of a sample, 9 to 16.
SampleCoding sample_coding(const std::vector<uint16_t>& samples, int source_bits);

// Sets colour and alpha to the high bits of the samples.
void set_high_bits(Picture& picture, const SampleCoding& coding, int source_bits);

}  // namespace ddpm
