#include "grid.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "header.h"

namespace ddpm {

namespace {

constexpr int64_t TILE_PIXELS = 1 << 19;           // of a tile at most, which bounds memory
constexpr int ALIGNED = 16, LEAST_ALIGNED = 256;   // sides of large tiles are multiples, so that small images have whole pixels of them

int64_t rounded_up(int64_t length, int64_t step) { return (length + step - 1) / step * step; }
int64_t parts_of(int64_t length, int64_t part) { return (length + part - 1) / part; }

// What the sides of tiles are multiples of.
struct SideSteps {
    int width = 0, height = 0;  // 0: even, or of large tiles multiples of ALIGNED

    static int64_t even(int64_t side) { return side >= LEAST_ALIGNED ? ALIGNED : 2; }
    int64_t across(int64_t side) const { return width ? width : even(side); }
    int64_t down(int64_t side) const { return height ? height : even(side); }
};

// Whether so many columns of tiles are possible, and the widest and tallest tiles then.
std::optional<Grid> grid_of(int width, int height, int64_t columns, const SideSteps& steps, int64_t pixels) {
    const int64_t part = parts_of(width, columns), tile_width = std::min<int64_t>(width, rounded_up(part, steps.across(part)));
    const int64_t tallest = pixels / tile_width;
    if (tallest >= height) return Grid{int(tile_width), height};
    const int64_t step = steps.down(tallest);
    if (tallest < step) return std::nullopt;
    const int64_t row = parts_of(height, parts_of(height, tallest / step * step));
    return Grid{int(tile_width), int(std::min<int64_t>(height, rounded_up(row, steps.down(row))))};
}

int64_t inner_edges(int width, int height, const Grid& grid) {
    return (parts_of(width, grid.tile_width) - 1) * height + (parts_of(height, grid.tile_height) - 1) * width;
}

Grid best_grid(int width, int height, const SideSteps& steps, int64_t pixels) {
    const int64_t most = std::max<int64_t>(1, std::min(parts_of(width, 2), 2 * parts_of(int64_t(width) * height, pixels)));
    auto rank = [&](const Grid& grid) { return std::tuple(inner_edges(width, height, grid), grid.tile_width, grid.tile_height); };
    std::optional<Grid> best;
    for (int64_t columns = 1; columns <= most; columns++)
        if (const std::optional<Grid> grid = grid_of(width, height, columns, steps, pixels); grid && (!best || rank(*grid) < rank(*best))) best = grid;
    return *best;
}

void require_chunks(int64_t chunks) {
    if (chunks > int64_t(MAX_CHUNKS)) throw Error(Fault::IMAGE, std::to_string(chunks) + " chunks of tiles, where " + std::to_string(MAX_CHUNKS) + " are possible: take larger tiles");
}

}  // namespace

std::optional<Grid> plan_grid(int width, int height, int segments, int side, bool repeats) {
    if (side && std::max(width, height) > side) {
        require_chunks(parts_of(width, side) * parts_of(height, side) * segments);
        return Grid{std::min(side, width), std::min(side, height)};
    }
    if (int64_t(width) * height <= SINGLE_STREAM_PIXELS) return std::nullopt;
    return best_grid(width, height, {}, repeats ? int64_t(MAX_TILE_PIXELS) : TILE_PIXELS);
}

Grid plan_jpeg_grid(int width, int height, int mcu_width, int mcu_height, int side) {
    if (!side) return best_grid(width, height, {mcu_width, mcu_height}, TILE_PIXELS);
    const int64_t tile_width = rounded_up(side, mcu_width), tile_height = rounded_up(side, mcu_height);
    require_chunks(parts_of(width, tile_width) * parts_of(height, tile_height) * (JPEG_SEGMENTS + MOST_JPEG_LEVELS));
    return {int(std::min<int64_t>(tile_width, width)), int(std::min<int64_t>(tile_height, height))};
}

}  // namespace ddpm
