#include <algorithm>

#include "learning_rules.h"
#include "pass_parts.h"

namespace ddpm {

namespace {

constexpr int LEAST_OF_THREAD = 2;  // positions of the largest wave: in images of a row or two threads only wait
constexpr int BAND_BIASES = STEP_COUNT * BAND_KINDS, BIAS_SETS = BAND_BIASES + 1;

// How many positions of one image are in a wave, at most; bands may be turned.
int largest_wave(int height, int width) { return std::max(Waves{height, width}.most_rows(), Waves{width, height}.most_rows()); }

}  // namespace

Pass::Pass(Model model, int levels, Layout layout)
    : model_(std::move(model)), layout_(layout), steps_(steps_of(levels)), segments_(segments_of(levels, layout.height, layout.width)),
      geometry_(bands_of(layout.height, layout.width)) {
    const Layout& l = layout_;
    if (l.images < 1 || l.height < 1 || l.width < 1 || (l.channels != 1 && l.channels != 3))
        throw std::invalid_argument("images have one channel or three, and one pixel or more");
    if (l.streams < 1 || l.threads < 1) throw std::invalid_argument("there are one stream and one thread or more");
    // Python predicts on one thread; what weights such a network has, and how they would learn, nobody knows.
    auto is_foreign = [](const std::shared_ptr<const Trained>& network) { return network && network->predict; };
    if (is_foreign(model_.pixels) || std::any_of(std::begin(model_.bands), std::end(model_.bands), is_foreign)) layout_.learns = false, layout_.threads = 1;
    for (int k = 0; levels && k < BAND_KINDS; k++)
        if (model_.bands[k]->network.conditions < conditions_for(levels))
            throw std::invalid_argument("a network of bands lacks conditions of " + std::to_string(levels) + " noise levels");
    color_scores_.resize(l.streams);
    scores_.assign(l.images, std::vector<Scores>(l.images == 1 ? l.streams : 1));
    biases_.assign(l.images, std::vector<Biases>(BIAS_SETS));
    layout_.threads = std::min({layout_.threads, l.streams, std::max(1, l.images * largest_wave(l.height, l.width) / LEAST_OF_THREAD)});
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

void Pass::begin(bool for_previews) {
    if (encoding_ || !readers_.empty()) throw std::logic_error("a pass codes once");
    if (for_previews && layout_.images > 1) throw std::invalid_argument("previews are of one image");
    ended_ = true;  // until its caller is done: memory may run out
    for_previews_ = for_previews;
    for (size_t b = 0; for_previews && b < ranges_.size() && !steps_.empty(); b++) {
        BandRanges& ranges = ranges_[b][0];
        ranges.mean.assign(ranges.lo.size(), 0);
        ranges.scale.assign(ranges.lo.size(), NO_SCALE);
    }
}

void Pass::encode(const uint8_t* pixels, bool for_previews) {
    begin(for_previews);
    const Layout& l = layout_;
    encoding_ = true;
    input_.assign(pixels, pixels + size_t(l.images) * l.height * l.width * l.channels);
    symbols_.resize(l.streams);
    ends_.resize(l.streams);
    differences_.resize(geometry_.size());
    for (int n = 0; !steps_.empty() && n < l.images; n++) {
        const uint8_t* image = input_.data() + size_t(n) * l.height * l.width * l.channels;
        Pyramid pyramid(planes_of(image, l.height, l.width, l.channels), geometry_);
        for (size_t b = 0; b < geometry_.size(); b++) differences_[b].push_back(std::move(pyramid.differences[b]));
        root_values_.push_back(std::move(pyramid.root));
    }
    ended_ = false;
}

void Pass::decode(const std::vector<uint64_t>& states, std::vector<std::vector<uint32_t>> words, bool for_previews, bool is_cut) {
    if (int(states.size()) != layout_.streams || words.size() != states.size())
        throw std::invalid_argument("as many states and lists of words as streams are needed");
    begin(for_previews);
    for (size_t s = 0; s < states.size(); s++) {
        readers_.emplace_back();
        readers_.back().state = states[s];
        readers_.back().words = std::move(words[s]);
        readers_.back().strict = is_cut;
    }
    ended_ = false;
}

void Pass::extend(int stream, const uint32_t* words, size_t count) {
    std::vector<uint32_t>& stream_words = readers_.at(stream).words;
    stream_words.insert(stream_words.end(), words, words + count);
}

void Pass::set_cut() {
    for (Reader& reader : readers_) reader.strict = true;
}

Coder Pass::coder(int stream) { return encoding_ ? Coder{&symbols_[stream], nullptr} : Coder{nullptr, &readers_[stream]}; }

int Pass::kind_of(const Stage& stage) const {
    return stage.role == Role::BAND ? band_kind(geometry_[segments_[done_].bands[band_]].number) : BAND_KINDS;
}

const Trained& Pass::trained(const Stage& stage) const {
    if (stage.role == Role::BAND) return *model_.bands[kind_of(stage)];
    return *model_.pixels;
}

int Pass::bias_set_of(const Stage& stage) const {
    return stage.role == Role::BAND ? steps_[segments_[done_].step].number * BAND_KINDS + kind_of(stage) : BAND_BIASES;
}

// --- from segment to segment

int Pass::advance(int waves, int segment) {
    if (!encoding_ && readers_.empty()) throw std::logic_error("a pass begins with encode() or decode()");
    const IeeeArithmetic arithmetic;
    try {
        advance_to(waves, std::min(segment, segments()));
    } catch (...) {  // memory ran out, say: nothing is coded any more
        ended_ = true;
        throw;
    }
    return done_;
}

void Pass::advance_to(int waves, int segment) {
    if (!begun_ && !ended_ && done_ < segment) {
        if (!steps_.empty()) code_root();
        begun_ = true;
    }
    while (done_ < segment && waves > 0 && !ended_) {
        const Segment& current = segments_[done_];
        const bool is_exact = current.level == EXACT;
        if (is_exact || band_ < int(current.bands.size())) {
            if (is_exact && !pixels_) begin_pixels();
            if (!is_exact && !stage_) begin_band();
            Stage& stage = is_exact ? *pixels_ : *stage_;
            const int all = Waves{stage.height, stage.width}.count(), end = current.end(part_, all);
            const int last = wave_ + std::min(waves, end - wave_);
            waves -= last - wave_;
            if (last > wave_) run(stage, last);
            if (wave_ < end || ended_) continue;
            if (!is_exact && end == all) finish_band();
        }
        if (band_ < int(current.bands.size()) && !stage_) continue;  // to the next band
        for (int s = 0; encoding_ && s < layout_.streams; s++) ends_[s].push_back(symbols_[s].size());
        if (++part_ < current.parts) continue;
        part_ = band_ = 0;
        done_++;
    }
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

std::vector<Planes> Pass::coded_roots() const {
    std::vector<Planes> roots(layout_.images, Planes(1, 1));
    for (size_t k = 0; k < root_.size(); k++) roots[k / CHANNELS].values[k % CHANNELS] = int16_t(root_[k].lo);
    return roots;
}

void Pass::begin_band() {
    const Segment& segment = segments_[done_];
    const int band_index = segment.bands[band_];
    const Band& band = geometry_[band_index];
    if (band_index == int(geometry_.size()) - 1) coarse_ = coded_roots();  // the first of a step
    if (band.transposed)
        for (Planes& planes : coarse_) planes = planes.turned();
    const std::vector<Planes>* differences = encoding_ ? &differences_[band_index] : nullptr;
    stage_ = std::make_unique<BandStage>(band, steps_[segment.step], ranges_[band_index], coarse_, differences);
    wave_ = 0;
    begin_showing(*stage_);
    begin_learning(*stage_);
}

void Pass::begin_showing(const Stage& stage) {
    const Network& network = trained(stage).network;
    shown_ = network.shown ? std::make_unique<ShownActivations>(network, layout_.images, stage.height, stage.width) : nullptr;
}

// A band may be turned. Positions of another network that were left over, too few for a step, are forgotten.
void Pass::begin_learning(const Stage& stage) {
    filled_ = 0;
    learning_ = nullptr;
    const Network& network = trained(stage).network;
    const int kind = kind_of(stage);
    const std::optional<int> blocks = layout_.learns ? learning_blocks(stage.role, kind, network, layout_.images) : std::nullopt;
    if (!blocks) return;
    if (!learned_[kind]) {
        const int largest = layout_.images * largest_wave(layout_.height, layout_.width);
        learned_[kind] = std::make_unique<Learned>(network, *blocks, least_learned(stage.role, layout_.images, largest), largest);
    }
    learning_ = learned_[kind].get();
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

// The step that codes a band now or next; the last one once all have.
const LevelStep& Pass::next_step(int band_index) const {
    for (size_t s = done_; s < segments_.size(); s++) {
        const std::vector<int>& bands = segments_[s].bands;
        if (std::find(bands.begin() + (s == size_t(done_) ? band_ : 0), bands.end(), band_index) != bands.end()) return steps_[segments_[s].step];
    }
    return steps_.back();
}

// Positions do not see what others show: that would be made of predictions instead of values, and errors would grow from one to
// the next (docs/experiments).
BandRanges Pass::predicted(int band_index, const Planes& coarse, const Planes* coded, int threads) const {
    constexpr int MOST_TOGETHER = 256;  // positions that go through the network together
    const Band& band = geometry_[band_index];
    const LevelStep& step = next_step(band_index);
    const int coded_waves = stage_ && segments_[done_].bands[band_] == band_index ? wave_ : 0;
    const Trained& trained = *model_.bands[band_kind(band.number)];
    const Learned* learned = learned_[band_kind(band.number)].get();
    const Network& network = learned ? learned->network : trained.network;
    const Biases& biases = biases_[0][step.number * BAND_KINDS + band_kind(band.number)];
    BandRanges prediction = ranges_[band_index][0];
    std::vector<BandRanges> known{prediction};
    BandStage stage(band, step, known, {band.transposed ? coarse.turned() : coarse}, nullptr);
    if (coded) stage.see(*coded);
    const size_t inputs = padded(inputs_of(Role::BAND)), outputs = network.outputs;
    run_threads(trained.predict ? 1 : threads, [&](Team& team, int thread) {
        const ThreadPart part(band.height, thread, team.threads());
        if (part.first == part.last) return;
        Scratch scratch(network);
        std::vector<uint8_t> rows(MOST_TOGETHER * inputs, ZERO);
        std::vector<int32_t> predictions(MOST_TOGETHER * outputs);
        std::vector<size_t> open;
        Reader ended_reader;
        ended_reader.ended = true;
        auto predict_open = [&] {
            predict(trained, network, {stage.condition, rows.data(), inputs, int(open.size())}, predictions.data(), scratch);
            for (size_t k = 0; k < open.size(); k++) {
                const int y = int(open[k] / band.width), x = int(open[k] % band.width);
                Values values{};
                stage.load(0, y, x, values);
                Position position(Outputs{trained.components}, &predictions[k * outputs]);
                position.code(values, CHANNELS, Coder(nullptr, &ended_reader), {biases});
                for (int c = 0; c < CHANNELS; c++) {
                    prediction.mean[open[k] * CHANNELS + c] = values.mean[c];
                    prediction.scale[open[k] * CHANNELS + c] = uint8_t(values.scale[c]);
                }
            }
            open.clear();
        };
        for (int y = part.first; y < part.last; y++)
            for (int x = std::max(0, coded_waves - DELAY * y); x < band.width; x++) {
                if (!stage.wants(0, y, x)) continue;
                int16_t base[CHANNELS];
                stage.gather(0, y, x, &rows[open.size() * inputs], base);
                open.push_back(size_t(y) * band.width + x);
                if (open.size() == MOST_TOGETHER) predict_open();
            }
        if (!open.empty()) predict_open();
    });
    return prediction;
}

void Pass::begin_pixels() {
    const Layout& l = layout_;
    if (!steps_.empty() && geometry_.empty()) coarse_ = coded_roots();  // a single pixel has no bands: its root is its estimate
    std::vector<LevelEstimate> described;
    for (int n = 0; !steps_.empty() && n < l.images; n++) {
        const Blocks blocks = blocks_of(geometry_, [&](int b) -> BandRanges& { return ranges_[b][n]; });
        described.push_back({std::move(coarse_[n]), blocks, steps_.back().level});
    }
    pixels_ = std::make_unique<PixelStage>(l.images, l.height, l.width, l.channels, described, encoding_ ? input_.data() : nullptr);
    coarse_.clear();
    differences_.clear();  // nobody needs them any more, nor ranges but for previews and the two finest bands'
    for (size_t b = 2; !for_previews_ && b < ranges_.size(); b++) ranges_[b].clear();
    wave_ = 0;
    begin_showing(*pixels_);
    const bool is_apart = l.images > 1 && l.streams > 1;
    for (int n = 0; l.repeats && n < (is_apart ? l.images : 1); n++)
        repeats_.push_back(std::make_unique<Repeats>(is_apart ? 1 : l.images, l.height, l.width));
    visits_.resize(l.streams);
    if (is_fast() && !l.repeats) fast_ = std::make_unique<FastPixels>(l.images, l.height, l.width);
    if (!l.learns) return;
    if (l.channels == CHANNELS && !is_fast()) colors_ = std::make_unique<Colors>();
    begin_learning(*pixels_);
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
