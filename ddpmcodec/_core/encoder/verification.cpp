#include "verification.h"

#include <map>

#include "batch.h"
#include "decoder.h"
#include "learning_rules.h"

namespace ddpm {

namespace {

constexpr size_t BATCH_PIXELS = 1 << 17, BATCH_FILES = 512;

[[noreturn]] void refuse(const std::string& problem) {
    throw Error(Fault::CHECKSUM, "an encoded image does not decode to what was encoded (" + problem + "): nothing was kept of it; this is a defect, please report it with the image");
}

bool are_equal(const Picture& a, const Picture& b) {
    return a.mode == b.mode && a.width == b.width && a.height == b.height && a.colour == b.colour && a.alpha == b.alpha && a.samples == b.samples;
}

bool are_equal(const KeptFile& a, const KeptFile& b) {
    return a.format == b.format && a.ending == b.ending && a.reason == b.reason && a.width == b.width && a.height == b.height && a.file == b.file;
}

// One file, which is decoded.
class FileCheck {
  public:
    FileCheck(const ImageEncoder& image, const ModelBank& models) : image_(image), models_(models), decoder_(Plan{std::nullopt, 1, std::nullopt, false, false, std::nullopt}) {
        decoder_.open(std::make_shared<MemorySource>(image.file()));
    }

    // Decodes up to the networks of the colours, or to the end. Returns false at the deadline.
    bool advance_to_colours(Clock::time_point deadline, int threads) {
        while (!is_done_) {
            const Event event = decoder_.advance(std::chrono::duration<double>(deadline - Clock::now()).count(), threads);
            if (event == Event::MORE) return false;
            if (event == Event::DONE) is_done_ = true;
            if (event != Event::NEED_MODEL) continue;  // a JPEG file is compared as it is, without its pixels
            if (decoder_.header()->has_coefficients()) decoder_.set_jpeg_networks(jpeg_model().networks(decoder_.header()->effort));
            else if (decoder_.needs_alpha_networks()) decoder_.set_alpha_networks(model().networks(decoder_.header()->effort, 0));
            else return true;
        }
        return true;
    }

    // Returns false at the deadline.
    bool advance(Clock::time_point deadline, int threads) {
        while (!is_done_) {
            if (!advance_to_colours(deadline, threads)) return false;
            if (!is_done_) decoder_.set_networks(model().networks(decoder_.header()->effort, decoder_.header()->levels));
        }
        return true;
    }

    Decoder& decoder() { return decoder_; }
    void set_tile(std::vector<uint8_t> pixels) {
        decoder_.set_tile(std::move(pixels));
        is_done_ = true;
    }

    // The model that the header names.
    const ContextModel& model() const {
        const Header& header = *decoder_.header();
        const auto found = models_.embedded.find(header.model_number);
        if (models_.chosen && models_.chosen->is_named_by(header.model_number, header.model_id)) return *models_.chosen;
        if (!header.model_number || found == models_.embedded.end()) refuse("it names another model");
        return *found->second;
    }

    void compare() {
        const Image& image = image_.image();
        if (image_.is_jpeg()) {
            if (decoder_.verdict().is_damaged || decoder_.file_inside() != image.jpeg->bytes) refuse("the JPEG file differs");
            return;
        }
        if (!decoder_.verdict().is_exact || !are_equal(decoder_.picture(1), image.picture)) refuse("pixels differ");
        if (decoder_.metadata() != image.metadata) refuse("metadata differ");
        if (!are_equal(decoder_.kept(), image.kept)) refuse("the file that is kept whole differs");
        if (decoder_.header()->orientation != orientation_of(image)) refuse("the orientation differs");
    }

  private:
    const CoefficientModel& jpeg_model() const { return *models_.of_jpeg(); }

