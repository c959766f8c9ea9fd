// The one loop of encoder and decoder: waves of positions, and what is learned after each.
#include <algorithm>

#include "learning_rules.h"
#include "pass_parts.h"

namespace ddpm {

namespace {
constexpr int LEAST_PARTED = 16;  // rows of a wave that are parted among streams
}

// Visits the positions of a stream in a wave, in the order in which they are coded. Of several images, a stream has some. Of one, it
// has a part of every wave: rows beside each other, so that what a thread sees is mostly in its own cache. Of few rows it has those in
// turn, and so it does in coarse bands, whose segments have one part: streams would not advance at one pace, and the first to end would
// end a prefix.
template <class Visit> void Pass::positions(const Stage& stage, int stream, int wave, Visit visit) const {
    const Waves waves{stage.height, stage.width};
    const int first = waves.first_row(wave), end = waves.end_row(wave);
    const int rows = end - first, streams = layout_.streams;
    auto visit_rows = [&](int n, int from, int to, int step) {
        for (int y = from; y < to; y += step) visit(n, y, wave - DELAY * y);
    };
    if (layout_.images > 1)
        for (int n = stream; n < layout_.images; n += streams) visit_rows(n, first, end, 1);
    else if (rows < LEAST_PARTED || kind_of(stage) == BAND_KINDS - 1)
        visit_rows(0, first + ((stream - first) % streams + streams) % streams, end, streams);
    else
        visit_rows(0, first + rows * stream / streams, first + rows * (stream + 1) / streams, 1);
}

// Codes a thread's positions of a wave. Returns how many positions there are since the last step of learning.
int Pass::wave(Stage& stage, int wave, int thread, int threads) {
    Worker& worker = workers_[thread];
    const Network& network = learning_ ? learning_->network : trained(stage).network;
    const int filled = collect(stage, wave, thread, threads);
    worker.fit(worker.positions.size(), stage.role, network);
    predict_positions(stage, network, worker);
    if (fast_) code_fast(network, worker);
    else code_positions(stage, network, worker);
    return filled;
}

// Takes stock of a wave: the positions of the streams of this thread, and how many there are since the last step of learning.
int Pass::collect(const Stage& stage, int wave, int thread, int threads) {
    Worker& worker = workers_[thread];
    worker.positions.clear();
    worker.slots.clear();
    int slot = filled_;
    for (int s = 0; s < layout_.streams; s++) {
        const bool is_own = s * threads / layout_.streams == thread;  // streams beside each other: what they see is in one cache
        positions(stage, s, wave, [&](int n, int y, int x) {
            if (is_own && stage.wants(n, y, x)) {
                worker.positions.push_back({s, n, y, x});
                worker.slots.push_back(slot);
            } else if (is_own) {
                if (learning_) learning_->learner.clear_gradients(slot);
                if (shown_) shown_->clear(n, y, x);
            }
            slot++;
        });
    }
    return slot;
}

void Pass::predict_positions(Stage& stage, const Network& network, Worker& worker) {
    const size_t count = worker.positions.size(), inputs = padded(inputs_of(stage.role));
    worker.shown.clear();
    for (size_t k = 0; k < count; k++) {
        const Worker::WavePosition& at = worker.positions[k];
        stage.gather(at.n, at.y, at.x, &worker.rows[k * inputs], &worker.base[k * CHANNELS]);
        if (shown_) worker.shown.push_back(shown_->at(at.n, at.y, at.x));
    }
    const LearningRecord kept = learning_ ? learning_->learner.kept(worker.slots.data()) : LearningRecord{};
    predict(trained(stage), network, {stage.condition, worker.rows.data(), inputs, int(count)}, worker.outputs.data(), *worker.scratch,
            shown_ ? worker.shown.data() : nullptr, kept);
}

// Codes a pixel, by its candidates if one of them is right. Returns whether the network learns from it.
bool Pass::code_repeats(int stream, int image, int y, int x, Position& position, Values& values, const Coder& coder, Learning& learning) {
    const bool is_apart = repeats_.size() > 1;
    const int n = is_apart ? 0 : image, channels = layout_.channels;
    Repeats& repeats = *repeats_[size_t(is_apart ? image : 0)];
    Repeats::Visit& visit = visits_[size_t(stream)].emplace_back();
    repeats.look(n, y, x, visit);
    WrongColors wrong;
    int64_t rest = int64_t(1) << MEASURE_BITS;
    bool is_sure = false;
    for (int t = 0; t < visit.count && !visit.is_found && !coder.has_ended(); t++) {
        Values guess = values;
        visit.color_of(t, channels, guess.value);
        if (!values.allows(guess.value, channels)) continue;
        uint32_t freqs[CHANNELS] = {1 << PRECISION, 1 << PRECISION, 1 << PRECISION};
        Position(position).code(guess, channels, Coder(freqs), {learning.biases, nullptr, learning.colors});
        const int64_t by_network = wrong.add(guess.value, freqs, channels);
        const int probability = repeats.weigh(visit, t, by_network, rest);
        const bool is_right = coder.code_flag(probability, std::equal(guess.value, guess.value + channels, values.value));
        rest -= by_network;
        visit.settle(t, is_right);
        if (is_right) is_sure = probability > REPEAT_SURE, std::copy_n(guess.value, CHANNELS, values.value);
        if (is_sure) values = guess;
    }
    if (!visit.is_found) learning.wrong = &wrong;
    if (!is_sure) position.code(values, channels, visit.is_found ? Coder(nullptr, nullptr) : coder, learning);
    repeats.settle(n, y, x, values.known, channels, visit);
    if (layout_.images == 1 && layout_.streams > 1) return !is_sure;  // other streams see the same, and wait for the end of the wave
    repeats.learn(visit);
    visits_[size_t(stream)].clear();
    return !is_sure;
}

void Pass::code_positions(Stage& stage, const Network& network, Worker& worker) {
    const Outputs shape{trained(stage).components};
    const bool is_band = stage.role == Role::BAND;
    const int bias_set = bias_set_of(stage), channels = is_band ? CHANNELS : layout_.channels;
    const Colors* colors = is_band ? nullptr : colors_.get();
    for (size_t k = 0; k < worker.positions.size(); k++) {
        const Worker::WavePosition& at = worker.positions[k];
        Values values;
        stage.load(at.n, at.y, at.x, values);
        std::copy_n(&worker.base[k * CHANNELS], CHANNELS, values.base);
        Position position(shape, &worker.outputs[k * network.outputs]);
        Scores& scores = scores_[at.n][layout_.images == 1 ? at.stream : 0];
        ColorScores& color_scores = color_scores_[at.stream];
        Learning learning{biases_[at.n][bias_set], &scores, colors, &color_scores, learning_ != nullptr};
        bool teaches = true;
        if (is_band || repeats_.empty())
            position.code(values, channels, coder(at.stream), learning);
        else
            teaches = code_repeats(at.stream, at.n, at.y, at.x, position, values, coder(at.stream), learning);
        stage.store(at.n, at.y, at.x, values);
        if (colors) color_scores.pixels.push_back({values.known[0].lo, values.known[1].lo, values.known[2].lo});
        if (learning_ && teaches) position.gradients(learning_->learner.gradients(worker.slots[k]));
        if (learning_ && !teaches) learning_->learner.clear_gradients(worker.slots[k]);
    }
    if (!learning_) return;
    for (int slot : worker.slots) {  // later: vectors of what was just written value by value would wait for it
        float* gradients = learning_->learner.gradients(slot);
        for (int o = 0; o < network.outputs; o++) gradients[o] *= network.head_factor[o];
    }
}

// Codes pixels straight to exact by single logistics.
void Pass::code_fast(const Network& network, Worker& worker) {
    const int channels = layout_.channels;
    for (size_t k = 0; k < worker.positions.size(); k++) {
        const Worker::WavePosition& at = worker.positions[k];
        int values[CHANNELS] = {};
        if (encoding_) pixels_->target(at.n, at.y, at.x, values);
        Scores& scores = scores_[at.n][layout_.images == 1 ? at.stream : 0];
        float* gradients = learning_ ? learning_->learner.gradients(worker.slots[k]) : nullptr;
        fast_->code(at.n, at.y, at.x, &worker.outputs[k * network.outputs], &worker.base[k * CHANNELS], channels, coder(at.stream),
                    biases_[at.n][bias_set_of(*pixels_)], scores, values, gradients);
        pixels_->settle(at.n, at.y, at.x, values);
        for (int o = 0; learning_ && o < network.outputs; o++) gradients[o] *= network.head_factor[o];
    }
}

// Codes waves from `wave_` to `last` - 1, or until words run out.
void Pass::run(Stage& stage, int last) {
    const int bias_set = bias_set_of(stage), first = wave_;
    auto waves = [&](Team& team, int thread) {
        for (int w = first; w < last && !ended_; w++) {
            const int filled = wave(stage, w, thread, team.threads());
            const bool is_enough = learning_ && filled >= learning_->least;
            team.wait([&] { end_wave(stage, bias_set, w, learning_ && !is_enough ? filled : 0); });
            if (!is_enough || ended_) continue;
            learn(stage, filled, team, thread);
            team.wait();
        }
    };
    run_threads(layout_.threads, waves);
}

// Takes over what all threads coded in a wave. filled: positions that are left for the next step of learning.
void Pass::end_wave(const Stage& stage, int bias_set, int wave, int filled) {
    for (int n = 0; n < layout_.images; n++) {
        std::vector<Scores>& scores = scores_[n];
        for (size_t s = 1; s < scores.size(); s++) scores[0].take(scores[s]);
        biases_[n][bias_set].learn(scores[0]);
    }
    if (colors_ && stage.role != Role::BAND) colors_->learn(color_scores_);  // they learn where weights do
    for (std::vector<Repeats::Visit>& visits : visits_) {
        for (const Repeats::Visit& visit : visits) repeats_[0]->learn(visit);
        visits.clear();
    }
    for (const Reader& reader : readers_) {
        ended_ = ended_ || reader.ended;
        if (reader.lacks && certain_ < 0) certain_ = stage.role == Role::BAND ? 0 : wave;
    }
    filled_ = filled;
    if (!ended_) wave_ = wave + 1;
}

// A step by the last `filled` positions.
void Pass::learn(const Stage& stage, int filled, Team& team, int thread) {
    const Rates rates = rates_of(stage.role, learning_->network);
    for (int phase = 0; phase < Learner::PHASES; phase++) {
        if (phase) team.wait();
        learning_->learner.phase(phase, stage.condition, filled, rates, thread, team.threads());
    }
}

}  // namespace ddpm
