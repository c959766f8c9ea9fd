#include "pass.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

namespace {

constexpr int LEAST_OF_THREAD = 2;  // positions of the largest wave: in images of a row or two threads only wait
constexpr int LEAST_LEARNED = 128;  // positions of a step of gradient descent, which ends with a wave
constexpr int FIRST_THAT_LEARNS = 1;  // the finest band has most positions and few bits: learning there costs more than it saves
// Rates of networks 64 wide; wider ones, which know more, learn less: rates fall as the root of the width.
constexpr Rates PIXEL_RATES{0.07f, 0.3f, 0.05f}, BAND_RATES{0.025f, 0.15f, 0.025f};  // head, last block, biases

Rates rates_of(Role role, int width) {
    const Rates& rates = role == Role::BAND ? BAND_RATES : PIXEL_RATES;
    const float share = 8.0f / std::sqrt(float(width));
    return {rates.head * share, rates.block * share, rates.bias * share};
}

constexpr int BAND_BIASES = LEVEL_STEPS * BAND_KINDS, BIAS_SETS = BAND_BIASES + 1;

// Computes outputs of positions in one condition. network: `trained`'s, or its copy that goes on learning.
void predict(const Trained& trained, const Network& network, int condition, const uint8_t* rows, size_t stride, int count, int32_t* outputs,
             Scratch& scratch, uint8_t* kept_block = nullptr, uint8_t* kept_head = nullptr) {
    if (trained.predict)
        trained.predict(condition, rows, stride, count, outputs);
    else
        run(network, condition, rows, stride, count, outputs, network.outputs, scratch, kept_block, kept_head);
}

// How many positions of one image are in a wave, at most; bands may be turned.
int largest_wave(int height, int width) {
    auto largest = [](int down, int across) { return std::min(down, (across + DELAY - 1) / DELAY); };
    return std::max(largest(height, width), largest(width, height));
}

int padded(int inputs) { return (inputs + 63) / 64 * 64; }

}  // namespace

struct Pass::Lane {
    Scores scores;
    ColorScores colors;
};

struct Pass::Learned {
    Network network;
    Learner learner;
    Learned(const Network& first, int most_positions) : network(first), learner(network, most_positions) {}
};

// A thread's part of a wave: the positions of its streams.
struct Pass::Worker {
    struct WavePosition {
        int stream, n, y, x;
        int slot;  // among all positions since the last step of learning
    };
    std::vector<WavePosition> positions;
    std::vector<uint8_t> rows;
    size_t row_stride = 0;
    std::vector<int16_t> base;
    std::vector<int32_t> outputs;
    std::vector<uint8_t> kept_block, kept_head;
    std::unique_ptr<Scratch> scratch;
    const Network* scratch_network = nullptr;

    // Makes room for `count` positions of a role.
    void fit(size_t count, Role role, const Network& network, bool learns) {
        const size_t inputs = padded(inputs_of(role));
        if (!scratch || scratch_network != &network) scratch = std::make_unique<Scratch>(network), scratch_network = &network;
        if (rows.size() < count * inputs || row_stride != inputs) {  // what is not gathered stays ZERO
            rows.assign(std::max(rows.size(), count * inputs), ZERO);
            row_stride = inputs;
        }
        if (base.size() < count * CHANNELS) base.resize(count * CHANNELS);
        if (outputs.size() < count * network.outputs) outputs.resize(count * network.outputs);
        if (learns && kept_block.size() < count * network.width) {
            kept_block.resize(count * network.width);
            kept_head.resize(count * network.width);
        }
    }
};

