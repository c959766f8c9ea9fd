// What segments took, for Python.
#pragma once
#include <nanobind/nanobind.h>

#include "timed_pass.h"

namespace ddpm {

inline nanobind::list costs_of(const std::vector<SegmentCost>& costs) {
    nanobind::list list;
    for (const SegmentCost& cost : costs) list.append(nanobind::make_tuple(cost.level, cost.band, cost.bits, cost.seconds, cost.images, cost.share, cost.pixels));
    return list;
}

}  // namespace ddpm
