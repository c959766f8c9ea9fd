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

// Inputs of positions in one condition, which are those of all networks that predict it.
class CoefficientInputs {
  public:
    // What is known of a position besides inputs.
    struct Reading {
        int32_t predicted;  // the coefficient, linearly, in 1/64 of the cells' width
        int sign;           // 1 or -1: of what is known of it, or predicted. Inputs are multiplied by it, if a cell is refined.
    };

    // condition: of the component. widths: of cells, by rank, dequantised. is_refining: cells of the coarser level are known.
    CoefficientInputs(const Predictors& predictors, JpegRole role, int condition, const CellWidths& widths, bool is_refining, const SeenPlanes& seen,
                      ChromaGrid grid);

    size_t stride() const { return shared_.size(); }
    // Writes the inputs of the position of a block there.
    Reading read(int column, int row, uint8_t* inputs) const;

  private:
    struct WindowEntry {
        uint8_t input, rank;
    };
    // What is weighed of a plane: offsets from the values of the position's block.
    struct WeighedPairs {
        std::vector<int32_t> offsets;
        std::vector<int16_t> weights;  // [pairs][WEIGHED][2]

        void add_to(int32_t* sums, const CoefficientPlane& plane, size_t at) const {
            kernels().weigh(weights.data(), offsets.data(), int(offsets.size()), plane.block(at), sums);
        }
    };

    void add_windows(JpegRole role, int rank);
    void write_surroundings(int column, int row, size_t at, uint8_t* inputs) const;
    void write_window(const CoefficientPlane& plane, size_t at, const std::vector<WindowEntry>& window, uint8_t* inputs) const;
    void write_others(size_t at, uint8_t* inputs) const;
    void divide(const Predictors::Pairs& pairs);

    const SeenPlanes seen_;
    const int rank_;
    const bool is_refining_;
    const float unit_;                                // 1 / width of cells
    std::vector<uint8_t> shared_;                     // inputs that all positions share
    ptrdiff_t around_[SEEN_BLOCKS];                   // from a block to those around it
    std::vector<WindowEntry> own_, luma_, cb_;        // of the windows
    int luma_around_ = 0, cb_around_ = 0, sums_at_ = 0;  // inputs: of the coded frequency in 3x3 blocks; the first sum
    WeighedPairs own_pairs_, luma_pairs_, cb_pairs_;
    float factors_[WEIGHED];
};

}  // namespace ddpm
