// Images of one size that one pass decodes: small files, a stream each; or a run of an archive, whose images share one.
#pragma once
#include <vector>

#include "chunks.h"
#include "timed_pass.h"

namespace ddpm {

class Batch {
  public:
    struct Shape {
        int images, height, width, channels;
        bool shares_stream, repeats;
    };

    // Throws Error (ARGUMENT) for a shape that cannot be.
    Batch(const Model& model, int levels, const Shape& shape, int threads);

    // The stream that follows: of the next image, or of all images. covered: bytes that its check covers before the samples.
    // Throws Error: CORRUPT where no encoder writes that, TRUNCATED where the data end inside its state.
    void add(Bytes stream, int state_bytes, Bytes covered);

    // Decodes once all streams were added; false at the deadline.
    bool advance(Clock::time_point deadline);

    // The samples of an image, [height, width, channels], or of a run all its images; empty where they are not those that were encoded.
    std::vector<uint8_t> image(int stream) const;
    int streams() const { return int(starts_.size()); }
    const std::vector<SegmentCost>& costs() const { return pass_.costs(); }

  private:
    const Shape shape_;
    TimedPass pass_;
    std::vector<StreamStart> starts_;
    std::vector<std::vector<uint8_t>> covered_;
    std::vector<uint8_t> pixels_;
    bool has_begun_ = false;
};

}  // namespace ddpm
