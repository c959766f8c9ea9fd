// How much of a file a plan needs: parts, and images of 1/2 to 1/16 of the size from coarse bands alone.
//
// The mean of scale x scale pixels has 1/scale of the error of each coefficient. So decoding ends at the first noise level that is fine
// enough, and in its step at the bands that the small image has.
#pragma once
#include <optional>

#include "header.h"

namespace ddpm {

inline constexpr int REDUCTIONS[] = {1, 2, 4, 8, 16};

// What is wanted of a file.
struct Plan {
    std::optional<PixelBox> box;         // a part of the image; none: all of it
    int scale = 1;                       // of REDUCTIONS: an image of 1/scale the size
    std::optional<int> step;             // a preview after so many steps of the schedule
    bool each_segment = false;           // previews after every segment, also where all bytes are there
    bool is_partial = false;             // accept what there is: a prefix, a damaged file, bytes after the end
    std::optional<uint64_t> max_pixels;  // refuse more than so many
};

// The part of an image that a plan shows, in whole pixels of the small image. Throws Error (ARGUMENT) for a box that is not inside of
// the image, and for an unknown scale.
PixelBox region_of(const Plan& plan, const Header& header);

// Throws Error (IMAGE) if so many pixels are more than the plan allows.
void require_pixels(const Plan& plan, int width, int height);

// The tiles that a region touches, row by row. A file without tiles has one.
std::vector<int> tiles_of(const PixelBox& region, const Header& header);

// The part of the image that these tiles cover.
PixelBox covered_by(const std::vector<int>& tiles, const Header& header);

// The first step that is good enough at 1/scale of the size; without noise levels it is the only one, to exact pixels.
int step_for(int levels, int scale);

// Whether a small image can be made of coarse bands alone.
bool has_bands_for(const Header& header, int scale);

// The number of the finest band that an image of 1/scale the size has.
int finest_band(int height, int width, int scale);

// How many segments a tile of this size needs for an image of 1/scale the size.
int segments_for_scale(const Header& header, int height, int width, int scale);

// How many segments the first `step` steps have.
int segments_of_steps(const Header& header, int step);

// How many steps so many segments complete.
int steps_done(const Header& header, int segments);

}  // namespace ddpm
