// The frame of JPEG coefficients, as bytes: colours, sampling factors and quantisation tables. docs/format.md has the layout.
#pragma once
#include "bytes.h"
#include "coefficients.h"

namespace ddpm {

inline constexpr int MOST_MCU_BLOCKS = 10;  // T.81, B.2.3

std::vector<uint8_t> write_frame(const Coefficients& image);

// Components of a frame, laid out but without values. Throws Error: TRUNCATED or FORMAT.
Coefficients parse_frame(Bytes frame, int width, int height);

// Throws Error (FORMAT) unless the sizes and factors are those that a file can have.
void require_layout(const Coefficients& image);

}  // namespace ddpm
