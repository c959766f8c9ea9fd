// What C++ callers, as web/binding.cpp, may ask of a decoder beyond ddpm.h.
#pragma once
#include <optional>

#include "ddpm.h"
#include "header.h"

namespace ddpm {

// The mode of the picture as it is now: one of two levels is grey while it is reduced or a preview.
Mode mode_shown(const ddpm_decoder& decoder);

// Where the pixels that DDPM_NEED_PIXELS asks for lie in the image.
PixelBox box_of_pixels(const ddpm_decoder& decoder);

// --- tiles that other decoders of the same file decode, as in other workers of a page

// Takes a tile out of those that wait. Returns its box, or nothing while no tile can be spared.
std::optional<PixelBox> delegate_tile(ddpm_decoder& decoder);
// The pixels of that tile, [height, width, channels], with alpha if the image has it. Empty: it is decoded here after all.
void set_delegated(ddpm_decoder& decoder, const PixelBox& box, Bytes pixels);
// Whether nothing can be done before `set_delegated`.
bool is_waiting(const ddpm_decoder& decoder);

}  // namespace ddpm