Pass::Pass(Model model, int levels, Layout layout)
    : model_(std::move(model)), layout_(layout), steps_(steps_of(levels)), segments_(segments_of(levels, layout.height, layout.width)),
      geometry_(bands_of(layout.height, layout.width)) {
    const Layout& l = layout_;
    if (l.images < 1 || l.height < 1 || l.width < 1 || (l.channels != 1 && l.channels != 3))
        throw std::invalid_argument("images have one channel or three, and one pixel or more");
    if (l.streams < 1 || (!l.shared && l.streams != l.images) || (l.learns && !l.shared) || l.threads < 1)
        throw std::invalid_argument("streams, what adapts together, or threads contradict each other");
    lanes_.resize(l.streams);
    biases_.assign(l.shared ? 1 : l.streams, std::vector<Biases>(BIAS_SETS));
    layout_.threads = std::min({l.threads, l.streams, std::max(1, l.images * largest_wave(l.height, l.width) / LEAST_OF_THREAD)});
    workers_.resize(layout_.threads);
    for (const Band& band : geometry_) {
        ranges_.emplace_back();
        if (!levels) continue;
        for (int n = 0; n < l.images; n++) {
            BandRanges ranges;
            ranges.hi.resize(band.positions() * CHANNELS);
            for (size_t k = 0; k < ranges.hi.size(); k++)
                ranges.hi[k] = int16_t(int(k % CHANNELS) >= l.channels ? 0 : k % CHANNELS ? LARGEST_CHROMA : LARGEST_LUMA);
            ranges.lo = ranges.hi;
            for (int16_t& value : ranges.lo) value = int16_t(-value);
            ranges_.back().push_back(std::move(ranges));
        }
    }
    for (int n = 0; levels && n < l.images; n++)
        for (int c = 0; c < CHANNELS; c++) root_.push_back(c >= l.channels ? Range{0, 0} : c ? Range{-255, 255} : Range{0, 255});
}

Pass::~Pass() = default;

void Pass::encode(const uint8_t* pixels) {
    const Layout& l = layout_;
    encoding_ = true;
    input_.assign(pixels, pixels + size_t(l.images) * l.height * l.width * l.channels);
    symbols_.resize(l.streams);
    ends_.resize(l.streams);
    if (steps_.empty()) return;
    differences_.resize(geometry_.size());
    for (int n = 0; n < l.images; n++) {
        Planes image(l.height, l.width);
        const uint8_t* source = input_.data() + size_t(n) * l.height * l.width * l.channels;
        for (int y = 0; y < l.height; y++)
            for (int x = 0; x < l.width; x++, source += l.channels)
                to_ycocg(source[0], source[l.channels == 1 ? 0 : 1], source[l.channels == 1 ? 0 : 2], image.at(y, x));
        for (size_t b = 0; b < geometry_.size(); b++) {
            differences_[b].emplace_back();
            image = analyse_band(image, geometry_[b], differences_[b].back());
        }
        root_values_.push_back(std::move(image));
    }
}

void Pass::decode(const std::vector<uint64_t>& states, std::vector<std::vector<uint32_t>> words, bool for_previews, bool is_cut) {
    if (int(states.size()) != layout_.streams || words.size() != states.size())
        throw std::invalid_argument("as many states and lists of words as streams are needed");
    for_previews_ = for_previews;
    for (size_t s = 0; s < states.size(); s++) {
        readers_.emplace_back();
        readers_.back().state = states[s];
        readers_.back().words = std::move(words[s]);
        readers_.back().strict = is_cut;
    }
    if (!for_previews) return;
    for (std::vector<BandRanges>& band : ranges_)
        for (BandRanges& ranges : band) {
            ranges.mean.assign(ranges.lo.size(), 0);
            ranges.scale.assign(ranges.lo.size(), NO_SCALE);
        }
}

void Pass::extend(int stream, const uint32_t* words, size_t count) {
    std::vector<uint32_t>& stream_words = readers_.at(stream).words;
    stream_words.insert(stream_words.end(), words, words + count);
}

Coder Pass::coder(int stream) { return encoding_ ? Coder{&symbols_[stream], nullptr} : Coder{nullptr, &readers_[stream]}; }

const Trained& Pass::trained(const Stage& stage) const {
    if (stage.role == Role::BAND) return *model_.bands[band_kind(geometry_[segments_[done_].bands[band_]].number)];
    return stage.role == Role::DIRECT ? *model_.direct : *model_.last;
}

int Pass::bias_set_of(const Stage& stage) const {
    if (stage.role != Role::BAND) return BAND_BIASES;
    const Segment& segment = segments_[done_];
    return steps_[segment.step].number * BAND_KINDS + band_kind(geometry_[segment.bands[band_]].number);
}

// --- from segment to segment

