// Pictures of few colours: a palette, and the index of each pixel, coded bit by bit by what followed the same neighbours before.
#pragma once
#include <optional>
#include <vector>

#include "bytes.h"

namespace ddpm {

inline constexpr size_t MOST_COLOURS = 256;  // of a palette

// Pixels whose samples, alpha among them, come from a palette.
struct IndexedPicture {
    int height, width, channels;   // channels: samples of a colour, 1 to 4
    std::vector<uint8_t> palette;  // [colours, channels], in the order of `precedes`
    std::vector<uint8_t> indices;  // [height, width]

    size_t colours() const { return palette.size() / size_t(channels); }
};

// The picture of pixels [height, width, channels]; nothing if it has too many colours.
std::optional<IndexedPicture> indexed(Bytes pixels, int height, int width, int channels);

// A stream: its state, and its words.
std::vector<uint8_t> encode_indexed(const IndexedPicture& picture);

}  // namespace ddpm
