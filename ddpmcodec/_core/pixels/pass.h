// One pass of the codec over a batch of images of one size: noise levels step by step, then exact pixels, wave after wave.
//
// The context of a position reaches three columns right of it in the rows above. Positions with the same x + 4 y depend on
// none of each other: a wave. Each stream has a part of a wave's rows, each thread some streams; in a wave every thread gathers, predicts and
// codes the positions of its streams, then all of them wait for each other. What is learned changes between waves only. So
// neither the number of threads nor their pace changes a bit.
#pragma once
#include <atomic>
#include <memory>
#include <stdexcept>

#include "fast_pixels.h"
#include "kernels_learner.h"
#include "repeats.h"
#include "shown.h"
#include "stages.h"
#include "threads.h"
#include "trained.h"

namespace ddpm {

// How the images of a batch are dealt out to streams and threads.
struct Layout {
    int images, height, width, channels;
    int streams;   // one image: parts of each wave, or rows in turn; several: images in turn
    bool learns;   // weights and colours learn, from all images together; scales adapt to each image on its own
    int threads;
    bool repeats = false;  // exact pixels are first sought among what followed the same neighbourhoods
};

class Pass {
  public:
    // Threads use a pass one after another. Raises std::logic_error where another one does.
    class Use {
      public:
        explicit Use(const Pass& pass) : pass_(pass) {
            if (pass_.is_used_.exchange(true)) throw std::logic_error("another thread uses this pass");
        }
        ~Use() { pass_.is_used_ = false; }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

      private:
        const Pass& pass_;
    };

    // Raises std::invalid_argument for a layout that cannot be.
    Pass(Model model, int levels, Layout layout);
    ~Pass();

    // --- a pass begins with one of these two

    // pixels: uint8 [N, H, W, C], copied. for_previews, of both: what previews need of the one image is kept.
    void encode(const uint8_t* pixels, bool for_previews);
    // states, words: of every stream, as far as they are there. is_cut: more words are known to be missing.
    void decode(const std::vector<uint64_t>& states, std::vector<std::vector<uint32_t>> words, bool for_previews, bool is_cut);
    // Appends words of a stream to those before.
    void extend(int stream, const uint32_t* words, size_t count);
    // From now on more words are known to be missing.
    void set_cut();

    // Codes up to `waves` waves, and no further than the end of `segment`. Returns the number of segments that are done. After an
    // exception nothing is coded any more.
    int advance(int waves, int segment);

    int segments() const { return int(segments_.size()); }
    int segments_done() const { return done_; }
    const std::vector<Segment>& schedule() const { return segments_; }
    const Layout& layout() const { return layout_; }
    // Whether words ran out. Nothing is coded from then on.
    bool ended() const { return ended_; }
    bool is_exact() const { return done_ == segments() && !ended_; }

    // Encoder: what each stream codes, and how many symbols there are at the end of each part of each segment.
    const Symbols& symbols(int stream) const { return symbols_.at(stream); }
    const std::vector<size_t>& ends(int stream) const { return ends_.at(stream); }
    // Decoder.
    const Reader& reader(int stream) const { return readers_.at(stream); }

    // Writes the pixels that are exact, uint8 [N, H, W, C], and which are: uint8 [N, H, W]. Others are not touched.
    void pixels(uint8_t* out, uint8_t* known) const;
    // The ideal code length so far, in bits.
    double bits() const;

    // For previews, which are of one image.
    const std::vector<Band>& geometry() const { return geometry_; }
    const BandRanges& ranges(int band) const { return ranges_[band][0]; }
    const std::vector<Range>& root() const { return root_; }  // [3]; empty without noise levels
    const Trained* preview_network() const { return model_.preview.get(); }  // null where there is none
    // What is known of a band, where all that its step has not coded yet has the mean and scale that the band's
    // network predicts for that step, or once more for the last one. coarse: the image before the band. coded: what stands for the
    // coefficients before a position; null: what is known of them.
    BandRanges predicted(int band_index, const Planes& coarse, const Planes* coded, int threads) const;
    // What the bands show, once that does not change any more; empty before.
    std::vector<float>& kept_means() const { return kept_means_; }
    bool has_begun() const { return begun_; }
    bool is_for_previews() const { return for_previews_; }

