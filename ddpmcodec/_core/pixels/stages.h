// The two kinds of steps as the wave loop sees them: what a position sees, what is known of it, and where the result goes.
#pragma once
#include <cassert>

#include "conditions.h"
#include "position.h"
#include "window.h"

namespace ddpm {

// Normalised residuals of the values of one step, [height, width, 3].
class Residuals {
  public:
    Residuals() = default;
    Residuals(int height, int width) : width_(width), values_(size_t(height) * width * CHANNELS, NOT_CODED) {}

    int16_t* at(int y, int x) {
        assert(y >= 0 && x >= 0 && x < width_ && (size_t(y) * width_ + x) * CHANNELS < values_.size());
        return values_.data() + (size_t(y) * width_ + x) * CHANNELS;
    }

    // Those of the four nearest coded positions, by channel.
    void near(int y, int x, int16_t out[CHANNELS][4]) {
        constexpr int NEAREST[4][2] = {{0, -1}, {-1, 0}, {-1, 1}, {-1, -1}};
        for (int j = 0; j < 4; j++) {
            const int v = y + NEAREST[j][0], u = x + NEAREST[j][1];
            const int16_t* source = is_inside(v, u, width_) ? at(v, u) : nullptr;
            for (int c = 0; c < CHANNELS; c++) out[c][j] = source ? source[c] : NOT_CODED;
        }
    }

  private:
    int width_ = 0;
    std::vector<int16_t> values_;
};

class Stage {
  public:
    Stage(Role role, int height, int width, int condition) : role(role), height(height), width(width), condition(condition) {}
    virtual ~Stage() = default;
    // Whether there is anything to code at a position.
    virtual bool wants(int n, int y, int x) const = 0;
    virtual void gather(int n, int y, int x, uint8_t* row, int16_t* base) = 0;
    // Fills in all that is known of a position, but its base.
    virtual void load(int n, int y, int x, Values& values) = 0;
    // Takes over what is known of a position once it is coded.
    virtual void store(int n, int y, int x, const Values& values) = 0;

    const Role role;
    const int height, width, condition;

  protected:
    const Kernels& kernels_ = kernels();
};

inline constexpr int LARGEST_LUMA = 255, LARGEST_CHROMA = 510;  // differences of the pyramid
inline constexpr uint8_t NO_SCALE = 255;                        // of a coefficient that was never coded

// What is known of a band's coefficients in one image; mean and scale: how they were predicted last, where previews want it.
struct BandRanges {
    std::vector<int16_t> lo, hi, mean;
    std::vector<uint8_t> scale;
};

class BandStage : public Stage {
  public:
    // coarse: as the band stores it; values: an encoder's differences, or empty.
    BandStage(const Band& band, const LevelStep& step, std::vector<BandRanges>& ranges, const std::vector<Planes>& coarse,
              const std::vector<Planes>* values)
        : Stage(Role::BAND, band.height, band.width, condition_of(step.number, band.number)), ranges_(ranges), values_(values) {
        for (int c = 0; c < CHANNELS; c++) widths_[c] = cell_width(band.number, c, step.level);
        for (size_t n = 0; n < ranges.size(); n++) {
            coarse_.push_back(with_margin(coarse[n]));
            estimate_.push_back(Inputs(height, width));
            residuals_.push_back(Residuals(height, width));
            const size_t row = size_t(width) * CHANNELS;
            for (int y = 0; y < height; y++)
                std::transform(&ranges[n].lo[y * row], &ranges[n].lo[y * row] + row, &ranges[n].hi[y * row], estimate_[n].at(y, 0),
                               [](int16_t lo, int16_t hi) { return input_of(int16_t(estimate_of({lo, hi}))); });
        }
    }

    // Of one image: what a position sees of those before it, in place of what is known of them.
    void see(const Planes& coded) { coded_.push_back(inputs_of(coded)); }

    bool wants(int n, int y, int x) const override {
        for (int c = 0; c < CHANNELS; c++)
            if (!range(n, y, x, c).is_exact()) return true;
        return false;
    }

