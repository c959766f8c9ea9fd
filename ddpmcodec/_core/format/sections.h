// What no model codes: the alpha plane, and metadata (ICC profile, EXIF, XMP).
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "header.h"

namespace ddpm {

inline constexpr uint8_t OPAQUE = 255;

// An alpha plane, or a part of it, as far as its section holds it: opaque in the rows that are missing.
struct Alpha {
    std::vector<uint8_t> plane;  // [part height, part width]
    bool varies = false;         // the rows of the whole plane that were read have several values
    bool is_whole = false;       // all rows were read, and their checksum matches
};

// part: of the plane (width, height) that is kept. Throws Error: CORRUPT or CHECKSUM where a whole section is damaged, CORRUPT
// where a section that is cut holds bytes that no deflate stream has.
Alpha parse_alpha(Bytes section, bool is_cut, int width, int height, const PixelBox& part);

enum MetadataKind { ICC_PROFILE, EXIF, XMP, METADATA_KINDS };

using Metadata = std::array<std::vector<uint8_t>, METADATA_KINDS>;  // empty where there is none

// Throws Error: CHECKSUM, CORRUPT or FORMAT.
Metadata parse_metadata(Bytes section);

}  // namespace ddpm
