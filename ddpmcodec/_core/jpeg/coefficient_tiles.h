// Cuts the coefficients of a JPEG file into tiles of whole MCUs, and puts them together again.
#pragma once
#include "coefficients.h"
#include "header.h"

namespace ddpm {

// Throws Error (FORMAT) for a box that begins or ends inside of an MCU, but at the edge of the image.
void require_whole_mcus(const Coefficients& image, const PixelBox& box);

// The coefficients of a box of pixels; zeros, if the image has no values yet. Throws Error as `require_whole_mcus` does.
Coefficients cut_tile(const Coefficients& image, const PixelBox& box);

// Writes the values of a tile where `cut_tile` takes them from.
void paste_tile(const Coefficients& tile, const PixelBox& box, Coefficients& image);

}  // namespace ddpm
