// The encoder of .ddpm files: Image -> EncodePlan -> EncodeTiles -> file -> Verdict of a decoder that sees the bytes alone.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "coefficient_model.h"
#include "context_model.h"
#include "image.h"
#include "timed_pass.h"

namespace ddpm {

inline constexpr int DEFAULT_EFFORT = 2, DEFAULT_LEVELS = 1;

struct EncodeOptions {
    int effort = DEFAULT_EFFORT;
    std::optional<int> levels;  // noise levels before exact pixels, or the most levels of a JPEG's cells; none: as many as suit the image
    int tile = 0;               // side of square tiles; 0: tiles of at most 2^19 pixels
    bool verify = true;         // decode what was encoded, and compare
};

// Encodes images, each to a file. Small ones of one size are coded together.
class Encoder {
  public:
    // Throws Error (ARGUMENT) for options that cannot be.
    explicit Encoder(EncodeOptions options);
    ~Encoder();

    // --- before the first `advance`

    // Codes pixels, or coefficients of JPEG files, by this model in place of embedded ones.
    void use_model(std::shared_ptr<const ContextModel> model);
    void use_model(std::shared_ptr<const CoefficientModel> model);
    // Throws Error: ARGUMENT for planes of wrong sizes, IMAGE for an image that is too large or has too many metadata.
    void add(Image image);

    // --- from event to event: NEED_MODEL, MORE or DONE

    // Works for about so many seconds. Throws Error, after which nothing more is encoded: IMAGE, MODEL, CHECKSUM if a
    // file does not decode to its image.
    Event advance(double seconds, int threads);
    // After NEED_MODEL: the number of the embedded model that is needed, which one of the two then provides.
    int needed_model() const;
    void set_model(std::shared_ptr<const ContextModel> model);
    void set_model(std::shared_ptr<const CoefficientModel> model);

    // After DONE: the file of an image, in the order in which they were added.
    const std::vector<uint8_t>& file(size_t image) const;

    // How much work there is, and how much of it is done, in pixels: each is coded, and decoded to verify.
    double work() const;
    double done() const;
    // What segments took that were coded since the last call.
    std::vector<SegmentCost> take_costs();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace ddpm
