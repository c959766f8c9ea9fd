// A pass that runs until a time, so that its caller can look after other things in between.
#pragma once
#include <chrono>
#include <vector>

#include "pass.h"

namespace ddpm {

using Clock = std::chrono::steady_clock;

inline Clock::time_point deadline_after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// What a segment of all images of a pass took.
struct SegmentCost {
    int level;       // orthonormal cell width after it; 0: exact
    int band;        // number of its finest band; 0: pixels
    double bits;     // ideal code length; of a decoder what it read
    double seconds;
    int images;
    double share;    // of all positions that are coded
    double pixels;   // of an image
};

// How many positions a segment has.
size_t positions_of(const Segment& segment, const std::vector<Band>& geometry, int height, int width);

class TimedPass {
  public:
    TimedPass(const Model& model, int levels, const Layout& layout) : pass_(model, levels, layout), geometry_(bands_of(layout.height, layout.width)) {}

    Pass& pass() { return pass_; }
    const Pass& pass() const { return pass_; }

    // Codes on to the end of a segment, or until the words run out: then it returns true; false at the deadline, or
    // some hundredths of a second after it.
    bool advance(int segment, Clock::time_point deadline);

    // The costs of segments that are done, and of no others.
    const std::vector<SegmentCost>& costs() const { return costs_; }

  private:
    void advance_in_segment();

    Pass pass_;
    const std::vector<Band> geometry_;
    std::vector<SegmentCost> costs_;
    int step_ = -1, waves_ = 0;        // of the next call, which starts threads anew
    double bits_ = 0, seconds_ = 0;    // before the segment; in it
};

}  // namespace ddpm