int Pass::advance(int waves, int segment) {
    if (!encoding_ && readers_.empty()) throw std::logic_error("a pass begins with encode() or decode()");
    segment = std::min(segment, segments());
    if (!begun_ && done_ < segment) {
        if (!steps_.empty()) code_root();
        begun_ = true;
    }
    while (done_ < segment && waves > 0 && !ended_) {
        const Segment& current = segments_[done_];
        if (current.level != EXACT) {
            if (band_ < int(current.bands.size())) {
                if (!stage_) begin_band();
                const int end = waves_of(stage_->height, stage_->width), last = std::min(end, wave_ + waves);
                waves -= last - wave_;
                run(*stage_, last);
                if (wave_ == end && !ended_) finish_band();
                continue;
            }
        } else {
            if (!pixels_) begin_pixels();
            if (wave_ < current.last_wave) {
                const int last = std::min(current.last_wave, wave_ + waves);
                waves -= last - wave_;
                run(*pixels_, last);
                if (wave_ < current.last_wave) continue;
            }
        }
        band_ = 0;
        done_++;
        for (int s = 0; encoding_ && s < layout_.streams; s++) ends_[s].push_back(symbols_[s].size());
    }
    return done_;
}

void Pass::code_root() {
    const Shares one_component{{int64_t(1) << WEIGHT_BITS}};
    const int widest = SCALES - 1;
    for (int n = 0; n < layout_.images; n++)
        for (int c = 0; c < CHANNELS; c++) {
            Range& known = root_[size_t(n) * CHANNELS + c];
            const Coder stream_coder = coder(layout_.images == 1 ? 0 : n % layout_.streams);
            if (known.is_exact() || stream_coder.has_ended()) continue;
            const int64_t mean = 32 * (known.lo + known.hi);
            const Mixture mixture(one_component, 1, known.lo, known.hi, &mean, &widest);
            Masses masses;
            known = stream_coder.code(mixture, encoding_ ? root_values_[n].at(0, 0)[c] : 0, known, int64_t(1) << CELL_BITS, masses);
        }
    for (const Reader& reader : readers_) ended_ = ended_ || reader.ended;
}

void Pass::begin_band() {
    const Segment& segment = segments_[done_];
    const int band_index = segment.bands[band_];
    const Band& band = geometry_[band_index];
    if (band_index == int(geometry_.size()) - 1) {  // the first of a step
        coarse_.assign(layout_.images, Planes(1, 1));
        for (int n = 0; n < layout_.images; n++)
            for (int c = 0; c < CHANNELS; c++) coarse_[n].values[c] = int16_t(root_[size_t(n) * CHANNELS + c].lo);
    }
    if (band.transposed)
        for (Planes& planes : coarse_) planes = planes.turned();
    const std::vector<Planes>* differences = encoding_ ? &differences_[band_index] : nullptr;
    stage_ = std::make_unique<BandStage>(band, steps_[segment.step], ranges_[band_index], coarse_, differences);
    wave_ = 0;
    begin_learning(band_kind(band.number), *stage_);
}

// A band may be turned. Positions of another network that were left over, too few for a step, are forgotten.
void Pass::begin_learning(int network_kind, const Stage& stage) {
    filled_ = 0;
    learning_ = nullptr;
    if (!layout_.learns || network_kind < FIRST_THAT_LEARNS) return;
    if (!learned_[network_kind]) {
        const int largest = layout_.images * largest_wave(layout_.height, layout_.width);
        learned_[network_kind] = std::make_unique<Learned>(trained(stage).network, largest + LEAST_LEARNED);
    }
    learning_ = learned_[network_kind].get();
}

// The coarse image of the next band, from the estimates of this one.
static Planes finer(const Planes& stored, const BandRanges& ranges, const Band& band) {
    Planes estimates(band.height, band.width);
    for (size_t k = 0; k < estimates.values.size(); k++) estimates.values[k] = int16_t(estimate_of({ranges.lo[k], ranges.hi[k]}));
    return synthesise_band(stored, estimates, band);
}

