// Quantisation tables as bytes: one for those that are known, or those of the standard at a quality.
#pragma once
#include <span>

#include "bytes.h"
#include "coefficients.h"

namespace ddpm {

// Tables K.1 and K.2 at a quality of 1 to 100, as most encoders scale them, in 8 bits.
Steps standard_steps(int quality, bool is_chroma);

// known: components whose steps may be the same.
void write_steps(std::vector<uint8_t>& out, const Steps& steps, std::span<const JpegComponent> known);

// Throws Error: TRUNCATED, or FORMAT for a table that does not exist or has a step of 0.
Steps read_steps(ByteReader& reader, std::span<const JpegComponent> known);

}  // namespace ddpm
