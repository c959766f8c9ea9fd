// The quantised DCT coefficients of a JPEG file (ITU-T T.81), by component: what its networks code.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace ddpm {

inline constexpr int BLOCK_SIDE = 8, BLOCK_VALUES = 64;
inline constexpr int MOST_JPEG_COMPONENTS = 4;
inline constexpr int MOST_DC = 2047, MOST_AC = 1023;  // magnitudes in files of 8 bits a sample (T.81, tables F.1 and F.2)

using Steps = std::array<uint16_t, BLOCK_VALUES>;  // of quantisation, by rank

// What the components are. In ADOBE_CMYK and YCCK, a sample of 0 is full ink.
enum class JpegColour : uint8_t { GREY, YCBCR, RGB, CMYK, ADOBE_CMYK, YCCK };
inline constexpr int JPEG_COLOURS = 6;

// One component: blocks in raster order. Ranks are those of the zigzag: rank 0 is the mean, DC.
struct JpegComponent {
    int horizontal = 1, vertical = 1;              // sampling factors, 1 to 4
    int columns = 0, rows = 0;                     // blocks, in whole MCUs: those beyond the image's edge are coded as well
    Steps steps{};
    std::vector<int16_t> values;                   // [rows][columns][rank]

    const int16_t* block(int column, int row) const { return &values[(size_t(row) * size_t(columns) + size_t(column)) * BLOCK_VALUES]; }
    int16_t* block(int column, int row) { return &values[(size_t(row) * size_t(columns) + size_t(column)) * BLOCK_VALUES]; }
    size_t blocks() const { return size_t(columns) * size_t(rows); }
};

struct Coefficients {
    int width = 0, height = 0;                     // pixels
    std::vector<JpegComponent> components;         // as the frame lists them: Y, Cb, Cr for most files
    JpegColour colour = JpegColour::GREY;

    int most_horizontal() const { return std::ranges::max_element(components, {}, &JpegComponent::horizontal)->horizontal; }
    int most_vertical() const { return std::ranges::max_element(components, {}, &JpegComponent::vertical)->vertical; }
    int mcu_width() const { return BLOCK_SIDE * most_horizontal(); }  // pixels
    int mcu_height() const { return BLOCK_SIDE * most_vertical(); }
    int mcu_columns() const { return (width + mcu_width() - 1) / mcu_width(); }
    int mcu_rows() const { return (height + mcu_height() - 1) / mcu_height(); }

    // Blocks of a component that hold pixels: scans of one component have these alone.
    int used_columns(const JpegComponent& component) const { return blocks_of(width * component.horizontal, most_horizontal()); }
    int used_rows(const JpegComponent& component) const { return blocks_of(height * component.vertical, most_vertical()); }

    // Sizes the components after the image and the factors.
    void lay_out() {
        for (JpegComponent& component : components) {
            component.columns = mcu_columns() * component.horizontal;
            component.rows = mcu_rows() * component.vertical;
        }
    }
    void clear() {
        for (JpegComponent& component : components) component.values.assign(component.blocks() * BLOCK_VALUES, 0);
    }

  private:
    static int blocks_of(int scaled, int most) { return ((scaled + most - 1) / most + BLOCK_SIDE - 1) / BLOCK_SIDE; }
};

}  // namespace ddpm
