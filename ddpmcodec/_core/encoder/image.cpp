#include "image.h"

#include "exif.h"
#include "sections_writer.h"

namespace ddpm {

namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(Fault::ARGUMENT, message); }

void require_planes(const Picture& picture, int sample_bits) {
    const size_t pixels = size_t(picture.width) * size_t(picture.height), colours = size_t(channels_of(picture.mode)), alpha = has_alpha(picture.mode);
    if (picture.samples.empty()) {
        if (picture.colour.size() != pixels * colours) refuse("the colours have " + std::to_string(picture.colour.size()) + " bytes, not " + std::to_string(pixels * colours));
        if (picture.alpha.size() != pixels * alpha) refuse("the alpha plane has " + std::to_string(picture.alpha.size()) + " bytes, not " + std::to_string(pixels * alpha));
        if (picture.mode == Mode::BILEVEL && std::ranges::any_of(picture.colour, [](uint8_t value) { return value != 0 && value != 255; }))
            refuse("an image of two levels has other values than 0 and 255");
        return;
    }
    if (sample_bits <= SAMPLE_BITS || sample_bits > 16) refuse("samples have 9 to 16 bits, not " + std::to_string(sample_bits));
    if (picture.mode == Mode::BILEVEL) refuse("an image of two levels has no samples of more than 8 bits");
    if (picture.samples.size() != pixels * (colours + alpha)) refuse("there are " + std::to_string(picture.samples.size()) + " samples, not " + std::to_string(pixels * (colours + alpha)));
    if (std::ranges::any_of(picture.samples, [&](uint16_t sample) { return sample >> sample_bits; })) refuse("a sample has more than " + std::to_string(sample_bits) + " bits");
}

}  // namespace

Image image_of_jpeg(std::vector<uint8_t> file) {
    ParsedJpeg parsed = parse_jpeg(file);
    Image image;
    image.picture.width = parsed.image.width, image.picture.height = parsed.image.height;
    image.picture.mode = parsed.image.colour == JpegColour::GREY ? Mode::L : Mode::RGB;
    image.orientation = orientation_of(Bytes(exif_of_jpeg(file)));
    image.jpeg = std::make_shared<const JpegFile>(JpegFile{std::move(file), std::move(parsed)});
    return image;
}

int orientation_of(const Image& image) { return image.orientation.value_or(orientation_of(Bytes(image.metadata[EXIF]))); }

void require_size(int width, int height) {
    if (width < 1 || height < 1 || uint64_t(width) * uint64_t(height) > MAX_PIXELS)
        throw Error(Fault::IMAGE, "an image of " + std::to_string(width) + " x " + std::to_string(height) + " pixels: 1 to " + std::to_string(MAX_PIXELS) + " are possible");
}

void require_sound(const Image& image) {
    if (image.orientation && (*image.orientation < UPRIGHT || *image.orientation > MAX_ORIENTATION)) refuse("orientation must be 1 to 8, not " + std::to_string(*image.orientation));
    if (image.jpeg) {
        if (has_metadata(image) || has_kept(image)) refuse("a JPEG file holds its metadata, and is not a preview of another file");
        return require_size(image.picture.width, image.picture.height);
    }
    require_size(image.picture.width, image.picture.height);
    require_planes(image.picture, image.sample_bits);
    require_metadata(image.metadata);
    if (image.kept.file.size() > MAX_KEPT) throw Error(Fault::IMAGE, "a file of " + std::to_string(image.kept.file.size()) + " bytes is too large to be kept whole");
}

}  // namespace ddpm
