// How a large image is cut into tiles, which are coded independently of each other.
#pragma once
#include <cstdint>
#include <optional>

namespace ddpm {

inline constexpr int64_t SINGLE_STREAM_PIXELS = 1 << 16;                    // images up to this size are one stream
inline constexpr int LEAST_TILE_SIDE = 64, MOST_TILE_SIDE = 1024, TILE_SIDE_STEP = 16;  // pixels, of square tiles that a caller asks for

struct Grid {
    int tile_width, tile_height;  // pixels; the last column and row may be smaller
};

// The grid of an image, of tiles of at most 2^19 pixels with even sides; nothing: the image is a single stream. The lines between tiles, at which
// networks lose sight of their neighbours, are as short as possible. segments: of a tile. side: of square tiles that the caller asks for, of an
// image that is larger in one direction; 0: none. repeats: tiles are larger, because repeats are sought in a tile.
// Throws Error (IMAGE) if there would be more chunks than the format holds.
std::optional<Grid> plan_grid(int width, int height, int segments, int side, bool repeats);

// The grid of the coefficients of a JPEG file, of whole MCUs. side: of square tiles, rounded up to whole MCUs; 0: none is asked for.
// Throws Error (IMAGE) as above.
Grid plan_jpeg_grid(int width, int height, int mcu_width, int mcu_height, int side);

}  // namespace ddpm
