// The quantised DCT coefficients of a JPEG file (ITU-T T.81), by component: what its networks code.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace ddpm {

inline constexpr int BLOCK_SIDE = 8, BLOCK_VALUES = 64;
inline constexpr int MOST_JPEG_COMPONENTS = 4;

// One component: blocks in raster order. Ranks are those of the zigzag: rank 0 is the mean, DC.
struct JpegComponent {
    int horizontal = 1, vertical = 1;              // sampling factors, 1 to 4
    int columns = 0, rows = 0;                     // blocks, in whole MCUs: those beyond the image's edge are coded as well
    std::array<uint16_t, BLOCK_VALUES> steps{};    // of quantisation, by rank
    std::vector<int16_t> values;                   // [rows][columns][rank]

    const int16_t* block(int column, int row) const { return &values[(size_t(row) * size_t(columns) + size_t(column)) * BLOCK_VALUES]; }
    int16_t* block(int column, int row) { return &values[(size_t(row) * size_t(columns) + size_t(column)) * BLOCK_VALUES]; }
};

struct Coefficients {
    int width = 0, height = 0;                     // pixels
    std::vector<JpegComponent> components;         // as the frame lists them: Y, Cb, Cr for most files
};

}  // namespace ddpm
