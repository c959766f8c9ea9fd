// In which of its conditions a network of bands codes: it has biases for every step of a schedule and every band.
#pragma once
#include "contract.h"
#include "schedule.h"

namespace ddpm {

inline constexpr int LAST_BAND = 12;  // bands from here on are one condition
inline constexpr int BAND_KINDS = 3;  // the finest band, the second, and all coarser ones have networks of their own
inline constexpr int CONDITIONS = STEP_COUNT * LAST_BAND;  // networks that were trained before there were all steps have fewer

// The conditions of a network whose biases have so many rows: one, or of bands those of all steps, or of the first ones.
inline int conditions_of(Role role, int rows) {
    if (rows < 1 || (role == Role::BAND ? rows > CONDITIONS || rows % LAST_BAND : rows > 1))
        throw std::invalid_argument("biases of " + std::to_string(rows) + " conditions, which no network of this role has");
    return rows;
}

// How many conditions a network of bands must have, at least, to code by a schedule.
inline int conditions_for(int levels) { return levels ? (steps_of(levels).back().number + 1) * LAST_BAND : 0; }

inline int band_kind(int band) { return std::min(band, BAND_KINDS) - 1; }
inline int condition_of(int step, int band) { return step * LAST_BAND + std::min(band, LAST_BAND) - 1; }

}  // namespace ddpm