    void gather(int n, int y, int x, uint8_t* row, int16_t* base) override {
        gather_band(kernels_, coarse_[n], coded_.empty() ? estimate_[n] : coded_[n], estimate_[n], y, x, row);
        std::fill_n(base, CHANNELS, int16_t(0));
    }

    void load(int n, int y, int x, Values& values) override {
        for (int c = 0; c < CHANNELS; c++) {
            values.known[c] = range(n, y, x, c);
            values.width[c] = widths_[c];
            if (values_) values.value[c] = (*values_)[n].at(y, x)[c];
            values.residual[c] = NOT_CODED;
        }
        residuals_[n].near(y, x, values.near);
    }

    void store(int n, int y, int x, const Values& values) override {
        BandRanges& ranges = ranges_[n];
        const size_t first = (size_t(y) * width + x) * CHANNELS;
        std::copy_n(values.residual, CHANNELS, residuals_[n].at(y, x));
        for (int c = 0; c < CHANNELS; c++) {
            const bool was_exact = ranges.lo[first + c] == ranges.hi[first + c];
            ranges.lo[first + c] = int16_t(values.known[c].lo);
            ranges.hi[first + c] = int16_t(values.known[c].hi);
            estimate_[n].set(y, x, c, estimate_of(values.known[c]));
            if (!ranges.mean.empty() && !was_exact) {
                ranges.mean[first + c] = values.mean[c];
                ranges.scale[first + c] = uint8_t(values.scale[c]);
            }
        }
    }

  private:
    Range range(int n, int y, int x, int c) const {
        const size_t at = (size_t(y) * width + x) * CHANNELS + c;
        return {ranges_[n].lo[at], ranges_[n].hi[at]};
    }

    std::vector<BandRanges>& ranges_;
    const std::vector<Planes>* values_;
    std::vector<Margin> coarse_;
    std::vector<Inputs> estimate_, coded_;
    std::vector<Residuals> residuals_;
    int64_t widths_[CHANNELS];
};

// What noise levels tell of an image, and the last of them. estimate: Y, Co, Cg.
struct LevelEstimate {
    Planes estimate;
    Blocks blocks;
    int level;
};

// The blocks of an image, by the ranges of its bands, which must outlive them; ranges: by index, of the two finest.
template <class Ranges> Blocks blocks_of(const std::vector<Band>& geometry, Ranges ranges) {
    auto cells = [&](int b) { return Cells{ranges(b).lo.data(), ranges(b).hi.data(), geometry[b].width}; };
    Blocks blocks;
    if (geometry.empty() || geometry[0].transposed) return blocks;
    blocks.along_rows = cells(0);
    if (geometry.size() > 1) blocks.along_columns = cells(1);
    return blocks;
}

// The exact step: all pixels of all images, in raster order.
class PixelStage : public Stage {
  public:
    // described: every image, after noise levels; or none. pixels: an encoder's uint8 [N, H, W, channels], or null.
    PixelStage(int images, int height, int width, int channels, const std::vector<LevelEstimate>& described, const uint8_t* pixels)
        : Stage(described.empty() ? Role::DIRECT : Role::LAST, height, width, 0), channels_(channels), pixels_(pixels),
          bounds_(size_t(images) * height) {
        for (int n = 0; n < images; n++) {
            PixelPlanes planes;
            planes.grb = Margin(height, width);
            planes.seen = Margin(height, width);
            if (role == Role::LAST) {
                blocks_.push_back(described[n].blocks);
                planes.level = described[n].level;
                planes.residuals = Inputs(height, width);
                planes.estimate = with_margin(described[n].estimate);
                std::vector<int16_t>& values = planes.estimate.values;
                for (size_t k = 0; k + SPARE < values.size(); k += CHANNELS) to_grb(&values[k], &values[k]);
                planes.estimate_seen = seen_of(planes.estimate);
            }
            planes_.push_back(std::move(planes));
            residuals_.push_back(Residuals(height, width));
        }
    }

    bool wants(int, int, int) const override { return true; }

