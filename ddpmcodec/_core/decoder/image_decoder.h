// Decodes one image, from event to event: of a file, or of those that an archive codes together.
#pragma once
#include <memory>
#include <vector>

#include "pass.h"
#include "sections.h"

namespace ddpm {

enum class Event {
    NEED_BYTES,   // feed more, or say that nothing follows
    NEED_MODEL,   // set the networks of the model that the header names
    NEED_PIXELS,  // decode the JPEG file of the coefficients that are known, and set its pixels; or go on without
    MORE,         // the time is over: call again
    PREVIEW,      // the picture is better than before
    DONE,
};

// Pixels uint8 [height, width, channels], and their alpha, [height, width] or empty.
struct Picture {
    Mode mode = Mode::L;
    int width = 0, height = 0;
    std::vector<uint8_t> colour, alpha;
    std::vector<uint16_t> samples;  // [height, width, colours and alpha], if they have more than 8 bits; the two above then hold their high bits
};

// A picture of 1/scale the size, without pixels of its own.
Picture shrunk(Picture picture, int scale);
// The means of scale x scale pixels of a picture. Alpha weighs the colours.
Picture reduced(Picture picture, int scale);

// What a file turned out to be.
struct Verdict {
    bool is_exact = false;          // all of it was there, and all checks hold
    bool is_damaged = false;        // a check failed
    bool is_lossy = false;          // it says that it was cut on purpose
    bool alpha_damaged = false, metadata_damaged = false, kept_damaged = false, low_bits_damaged = false;  // and left out
    bool colours_exact = false;
    int steps_done = 0, steps = 0;  // steps that every pixel has been through
    uint64_t bytes_used = 0;        // up to the last byte that was needed
    uint64_t missing = 0, following = 0;  // bytes
};

class ImageDecoder {
  public:
    virtual ~ImageDecoder() = default;

    virtual void set_networks(const std::vector<std::shared_ptr<const Trained>>& networks) = 0;
    // Whether alpha is coded, and its networks, those without noise levels, are not set.
    virtual bool needs_alpha_networks() const = 0;
    virtual void set_alpha_networks(const std::vector<std::shared_ptr<const Trained>>& networks) = 0;

    // Works for about so many seconds. Tiles begin on so many threads. Throws Error, after which nothing more is decoded: TRUNCATED,
    // CHECKSUM, CORRUPT, FORMAT, IMAGE.
    virtual Event advance(double seconds, int threads) = 0;

    virtual const Header* header() const = 0;  // null before it was read
    // What is known now. Throws Error (ARGUMENT) before the header was read and the plan found to fit.
    virtual Picture picture(int threads) = 0;
    virtual const Metadata& metadata() const = 0;
    virtual Verdict verdict() const = 0;
};

}  // namespace ddpm
