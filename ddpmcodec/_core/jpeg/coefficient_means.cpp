#include "coefficient_means.h"

#include <cmath>

namespace ddpm {

namespace {

// A weight of the linear predictor, and the value that it weighs: in this plane, so far from that of the block itself.
struct Term {
    const int16_t* values;
    ptrdiff_t offset;
    float weight;
};

std::vector<Term> terms_of(const Predictors& predictors, int condition, const CoefficientPlane& plane, const CoefficientPlane* luma,
                           const CoefficientPlane* cb) {
    std::vector<Term> terms;
    for (const Predictors::Weight& weight : predictors.weights(condition, 0)) {
        const int block = weight.entry / BLOCK_VALUES, rank = weight.entry % BLOCK_VALUES;
        const CoefficientPlane* seen = block == LUMA_BLOCK ? luma : block == CB_BLOCK ? cb : &plane;
        if (!seen) continue;
        const ptrdiff_t blocks = block < SEEN_BLOCKS ? (block / 3 - 1) * ptrdiff_t(plane.stride) + block % 3 - 1 : 0;
        terms.push_back({seen->values.data(), blocks * BLOCK_VALUES + rank, float(weight.weight) * predictors.factors(condition)[0]});
    }
    return terms;
}

}  // namespace

void add_means(const Predictors& predictors, const KnownRanks& known, JpegComponent& component, CoefficientPlane& plane,
               const CoefficientPlane* luma, const CoefficientPlane* cb) {
    for (int rank = known.ranks; rank < PREDICTED_RANKS; rank++) {
        const std::vector<Term> terms = terms_of(predictors, rank, plane, luma, cb);
        const float step = float(step_of(component, rank));
        for (int row = 0; row < plane.rows; row++)
            for (int column = 0; column < plane.columns; column++) {
                const size_t at = plane.at(column, row);
                if (!plane.goes_on[at] || known.covers(rank, column, row) || plane.block(at)[rank]) continue;
                float mean = 0;
                for (const Term& term : terms) mean += float(term.values[ptrdiff_t(at) * BLOCK_VALUES + term.offset]) * term.weight;
                plane.set(at, rank, int(std::lround(mean)));
                component.block(column, row)[rank] = int16_t(std::lround(std::clamp(mean / step, -1024.0f, 1023.0f)));
            }
    }
}

}  // namespace ddpm
