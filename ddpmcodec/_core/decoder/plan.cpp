#include "plan.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "schedule.h"

namespace ddpm {

namespace {

constexpr double LARGEST_ERROR = 2.5;  // grey levels, standard deviation: what a pixel of a small image may lack (40 dB)

// The standard deviation of what is evenly spread over a cell.
double noise_of(int cell) { return cell / std::sqrt(12.0); }

int rounded_down(int value, int unit) { return value / unit * unit; }
int rounded_up_to(int value, int unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

PixelBox region_of(const Plan& plan, const Header& header) {
    if (std::ranges::find(REDUCTIONS, plan.scale) == std::end(REDUCTIONS))
        throw Error(Fault::ARGUMENT, "reduce must be 1, 2, 4, 8, 16, not " + std::to_string(plan.scale));
    const PixelBox all{0, 0, header.width, header.height}, box = plan.box.value_or(all);
    if (box.left < 0 || box.left >= box.right || box.right > all.right || box.top < 0 || box.top >= box.bottom || box.bottom > all.bottom)
        throw Error(Fault::IMAGE, "the box " + std::to_string(box.left) + ", " + std::to_string(box.top) + " to " + std::to_string(box.right) + ", " +
                                         std::to_string(box.bottom) + " is not inside of the image of " + std::to_string(all.right) + " x " +
                                         std::to_string(all.bottom) + " pixels");
    return {rounded_down(box.left, plan.scale), rounded_down(box.top, plan.scale), std::min(rounded_up_to(box.right, plan.scale), all.right),
            std::min(rounded_up_to(box.bottom, plan.scale), all.bottom)};
}

void require_pixels(const Plan& plan, int width, int height) {
    if (plan.max_pixels && uint64_t(width) * uint64_t(height) > *plan.max_pixels)
        throw Error(Fault::IMAGE, "the header claims " + std::to_string(width) + " x " + std::to_string(height) + " pixels, and at most " +
                                      std::to_string(*plan.max_pixels) + " are decoded: if you trust its origin, allow more with max_pixels=N");
}

std::vector<int> tiles_of(const PixelBox& region, const Header& header) {
    std::vector<int> tiles;
    for (int row = region.top / header.tile_height; row * header.tile_height < region.bottom; row++)
        for (int column = region.left / header.tile_width; column * header.tile_width < region.right; column++)
            tiles.push_back(row * header.tile_columns() + column);
    return tiles;
}

PixelBox covered_by(const std::vector<int>& tiles, const Header& header) {
    const PixelBox first = header.tile(tiles.front()), last = header.tile(tiles.back());
    return {first.left, first.top, last.right, last.bottom};
}

int step_for(int levels, int scale) {
    int step = 1;
    for (const LevelStep& level : steps_of(levels)) {
        if (noise_of(level.level) <= LARGEST_ERROR * scale) break;
        step++;
    }
    return step;
}

bool has_bands_for(const Header& header, int scale) { return scale > 1 && header.kind == Kind::PIXELS && step_for(header.levels, scale) <= header.levels; }

int finest_band(int height, int width, int scale) {
    const int halvings = int(std::bit_width(unsigned(scale))) - 1;
    auto halved = [&](int side) { return std::min(halvings, int(std::bit_width(unsigned(side - 1)))); };
    return halved(height) + halved(width) + 1;
}

int segments_for_scale(const Header& header, int height, int width, int scale) {
    const int step = step_for(header.levels, scale), finest = finest_band(height, width, scale);
    int coarser = 0, most = 0;
    for (const Segment& segment : segments_of(header.levels, height, width)) {
        coarser += segment.step + 1 < step || (segment.step + 1 == step && segment.finest > finest);
        most += segment.step < step;
    }
    return std::min(coarser + 1, most);
}

int segments_of_steps(const Header& header, int step) {
    if (header.has_coefficients()) return std::min(step, header.segments());
    int count = 0;
    for (const Segment& segment : segments_of(header.levels, 1, 1)) count += segment.step < step;
    return count;
}

int steps_done(const Header& header, int segments) {
    int step = 0;
    while (step < header.steps() && segments_of_steps(header, step + 1) <= segments) step++;
    return step;
}

}  // namespace ddpm
