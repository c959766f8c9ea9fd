#include "plane.h"

#include <algorithm>
#include <map>

#include "checksums.h"
#include "learning_rules.h"

namespace ddpm {

namespace {

constexpr uint64_t BATCH_PIXELS = 1 << 17;  // of tiles that are coded side by side: 128 of 32 x 32 fill a wave
constexpr size_t BATCH_TILES = 512;         // however small they are: what an image teaches takes 17 kB

// Tiles of one size that a pass encodes.
class TileJob : public Job {
  public:
    explicit TileJob(std::vector<EncodeTile*> tiles) : tiles_(std::move(tiles)) {}

    uint64_t pixels() const override { return tiles_.size() * tiles_[0]->box.pixels(); }

    bool advance(Clock::time_point deadline, int threads) override {
        if (!pass_) begin(threads);
        if (!pass_->advance(pass_->pass().segments(), deadline)) return false;
        finish();
        return true;
    }

    std::vector<SegmentCost> take_costs() override {
        if (pass_) costs_ = pass_->costs();
        const std::vector<SegmentCost> fresh(costs_.begin() + std::ptrdiff_t(costs_taken_), costs_.end());
        costs_taken_ = costs_.size();
        return tiles_[0]->is_trial ? std::vector<SegmentCost>() : fresh;
    }

  private:
    void begin(int threads) {
        const EncodeTile& first = *tiles_[0];
        const int images = int(tiles_.size());
        const bool learns = images == 1 && first.box.pixels() >= LEARNING_PIXELS;
        const Layout layout{images, first.box.height(), first.box.width(), first.plane.channels, first.has_lanes ? LANES : images, learns, threads, first.coding.repeats};
        pass_.emplace(model_of(first.coding.model->networks(first.coding.effort, first.coding.levels), first.coding.levels), first.coding.levels, layout);
        std::vector<uint8_t> pixels;
        for (const EncodeTile* tile : tiles_) {
            const std::vector<uint8_t> of_tile = tile->pixels();
            pixels.insert(pixels.end(), of_tile.begin(), of_tile.end());
        }
        pass_->pass().encode(pixels.data(), false);
    }

    void finish() {
        const Pass& pass = pass_->pass();
        for (size_t k = 0; k < tiles_.size(); k++) {
            EncodeTile& tile = *tiles_[k];
            const uint32_t check = crc32(tile.pixels(), crc32(tile.covered)) % CHECKS;
            const int first = tile.has_lanes ? 0 : int(k), streams = tile.has_lanes ? LANES : 1;
            for (int s = first; s < first + streams; s++) tile.streams.push_back(packed(pass.symbols(s), pass.ends(s), check));
        }
        costs_ = pass_->costs();
        pass_.reset();  // it takes fifty bytes a pixel
    }

    const std::vector<EncodeTile*> tiles_;
    std::optional<TimedPass> pass_;
    std::vector<SegmentCost> costs_;
    size_t costs_taken_ = 0;
};

// Whether a pass can encode both side by side. A tile that learns, or has lanes, is alone.
bool share_pass(const EncodeTile& a, const EncodeTile& b) {
    return !a.has_lanes && !b.has_lanes && a.box.pixels() < LEARNING_PIXELS && a.box.width() == b.box.width() && a.box.height() == b.box.height() &&
           a.plane.channels == b.plane.channels && a.coding == b.coding && a.is_trial == b.is_trial;
}

}  // namespace

uint64_t EncodeTile::word_bytes() const {
    uint64_t bytes = 0;
    for (const Stream& stream : streams)
        for (const std::vector<uint32_t>& words : stream.words) bytes += WORD_BYTES * words.size();
    return bytes;
}

std::vector<uint8_t> EncodeTile::pixels() const {
    const size_t row = size_t(box.width()) * size_t(plane.channels);
    std::vector<uint8_t> pixels(row * size_t(box.height()));
    for (int y = 0; y < box.height(); y++)
        std::copy_n(plane.pixels + (size_t(box.top + y) * size_t(plane.width) + size_t(box.left)) * size_t(plane.channels), row, &pixels[size_t(y) * row]);
    return pixels;
}

void add_tile_jobs(JobQueue& queue, const std::vector<EncodeTile*>& tiles, int threads) {
    std::vector<std::vector<EncodeTile*>> groups;
    std::multimap<std::tuple<int, int, int>, size_t> groups_of_size;  // by width, height and channels
    for (EncodeTile* tile : tiles) {
        const std::tuple size(tile->box.width(), tile->box.height(), tile->plane.channels);
        const auto [first, last] = groups_of_size.equal_range(size);
        const auto found = std::find_if(first, last, [&](const auto& group) { return share_pass(*groups[group.second][0], *tile); });
        if (found != last) {
            groups[found->second].push_back(tile);
            continue;
        }
        if (share_pass(*tile, *tile)) groups_of_size.emplace(size, groups.size());
        groups.push_back({tile});
    }
    for (const std::vector<EncodeTile*>& group : groups) {
        const size_t fitting = size_t(std::max<uint64_t>(1, BATCH_PIXELS / group[0]->box.pixels())), shared = (group.size() + size_t(threads) - 1) / size_t(threads);
        const size_t count = std::min({fitting, BATCH_TILES, shared});
        for (size_t start = 0; start < group.size(); start += count)
            queue.add(std::make_unique<TileJob>(std::vector<EncodeTile*>(group.begin() + std::ptrdiff_t(start), group.begin() + std::ptrdiff_t(std::min(start + count, group.size())))));
    }
}

}  // namespace ddpm
