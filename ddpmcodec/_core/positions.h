// Training learns from positions of images as the coder would meet them. States of the schedule are functions of the image,
// so that any position of any step can be drawn without coding anything.
#pragma once
#include "stages.h"

namespace ddpm {

// Positions of one role, in columns: what the coder has of each.
struct Positions {
    std::vector<uint8_t> rows;                        // [K, inputs]
    std::vector<int16_t> base, lo, hi, new_lo, new_hi;  // [K, 3]
    std::vector<int32_t> condition;                   // [K]

    size_t count() const { return condition.size(); }
};

// True with probability `share`, by the next number of a generator (splitmix64, Steele, Lea & Flood 2014).
inline bool is_drawn(uint64_t& state, double share) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return double((z ^ (z >> 31)) >> 11) < share * 9007199254740992.0;
}

inline Planes planes_of(const uint8_t* pixels, int height, int width) {
    Planes image(height, width);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixels += CHANNELS) to_ycocg(pixels[0], pixels[1], pixels[2], image.at(y, x));
    return image;
}

// The range that is known of a difference at a level, or before any (-1).
inline Range range_at(int value, int band, int channel, int level) {
    const int largest = channel ? LARGEST_CHROMA : LARGEST_LUMA;
    return level < 0 ? Range{-largest, largest} : cell_of(value, {-largest, largest}, cell_width(band, channel, level));
}

inline Planes estimates_at(const Planes& differences, int band, int level) {
    Planes estimates(differences.height, differences.width);
    for (size_t k = 0; k < estimates.values.size(); k++)
        estimates.values[k] = int16_t(estimate_of(range_at(differences.values[k], band, int(k % CHANNELS), level)));
    return estimates;
}

// Draws positions of every band at every step of noise levels, and adds them to those of the band's kind. share: of a band's
// positions; least: how many of a band, where it has them. pixels: uint8 [height, width, 3].
inline void draw_bands(const uint8_t* pixels, int height, int width, int levels, double share, int least, uint64_t& seed,
                       Positions* by_kind) {
    const std::vector<Band> geometry = bands_of(height, width);
    std::vector<Planes> differences(geometry.size());
    Planes root = planes_of(pixels, height, width);
    for (size_t b = 0; b < geometry.size(); b++) root = analyse_band(root, geometry[b], differences[b]);
    std::vector<int> levels_of_bands(geometry.size(), -1);
    constexpr int inputs = inputs_of(Role::BAND);
    for (const LevelStep& step : steps_of(levels)) {
        Planes coarse = root;
        for (int b = int(geometry.size()) - 1; b >= 0; b--) {
            const Band& band = geometry[b];
            if (band.transposed) coarse = coarse.turned();
            const int old_level = levels_of_bands[b];
            if (band.number >= step.finest) levels_of_bands[b] = step.level;
            const Planes after = estimates_at(differences[b], band.number, levels_of_bands[b]);
            if (band.number >= step.finest) {
                const Margin coarse_margin = with_margin(coarse);
                const Inputs coded = inputs_of(after), before = inputs_of(estimates_at(differences[b], band.number, old_level));
                Positions& positions = by_kind[band_kind(band.number)];
                const double drawn_share = std::max(share, std::min(1.0, double(least) / double(band.positions())));
                for (int y = 0; y < band.height; y++)
                    for (int x = 0; x < band.width; x++) {
                        if (!is_drawn(seed, drawn_share)) continue;
                        const size_t k = positions.count();
                        positions.condition.push_back(condition_of(step.number, band.number));
                        positions.rows.resize((k + 1) * inputs, ZERO);
                        gather_band(coarse_margin, coded, before, y, x, &positions.rows[k * inputs]);
                        for (int c = 0; c < CHANNELS; c++) {
                            const int value = differences[b].at(y, x)[c];
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
    }
}

inline constexpr int LAST_LEVEL = STEPS[STEP_COUNT - 1].level;  // that every schedule with noise levels ends at

// A part of an image.
struct Part {
    int top, left, height, width;
};

// Adds the positions of a part's exact pixels, in raster order, straight or after noise levels.
inline void add_pixels(const uint8_t* pixels, int height, int width, bool after_levels, const Part& part, Positions& positions) {
    std::vector<Described> described(after_levels);
    BandRanges ranges[2];  // of the finest bands
    if (after_levels) {
        const std::vector<Band> geometry = bands_of(height, width);
        std::vector<Planes> differences(geometry.size());
        Planes& estimate = described[0].estimate;
        estimate = planes_of(pixels, height, width);
        for (size_t b = 0; b < geometry.size(); b++) estimate = analyse_band(estimate, geometry[b], differences[b]);
        for (int b = int(geometry.size()) - 1; b >= 0; b--) {
            const Planes stored = geometry[b].transposed ? estimate.turned() : estimate;
            estimate = synthesise_band(stored, estimates_at(differences[b], geometry[b].number, LAST_LEVEL), geometry[b]);
        }
        for (int b = 0; b < std::min(2, int(geometry.size())); b++)
            for (size_t k = 0; k < differences[b].values.size(); k++) {
                const Range range = range_at(differences[b].values[k], geometry[b].number, int(k % CHANNELS), LAST_LEVEL);
                ranges[b].lo.push_back(int16_t(range.lo));
                ranges[b].hi.push_back(int16_t(range.hi));
            }
        described[0].blocks = blocks_of(geometry, [&](int b) -> BandRanges& { return ranges[b]; });
    }
    PixelStage stage(1, height, width, CHANNELS, described, pixels);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            Values values;
            stage.load(0, y, x, values);
            for (int c = 0; c < CHANNELS; c++) values.known[c] = {values.value[c], values.value[c]};
            stage.put(0, y, x, values);
        }
    const size_t inputs = inputs_of(stage.role);
    for (int y = part.top; y < part.top + part.height; y++)
        for (int x = part.left; x < part.left + part.width; x++) {
            const size_t k = positions.count();
            positions.condition.push_back(0);
            positions.rows.resize((k + 1) * inputs, ZERO);
            positions.base.resize((k + 1) * CHANNELS);
            stage.gather(0, y, x, &positions.rows[k * inputs], &positions.base[k * CHANNELS]);
            Values values;
            stage.load(0, y, x, values);
            for (int c = 0; c < CHANNELS; c++) {
                const Range range = values.bounds.channel(c, values.value[0], values.value[1], values.known[c]);
                positions.lo.push_back(int16_t(range.lo));
                positions.hi.push_back(int16_t(range.hi));
                positions.new_lo.push_back(int16_t(values.value[c]));
                positions.new_hi.push_back(int16_t(values.value[c]));
            }
        }
}

}  // namespace ddpm
