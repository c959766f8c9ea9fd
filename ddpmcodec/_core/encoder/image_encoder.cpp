#include "image_encoder.h"

#include <algorithm>

#include "chunks.h"
#include "file_writer.h"
#include "header_writer.h"
#include "low_bits.h"
#include "sections_writer.h"
#include "suited_levels.h"

namespace ddpm {

namespace {

// The embedded model for photographs codes a thumbnail if it takes clearly fewer bytes, and is not even tried if its networks are much smaller.
constexpr double CLEARLY_LESS = 1 - 1.0 / 64, MUCH_SMALLER = 1.0 / 5;

// Work that is done at once.
template <class Work> class SimpleJob : public Job {
  public:
    explicit SimpleJob(Work work) : work_(std::move(work)) {}

    bool advance(Clock::time_point, int) override {
        work_();
        return true;
    }

  private:
    const Work work_;
};

template <class Work> std::unique_ptr<Job> job_of(Work work) { return std::make_unique<SimpleJob<Work>>(std::move(work)); }

void set_model(Header& header, int number, const Digest& id) {
    header.model_number = number;
    if (!number) std::copy_n(id.begin(), MODEL_ID_BYTES, header.model_id.begin());
}

void set_grid(Header& header, const std::optional<Grid>& grid) {
    header.is_tiled = grid.has_value();
    header.tile_width = grid ? grid->tile_width : header.width;
    header.tile_height = grid ? grid->tile_height : header.height;
}

}  // namespace

// --- what it is

ImageEncoder::ImageEncoder(Image image, const EncodeOptions& options, const ModelBank& models) : image_(std::move(image)), options_(options), models_(models) {
    require_sound(image_);
    if (is_jpeg()) return;
    Picture& picture = image_.picture;
    if (!picture.samples.empty()) {
        samples_ = sample_coding(picture.samples, image_.sample_bits);
        set_high_bits(picture, samples_, image_.sample_bits);
    }
    colours_.emplace().view = {picture.colour.data(), picture.height, picture.width, channels_of(picture.mode)};
    const auto [least, most] = std::ranges::minmax_element(picture.alpha);
    if (!picture.alpha.empty() && *least != *most) alpha_.emplace().view = {picture.alpha.data(), picture.height, picture.width, 1};
}

std::vector<int> ImageEncoder::models_needed() const {
    if (is_jpeg()) return {JPEG_MODEL};
    if (pixels() > THUMBNAIL_PIXELS) return {PHOTO_MODEL};
    return {THUMBNAIL_MODEL, PHOTO_MODEL};
}

// --- what is decided

void ImageEncoder::begin_model_trial(Work& work) {
    if (is_jpeg()) return;
    Coding& coding = colours_->coding;
    coding.model = models_.usual(pixels());
    coding.effort = options_.effort;
    coding.levels = options_.levels.value_or(options_.effort ? DEFAULT_LEVELS : 0);  // effort 0 is fast without levels only
    if (models_.chosen || pixels() > THUMBNAIL_PIXELS) return;
    const std::shared_ptr<const ContextModel>& photo = models_.embedded.at(PHOTO_MODEL);
    if (photo->macs_per_pixel(coding.effort, coding.levels) < MUCH_SMALLER * coding.model->macs_per_pixel(coding.effort, coding.levels)) return;
    const PixelBox all{0, 0, colours_->view.width, colours_->view.height};
    auto tile = [&](const std::shared_ptr<const ContextModel>& model) { return EncodeTile{colours_->view, all, {model, TRIAL_EFFORT, 0, false}, false, {}, true, {}}; };
    work.tiles.push_back(&by_usual_.emplace(tile(coding.model)));
    work.tiles.push_back(&by_photo_.emplace(tile(photo)));
}

void ImageEncoder::choose_model() {
    if (by_photo_ && double(by_photo_->word_bytes()) < CLEARLY_LESS * double(by_usual_->word_bytes())) colours_->coding.model = models_.embedded.at(PHOTO_MODEL);
    if (alpha_) alpha_->coding = {colours_->coding.model, colours_->coding.effort, 0, false};
}

void ImageEncoder::begin_repeats_trials(Work& work) {
    for (std::optional<Plane>* plane : {&colours_, &alpha_}) {
        if (!*plane) continue;
        Plane& tried = **plane;
        tried.shares = predicted_shares(tried.view);
        const Guess guess = has_repeats(tried.view, tried.shares);
        tried.coding.repeats = guess == Guess::YES;
        if (guess != Guess::MAYBE) continue;
        tried.trial = Trial::of_repeats(tried.view, tried.coding.model);
        work.tiles.insert(work.tiles.end(), {&tried.trial->first, &tried.trial->second});
    }
}

void ImageEncoder::choose_repeats() {
    for (std::optional<Plane>* plane : {&colours_, &alpha_})
        if (*plane && (*plane)->trial) (*plane)->coding.repeats = (*plane)->trial->favours_repeats();
}

// Graphics have no levels, unless the caller chose them.
void ImageEncoder::begin_levels_trial(Work& work) {
    if (is_jpeg() || options_.levels || !colours_->coding.levels) return;
    colours_->trial.reset();
    if (colours_->coding.repeats) {
        colours_->coding.levels = 0;
    } else if (may_have_costly_levels(colours_->view, colours_->shares)) {
        Trial& trial = colours_->trial.emplace(Trial::of_levels(colours_->view, colours_->coding.model));
        work.tiles.insert(work.tiles.end(), {&trial.first, &trial.second});
    }
}

void ImageEncoder::choose_levels() {
    if (is_jpeg() || options_.levels || !colours_->trial) return;
    if (colours_->coding.levels && colours_->trial->favours_no_levels()) colours_->coding.levels = 0;
}

// --- streams

void ImageEncoder::begin_coding(Work& work) {
    if (is_jpeg()) return begin_coding_coefficients(work);
    plan_header();
    add_tiles(*colours_, work, true);
    if (alpha_) {
        plan_alpha();
        add_tiles(*alpha_, work, false);
    }
    if (samples_.low_bits()) begin_low_bits(work);
}

void ImageEncoder::plan_header() {
    const Picture& picture = image_.picture;
    const Coding& coding = colours_->coding;
    header_.mode = picture.mode;
    header_.width = picture.width, header_.height = picture.height;
    header_.effort = coding.effort, header_.levels = coding.levels, header_.repeats = coding.repeats;
    set_model(header_, coding.model->number(), coding.model->id());
    header_.orientation = orientation_of(image_);
    if (!picture.samples.empty()) header_.bits = samples_.bits, header_.source_bits = image_.sample_bits, header_.scaling = samples_.scaling;
    set_grid(header_, plan_grid(picture.width, picture.height, header_.segments(), options_.tile, coding.repeats));
    // Their lengths follow once they are known: whether there are any tells what the check of a stream covers.
    if (has_alpha(picture.mode)) header_.sections.push_back({ALPHA, 0});
    if (has_metadata(image_)) header_.sections.push_back({METADATA, 0});
    if (has_kept(image_)) header_.sections.push_back({KEPT, 0});
    if (samples_.low_bits()) header_.sections.push_back({LOW_BITS, 0});
    colours_->header = header_;
}

// The alpha plane is an image of grey levels, straight to exact, with the tiles of its image.
void ImageEncoder::plan_alpha() {
    Header& header = alpha_->header;
    header.mode = Mode::L;
    header.width = header_.width, header.height = header_.height;
    header.effort = header_.effort, header.repeats = alpha_->coding.repeats;
    header.model_number = header_.model_number, header.model_id = header_.model_id;
    header.is_tiled = header_.is_tiled, header.tile_width = header_.tile_width, header.tile_height = header_.tile_height;
}

void ImageEncoder::add_tiles(Plane& plane, Work& work, bool is_counted) {
    const Header& header = plane.header;
    const std::vector<uint8_t> covered = header.is_plain() ? header_start(header) : std::vector<uint8_t>();
    for (int number = 0; number < header.tile_count(); number++) {
        plane.tiles.push_back({plane.view, header.tile(number), plane.coding, header.is_tiled, covered, !is_counted, {}});
        work.tiles.push_back(&plane.tiles.back());
    }
}

void ImageEncoder::begin_low_bits(Work& work) {
    const int channels = channels_of(image_.picture.mode) + has_alpha(image_.picture.mode);
    low_bits_.resize(size_t(header_.tile_count()));
    for (int number = 0; number < header_.tile_count(); number++)
        work.queue.add(job_of([this, number, channels] {
            const PixelBox box = header_.tile(number);
            std::vector<uint8_t> high, low;
            for (int y = box.top; y < box.bottom; y++)
                for (size_t k = size_t(box.left) * size_t(channels); k < size_t(box.right) * size_t(channels); k++) {
                    const int value = samples_.value_of(image_.picture.samples[size_t(y) * size_t(header_.width) * size_t(channels) + k], image_.sample_bits);
                    high.push_back(uint8_t(value >> samples_.low_bits()));
                    low.push_back(uint8_t(value & ((1 << samples_.low_bits()) - 1)));
                }
            low_bits_[size_t(number)] = encode_low_bits({box.height(), box.width(), channels, samples_.low_bits()}, high, low);
        }));
}

void ImageEncoder::begin_coding_coefficients(Work& work) {
    const CoefficientModel& model = *models_.of_jpeg();
    const Coefficients& image = image_.jpeg->parsed.image;
    header_.kind = Kind::COEFFICIENTS;
    header_.mode = image_.picture.mode;
    header_.width = image.width, header_.height = image.height;
    header_.effort = std::max(options_.effort, 1);
    header_.levels = suited_levels(image, options_.levels.value_or(options_.effort ? DEFAULT_LEVELS : 0));
    header_.orientation = orientation_of(image_);
    set_model(header_, model.number(), model.id());
    set_grid(header_, plan_jpeg_grid(image.width, image.height, image.mcu_width(), image.mcu_height(), options_.tile));
    header_.sections = {{FRAME, 0}, {RECIPE, 0}};
    for (int number = 0; number < header_.tile_count(); number++) coefficient_tiles_.push_back({header_.tile(number), {}});
    for (CoefficientTile& tile : coefficient_tiles_) work.queue.add(std::make_unique<CoefficientJob>(tile, image, model.networks(header_.effort), header_.levels));
}

// --- the file

void ImageEncoder::begin_writing(Work& work) {
    work.queue.add(job_of([this] { write(); }));
}

void ImageEncoder::write() {
    if (is_jpeg()) {
        std::vector<std::vector<uint8_t>> chunks;  // segment after segment
        for (int segment = 0; segment < header_.segments(); segment++)
            for (CoefficientTile& tile : coefficient_tiles_) chunks.push_back(std::move(tile.chunks[size_t(segment)]));
        std::vector<uint8_t> payload = set_chunks(header_, chunks);
        file_ = assembled(header_, {pack_frame(image_.jpeg->parsed.frame), pack_recipe(image_.jpeg->parsed.recipe)}, payload);
    } else {
        const std::vector<uint8_t> payload = payload_of(*colours_, header_);
        std::vector<std::vector<uint8_t>> sections;
        if (has_alpha(header_.mode)) sections.push_back(alpha_section());
        if (has_metadata(image_)) sections.push_back(pack_metadata(image_.metadata));
        if (has_kept(image_)) sections.push_back(pack_kept(image_.kept));
        if (samples_.low_bits()) sections.push_back(pack_low_bits(low_bits_));
        file_ = assembled(header_, sections, payload);
    }
}

// Deflated, or coded if that is smaller. Planes of one value are always deflated: decoders make small images of coarse bands then.
std::vector<uint8_t> ImageEncoder::alpha_section() const {
    std::vector<uint8_t> deflated = pack_alpha(image_.picture.alpha, header_.height, header_.width);
    if (!alpha_) return deflated;
    Header header = alpha_->header;
    const std::vector<uint8_t> payload = payload_of(*alpha_, header);
    std::vector<uint8_t> coded = pack_coded_alpha(alpha_->header, assembled(header, {}, payload));
    return coded.size() < deflated.size() ? coded : deflated;
}

// The payload, whose sizes the header then states.
std::vector<uint8_t> ImageEncoder::payload_of(const Plane& plane, Header& header) {
    if (!header.is_tiled) {
        const std::vector<uint8_t> packed = pack_stream(plane.tiles[0].streams[0]);
        header.payload_length = packed.size();
        header.state_bytes = state_bytes(plane.tiles[0].streams[0].state);
        return packed;
    }
    const std::vector<Segment> segments = segments_of(header.levels, 1, 1);
    std::vector<std::vector<uint8_t>> chunks;
    size_t first_part = 0;
    for (const Segment& segment : segments) {
        for (const EncodeTile& tile : plane.tiles) chunks.push_back(pack_chunk(tile.streams, first_part, size_t(segment.parts)));
        first_part += size_t(segment.parts);
    }
    return set_chunks(header, chunks);
}

}  // namespace ddpm
