#include "pixel_tiles.h"

#include <algorithm>
#include <atomic>

#include "plan.h"

namespace ddpm {

namespace {

constexpr uint64_t WORK_PIXELS = uint64_t(1) << 22;  // that are decoded at a time, so that many cores take no more memory

void take(Tile& tile, const Round& round, int threads) {
    try {
        tile.take(round.container, {round.model, round.for_previews, threads});
    } catch (const Error& error) {
        const bool may_be_mark = !round.is_last && !round.container.header().is_tiled;  // whose first bytes look like a state
        if (error.fault != Fault::CORRUPT || !(may_be_mark || (round.is_last && round.accepts_damage))) throw;
        tile.set_corrupt();
    }
}

}  // namespace

void PixelTiles::begin_round(int limit, bool is_last) {
    for (const std::unique_ptr<Tile>& tile : tiles_) {
        tile->set_limit(limit);
        if (!tile->result().is_exact || is_last) queue_.push_back({tile.get(), true});
    }
}

bool PixelTiles::advance(const Round& round, Clock::time_point deadline, int threads) {
    const Header& header = round.container.header();
    const uint64_t largest = uint64_t(header.tile_width) * uint64_t(header.tile_height);
    const int at_a_time = int(std::max<uint64_t>(1, WORK_PIXELS / largest));
    const int workers = std::max(1, std::min({threads, int(queue_.size()), at_a_time}));
    const int threads_of_tile = workers > 1 ? 1 : threads;
    std::atomic<size_t> next{0};
    run_threads(workers, [&](Team&, int) {
        for (size_t k; (k = next++) < queue_.size();) {
            advance_tile(round, queue_[k], threads_of_tile, deadline);
            if (Clock::now() >= deadline) return;
        }
    });
    std::erase_if(queue_, [](const QueuedTile& queued) { return !queued.is_fresh && queued.tile->is_done(); });
    return queue_.empty() && delegated_.empty();
}

void PixelTiles::advance_tile(const Round& round, QueuedTile& queued, int threads, Clock::time_point deadline) {
    Tile& tile = *queued.tile;
    if (std::exchange(queued.is_fresh, false) && !tile.result().is_exact) take(tile, round, threads);
    const bool is_done = tile.advance(deadline);
    const std::vector<SegmentCost> costs = tile.take_costs();
    if (!costs.empty()) {
        const std::lock_guard<std::mutex> lock(costs_lock_);
        costs_.insert(costs_.end(), costs.begin(), costs.end());
    }
    if (!is_done || !round.is_last) return;
    round.place(tile, threads);
    tile.release();
}

std::optional<PixelBox> PixelTiles::delegate() {
    if (queue_.size() < 2 || !queue_.back().is_fresh || queue_.back().tile->result().has_begun) return std::nullopt;
    delegated_.push_back(queue_.back().tile);
    queue_.pop_back();
    return delegated_.back()->box();
}

void PixelTiles::set_delegated(const PixelBox& box, std::vector<uint8_t> pixels, const std::function<void(const Tile&, int)>& place) {
    const auto found = std::ranges::find(delegated_, box, &Tile::box);
    if (found == delegated_.end()) throw Error(Fault::ARGUMENT, "no tile of this box was delegated");
    Tile* const tile = *found;
    delegated_.erase(found);
    if (pixels.empty()) return queue_.push_back({tile, true});
    tile->set_pixels(std::move(pixels));
    place(*tile, 1);
    tile->release();
}

int PixelTiles::segments_taken(int wanted) const {
    int taken = wanted;
    for (const std::unique_ptr<Tile>& tile : tiles_) {
        const TileResult& result = tile->result();
        if (!result.is_exact) taken = std::min(taken, tile->taken());
        if ((tile->pass() && tile->pass()->ended()) || (result.is_damaged && tile->taken() == wanted)) throw Error(Fault::CHECKSUM, DAMAGED);
    }
    return taken;
}

int PixelTiles::steps_done(const Header& header) const {
    int steps = tiles_.empty() ? 0 : header.steps();
    for (const std::unique_ptr<Tile>& tile : tiles_)
        if (!tile->result().is_exact) steps = std::min(steps, ddpm::steps_done(header, tile->result().segments_done));
    return steps;
}

uint64_t PixelTiles::words_used() const {
    uint64_t words = 0;
    for (const std::unique_ptr<Tile>& tile : tiles_) words += tile->result().words_used;
    return words;
}

std::vector<SegmentCost> PixelTiles::take_costs() {
    const std::lock_guard<std::mutex> lock(costs_lock_);
    return std::exchange(costs_, {});
}

}  // namespace ddpm
