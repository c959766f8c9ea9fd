// Training learns from positions of images as the coder would meet them. States of the schedule are functions of the image,
// so that any position of any step can be drawn without coding anything.
#pragma once
#include <cassert>

#include "stages.h"

namespace ddpm {

// A part of what is coded together: of the pixels of an image, or of a band.
struct Part {
    int top, left, height, width;
};

// Positions of one role, in columns: what the coder has of each. Those of a part follow each other, in raster order.
struct Positions {
    std::vector<uint8_t> rows;                        // [K, inputs]
    std::vector<int16_t> base, lo, hi, new_lo, new_hi;  // [K, 3]
    std::vector<int32_t> condition, part;             // [K]; part: its number
    std::vector<int32_t> near;                        // [K, NEIGHBOURS] whose activations are seen (`NeighbourActivations`); -1: nobody's
    int parts = 0;

    size_t count() const { return condition.size(); }
};

// Adds positions of a part. The caller fills in the other columns of each.
class PartOfPositions {
  public:
    PartOfPositions(Positions& positions, const Part& part)
        : positions_(positions), part_(part), number_(positions.parts++), places_(size_t(part.height) * part.width, -1) {}

    // Its number, given its condition. y, x: in the image or the band.
    size_t add(int y, int x, int condition) {
        const size_t k = positions_.count();
        positions_.condition.push_back(condition);
        positions_.part.push_back(number_);
        for (const auto& [v, u] : {std::pair{y, x - 1}, std::pair{y - 1, x}, std::pair{y - 1, x + 1}})
            positions_.near.push_back(holds(v, u) ? place(v, u) : -1);
        place(y, x) = int32_t(k);
        return k;
    }

  private:
    bool holds(int y, int x) const {
        return y >= part_.top && x >= part_.left && y < part_.top + part_.height && x < part_.left + part_.width;
    }
    int32_t& place(int y, int x) {
        assert(holds(y, x));
        return places_[size_t(y - part_.top) * part_.width + x - part_.left];
    }

    Positions& positions_;
    const Part part_;
    const int32_t number_;
    std::vector<int32_t> places_;  // numbers of positions; -1: not added
};

// Random numbers (splitmix64, Steele, Lea & Flood 2014).
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}

    // 0 <= x < 1.
    double unit() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return double((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
    }
    int below(int count) { return int(unit() * count); }

  private:
    uint64_t state_;
};

inline constexpr int NO_LEVEL = -1;  // before the first

// The range that is known of a difference at a level.
inline Range range_at(int value, int band, int channel, int level) {
    const int largest = channel ? LARGEST_CHROMA : LARGEST_LUMA;
    return level == NO_LEVEL ? Range{-largest, largest} : cell_of(value, {-largest, largest}, cell_width(band, channel, level));
}

inline Planes estimates_at(const Planes& differences, int band, int level) {
    Planes estimates(differences.height, differences.width);
    for (size_t k = 0; k < estimates.values.size(); k++)
        estimates.values[k] = int16_t(estimate_of(range_at(differences.values[k], band, int(k % CHANNELS), level)));
    return estimates;
}

// Which parts are taken of bands. share: of a band's positions, about; least: how many of a band, where it has them; side: of the
// largest part.
struct PartSampling {
    double share;
    int least, side;
};

// Random parts of a band: the whole of it, once, where that is what is taken.
inline std::vector<Part> parts_of(const Band& band, const PartSampling& taken, Random& random) {
    const int height = std::min(taken.side, band.height), width = std::min(taken.side, band.width);
    const double positions = double(band.positions());
    const double share = std::max(taken.share, std::min(1.0, double(taken.least) / positions));
    const double expected = share * positions / (double(height) * width);
    const int count = int(expected) + (random.unit() < expected - int(expected));
    std::vector<Part> parts;
    for (int k = 0; k < count; k++) parts.push_back({random.below(band.height - height + 1), random.below(band.width - width + 1), height, width});
    return parts;
}

