// An image as it is given to an encoder: pixels with what belongs to them, or a JPEG file.
#pragma once
#include <vector>

#include "image_decoder.h"

namespace ddpm {

struct Image {
    // The pixels. `samples`, if there are any, have 9 to 16 bits; `colour` and `alpha` are then made of them. Empty of a JPEG file, but for mode
    // and sizes, which are set once the file was read.
    Picture picture;
    int sample_bits = SAMPLE_BITS;      // of `samples`: 9 to 16
    int orientation = UPRIGHT;          // as EXIF counts them
    Metadata metadata;
    KeptFile kept;                      // a file of which the image is a preview; without format and file: none
    std::vector<uint8_t> jpeg;          // a JPEG file, whose coefficients are coded
};

}  // namespace ddpm
