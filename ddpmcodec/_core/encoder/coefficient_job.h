// Tiles of the coefficients of a JPEG file, which are encoded by a job each.
#pragma once
#include "coefficient_pass.h"
#include "coefficient_tiles.h"
#include "jobs.h"

namespace ddpm {

struct CoefficientTile {
    PixelBox box;
    std::vector<std::vector<uint8_t>> chunks;  // of all segments, once it was encoded
};

// Encodes a tile of an image; both outlive it.
class CoefficientJob : public Job {
  public:
    CoefficientJob(CoefficientTile& tile, const Coefficients& image, CoefficientNetworks networks, int levels)
        : tile_(tile), image_(image), networks_(std::move(networks)), levels_(levels) {}

    uint64_t pixels() const override { return tile_.box.pixels(); }
    bool advance(Clock::time_point deadline, int threads) override;
    std::vector<SegmentCost> take_costs() override;

  private:
    CoefficientTile& tile_;
    const Coefficients& image_;
    const CoefficientNetworks networks_;
    const int levels_;
    Coefficients values_;
    std::optional<CoefficientPass> pass_;
    int done_ = 0, reported_ = 0;  // segments
};

}  // namespace ddpm