void Pass::finish_band() {
    const int band_index = segments_[done_].bands[band_];
    for (int n = 0; n < layout_.images; n++) coarse_[n] = finer(coarse_[n], ranges_[band_index][n], geometry_[band_index]);
    stage_.reset();
    wave_ = 0;
    band_++;
}

BandRanges Pass::predicted(int band_index, int image, const Planes& coarse, int threads) const {
    constexpr int MOST_TOGETHER = 256;  // positions that go through the network together
    const Band& band = geometry_[band_index];
    const LevelStep step = *std::find_if(steps_.begin(), steps_.end(), [&](const LevelStep& s) { return s.finest <= band.number; });
    const Trained& trained = *model_.bands[band_kind(band.number)];
    const Learned* learned = learned_[band_kind(band.number)].get();
    const Network& network = learned ? learned->network : trained.network;
    const Biases& biases = biases_[group_of(layout_.images == 1 ? 0 : image)][step.number * BAND_KINDS + band_kind(band.number)];
    BandRanges prediction = ranges_[band_index][image];
    std::vector<BandRanges> known{prediction};
    BandStage stage(band, step, known, {band.transposed ? coarse.turned() : coarse}, nullptr);
    const size_t inputs = padded(inputs_of(Role::BAND)), outputs = network.outputs;
    run_threads(trained.predict ? 1 : threads, [&](Team& team, int thread) {
        Scratch scratch(network);
        std::vector<uint8_t> rows(MOST_TOGETHER * inputs, ZERO);
        std::vector<int32_t> predictions(MOST_TOGETHER * outputs);
        std::vector<size_t> unseen;
        Reader ended_reader;
        ended_reader.ended = true;
        const size_t end = band.positions() * (thread + 1) / team.threads();
        for (size_t at = band.positions() * thread / team.threads(); at < end; at++) {
            const int y = int(at / band.width), x = int(at % band.width);
            int16_t base[CHANNELS];
            if (prediction.is_unseen(at * CHANNELS) || prediction.is_unseen(at * CHANNELS + 1) || prediction.is_unseen(at * CHANNELS + 2)) {
                stage.gather(0, y, x, &rows[unseen.size() * inputs], base);
                unseen.push_back(at);
            }
            if (unseen.empty() || (unseen.size() < MOST_TOGETHER && at + 1 < end)) continue;
            predict(trained, network, stage.condition, rows.data(), inputs, int(unseen.size()), predictions.data(), scratch);
            for (size_t k = 0; k < unseen.size(); k++) {
                Values values{};
                stage.load(0, int(unseen[k] / band.width), int(unseen[k] % band.width), values);
                Position position(Outputs{trained.components}, &predictions[k * outputs]);
                position.code(values, CHANNELS, Coder(nullptr, &ended_reader), {biases, nullptr, nullptr, nullptr, false});
                for (int c = 0; c < CHANNELS; c++) {
                    prediction.mean[unseen[k] * CHANNELS + c] = values.mean[c];
                    prediction.scale[unseen[k] * CHANNELS + c] = uint8_t(values.scale[c]);
                }
            }
            unseen.clear();
        }
    });
    return prediction;
}

void Pass::begin_pixels() {
    const Layout& l = layout_;
    // A single pixel has no bands: its root is its estimate.
    if (!steps_.empty() && geometry_.empty()) {
        coarse_.assign(l.images, Planes(1, 1));
        for (int n = 0; n < l.images; n++)
            for (int c = 0; c < CHANNELS; c++) coarse_[n].values[c] = int16_t(root_[size_t(n) * CHANNELS + c].lo);
    }
    std::vector<Described> described;
    for (int n = 0; !steps_.empty() && n < l.images; n++)
        described.push_back({std::move(coarse_[n]), blocks_of(geometry_, [&](int b) -> BandRanges& { return ranges_[b][n]; })});
    pixels_ = std::make_unique<PixelStage>(l.images, l.height, l.width, l.channels, described, encoding_ ? input_.data() : nullptr);
    coarse_.clear();
    differences_.clear();  // nobody needs them any more, nor ranges but for previews and the two finest bands'
    for (size_t b = 2; !for_previews_ && b < ranges_.size(); b++) ranges_[b].clear();
    wave_ = 0;
    if (!l.learns) return;
    if (l.channels == CHANNELS) colors_ = std::make_unique<Colors>();
    begin_learning(BAND_KINDS, *pixels_);
}

