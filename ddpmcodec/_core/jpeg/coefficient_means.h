// What stands for coefficients that are not known, in previews: their conditional means by the linear predictors of the networks.
#pragma once
#include "coefficient_model.h"
#include "coefficient_plane.h"

namespace ddpm {

inline constexpr int PREDICTED_RANKS = 15;  // higher ones are hardly predictable from what is known before them

// What is known of a component: ranks below `ranks` of all blocks, and this rank itself of blocks with column + 2 row < `waves`, besides what
// is not zero.
struct KnownRanks {
    int ranks = 0, waves = 0;

    bool covers(int rank, int column, int row) const { return rank < ranks || (rank == ranks && column + 2 * row < waves); }
};

// Fills in the means of blocks that go on. plane: of the component's known coefficients, which the means join; luma, cb: what chroma sees.
void add_means(const Predictors& predictors, const KnownRanks& known, JpegComponent& component, CoefficientPlane& plane,
               const CoefficientPlane* luma, const CoefficientPlane* cb);

}  // namespace ddpm
