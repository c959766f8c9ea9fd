#include "coefficient_inputs.h"

#include <bit>
#include <cmath>

#include "coefficient_tables.h"
#include "inputs.h"

namespace ddpm {

namespace {

constexpr int ON = 16;              // how far above ZERO an input is that is on
constexpr int OWN = SEEN_BLOCKS / 2;
constexpr int WINDOW_REACH = 2, WINDOW_SIDE = 2 * WINDOW_REACH + 1, WINDOW = WINDOW_SIDE * WINDOW_SIDE;
constexpr int STEP_RANKS[] = {0, 1, 5, 14, 27, 40};  // whose steps are inputs
constexpr int INSIDE = 0, STEPS_AT = INSIDE + SEEN_BLOCKS, GRID_AT = STEPS_AT + 1 + int(std::size(STEP_RANKS)), GOES_ON = GRID_AT + OTHER_GRID,
              OWN_WINDOW = GOES_ON + SEEN_BLOCKS, OTHERS = OWN_WINDOW + WINDOW;
constexpr int OTHER_INPUTS = WINDOW + SEEN_BLOCKS;  // of luma, and of Cb
static_assert(OTHERS + PREDICTED + MAGNITUDES <= LUMA_INPUTS && OTHERS + 2 * OTHER_INPUTS + PREDICTED + MAGNITUDES <= CHROMA_INPUTS);

constexpr float LEAST_MAGNITUDE = 0.02f;
constexpr float MOST_PREDICTED = 1 << 21;  // 1/64

// Tables by the exponent and the first 7 bits of the mantissa of floats from 2^-6 on.
constexpr int TABLE_SHIFT = 16, FIRST_BUCKET = (127 - 6) << 7;

// 24 asinh(x), rounded, within -127 .. 127.
inline int asinh_input(float x) {
    const int bucket = int((std::bit_cast<uint32_t>(x) & 0x7FFFFFFF) >> TABLE_SHIFT) - FIRST_BUCKET;
    if (bucket < 0) return 0;
    const int size = bucket < int(std::size(ASINH_INPUT)) ? ASINH_INPUT[bucket] : 127;
    return x < 0 ? -size : size;
}

// 16 ln(x), rounded, at most 127; x is 2^-6 or more.
inline int log_input(float x) {
    const uint32_t bucket = (std::bit_cast<uint32_t>(x) >> TABLE_SHIFT) - FIRST_BUCKET;
    return bucket < std::size(LOG_INPUT) ? LOG_INPUT[bucket] : 127;
}

int step_input(int step) {
    return LEAST_STEP_INPUT + int(std::upper_bound(std::begin(STEP_INPUT), std::end(STEP_INPUT), step) - std::begin(STEP_INPUT));
}

// The integer nearest to |x| < 2^22, ties to even.
inline int32_t nearest(float x) { return std::bit_cast<int32_t>(x + 12582912.0f) - 0x4B400000; }

}  // namespace

CoefficientInputs::CoefficientInputs(const Predictors& predictors, JpegRole role, int condition, const CellWidths& widths, bool is_refining,
                                     const SeenPlanes& seen, ChromaGrid grid)
    : seen_(seen), rank_(rank_of(condition)), is_refining_(is_refining), unit_(1.0f / float(widths[size_t(rank_)])),
      shared_(size_t(rounded_up(role == JpegRole::LUMA ? LUMA_INPUTS : CHROMA_INPUTS, ROW_UNIT)), uint8_t(ZERO)) {
    for (int j = 0; j < SEEN_BLOCKS; j++) around_[j] = (j / 3 - 1) * ptrdiff_t(seen.own->stride) + j % 3 - 1;
    std::fill_n(&shared_[INSIDE], SEEN_BLOCKS, uint8_t(ZERO + ON));
    const auto width_input = [&](int rank) { return uint8_t(ZERO + step_input(widths[size_t(rank)])); };
    shared_[STEPS_AT] = width_input(rank_);
    for (size_t k = 0; k < std::size(STEP_RANKS); k++) shared_[STEPS_AT + 1 + k] = width_input(STEP_RANKS[k]);
    if (grid != OTHER_GRID) shared_[size_t(GRID_AT + grid)] = uint8_t(ZERO + ON);
    add_windows(role, rank_);
    divide(predictors.pairs(condition));
    for (int lane = 0; lane < WEIGHED; lane++) factors_[lane] = predictors.factors(condition)[lane] * unit_;
}

// Divides pairs between planes. Entries of a block are 64, as its values.
void CoefficientInputs::divide(const Predictors::Pairs& pairs) {
    for (size_t k = 0; k < pairs.entries.size(); k++) {
        const int block = pairs.entries[k] / BLOCK_VALUES, rank = pairs.entries[k] % BLOCK_VALUES;
        WeighedPairs& weighed = block == LUMA_BLOCK ? luma_pairs_ : block == CB_BLOCK ? cb_pairs_ : own_pairs_;
        weighed.offsets.push_back(int32_t(block < SEEN_BLOCKS ? around_[block] * BLOCK_VALUES : 0) + rank);
        const auto first = pairs.weights.begin() + ptrdiff_t(k * WEIGHED * 2);
        weighed.weights.insert(weighed.weights.end(), first, first + WEIGHED * 2);
    }
}

// The frequencies around that of a rank.
void CoefficientInputs::add_windows(JpegRole role, int rank) {
    const bool is_chroma = role != JpegRole::LUMA;
    luma_around_ = OTHERS + WINDOW, cb_around_ = luma_around_ + OTHER_INPUTS;
    sums_at_ = OTHERS + (is_chroma ? 2 * OTHER_INPUTS : 0);
    for (int k = 0; k < WINDOW; k++) {
        const int u = ZIGZAG.row[rank] + k / WINDOW_SIDE - WINDOW_REACH, v = ZIGZAG.column[rank] + k % WINDOW_SIDE - WINDOW_REACH;
        if (u < 0 || v < 0 || u >= BLOCK_SIDE || v >= BLOCK_SIDE) continue;
        const uint8_t near = ZIGZAG.rank[u][v];
        own_.push_back({uint8_t(OWN_WINDOW + k), near});
        luma_.push_back({uint8_t(OTHERS + k), near});
        cb_.push_back({uint8_t(OTHERS + OTHER_INPUTS + k), near});
    }
}

CoefficientInputs::Reading CoefficientInputs::read(int column, int row, uint8_t* inputs) const {
    const size_t at = seen_.own->at(column, row);
    std::copy(shared_.begin(), shared_.end(), inputs);
    write_surroundings(column, row, at, inputs);
    write_window(*seen_.own, at, own_, inputs);
    write_others(at, inputs);
    int32_t sums[WEIGHED] = {};
    own_pairs_.add_to(sums, *seen_.own, at);
    if (seen_.luma) luma_pairs_.add_to(sums, *seen_.luma, at);
    if (seen_.cb) cb_pairs_.add_to(sums, *seen_.cb, at);
    for (int k = 0; k < PREDICTED; k++) inputs[sums_at_ + k] = uint8_t(ZERO + asinh_input(float(sums[k]) * factors_[k]));
    for (int k = 0; k < MAGNITUDES; k++)
        inputs[sums_at_ + PREDICTED + k] = uint8_t(ZERO + log_input(float(sums[LINEAR + k]) * factors_[LINEAR + k] + LEAST_MAGNITUDE));
    const float predicted = float(sums[0]) * factors_[0] * 64.0f;
    const int known = seen_.own->block(at)[rank_];
    const int sign = known ? (known > 0 ? 1 : -1) : sums[0] < 0 ? -1 : 1;
    if (is_refining_ && sign < 0)
        for (int k = OWN_WINDOW; k < sums_at_ + PREDICTED; k++) inputs[k] = uint8_t(2 * ZERO - inputs[k]);
    return {nearest(std::min(std::max(predicted, -MOST_PREDICTED), MOST_PREDICTED)), sign};
}

// Which blocks around are inside, and go on.
void CoefficientInputs::write_surroundings(int column, int row, size_t at, uint8_t* inputs) const {
    const CoefficientPlane& own = *seen_.own;
    for (int j = 0; j < SEEN_BLOCKS; j++)
        if (j != OWN && own.goes_on[size_t(ptrdiff_t(at) + around_[j])]) inputs[GOES_ON + j] = uint8_t(ZERO + ON);
    if (column > 0 && row > 0 && column < own.columns - 1 && row < own.rows - 1) return;
    for (int j = 0; j < SEEN_BLOCKS; j++) {
        const int x = column + j % 3 - 1, y = row + j / 3 - 1;
        if (x < 0 || y < 0 || x >= own.columns || y >= own.rows) inputs[INSIDE + j] = ZERO;
    }
}

void CoefficientInputs::write_window(const CoefficientPlane& plane, size_t at, const std::vector<WindowEntry>& window, uint8_t* inputs) const {
    const int16_t* block = plane.block(at);
    for (const WindowEntry& entry : window)
        if (block[entry.rank]) inputs[entry.input] = uint8_t(ZERO + asinh_input(float(block[entry.rank]) * unit_));
}

// What chroma sees of luma and of Cb besides sums: windows, and the coded frequency around.
void CoefficientInputs::write_others(size_t at, uint8_t* inputs) const {
    auto write = [&](const CoefficientPlane* plane, const std::vector<WindowEntry>& window, int first_around) {
        if (!plane) return;
        write_window(*plane, at, window, inputs);
        for (int j = 0; j < SEEN_BLOCKS; j++) {
            const int16_t value = plane->block(size_t(ptrdiff_t(at) + around_[j]))[rank_];
            if (value) inputs[first_around + j] = uint8_t(ZERO + asinh_input(float(value) * unit_));
        }
    };
    write(seen_.luma, luma_, luma_around_);
    write(seen_.cb, cb_, cb_around_);
}

}  // namespace ddpm