// Takes parts of every band at every step of noise levels, and adds their positions to those of the band's kind: all where anything
// is left to code. pixels: uint8 [height, width, 3].
inline void draw_bands(const uint8_t* pixels, int height, int width, int levels, const PartSampling& taken, Random& random, Positions* by_kind) {
    const std::vector<Band> geometry = bands_of(height, width);
    const auto [root, differences] = Pyramid(planes_of(pixels, height, width, CHANNELS), geometry);
    int old_level = NO_LEVEL;
    constexpr int inputs = inputs_of(Role::BAND);
    for (const LevelStep& step : steps_of(levels)) {
        Planes coarse = root;
        for (int b = int(geometry.size()) - 1; b >= 0; b--) {
            const Band& band = geometry[b];
            if (band.transposed) coarse = coarse.turned();
            const Planes after = estimates_at(differences[b], band.number, step.level);
            const Margin coarse_margin = with_margin(coarse);
            const Inputs coded = inputs_of(after), before = inputs_of(estimates_at(differences[b], band.number, old_level));
            Positions& positions = by_kind[band_kind(band.number)];
            for (const Part& part : parts_of(band, taken, random)) {
                PartOfPositions added(positions, part);
                for (int at = 0; at < part.height * part.width; at++) {
                    const int y = part.top + at / part.width, x = part.left + at % part.width;
                    const int16_t* coefficient = differences[b].at(y, x);
                    bool is_open = false;
                    for (int c = 0; c < CHANNELS; c++) is_open = is_open || !range_at(coefficient[c], band.number, c, old_level).is_exact();
                    if (!is_open) continue;
                    const size_t k = added.add(y, x, condition_of(step.number, band.number));
                    positions.rows.resize((k + 1) * inputs, ZERO);
                    gather_band(kernels(), coarse_margin, coded, before, y, x, &positions.rows[k * inputs]);
                    for (int c = 0; c < CHANNELS; c++) {
                        const int value = coefficient[c];
                        const Range old_range = range_at(value, band.number, c, old_level);
                        const Range new_range = range_at(value, band.number, c, step.level);
                        positions.base.push_back(0);
                        positions.lo.push_back(int16_t(old_range.lo));
                        positions.hi.push_back(int16_t(old_range.hi));
                        positions.new_lo.push_back(int16_t(new_range.lo));
                        positions.new_hi.push_back(int16_t(new_range.hi));
                    }
                }
            }
            coarse = synthesise_band(coarse, after, band);
        }
        old_level = step.level;
    }
}

// Adds the positions of exact pixels in parts of an image: straight, or after noise levels that end at `level`.
inline void add_pixels(const uint8_t* pixels, int height, int width, int level, const std::vector<Part>& parts, Positions& positions) {
    std::vector<LevelEstimate> described(level != EXACT);
    BandRanges ranges[2];  // of the finest bands
    if (level != EXACT) {
        const std::vector<Band> geometry = bands_of(height, width);
        const auto [root, differences] = Pyramid(planes_of(pixels, height, width, CHANNELS), geometry);
        Planes& estimate = described[0].estimate;
        estimate = root;
        for (int b = int(geometry.size()) - 1; b >= 0; b--) {
            const Planes stored = geometry[b].transposed ? estimate.turned() : estimate;
            estimate = synthesise_band(stored, estimates_at(differences[b], geometry[b].number, level), geometry[b]);
        }
        for (int b = 0; b < std::min(2, int(geometry.size())); b++)
            for (size_t k = 0; k < differences[b].values.size(); k++) {
                const Range range = range_at(differences[b].values[k], geometry[b].number, int(k % CHANNELS), level);
                ranges[b].lo.push_back(int16_t(range.lo));
                ranges[b].hi.push_back(int16_t(range.hi));
            }
        described[0].level = level;
        described[0].blocks = blocks_of(geometry, [&](int b) -> BandRanges& { return ranges[b]; });
    }
    PixelStage stage(1, height, width, CHANNELS, described, pixels);
    stage.store_all(1);
    const size_t inputs = inputs_of(stage.role);
    for (const Part& part : parts) {
        PartOfPositions added(positions, part);
        for (int y = part.top; y < part.top + part.height; y++)
            for (int x = part.left; x < part.left + part.width; x++) {
                const size_t k = added.add(y, x, 0);
                positions.rows.resize((k + 1) * inputs, ZERO);
                positions.base.resize((k + 1) * CHANNELS);
                stage.gather(0, y, x, &positions.rows[k * inputs], &positions.base[k * CHANNELS]);
                Values values;
                stage.load(0, y, x, values);
                for (int c = 0; c < CHANNELS; c++) {
                    const Range range = values.remaining(c, values.value[0], values.value[1]);
                    positions.lo.push_back(int16_t(range.lo));
                    positions.hi.push_back(int16_t(range.hi));
                    positions.new_lo.push_back(int16_t(values.value[c]));
                    positions.new_hi.push_back(int16_t(values.value[c]));
                }
            }
    }
}

}  // namespace ddpm
