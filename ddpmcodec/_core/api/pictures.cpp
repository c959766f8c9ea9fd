#include "pictures.h"

#include <cstring>

#include "structs.h"

namespace ddpm {

namespace {

constexpr uint32_t MOST_BITS = 16;

// Where the samples of a picture lie.
class SampleLayout {
  public:
    // Throws Error (ARGUMENT) unless every sample lies in the buffers.
    SampleLayout(const ddpm_picture& picture, uint32_t channels, uint64_t sample_bytes) : width_(picture.width), height_(picture.height) {
        const bool is_interleaved = std::all_of(picture.planes + 1, std::end(picture.planes), [](const void* plane) { return !plane; });
        for (uint32_t k = 0; k < std::size(picture.planes); k++) {
            const bool has_plane = picture.planes[k], needs_plane = k < (is_interleaved ? 1 : channels);
            require(has_plane == needs_plane, "plane " + std::to_string(k) + (has_plane ? " is one more than the channels" : " is NULL"));
        }
        const uint64_t together = is_interleaved ? channels : 1;
        pixel_stride_ = picture.pixel_stride ? picture.pixel_stride : together * sample_bytes;
        row_stride_ = picture.row_stride ? picture.row_stride : times(picture.width, pixel_stride_);
        const uint64_t last = sum(sum(times(picture.height - 1, row_stride_), times(picture.width - 1, pixel_stride_)), together * sample_bytes);
        require(last <= picture.size, "size must be " + std::to_string(last) + " or more, not " + std::to_string(picture.size));
        for (uint32_t k = 0; k < channels; k++)
            starts_.push_back(is_interleaved ? static_cast<const uint8_t*>(picture.planes[0]) + k * sample_bytes : static_cast<const uint8_t*>(picture.planes[k]));
    }

    // The samples of some channels, pixel by pixel.
    template <class Sample> std::vector<Sample> samples(uint32_t first, uint32_t count) const {
        std::vector<Sample> samples(size_t(width_) * size_t(height_) * count);
        Sample* out = samples.data();
        for (uint64_t y = 0; y < height_; y++)
            for (uint64_t x = 0; x < width_; x++)
                for (uint32_t k = first; k < first + count; k++) std::memcpy(out++, starts_[k] + y * row_stride_ + x * pixel_stride_, sizeof(Sample));
        return samples;
    }

  private:
    // Neither overflows: a number that is too large stays so.
    static uint64_t times(uint64_t count, uint64_t bytes) { return count && bytes > UINT64_MAX / count ? UINT64_MAX : count * bytes; }
    static uint64_t sum(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

    const uint64_t width_, height_;
    uint64_t pixel_stride_, row_stride_;
    std::vector<const uint8_t*> starts_;  // of channels
};

std::vector<uint8_t> copied(const void* data, uint64_t size, const char* name) {
    require(data || !size, std::string(name) + " is NULL, and its size is " + std::to_string(size));
    if (size > MAX_METADATA) throw Error(Fault::IMAGE, std::to_string(size) + " bytes of " + name + " are too many");
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    return {bytes, bytes + size};
}

}  // namespace

Image image_of(const ddpm_picture& picture) {
    require(picture.mode < MODES, "mode must be a ddpm_mode, not " + std::to_string(picture.mode));
    const uint32_t bits = picture.bits ? picture.bits : SAMPLE_BITS;
    require(bits >= SAMPLE_BITS && bits <= MOST_BITS, "bits must be 8 to 16, or 0, not " + std::to_string(bits));
    require(picture.orientation <= MAX_ORIENTATION, "orientation must be 1 to 8, or 0, not " + std::to_string(picture.orientation));
    require_size(int(std::min(picture.width, uint32_t(INT_MAX))), int(std::min(picture.height, uint32_t(INT_MAX))));
    Image image;
    Picture& pixels = image.picture;
    pixels.mode = Mode(picture.mode), pixels.width = int(picture.width), pixels.height = int(picture.height);
    const uint32_t colours = uint32_t(channels_of(pixels.mode)), channels = channels_with_alpha(pixels.mode);
    const bool is_deep = bits > SAMPLE_BITS;
    const SampleLayout layout(picture, channels, is_deep ? sizeof(uint16_t) : sizeof(uint8_t));
    image.metadata = {copied(picture.icc, picture.icc_size, "ICC profile"), copied(picture.exif, picture.exif_size, "EXIF"), copied(picture.xmp, picture.xmp_size, "XMP")};
    image.sample_bits = int(bits);
    if (picture.orientation) image.orientation = int(picture.orientation);
    if (is_deep) {
        pixels.samples = layout.samples<uint16_t>(0, channels);
    } else {
        pixels.colour = layout.samples<uint8_t>(0, colours);
        if (channels > colours) pixels.alpha = layout.samples<uint8_t>(colours, 1);
    }
    require_sound(image);
    return image;
}

}  // namespace ddpm
