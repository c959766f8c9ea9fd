#include "coefficient_job.h"

namespace ddpm {

bool CoefficientJob::advance(Clock::time_point deadline, int) {
    if (!pass_) {
        values_ = cut_tile(image_, tile_.box);
        pass_.emplace(networks_, values_, levels_);
        pass_->encode();
    }
    const bool is_done = pass_->advance(pass_->segments(), deadline);
    done_ = pass_->segments_done();
    if (!is_done) return false;
    tile_.chunks = pass_->chunks();
    pass_.reset();
    values_ = {};
    return true;
}

std::vector<SegmentCost> CoefficientJob::take_costs() {
    const double share = double(done_ - reported_) / jpeg_segments(levels_);
    reported_ = done_;
    return share > 0 ? std::vector<SegmentCost>{{0, 0, 0, 0, 1, share, double(tile_.box.pixels())}} : std::vector<SegmentCost>();
}

}  // namespace ddpm
