#include "timed_pass.h"

#include <algorithm>

namespace ddpm {

namespace {

constexpr int FIRST_POSITIONS = 1 << 13;  // of a step's first call of the pass, at most: other steps have other networks
constexpr double CALL_SECONDS = 0.05;     // of a call, about

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

size_t positions_of(const Segment& segment, const std::vector<Band>& geometry, int height, int width) {
    size_t positions = 0;
    if (segment.level == EXACT) {
        auto before = [&](int part) { return size_t(height) * size_t(width) * size_t(part) / size_t(segment.all_parts); };
        positions = before(segment.first_part + segment.parts) - before(segment.first_part);
    }
    for (const int band : segment.bands) positions += geometry[size_t(band)].positions();
    return positions;
}

bool TimedPass::advance(int segment, Clock::time_point deadline) {
    segment = std::min(segment, pass_.segments());
    while (pass_.segments_done() < segment && !pass_.ended()) {
        advance_in_segment();
        if (Clock::now() >= deadline) break;
    }
    return pass_.segments_done() >= segment || pass_.ended();
}

void TimedPass::advance_in_segment() {
    const Layout& l = pass_.layout();
    const int done = pass_.segments_done();
    const Segment& segment = pass_.schedule()[size_t(done)];
    if (segment.step != step_) {
        const int rows = std::min(l.height, (l.width + DELAY - 1) / DELAY);
        step_ = segment.step, waves_ = std::max(1, FIRST_POSITIONS / std::max(1, l.images * rows));
    }
    const Clock::time_point start = Clock::now();
    pass_.advance(waves_, done + 1);
    const double took = seconds_since(start);
    seconds_ += took;
    const bool is_done = pass_.segments_done() > done;
    if (took > CALL_SECONDS)
        waves_ = std::max(waves_ / 2, 1);
    else if (took < CALL_SECONDS / 2 && !is_done)  // with all of its waves
        waves_ *= 2;
    if (!is_done) return;
    size_t total = 0;
    for (const Segment& each : pass_.schedule()) total += positions_of(each, geometry_, l.height, l.width);
    const double bits = pass_.bits(), share = double(positions_of(segment, geometry_, l.height, l.width)) / double(std::max(total, size_t(1)));
    costs_.push_back({segment.level, segment.finest, bits - bits_, seconds_, l.images, share, double(l.height) * l.width});
    bits_ = bits, seconds_ = 0;
}

}  // namespace ddpm