    const ImageEncoder& image_;
    const ModelBank& models_;
    Decoder decoder_;
    bool is_done_ = false;
};

// Files whose streams one pass decodes, or a single one.
class CheckJob : public Job {
  public:
    CheckJob(const std::vector<const ImageEncoder*>& images, const ModelBank& models) {
        for (const ImageEncoder* image : images) pixels_ += image->pixels();
        for (const ImageEncoder* image : images) checks_.push_back(std::make_unique<FileCheck>(*image, models));
    }

    uint64_t pixels() const override { return pixels_; }

    bool advance(Clock::time_point deadline, int threads) override {
        try {
            if (!(checks_.size() == 1 ? checks_[0]->advance(deadline, threads) : advance_together(deadline, threads))) return false;
        } catch (const Error& error) {
            if (error.fault == Fault::MODEL) throw;
            refuse(error.what());
        }
        for (const std::unique_ptr<FileCheck>& check : checks_) check->compare();
        return true;
    }

    std::vector<SegmentCost> take_costs() override {
        if (checks_.size() == 1) return checks_[0]->decoder().take_costs();
        if (!batch_) return {};
        const std::vector<SegmentCost> fresh(batch_->costs().begin() + std::ptrdiff_t(costs_taken_), batch_->costs().end());
        costs_taken_ = batch_->costs().size();
        return fresh;
    }

  private:
    bool advance_together(Clock::time_point deadline, int threads) {
        for (; begun_ < checks_.size(); begun_++)
            if (!checks_[begun_]->advance_to_colours(deadline, threads)) return false;
        if (!batch_) begin_batch(threads);
        if (!batch_->advance(deadline)) return false;
        for (size_t k = 0; k < checks_.size(); k++) checks_[k]->set_tile(batch_->image(int(k)));
        return true;
    }

    void begin_batch(int threads) {
        const Header& header = *checks_[0]->decoder().header();
        const Batch::Shape shape{int(checks_.size()), header.height, header.width, header.channels(), false, header.repeats};
        batch_.emplace(model_of(checks_[0]->model().networks(header.effort, header.levels), header.levels), header.levels, shape, threads);
        for (const std::unique_ptr<FileCheck>& check : checks_) {
            const Container& file = *check->decoder().container();
            batch_->add(file.bytes(file.header().payload()), file.header().state_bytes, file.bytes({0, file.header().is_plain() ? file.header().covered : 0}));
        }
    }

    std::vector<std::unique_ptr<FileCheck>> checks_;
    std::optional<Batch> batch_;
    uint64_t pixels_ = 0;
    size_t begun_ = 0, costs_taken_ = 0;
};

// Files of pixels in a single stream that does not learn, without low bits, are decoded side by side.
bool share_pass(const ImageEncoder& image) { return !image.is_jpeg() && !image.header().is_tiled && !image.header().low_bits() && image.pixels() < LEARNING_PIXELS; }

}  // namespace

void add_verification(JobQueue& queue, const std::vector<std::unique_ptr<ImageEncoder>>& images, const ModelBank& models, int threads) {
    using Key = std::tuple<int, int, int, int, int, bool, const ContextModel*>;
    std::map<Key, std::vector<const ImageEncoder*>> groups;
    for (const std::unique_ptr<ImageEncoder>& image : images) {
        const Header& header = image->header();
        if (share_pass(*image)) groups[{header.height, header.width, header.channels(), header.effort, header.levels, header.repeats, image->coding().model.get()}].push_back(image.get());
        else queue.add(std::make_unique<CheckJob>(std::vector<const ImageEncoder*>{image.get()}, models));
    }
    for (const auto& [key, group] : groups) {
        const size_t fitting = std::max<size_t>(1, BATCH_PIXELS / size_t(group[0]->pixels())), shared = (group.size() + size_t(threads) - 1) / size_t(threads);
        const size_t count = std::min({fitting, BATCH_FILES, shared});
        for (size_t start = 0; start < group.size(); start += count)
            queue.add(std::make_unique<CheckJob>(std::vector<const ImageEncoder*>(group.begin() + std::ptrdiff_t(start), group.begin() + std::ptrdiff_t(std::min(start + count, group.size()))), models));
    }
}

}  // namespace ddpm
