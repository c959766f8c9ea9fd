// The header of a file as bytes: what `parse_header` reads.
#pragma once
#include <vector>

#include "header.h"

namespace ddpm {

// Header and index, with their checks. All lengths are known: those of sections, chunks and the payload. `size` and `covered` are not looked at.
// Throws Error (FORMAT) unless `parse_header` reads the bytes as the header is.
std::vector<uint8_t> write_header(const Header& header);

// The beginning up to the sections: of a plain file, what the check of its stream covers. Lengths of sections may lack.
std::vector<uint8_t> header_start(const Header& header);

}  // namespace ddpm
