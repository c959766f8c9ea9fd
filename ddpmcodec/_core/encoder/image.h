// An image as it is given to an encoder: pixels with what belongs to them, or a JPEG file.
#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "image_decoder.h"
#include "recipe.h"

namespace ddpm {

// A JPEG file, and what it was found to hold.
struct JpegFile {
    std::vector<uint8_t> bytes;
    ParsedJpeg parsed;
};

struct Image {
    // The pixels. `samples`, if there are any, have 9 to 16 bits; `colour` and `alpha` are then made of them. Of a JPEG file mode and sizes alone.
    Picture picture;
    int sample_bits = SAMPLE_BITS;      // of `samples`: 9 to 16
    std::optional<int> orientation;     // as EXIF counts them; none: what the image's EXIF states
    Metadata metadata;
    KeptFile kept;                      // a file of which the image is a preview; without format and file: none
    std::shared_ptr<const JpegFile> jpeg;  // a file whose coefficients are coded; null: pixels are
};

// A JPEG file as an image. Throws Error: FORMAT for a file that cannot be rebuilt from its coefficients.
Image image_of_jpeg(std::vector<uint8_t> file);

inline bool has_metadata(const Image& image) {
    return std::ranges::any_of(image.metadata, [](const std::vector<uint8_t>& value) { return !value.empty(); });
}
inline bool has_kept(const Image& image) { return !image.kept.file.empty(); }

// How an image is turned, 1 to 8.
int orientation_of(const Image& image);

// Throws Error (IMAGE) unless an image may have these sides.
void require_size(int width, int height);
// Throws Error: ARGUMENT unless all parts of an image fit each other, IMAGE unless a file can hold them.
void require_sound(const Image& image);

}  // namespace ddpm
