// An image as it is given to an encoder: pixels with what belongs to them, or a JPEG file.
#pragma once
#include <algorithm>
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

inline bool has_metadata(const Image& image) {
    return std::ranges::any_of(image.metadata, [](const std::vector<uint8_t>& value) { return !value.empty(); });
}
inline bool has_kept(const Image& image) { return !image.kept.file.empty(); }

// Throws Error (IMAGE) unless an image may have these sides.
void require_size(int width, int height);
// Throws Error: ARGUMENT unless all parts of an image fit each other, IMAGE unless a file can hold them.
void require_sound(const Image& image);

}  // namespace ddpm
