#include "coefficient_pass.h"

#include <bit>
#include <cmath>

#include "environment.h"
#include "header.h"
#include "streams.h"

namespace ddpm {

namespace {

constexpr int DELAY_OF_ROWS = 2;  // waves that a row is behind the row above
constexpr int LUMA = 0, CB = 1;   // components

// How many columns or rows of luma there are to one of chroma, where that is 1 or 2; else 0.
int ratio_of(int luma, int chroma) { return luma == chroma ? 1 : luma == 2 * chroma ? 2 : 0; }

ChromaGrid grid_of(int across, int down) {
    if (!across || !down) return OTHER_GRID;
    return ChromaGrid(across * down == 1 ? FULL_GRID : across * down == 2 ? HALF_GRID : QUARTER_GRID);
}

// How many positions a wave has.
int most_positions(const std::vector<CoefficientPlane>& planes) {
    int most = 0;
    for (const CoefficientPlane& plane : planes)
        most = std::max(most, std::min(plane.rows, (plane.columns + DELAY_OF_ROWS - 1) / DELAY_OF_ROWS));
    return most;
}

bool has_same_blocks(const CoefficientPlane& a, const CoefficientPlane& b) { return a.columns == b.columns && a.rows == b.rows; }

}  // namespace

CoefficientChunk parse_coefficient_chunk(Bytes data, bool is_first) {
    CoefficientChunk chunk;
    ByteReader reader(data, "a chunk of coefficients");
    if (is_first) {
        const int bytes = reader.byte();
        if (bytes < LEAST_STATE_BYTES || bytes > MOST_STATE_BYTES)
            throw Error(Fault::CORRUPT, "a chunk claims a state of " + std::to_string(bytes) + " bytes (4 to 8 are possible): the data is damaged");
        chunk.state = reader.integer(bytes);
        if (chunk.state < LEAST_STATE || chunk.state > MOST_STATE)
            throw Error(Fault::CORRUPT, "a chunk begins with a state that no encoder writes: the data is damaged");
    }
    chunk.words.reserve(reader.left() / WORD_BYTES);
    while (reader.left() >= WORD_BYTES) chunk.words.push_back(uint32_t(reader.integer(WORD_BYTES)));
    return chunk;
}

CoefficientPass::CoefficientPass(CoefficientNetworks networks, Coefficients& tile, int levels)
    : networks_(std::move(networks)), tile_(tile), levels_(levels) {
    if (tile.components.empty() || tile.components.size() > MOST_JPEG_COMPONENTS) throw std::invalid_argument("a tile has one to four components");
    for (const JpegComponent& component : tile.components) {
        const size_t values = size_t(component.columns) * size_t(component.rows) * BLOCK_VALUES;
        if (component.columns < 1 || component.rows < 1 || component.values.size() != values)
            throw std::invalid_argument("a component has one block or more, and 64 values of each");
        planes_.emplace_back(component.columns, component.rows);
    }
    if (planes_.size() == 1) {
        grid_ = QUARTER_GRID;  // as most files that networks are trained on
        return;
    }
    const int across = ratio_of(planes_[LUMA].columns, planes_[CB].columns), down = ratio_of(planes_[LUMA].rows, planes_[CB].rows);
    grid_ = grid_of(across, down);
    if (grid_ == HALF_GRID || grid_ == QUARTER_GRID) luma_grid_.emplace(planes_[LUMA], across, down);
}

void CoefficientPass::encode() {
    if (has_begun_) throw std::logic_error("a pass codes once");
    is_encoding_ = has_begun_ = true;
}

void CoefficientPass::decode(CoefficientChunk first, bool is_cut) {
    if (has_begun_) throw std::logic_error("a pass codes once");
    has_begun_ = true;
    reader_.state = first.state;
    reader_.words = std::move(first.words);
    reader_.strict = is_cut;
}

void CoefficientPass::extend(const std::vector<uint32_t>& words) { reader_.words.insert(reader_.words.end(), words.begin(), words.end()); }

bool CoefficientPass::advance(int segment, Clock::time_point deadline) {
    if (!has_begun_) throw std::logic_error("a pass begins with encode() or decode()");
    const IeeeArithmetic arithmetic;
    segment = std::min(segment, segments());
    while (done_ < segment && !ended_) {
        if (!inputs_ && !plan_step()) {
            finish_segment();
            continue;
        }
        code_wave();
        if (ended_) break;
        const CoefficientPlane& plane = planes_[size_t(steps_[step_].component)];
        if (++wave_ == plane.columns + DELAY_OF_ROWS * (plane.rows - 1)) finish_step();
        if (Clock::now() >= deadline) break;
    }
    return done_ >= segment || ended_;
}

// --- from step to step

// Chroma sees luma, and Cr also Cb, if their blocks are in the same places.
SeenPlanes CoefficientPass::seen_by(int component) const {
    SeenPlanes seen{&planes_[size_t(component)]};
    if (jpeg_role(component) == JpegRole::LUMA) return seen;
    const CoefficientPlane* luma = luma_grid_ ? &luma_grid_->plane() : grid_ == FULL_GRID ? &planes_[LUMA] : nullptr;
    if (luma && has_same_blocks(*luma, *seen.own)) seen.luma = luma;
    if (jpeg_role(component) == JpegRole::CR && has_same_blocks(planes_[CB], *seen.own)) seen.cb = &planes_[CB];
    return seen;
}

bool CoefficientPass::is_refined(int component, int rank) const {
    return coarsest_level(step_of(tile_.components[size_t(component)], rank), levels_) > finest_level();
}

// The coarsest level goes from low ranks to high ones, finer levels from high ones, whose steps are larger, to low ones.
void CoefficientPass::list_steps() {
    for (int component = 0; component < int(planes_.size()); component++) {
        const size_t before = steps_.size();
        if (is_refining()) {
            for (int rank = BLOCK_VALUES - 1; rank >= 0; rank--)
                if (is_refined(component, rank)) steps_.push_back({component, rank});
        } else {
            if (const int flag = flag_of(done_); flag >= 0) steps_.push_back({component, BLOCK_VALUES + flag});
            for (int rank = SEGMENT_STARTS[done_]; rank < SEGMENT_STARTS[done_ + 1]; rank++) steps_.push_back({component, rank});
        }
        if (steps_.size() > before) steps_.back().is_last = true;
    }
}

// Returns whether the segment has a step.
bool CoefficientPass::plan_step() {
    if (steps_.empty()) begin_segment();
    if (steps_.empty()) return false;
    const Step& step = steps_[step_];
    const JpegRole role = jpeg_role(step.component);
    const auto& [predictors, networks] = networks_.of(role, is_refining());
    CellWidths widths;
    for (int rank = 0; rank < BLOCK_VALUES; rank++) {
        const int step_of_rank = step_of(tile_.components[size_t(step.component)], rank);
        rank_levels_[rank] = std::min(coarsest_level(step_of_rank, levels_), finest_level());
        widths[size_t(rank)] = step_of_rank * cell_width(rank_levels_[rank]);
    }
    inputs_.emplace(*predictors, role, step.condition, widths, is_refining(), seen_by(step.component), grid_);
    predicting_ = &learning_[is_refining()][role != JpegRole::LUMA];
    if (predicting_->empty())
        for (const auto& network : networks) predicting_->push_back(std::make_unique<LearningNetwork>(*network, most_positions(planes_)));
    for (const auto& network : *predicting_) network->begin_condition();
    wave_ = 0;
    return true;
}

int CoefficientPass::network_condition() const {
    const Step& step = steps_[step_];
    return conditions_before(jpeg_role(step.component), is_refining()) + step.condition;
}

void CoefficientPass::finish_step() {
    const Step step = steps_[step_];
    inputs_.reset();
    if (step.component == LUMA && step.is_last && luma_grid_) luma_grid_->renew();
    if (++step_ == steps_.size()) finish_segment();
}

void CoefficientPass::begin_segment() {
    list_steps();
    if (!is_refining()) return;
    for (CoefficientPlane& plane : planes_) plane.let_all_go_on();  // finer levels have no flags
}

void CoefficientPass::finish_segment() {
    steps_.clear();
    step_ = 0;
    if (is_encoding_) ends_.push_back(symbols_.size());
    done_++;
}

// --- a wave

void CoefficientPass::code_wave() {
    gather_wave();
    if (positions_.empty()) return;
    const int count = int(positions_.size()), condition = network_condition();
    const size_t networks = predicting_->size();
    const int32_t* outputs[MOST_NETWORKS];
    for (size_t n = 0; n < networks; n++) outputs[n] = (*predicting_)[n]->run({condition, rows_.data(), inputs_->stride(), count});
    const CoefficientCoder coder(is_encoding_ ? &symbols_ : nullptr, is_encoding_ ? nullptr : &reader_);
    for (int k = 0; k < count && !ended_; k++) {
        NetworkOpinion opinions[MOST_NETWORKS];
        const CoefficientInputs::Reading& reading = positions_[size_t(k)].reading;
        for (size_t n = 0; n < networks; n++) {
            const size_t count_of = size_t((*predicting_)[n]->outputs());
            opinions[n] = {{outputs[n] + size_t(k) * count_of, count_of}, reading.predicted, reading.sign, (*predicting_)[n]->gradients(k)};
        }
        code_block(coder, positions_[size_t(k)], {opinions, networks});
        ended_ = reader_.ended;
    }
    for (size_t n = 0; n < networks && !ended_; n++) (*predicting_)[n]->learn(condition);
}

void CoefficientPass::gather_wave() {
    const CoefficientPlane& plane = planes_[size_t(steps_[step_].component)];
    const int first = std::max(0, (wave_ - plane.columns + DELAY_OF_ROWS) / DELAY_OF_ROWS), end = std::min(plane.rows, wave_ / DELAY_OF_ROWS + 1);
    const size_t stride = inputs_->stride();
    rows_.resize(std::max(rows_.size(), size_t(std::max(end - first, 0)) * stride));
    positions_.clear();
    for (int row = first; row < end; row++) {
        const int column = wave_ - DELAY_OF_ROWS * row;
        if (!plane.goes_on[plane.at(column, row)]) continue;
        positions_.push_back({column, row, inputs_->read(column, row, &rows_[positions_.size() * stride])});
    }
}

void CoefficientPass::code_block(const CoefficientCoder& coder, const Position& position, std::span<const NetworkOpinion> opinions) {
    const Step& step = steps_[step_];
    JpegComponent& component = tile_.components[size_t(step.component)];
    CoefficientPlane& plane = planes_[size_t(step.component)];
    const size_t at = plane.at(position.column, position.row);
    int16_t* block = component.block(position.column, position.row);
    const int rank = rank_of(step.condition), level = rank_levels_[rank];
    if (step.is_flag()) {
        const auto cell_is_set = [&](int k) { return cell_of(block[k], rank_levels_[k]) != 0; };
        bool goes_on = false;
        for (int k = rank; is_encoding_ && k < BLOCK_VALUES && !goes_on; k++) goes_on = cell_is_set(k);
        plane.goes_on[at] = coder.flag(opinions, goes_on);
        return;
    }
    int cell = is_encoding_ ? cell_of(block[rank], level) : 0;
    if (is_refining()) {
        const int coarser = is_encoding_ ? cell_of(block[rank], level + 1) : block[rank] / cell_width(level + 1);
        cell = CELL_PARTS * coarser + coder.refined(opinions, cell - CELL_PARTS * coarser);
    } else {
        cell = coder.coefficient(opinions, cell);
    }
    const int value = std::clamp(cell * cell_width(level), int(INT16_MIN), int(INT16_MAX));  // no encoder has more
    if (!is_encoding_) block[rank] = int16_t(value);
    plane.set(at, rank, value * step_of(component, rank));
}

// --- previews

KnownRanks CoefficientPass::known_of(int component) const {
    if (is_refining()) return {BLOCK_VALUES, 0};
    KnownRanks known{SEGMENT_STARTS[done_], 0};
    for (size_t k = 0; k < step_; k++) known.ranks += steps_[k].component == component && !steps_[k].is_flag();
    if (step_ < steps_.size() && steps_[step_].component == component && steps_[step_].condition == known.ranks) known.waves = wave_;
    return known;
}

Coefficients CoefficientPass::expected() const {
    Coefficients means = tile_;
    std::vector<CoefficientPlane> planes = planes_;
    std::optional<LumaGrid> luma_grid;
    for (int component = 0; component < int(planes.size()); component++) {
        const SeenPlanes seen = seen_by(component);  // planes of the same places
        const CoefficientPlane* luma = !seen.luma ? nullptr : luma_grid ? &luma_grid->plane() : &planes[LUMA];
        const JpegRole role = jpeg_role(component);
        add_means(*networks_.of(role, false).predictors, known_of(component), means.components[size_t(component)], planes[size_t(component)], luma,
                  seen.cb ? &planes[CB] : nullptr);
        if (component != LUMA || !luma_grid_) continue;
        luma_grid.emplace(planes[LUMA], luma_grid_->across(), luma_grid_->down());
        luma_grid->renew();
    }
    return means;
}

// --- the stream

// CRC-32 of all coefficients, of which a stream keeps 24 bits.
uint32_t CoefficientPass::check() const {
    uint32_t crc = 0;
    for (const JpegComponent& component : tile_.components)
        crc = crc32({reinterpret_cast<const uint8_t*>(component.values.data()), component.values.size() * sizeof(int16_t)}, crc);
    return crc % CHECKS;
}

bool CoefficientPass::has_ended_well() const {
    return !is_encoding_ && done_ == segments() && !ended_ && reader_.state == LEAST_STATE + check() && reader_.position == reader_.words.size();
}

std::vector<std::vector<uint8_t>> CoefficientPass::chunks() const {
    if (!is_encoding_ || done_ < segments()) throw std::logic_error("nothing is packed before all is coded");
    const Stream stream = packed(symbols_, ends_, check());
    std::vector<std::vector<uint8_t>> chunks;
    for (const std::vector<uint32_t>& words : stream.words) {
        std::vector<uint8_t>& chunk = chunks.emplace_back();
        const int state_bytes = chunks.size() > 1 ? 0 : std::max(LEAST_STATE_BYTES, (int(std::bit_width(stream.state)) + 7) / 8);
        if (state_bytes) chunk.push_back(uint8_t(state_bytes));
        for (int k = 0; k < state_bytes; k++) chunk.push_back(uint8_t(stream.state >> (8 * k)));
        for (const uint32_t word : words)
            for (int k = 0; k < WORD_BYTES; k++) chunk.push_back(uint8_t(word >> (8 * k)));
    }
    return chunks;
}

double CoefficientPass::bits() const {
    double total = 0;
    for (size_t k = 0; k < symbols_.size(); k++) total += PRECISION - std::log2(double(symbols_[k].freq));
    return total;
}

}  // namespace ddpm
