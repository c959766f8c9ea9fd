#include "coefficient_tiles.h"

#include <algorithm>

namespace ddpm {

namespace {

// Block rows of a tile in an image, one after the other: copy(values of the image, values of the tile, count).
template <class Image, class Tile, class Copy> void each_row(Image& image, Tile& tile, int first_mcu, int first_mcu_row, Copy copy) {
    for (size_t k = 0; k < tile.components.size(); k++) {
        auto& whole = image.components[k];
        auto& part = tile.components[k];
        const int left = first_mcu * whole.horizontal, top = first_mcu_row * whole.vertical;
        for (int row = 0; row < part.rows; row++) copy(whole.block(left, top + row), part.block(0, row), part.columns * BLOCK_VALUES);
    }
}

}  // namespace

void require_whole_mcus(const Coefficients& image, const PixelBox& box) {
    auto ends_at = [](int place, int side, int end) { return place % side == 0 || place == end; };
    const int width = image.mcu_width(), height = image.mcu_height();
    if (box.left % width || box.top % height || !ends_at(box.right, width, image.width) || !ends_at(box.bottom, height, image.height))
        throw Error(Fault::FORMAT, "a tile of the JPEG must be one of whole MCUs of " + std::to_string(width) + " x " + std::to_string(height) + " pixels, and begins or ends inside of one: the data is damaged");
}

Coefficients cut_tile(const Coefficients& image, const PixelBox& box) {
    require_whole_mcus(image, box);
    Coefficients tile{box.width(), box.height(), {}, image.colour};
    for (const JpegComponent& component : image.components) tile.components.push_back({component.horizontal, component.vertical, 0, 0, component.steps, {}});
    tile.lay_out();
    tile.clear();
    if (!image.components.front().values.empty())
        each_row(image, tile, box.left / image.mcu_width(), box.top / image.mcu_height(), [](const int16_t* from, int16_t* to, int count) { std::copy_n(from, count, to); });
    return tile;
}

void paste_tile(const Coefficients& tile, const PixelBox& box, Coefficients& image) {
    each_row(image, tile, box.left / image.mcu_width(), box.top / image.mcu_height(), [](int16_t* to, const int16_t* from, int count) { std::copy_n(from, count, to); });
}

}  // namespace ddpm
