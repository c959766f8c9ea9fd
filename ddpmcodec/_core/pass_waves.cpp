// The one loop of encoder and decoder: waves of positions, and what is learned after each.
#include <algorithm>
#include <cmath>

#include "pass_parts.h"

namespace ddpm {

namespace {

// Rates of networks 64 wide; wider ones, which know more, learn less: rates fall as the root of the width. What others show moves
// with the image, too: a block that sees it learns more slowly (docs/experiments).
constexpr Rates PIXEL_RATES{0.07f, 0.3f, 0.05f}, BAND_RATES{0.025f, 0.15f, 0.025f};  // head, last block, biases
constexpr float SHOWN_PACE = 0.6f;

Rates rates_of(Role role, const Network& network) {
    const Rates& rates = role == Role::BAND ? BAND_RATES : PIXEL_RATES;
    const float share = 8.0f / std::sqrt(float(network.width)), pace = network.shown ? SHOWN_PACE : 1.0f;
    return {rates.head * share, rates.block * share * pace, rates.bias * share};
}

}  // namespace

// Visits the positions of a stream in a wave, in the order in which they are coded.
template <class Visit> void Pass::positions(const Stage& stage, int stream, int wave, Visit visit) const {
    const int first = std::max(0, -((stage.width - 1 - wave) / DELAY)), last = std::min(stage.height - 1, wave / DELAY);
    const int step = layout_.images == 1 ? layout_.streams : 1;
    const int begin = step == 1 ? first : first + ((stream - first) % step + step) % step;
    for (int n = layout_.images == 1 ? 0 : stream; n < layout_.images; n += layout_.images == 1 ? 1 : layout_.streams)
        for (int y = begin; y <= last; y += step)
            if (wave - DELAY * y < stage.width) visit(n, y, wave - DELAY * y);
}

void Pass::wave(Stage& stage, int wave, int thread, int threads) {
    Worker& worker = workers_[thread];
    const Trained& trained = this->trained(stage);
    const bool learns = learning_;
    const Network& network = learns ? learning_->network : trained.network;
    const Outputs shape{trained.components};
    worker.positions.clear();
    int slot = filled_;
    for (int s = 0; s < layout_.streams; s++) {
        const bool is_own = s % threads == thread;
        positions(stage, s, wave, [&](int n, int y, int x) {
            const bool is_coded = is_own && stage.wants(n, y, x);
            if (is_coded) worker.positions.push_back({s, n, y, x, slot});
            if (is_own && !is_coded && learns) std::fill_n(learning_->learner.slopes(slot), network.outputs, 0.0f);
            if (is_own && !is_coded && shown_) shown_->clear(n, y, x);
            slot++;
        });
    }
    const size_t count = worker.positions.size(), inputs = padded(inputs_of(stage.role));
    worker.fit(count, stage.role, network, learns);
    for (size_t k = 0; k < count; k++) {
        const Worker::WavePosition& at = worker.positions[k];
        stage.gather(at.n, at.y, at.x, &worker.rows[k * inputs], &worker.base[k * CHANNELS]);
    }
    worker.shown.clear();
    if (shown_)
        for (const Worker::WavePosition& at : worker.positions) worker.shown.push_back(shown_->at(at.n, at.y, at.x));
    predict(trained, network, stage.condition, worker.rows.data(), inputs, int(count), worker.outputs.data(), *worker.scratch,
            shown_ ? worker.shown.data() : nullptr, learns ? worker.kept_block.data() : nullptr, learns ? worker.kept_head.data() : nullptr);
    const int bias_set = bias_set_of(stage), channels = stage.role == Role::BAND ? CHANNELS : layout_.channels;
    for (size_t k = 0; k < count; k++) {
        const Worker::WavePosition& at = worker.positions[k];
        Values values;
        stage.load(at.n, at.y, at.x, values);
        std::copy_n(&worker.base[k * CHANNELS], CHANNELS, values.base);
        Position position(shape, &worker.outputs[k * network.outputs]);
        Scores& scores = scores_[at.n][layout_.images == 1 ? at.stream : 0];
        const Colors* colors = stage.role != Role::BAND ? colors_.get() : nullptr;
        const Biases& biases = biases_[at.n][bias_set];
        position.code(values, channels, coder(at.stream), {biases, &scores, colors, &color_scores_[at.stream], learns});
        stage.store(at.n, at.y, at.x, values);
        if (!learns) continue;
        Learner& learner = learning_->learner;
        float* slopes = learner.slopes(at.slot);
        position.slopes(slopes);
        for (int o = 0; o < network.outputs; o++) slopes[o] *= network.head_factor[o];
        std::copy_n(&worker.kept_block[k * network.block_inputs()], network.block_inputs(), learner.kept_block(at.slot));
        std::copy_n(&worker.kept_head[k * network.width], network.width, learner.kept_head(at.slot));
    }
}

// Codes waves from `wave_` to `last` - 1, or until words run out.
void Pass::run(Stage& stage, int last) {
    const int bias_set = bias_set_of(stage), first = wave_;
    auto waves = [&](Team& team, int thread) {
        for (int w = first; w < last; w++) {
            wave(stage, w, thread, team.threads());
            team.wait();
            if (thread == 0) end_wave(stage, bias_set, w);
            team.wait();
            if (ended_) break;
            if (filled_ >= LEAST_LEARNED) {
                learn(stage, team, thread);
                if (thread == 0) filled_ = 0;
                team.wait();
            }
        }
    };
    run_threads(layout_.threads, waves);
}

// Learns from what all threads coded in a wave.
void Pass::end_wave(const Stage& stage, int bias_set, int wave) {
    const bool has_colors = colors_ && stage.role != Role::BAND;
    for (int n = 0; n < layout_.images; n++)
        for (Scores& scores : scores_[n]) biases_[n][bias_set].learn(scores);
    for (int s = 0; learning_ && s < layout_.streams; s++) {
        if (has_colors) colors_->learn(color_scores_[s]);
        positions(stage, s, wave, [&](int n, int y, int x) {
            filled_++;
            if (!has_colors) return;
            uint8_t rgb[CHANNELS] = {};
            pixels_->pixel(n, y, x, rgb);
            const int grb[CHANNELS] = {rgb[1], rgb[0], rgb[2]};
            colors_->count(grb);
        });
    }
    for (const Reader& reader : readers_) {
        ended_ = ended_ || reader.ended;
        if (reader.lacks && certain_ < 0) certain_ = stage.role == Role::BAND ? 0 : wave;
    }
    if (!ended_) wave_ = wave + 1;
}

void Pass::learn(const Stage& stage, Team& team, int thread) {
    const Rates rates = rates_of(stage.role, learning_->network);
    for (int phase = 0; phase < Learner::PHASES; phase++) {
        learning_->learner.phase(phase, stage.condition, filled_, rates, thread, team.threads());
        team.wait();
    }
}

}  // namespace ddpm
