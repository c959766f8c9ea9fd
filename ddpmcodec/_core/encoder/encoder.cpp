#include "encoder.h"

#include "coder_answer.h"
#include "grid.h"
#include "verification.h"

namespace ddpm {

namespace {

// What all images go through together: a step begins by adding work, and ends once that is done.
struct EncodingStep {
    void (ImageEncoder::*begin)(Work& work);
    void (ImageEncoder::*end)();
    bool needs_models = false;
};

constexpr EncodingStep ENCODING_STEPS[] = {
    {&ImageEncoder::begin_model_trial, &ImageEncoder::choose_model, true},
    {&ImageEncoder::begin_repeats_trials, &ImageEncoder::choose_repeats},
    {&ImageEncoder::begin_levels_trial, &ImageEncoder::choose_levels},
    {&ImageEncoder::begin_coding, nullptr},
    {&ImageEncoder::begin_writing, nullptr},
};

void require_options(const EncodeOptions& options) {
    auto refuse = [](const std::string& message) { throw Error(Fault::ARGUMENT, message); };
    if (options.effort < MIN_EFFORT || options.effort > MAX_EFFORT) refuse("effort must be 0 to 3, not " + std::to_string(options.effort));
    if (options.levels && (*options.levels < 0 || *options.levels > 5 || *options.levels == 3 || *options.levels == 4))
        refuse("levels must be 0, 1, 2, 5, not " + std::to_string(*options.levels));
    if (options.tile && (options.tile < LEAST_TILE_SIDE || options.tile > MOST_TILE_SIDE || options.tile % TILE_SIDE_STEP))
        refuse("tile must be a multiple of 16 from 64 to 1024, not " + std::to_string(options.tile));
}

}  // namespace

struct Encoder::State {
    explicit State(EncodeOptions options) : options(options) {}

    Event advance(double seconds, int threads) {
        const Clock::time_point deadline = deadline_after(seconds);
        while (step < std::size(ENCODING_STEPS) || (options.verify && !is_verified)) {
            const bool is_check = step == std::size(ENCODING_STEPS);
            if (!is_check && ENCODING_STEPS[step].needs_models && needed_model()) return Event::NEED_MODEL;
            if (!has_begun) begin(threads);
            const bool is_done = work.queue.advance(deadline, threads);
            take(work.queue.take_costs(), !is_check);
            if (is_done) end();
            if (Clock::now() >= deadline && !is_over()) return Event::MORE;
        }
        return Event::DONE;
    }

    bool is_over() const { return step == std::size(ENCODING_STEPS) && (!options.verify || is_verified); }

    void begin(int threads) {
        has_begun = true;
        if (step == std::size(ENCODING_STEPS)) {
            require_coder_answer();
            return add_verification(work.queue, images, models, threads);
        }
        for (const std::unique_ptr<ImageEncoder>& image : images) (image.get()->*ENCODING_STEPS[step].begin)(work);
        add_tile_jobs(work.queue, std::exchange(work.tiles, {}), threads);
    }

    void end() {
        has_begun = false;
        if (step == std::size(ENCODING_STEPS)) {
            is_verified = true;
            return;
        }
        for (const std::unique_ptr<ImageEncoder>& image : images)
            if (ENCODING_STEPS[step].end) (image.get()->*ENCODING_STEPS[step].end)();
        step++;
    }

    int needed_model() const {
        for (const std::unique_ptr<ImageEncoder>& image : images)
            for (const int number : image->models_needed())
                if (!models.has(number)) return number;
        return 0;
    }

    void take(const std::vector<SegmentCost>& taken, bool are_reported) {
        for (const SegmentCost& cost : taken) done += cost.share * cost.images * cost.pixels;
        if (are_reported) costs.insert(costs.end(), taken.begin(), taken.end());
    }

    const EncodeOptions options;
    ModelBank models;
    std::vector<std::unique_ptr<ImageEncoder>> images;
    Work work;
    size_t step = 0;
    bool has_begun = false, is_verified = false, has_started = false, has_failed = false;
    double done = 0;  // pixels' worth of work
    std::vector<SegmentCost> costs;
};

Encoder::Encoder(EncodeOptions options) : state_(std::make_unique<State>(options)) { require_options(options); }
Encoder::~Encoder() = default;

void Encoder::use_model(std::shared_ptr<const ContextModel> model) {
    if (state_->has_started) throw Error(Fault::ARGUMENT, "the encoder has begun");
    state_->models.chosen = std::move(model);
}

void Encoder::use_model(std::shared_ptr<const CoefficientModel> model) {
    if (state_->has_started) throw Error(Fault::ARGUMENT, "the encoder has begun");
    state_->models.chosen_of_jpeg = std::move(model);
}

void Encoder::add(Image image) {
    if (state_->has_started) throw Error(Fault::ARGUMENT, "the encoder has begun, and takes no other image");
    state_->images.push_back(std::make_unique<ImageEncoder>(std::move(image), state_->options, state_->models));
}

Event Encoder::advance(double seconds, int threads) {
    if (threads < 1) throw Error(Fault::ARGUMENT, "threads must be 1 or more, not " + std::to_string(threads));
    if (state_->has_failed) throw Error(Fault::ARGUMENT, "an encoder that has failed does not go on");
    if (state_->images.empty()) throw Error(Fault::ARGUMENT, "the encoder has no image");
    state_->has_started = state_->has_failed = true;
    const Event event = state_->advance(seconds, threads);
    state_->has_failed = false;
    return event;
}

int Encoder::needed_model() const { return state_->needed_model(); }

void Encoder::set_model(std::shared_ptr<const ContextModel> model) {
    if (!model || !model->number()) throw Error(Fault::ARGUMENT, "an embedded model is needed");
    state_->models.embedded[model->number()] = std::move(model);
}

void Encoder::set_model(std::shared_ptr<const CoefficientModel> model) {
    if (!model || model->number() != JPEG_MODEL) throw Error(Fault::ARGUMENT, "the embedded model of JPEG files is needed");
    state_->models.embedded_of_jpeg = std::move(model);
}

const std::vector<uint8_t>& Encoder::file(size_t image) const {
    if (image >= state_->images.size() || !state_->is_over()) throw Error(Fault::ARGUMENT, "there is no such file, or it is not done");
    return state_->images[image]->file();
}

double Encoder::work() const {
    double pixels = 0;
    for (const std::unique_ptr<ImageEncoder>& image : state_->images) pixels += double(image->pixels());
    return state_->options.verify ? 2 * pixels : pixels;
}

double Encoder::done() const { return state_->done; }

std::vector<SegmentCost> Encoder::take_costs() { return std::exchange(state_->costs, {}); }

}  // namespace ddpm