    void gather(int n, int y, int x, uint8_t* row, int16_t* base) override {
        if (role == Role::DIRECT) return gather_direct(kernels_, planes_[n], y, x, row, base);
        Bounds& bounds = bounds_[size_t(n) * height + y];
        bounds = blocks_[n].bounds(y, x, [&](int v, int u, int16_t* out) {
            int level[CHANNELS];
            levels(n, v, u, level);
            to_ycocg(level[1], level[0], level[2], out);
        });
        gather_last(kernels_, planes_[n], bounds, y, x, row, base);
    }

    void load(int n, int y, int x, Values& values) override {
        for (int c = 0; c < CHANNELS; c++) {
            values.known[c] = {0, 255};
            values.width[c] = int64_t(1) << CELL_BITS;
            values.residual[c] = NOT_CODED;
        }
        if (pixels_) target(n, y, x, values.value);
        if (role == Role::LAST) values.bounds = &bounds_[size_t(n) * height + y];
        residuals_[n].near(y, x, values.near);
    }

    // Of grey, all levels are alike.
    void store(int n, int y, int x, const Values& values) override {
        const int known[CHANNELS] = {values.known[0].lo, values.known[1].lo, values.known[2].lo};
        settle(n, y, x, known);
        std::copy_n(values.residual, CHANNELS, residuals_[n].at(y, x));
    }

    // An encoder's green, red, blue, or grey.
    void target(int n, int y, int x, int* out) const {
        const uint8_t* pixel = pixels_ + ((size_t(n) * height + y) * width + x) * channels_;
        for (int c = 0; c < channels_; c++) out[c] = channels_ == 1 ? pixel[0] : pixel[c == 0 ? 1 : c == 1 ? 0 : 2];
    }

    // Takes over green, red, blue, or grey, of a pixel that is coded.
    void settle(int n, int y, int x, const int* known) {
        PixelPlanes& planes = planes_[n];
        int16_t* grb = planes.grb.at(y, x);
        for (int c = 0; c < CHANNELS; c++) grb[c] = int16_t(known[c < channels_ ? c : 0] - estimate(n, y, x, c));
        int16_t exact[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) exact[c] = int16_t(known[c < channels_ ? c : 0]);
        to_seen(exact, planes.seen.at(y, x));
        if (role == Role::LAST) {
            int16_t residual[CHANNELS];
            to_seen(grb, residual);
            for (int c = 0; c < CHANNELS; c++) planes.residuals.set(y, x, c, residual[c]);
        }
    }

    // Takes all pixels of an encoder's images as coded.
    void store_all(int images) {
        for (int n = 0; n < images; n++)
            for (int y = 0; y < height; y++)
                for (int x = 0; x < width; x++) {
                    Values values;
                    load(n, y, x, values);
                    for (int c = 0; c < channels_; c++) values.known[c] = {values.value[c], values.value[c]};
                    store(n, y, x, values);
                }
    }

    // Red, green, blue, or grey, of a pixel that was coded.
    void pixel(int n, int y, int x, uint8_t* out) const {
        int level[CHANNELS];
        levels(n, y, x, level);
        out[0] = uint8_t(channels_ == 1 ? level[0] : level[1]);
        if (channels_ == 1) return;
        out[1] = uint8_t(level[0]);
        out[2] = uint8_t(level[2]);
    }

  private:
    // What residuals are relative to.
    int estimate(int n, int y, int x, int channel) const { return role == Role::LAST ? planes_[n].estimate.at(y, x)[channel] : 0; }

    // Green, red, blue of a pixel that was coded.
    void levels(int n, int y, int x, int* out) const {
        const int16_t* grb = planes_[n].grb.at(y, x);
        for (int c = 0; c < CHANNELS; c++) out[c] = grb[c] + estimate(n, y, x, c);
    }

    const int channels_;
    const uint8_t* pixels_;
    std::vector<Blocks> blocks_;
    std::vector<Bounds> bounds_;  // of the pixel of each row that was gathered last: a wave has one of each
    std::vector<PixelPlanes> planes_;
    std::vector<Residuals> residuals_;
};

}  // namespace ddpm
