// Coding schedules: which noise levels a file describes before its pixels are exact, and how it is cut into segments and parts.
#pragma once
#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>

#include "pyramid.h"

namespace ddpm {

// Bands that are a segment together: the finest of each group, and into how many parts of its waves a segment of one band is cut.
struct Group {
    int finest, parts;
};
inline constexpr Group GROUPS[] = {{9, 1}, {7, 1}, {5, 1}, {4, 1}, {3, 1}, {2, 2}, {1, 4}};
inline constexpr int EXACT_SEGMENTS = 8, EXACT_PARTS = 2;  // segments of the exact step, and parts of each: equal numbers of waves

// Takes all bands to cells of `level`. That nearly all coefficients of the finest ones are in their dead zones takes few bits to
// say, and previews gain by it.
struct LevelStep {
    int number, level;
};

// A schedule of so many noise levels: as many consecutive steps, from this number on.
struct Schedule {
    int levels, first;
};

// A new schedule adds its steps at the end: networks that were trained before go on coding the other schedules (conditions.h).
inline constexpr LevelStep STEPS[] = {{0, 32}, {1, 8}, {2, 64}, {3, 32}, {4, 16}, {5, 8}, {6, 4}};
inline constexpr Schedule SCHEDULES[] = {{0, 0}, {1, 0}, {2, 0}, {5, 2}};
inline constexpr int STEP_COUNT = int(std::size(STEPS));

inline std::vector<LevelStep> steps_of(int levels) {
    for (const Schedule& schedule : SCHEDULES)
        if (schedule.levels == levels) return {STEPS + schedule.first, STEPS + schedule.first + levels};
    throw std::invalid_argument("there is no schedule of " + std::to_string(levels) + " noise levels");
}

// Bands of a step, coarse to fine; or, where there are none and the level is exact, a share of the waves of the exact step.
struct Segment {
    int step, level;         // step: 0, 1, ... of the schedule; its number of levels for the exact step
    int finest;              // number of the finest band of its group; 0 of the exact step
    std::vector<int> bands;  // indices in `bands_of`
    int first_part, parts;   // of the exact step's, or of its bands': from, how many
    int all_parts;

    // The wave, of so many, at which a part ends: 0, 1, ... of the segment.
    int end(int part, int waves) const { return int(int64_t(waves) * (first_part + part + 1) / all_parts); }
};

constexpr int LARGEST_SIDE = 1 << 28;  // of an image, whose waves can be counted in an int

// Throws std::invalid_argument for an image that cannot be.
inline std::vector<Segment> segments_of(int levels, int height, int width) {
    if (std::min(height, width) < 1 || std::max(height, width) > LARGEST_SIDE)
        throw std::invalid_argument("sides of an image are 1 to 2^28 pixels");
    const std::vector<Band> geometry = bands_of(height, width);
    const std::vector<LevelStep> steps = steps_of(levels);
    std::vector<Segment> segments;
    for (int s = 0; s < int(steps.size()); s++) {
        int coarser = std::numeric_limits<int>::max();
        for (const Group& group : GROUPS) {
            std::vector<int> bands;
            for (int b = int(geometry.size()) - 1; b >= 0; b--)
                if (geometry[b].number >= group.finest && geometry[b].number < coarser) bands.push_back(b);
            segments.push_back({s, steps[s].level, group.finest, bands, 0, group.parts, group.parts});
            coarser = group.finest;
        }
    }
    for (int k = 0; k < EXACT_SEGMENTS; k++)
        segments.push_back({int(steps.size()), EXACT, 0, {}, k * EXACT_PARTS, EXACT_PARTS, EXACT_SEGMENTS * EXACT_PARTS});
    return segments;
}

}  // namespace ddpm
