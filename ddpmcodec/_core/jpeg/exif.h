// The orientation in EXIF, which is all that is read of it.
#pragma once
#include <vector>

#include "bytes.h"

namespace ddpm {

// How an image is to be turned, 1 to 8 as EXIF counts orientations: 1 if the EXIF has none, a wrong one, or cannot be read. exif: a TIFF structure
// of either byte order, with or without "Exif\0\0" before it.
int orientation_of(Bytes exif);

// The EXIF of a JPEG file, put together from its segments before the first scan. Empty if there is none.
std::vector<uint8_t> exif_of_jpeg(Bytes file);

}  // namespace ddpm
