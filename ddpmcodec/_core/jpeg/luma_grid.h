// Luma as chroma sees it: on the grid of chroma, which may have half of its columns and rows.
#pragma once
#include "coefficient_plane.h"

namespace ddpm {

// The blocks of luma that a block of chroma covers make one block by means of pairs of pixels. That is linear in coefficients.
class LumaGrid {
  public:
    // across, down: columns and rows of luma to one of chroma, 1 or 2.
    LumaGrid(const CoefficientPlane& luma, int across, int down);

    const CoefficientPlane& plane() const { return plane_; }
    int across() const { return across_; }
    int down() const { return down_; }

    // Makes all blocks anew, of what is known of luma.
    void renew();

  private:
    void renew_block(int column, int row);

    const CoefficientPlane& luma_;
    const int across_, down_;
    CoefficientPlane plane_;
    std::vector<int16_t> weights_;  // [down][across][rank of luma][rank], 2^-13
};

}  // namespace ddpm