// --- a wave

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
            if (is_own && stage.wants(n, y, x)) worker.positions.push_back({s, n, y, x, slot});
            else if (is_own && learns) std::fill_n(learning_->learner.slopes(slot), network.outputs, 0.0f);
            slot++;
        });
    }
    const size_t count = worker.positions.size(), inputs = padded(inputs_of(stage.role));
    worker.fit(count, stage.role, network, learns);
    for (size_t k = 0; k < count; k++) {
        const Worker::WavePosition& at = worker.positions[k];
        stage.gather(at.n, at.y, at.x, &worker.rows[k * inputs], &worker.base[k * CHANNELS]);
    }
    predict(trained, network, stage.condition, worker.rows.data(), inputs, int(count), worker.outputs.data(), *worker.scratch,
            learns ? worker.kept_block.data() : nullptr, learns ? worker.kept_head.data() : nullptr);
    const int bias_set = bias_set_of(stage), channels = stage.role == Role::BAND ? CHANNELS : layout_.channels;
    for (size_t k = 0; k < count; k++) {
        const Worker::WavePosition& at = worker.positions[k];
        Values values;
        stage.load(at.n, at.y, at.x, values);
        std::copy_n(&worker.base[k * CHANNELS], CHANNELS, values.base);
        Position position(shape, &worker.outputs[k * network.outputs]);
        Lane& lane = lanes_[at.stream];
        const Colors* colors = stage.role != Role::BAND ? colors_.get() : nullptr;
        const Biases& biases = biases_[group_of(at.stream)][bias_set];
        position.code(values, channels, coder(at.stream), {biases, &lane.scores, colors, &lane.colors, learns});
        stage.store(at.n, at.y, at.x, values);
        if (!learns) continue;
        Learner& learner = learning_->learner;
        float* slopes = learner.slopes(at.slot);
        position.slopes(slopes);
        for (int o = 0; o < network.outputs; o++) slopes[o] *= network.head_factor[o];
        std::copy_n(&worker.kept_block[k * network.width], network.width, learner.kept_block(at.slot));
        std::copy_n(&worker.kept_head[k * network.width], network.width, learner.kept_head(at.slot));
    }
}

// Codes waves from `wave_` to `last` - 1, or until words run out. After an exception nothing is coded any more.
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
    try {
        run_threads(layout_.threads, waves);
    } catch (...) {
        ended_ = true;
        throw;
    }
}

// Learns from what all threads coded in a wave.
void Pass::end_wave(const Stage& stage, int bias_set, int wave) {
    const bool has_colors = colors_ && stage.role != Role::BAND;
    for (int s = 0; s < layout_.streams; s++) {
        biases_[group_of(s)][bias_set].learn(lanes_[s].scores);
        if (!learning_) continue;
        if (has_colors) colors_->learn(lanes_[s].colors);
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
    const Rates rates = rates_of(stage.role, learning_->network.width);
    for (int phase = 0; phase < Learner::PHASES; phase++) {
        learning_->learner.phase(phase, stage.condition, filled_, rates, thread, team.threads());
        team.wait();
    }
}

// --- results

void Pass::pixels(uint8_t* out, uint8_t* known) const {
    const Layout& l = layout_;
    const int certain = certain_ < 0 || is_exact() ? wave_ : certain_;
    for (int n = 0; n < l.images; n++)
        for (int y = 0; y < l.height; y++)
            for (int x = 0; x < l.width; x++) {
                const size_t at = (size_t(n) * l.height + y) * l.width + x;
                known[at] = pixels_ && x + DELAY * y < certain;
                if (known[at]) pixels_->pixel(n, y, x, out + at * l.channels);
            }
}

double Pass::bits() const {
    double total = 0;
    for (const Symbols& symbols : symbols_)
        for (size_t i = 0; i < symbols.size(); i++) total += PRECISION - std::log2(double(symbols[i].freq));
    for (const Reader& reader : readers_) total += 32.0 * double(reader.position) - std::log2(double(std::max(reader.state, uint64_t(1))));
    return total;
}

}  // namespace ddpm
