// What rebuilds a JPEG file from its coefficients, bit for bit, as bytes. docs/format.md has the layout.
#pragma once
#include "bytes.h"
#include "coefficients.h"

namespace ddpm {

inline constexpr uint64_t MAX_JPEG_BYTES = 1u << 30;  // of a file

struct ParsedJpeg {
    Coefficients image;
    std::vector<uint8_t> frame, recipe;  // the recipe without deflate
};

// Rebuilds the file and compares before it returns. Throws Error as `parse_file` does, and FORMAT for a file that it cannot rebuild.
ParsedJpeg parse_jpeg(Bytes file);

// Throws Error: FORMAT, TRUNCATED or CORRUPT for a recipe that is damaged, CHECKSUM if the file is not the one that was parsed.
std::vector<uint8_t> rebuild_jpeg(const Coefficients& image, Bytes recipe);

// A baseline file of coefficients that may be incomplete, or a part. Values beyond those that a file can have are clipped. recipe: of the
// whole image, if it is there, whose ICC profile, EXIF and XMP are kept. Throws Error as `rebuild_jpeg` does for a damaged recipe.
std::vector<uint8_t> write_preview_jpeg(const Coefficients& image, Bytes recipe = {});

}  // namespace ddpm
