// Estimates of the planes of an image from passes and arrays of Python.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "previews.h"

namespace ddpm {

using Floats = nanobind::ndarray<const float, nanobind::c_contig, nanobind::device::cpu>;

inline void require_threads(int threads) {
    if (threads < 1) throw std::invalid_argument("threads must be 1 or more, not " + std::to_string(threads));
}

inline void require_preview(const Pass& pass, int threads) {
    if (!pass.is_for_previews()) throw std::invalid_argument("the pass keeps nothing for previews: begin it with for_previews");
    require_threads(threads);
}

inline void require_bands(const Pass& pass) {
    if (pass.root().empty()) throw std::invalid_argument("a pass without noise levels has no bands");
}

inline Estimate estimate_from(const Floats& mean, const Floats& variance) {
    if (mean.ndim() != 3 || mean.shape(2) != CHANNELS || mean.size() == 0 || variance.ndim() != 3 || variance.shape(0) != mean.shape(0) ||
        variance.shape(1) != mean.shape(1) || variance.shape(2) != CHANNELS)
        throw std::invalid_argument("means and variances must be float32 [H, W, 3], of one pixel or more");
    Estimate estimate(int(mean.shape(0)), int(mean.shape(1)));
    std::copy_n(mean.data(), mean.size(), estimate.mean.data());
    std::copy_n(variance.data(), variance.size(), estimate.variance.data());
    if (std::any_of(estimate.variance.begin(), estimate.variance.end(), [](float x) { return !(x >= 0); }))
        throw std::invalid_argument("a variance is negative");
    return estimate;
}

}  // namespace ddpm