  private:
    struct Worker;   // a thread's part of a wave
    struct Learned;  // a network that goes on learning

    void begin(bool for_previews);
    void advance_to(int waves, int segment);
    void begin_learning(const Stage& stage);
    void begin_showing(const Stage& stage);

    void begin_band();
    void begin_pixels();
    void finish_band();
    void code_root();
    std::vector<Planes> coded_roots() const;  // [N]
    void run(Stage& stage, int last);
    int wave(Stage& stage, int wave, int thread, int threads);
    int collect(const Stage& stage, int wave, int thread, int threads);
    void predict_positions(Stage& stage, const Network& network, Worker& worker);
    void code_positions(Stage& stage, const Network& network, Worker& worker);
    bool is_fast() const { return steps_.empty() && model_.pixels->components == 1; }  // a network of one logistic was made to be fast
    void code_fast(const Network& network, Worker& worker);
    bool code_repeats(int stream, int n, int y, int x, Position& position, Values& values, const Coder& coder, Learning& learning);
    void end_wave(const Stage& stage, int bias_set, int wave, int filled);
    void learn(const Stage& stage, int filled, Team& team, int thread);
    template <class Visit> void positions(const Stage& stage, int stream, int wave, Visit visit) const;
    Coder coder(int stream);
    int kind_of(const Stage& stage) const;  // of a band; of pixels BAND_KINDS
    const Trained& trained(const Stage& stage) const;
    int bias_set_of(const Stage& stage) const;
    const LevelStep& next_step(int band_index) const;

    Model model_;
    Layout layout_;
    std::vector<LevelStep> steps_;
    std::vector<Segment> segments_;
    std::vector<Band> geometry_;
    int certain_ = -1;  // waves of the exact step before a reader lacked a word, once one has
    mutable std::atomic<bool> is_used_{false};
    bool encoding_ = false, for_previews_ = false, begun_ = false, ended_ = false;
    int done_ = 0, part_ = 0, band_ = 0, wave_ = 0;  // segments; parts and bands of the segment; waves of the band, or of the exact step
    std::vector<uint8_t> input_;
    std::vector<Planes> root_values_;                 // encoder [N]
    std::vector<std::vector<Planes>> differences_;    // encoder, by band, [N]
    std::vector<Range> root_;
    mutable std::vector<float> kept_means_;
    std::vector<std::vector<BandRanges>> ranges_;     // by band, [N]
    std::vector<Planes> coarse_;                      // upright, before the band that is coded, [N]
    std::unique_ptr<Stage> stage_;
    std::unique_ptr<PixelStage> pixels_;
    std::unique_ptr<ShownActivations> shown_;          // of the band or the pixels that are coded, where their network sees those of others
    std::vector<Symbols> symbols_;
    std::vector<std::vector<size_t>> ends_;
    std::vector<Reader> readers_;
    std::vector<std::vector<Scores>> scores_;         // what a wave teaches, by image; by stream of a single image
    std::vector<std::vector<Biases>> biases_;         // by image; by band's step and kind, the last of pixels
    std::vector<ColorScores> color_scores_;           // what a wave teaches, by stream
    std::vector<Worker> workers_;
    std::unique_ptr<Learned> learned_[BAND_KINDS + 1]; // by kind of band; the last of pixels
    Learned* learning_ = nullptr;                      // the one that is used now, where weights learn
    int filled_ = 0;                                   // positions since its last step
    std::unique_ptr<Colors> colors_;
    std::unique_ptr<FastPixels> fast_;                 // where exact pixels are coded in the fast way
    std::vector<std::unique_ptr<Repeats>> repeats_;    // one; or of images that share nothing, by image
    std::vector<std::vector<Repeats::Visit>> visits_;  // what a wave teaches, by stream
};

}  // namespace ddpm
