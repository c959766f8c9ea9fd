// Codes the coefficients of a tile of a JPEG file: a rectangle of whole MCUs, which depends on no other.
//
// Segment after segment, component after component, flags and then rank after rank; after the coarsest level, finer ones. The context of a block reaches one block right of it
// in the row above: blocks with the same x + 2 y depend on none of each other, a wave, and go through the network together. The network
// then learns from them.
#pragma once
#include <chrono>
#include <optional>

#include "coefficient_code.h"
#include "coefficient_inputs.h"
#include "coefficient_means.h"
#include "learning_network.h"
#include "luma_grid.h"

namespace ddpm {

// What codes coefficients as far as its words are there: a state, if it is the first of a tile, and words.
struct CoefficientChunk {
    uint64_t state = 0;
    std::vector<uint32_t> words;
};

// data: a chunk, or its beginning; a word that is cut is left out. Throws Error: TRUNCATED where data end inside the state, CORRUPT where no
// encoder writes that state.
CoefficientChunk parse_coefficient_chunk(Bytes data, bool is_first);

class CoefficientPass {
  public:
    using Clock = std::chrono::steady_clock;

    // tile: geometry and steps; an encoder's values, which a decoder writes: the middles of cells, as far as they are known. It lives as
    // long as the pass. levels: besides the exact one.
    // Throws std::invalid_argument for a tile without components or blocks.
    CoefficientPass(CoefficientNetworks networks, Coefficients& tile, int levels);

    // --- a pass begins with one of these two

    void encode();
    // is_cut: more words are known to be missing.
    void decode(CoefficientChunk first, bool is_cut = false);
    // Appends words of the next chunk.
    void extend(const std::vector<uint32_t>& words);
    // From now on more words are known to be missing.
    void set_cut() { reader_.strict = true; }

    // Codes on to the end of a segment, or until words run out: then it returns true; false at the deadline, or shortly after it.
    bool advance(int segment, Clock::time_point deadline = Clock::time_point::max());

    int segments() const { return jpeg_segments(levels_); }
    int segments_done() const { return done_; }
    bool ended() const { return ended_; }  // words ran out, and nothing is coded from then on
    // Of a decoder that is done: whether all is as it was encoded, by the end of the stream.
    bool has_ended_well() const;

    // The tile with conditional means of coefficients of low ranks that are not known, for previews.
    Coefficients expected() const;

    // Of an encoder that is done: the chunks of all segments.
    std::vector<std::vector<uint8_t>> chunks() const;
    double bits() const;  // ideal code length of an encoder

  private:
    // The same thing of all blocks of a component: the coefficient of a rank, or a flag.
    struct Step {
        int component, condition;
        bool is_last = false;  // of its component, before the next one goes on

        bool is_flag() const { return condition >= BLOCK_VALUES; }
    };

    struct Position {
        int column, row;
        CoefficientInputs::Reading reading;
    };

    bool is_refining() const { return done_ >= JPEG_SEGMENTS; }
    int finest_level() const { return is_refining() ? segments() - 1 - done_ : levels_; }  // of the segment
    bool is_refined(int component, int rank) const;
    SeenPlanes seen_by(int component) const;
    void list_steps();
    void begin_segment();
    void finish_segment();
    KnownRanks known_of(int component) const;
    bool plan_step();
    void finish_step();
    void code_wave();
    void gather_wave();
    void code_block(const CoefficientCoder& coder, const Position& position, std::span<const NetworkOpinion> opinions);
    int network_condition() const;            // of the step
    uint32_t check() const;

    const CoefficientNetworks networks_;
    Coefficients& tile_;
    const int levels_;
    std::vector<CoefficientPlane> planes_;    // by component
    std::optional<LumaGrid> luma_grid_;       // if chroma is coarser
    std::vector<std::unique_ptr<LearningNetwork>> learning_[2][2];  // of the coarsest level and finer ones; of luma and chroma
    ChromaGrid grid_ = OTHER_GRID;
    bool is_encoding_ = false, has_begun_ = false, ended_ = false;
    int done_ = 0;                            // segments
    std::vector<Step> steps_;                 // of the segment
    size_t step_ = 0;
    int wave_ = 0;

    // Of the step that is coded.
    int rank_levels_[BLOCK_VALUES] = {};      // of the cells that are coded
    std::optional<CoefficientInputs> inputs_;
    std::vector<std::unique_ptr<LearningNetwork>>* predicting_ = nullptr;
    std::vector<Position> positions_;         // of the wave
    std::vector<uint8_t> rows_;               // their inputs

    Symbols symbols_;
    std::vector<size_t> ends_;
    Reader reader_;
};

}  // namespace ddpm
