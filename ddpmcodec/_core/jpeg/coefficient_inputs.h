// What a position of a JPEG's coefficients sees, as inputs of a network: docs/architecture.md lists them.
#pragma once
#include <optional>

#include "coefficient_model.h"
#include "coefficient_plane.h"

namespace ddpm {

// What components see: known coefficients of their own, of luma on their grid, and of Cb; null: nothing.
struct SeenPlanes {
    const CoefficientPlane *own, *luma = nullptr, *cb = nullptr;
};

// How chroma is sampled, as networks are told; OTHER_GRID: they are not.
enum ChromaGrid { FULL_GRID, HALF_GRID, QUARTER_GRID, OTHER_GRID };

inline constexpr int LUMA_INPUTS = 80, CHROMA_INPUTS = 144;  // with those at the end that are always ZERO

// Inputs of positions in one condition.
class CoefficientInputs {
  public:
    // condition: of the component.
    CoefficientInputs(const CoefficientNetwork& network, JpegRole role, int condition, const JpegComponent& component, const SeenPlanes& seen,
                      ChromaGrid grid);

    int stride() const { return int(rounded_up(int(row_.size()), ROW_UNIT)); }
    // Writes the inputs of a block's position. Returns the linear prediction of the coefficient, in 1/64 of its step.
    int32_t gather(int column, int row, uint8_t* inputs);

  private:
    struct WindowEntry {
        uint8_t input, rank;
    };

    void add_windows(JpegRole role, int rank);
    void gather_surroundings(int column, int row, size_t at, uint8_t* inputs) const;
    void gather_window(const CoefficientPlane& plane, size_t at, const std::vector<WindowEntry>& window, uint8_t* inputs) const;
    void gather_others(size_t at, uint8_t* inputs) const;
    void list(const CoefficientPlane& plane, size_t at, int block);

    const SeenPlanes seen_;
    const int rank_;
    const float unit_;                         // 1 / step
    std::vector<uint8_t> row_;                 // inputs that all positions share
    ptrdiff_t around_[SEEN_BLOCKS];            // from a block to those around it
    std::vector<WindowEntry> own_, luma_, cb_; // of the windows
    int luma_around_ = 0, cb_around_ = 0, sums_ = 0;  // inputs: of the coded frequency in 3x3 blocks; the first sum
    std::vector<int16_t> weights_;             // [entries][WEIGHED]
    std::vector<uint64_t> weighed_;            // which entries have weights, by block
    float factors_[WEIGHED];                   // of sums
    uint16_t places_[MOST_SEEN_BLOCKS * BLOCK_VALUES];
    int16_t values_[MOST_SEEN_BLOCKS * BLOCK_VALUES];
    int listed_ = 0;
};

}  // namespace ddpm
