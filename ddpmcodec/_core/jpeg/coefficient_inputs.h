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

// Inputs of positions in one condition, of all networks that predict it: they differ by their predictors alone.
class CoefficientInputs {
  public:
    using Networks = std::vector<std::shared_ptr<const CoefficientNetwork>>;

    // What a network makes of a position besides inputs.
    struct Reading {
        int32_t predicted;  // the coefficient, linearly, in 1/64 of the cells' width
        int sign;           // 1 or -1: of what is known of it, or predicted. Inputs are multiplied by it, if a cell is refined.
    };

    // condition: of the component. widths: of cells, by rank, dequantised. is_refining: cells of the coarser level are known.
    CoefficientInputs(const Networks& networks, JpegRole role, int condition, const CellWidths& widths, bool is_refining, const SeenPlanes& seen,
                      ChromaGrid grid);

    size_t stride() const { return row_.size(); }
    // Gathers the position of a block.
    void gather(int column, int row);
    // Writes the inputs of a network there.
    Reading write(size_t network, uint8_t* inputs) const;

  private:
    struct WindowEntry {
        uint8_t input, rank;
    };
    struct Sums {
        std::vector<int16_t> weights;  // [entries][WEIGHED]
        float factors[WEIGHED];
    };

    void add_windows(JpegRole role, int rank);
    void gather_surroundings(int column, int row, size_t at);
    void gather_window(const CoefficientPlane& plane, size_t at, const std::vector<WindowEntry>& window);
    void gather_others(size_t at);
    void list(const CoefficientPlane& plane, size_t at, int block);

    const SeenPlanes seen_;
    const int rank_;
    const bool is_refining_;
    const float unit_;                                // 1 / width of cells
    int known_sign_ = 0;                              // of the coefficient, as far as it is known
    std::vector<uint8_t> shared_, row_;               // inputs that all positions share; of the position
    ptrdiff_t around_[SEEN_BLOCKS];                   // from a block to those around it
    std::vector<WindowEntry> own_, luma_, cb_;        // of the windows
    int luma_around_ = 0, cb_around_ = 0, sums_at_ = 0;  // inputs: of the coded frequency in 3x3 blocks; the first sum
    std::vector<Sums> sums_;                          // by network
    uint64_t weighed_[MOST_SEEN_BLOCKS] = {};         // which entries have weights, by block
    uint16_t places_[MOST_SEEN_BLOCKS * BLOCK_VALUES];
    int16_t values_[MOST_SEEN_BLOCKS * BLOCK_VALUES];
    int listed_ = 0;
};

}  // namespace ddpm
