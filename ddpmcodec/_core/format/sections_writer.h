// Sections of a file as bytes: what sections.h and recipe.h parse.
#pragma once
#include <vector>

#include "sections.h"

namespace ddpm {

// Throws Error (IMAGE) for more than a section holds.
void require_metadata(const Metadata& metadata);
std::vector<uint8_t> pack_metadata(const Metadata& metadata);  // nothing if there is nothing to keep
std::vector<uint8_t> pack_alpha(Bytes plane, int height, int width);
// header: of the plane as an image of grey levels. file: this image as a file, whose beginning follows from the header of the image with alpha.
std::vector<uint8_t> pack_coded_alpha(const Header& header, Bytes file);
std::vector<uint8_t> pack_kept(const KeptFile& kept);
std::vector<uint8_t> pack_low_bits(const std::vector<std::vector<uint8_t>>& streams);  // one for each tile

std::vector<uint8_t> pack_frame(Bytes frame);
// The recipe of a JPEG file, deflated if that is shorter.
std::vector<uint8_t> pack_recipe(Bytes recipe);

}  // namespace ddpm
