#include "previews.h"

#include <algorithm>
#include <cmath>

namespace ddpm {

namespace {

constexpr int LEAST_SHARED = 1 << 14;  // positions of a band from which on threads share them
constexpr int BLOCK = 16;              // stored rows of a band that are computed together
constexpr float NARROW = 0.5f, STEEP = 8;
constexpr float LOGISTIC_VARIANCE = 3.28986813f;  // pi^2 / 3, of one whose scale is 1
constexpr float FADE = 1 / 24.0f;      // how fast what pixels hint at fades, by rows below them
constexpr int HINT = 8;                // columns to both sides that hint together

struct Scale {
    float units, inverse;
};

const Scale* scales() {
    struct Table {
        Scale of[SCALES];
        Table() {
            for (int i = 0; i < SCALES; i++) {
                const double units = std::exp2((i - 48) / 8.0);
                of[i] = {float(units), float(1 / units)};
            }
        }
    };
    static const Table table;
    return table.of;
}

// Loops over these become vector instructions: no branches, no calls.

// exp(-x) for 0 <= x, to seven digits; from 80 on it stays what it is there.
inline float exp_minus(float x) {
    const float t = (x < 80.0f ? x : 80.0f) * -1.44269504f;
    const int whole = int(t - 0.5f);
    const float part = (t - float(whole)) * 0.693147181f;  // -0.35 .. 0.35
    const float power = 1 + part * (1 + part * (0.5f + part * (1 / 6.0f + part * (1 / 24.0f + part * (1 / 120.0f + part * (1 / 720.0f))))));
    const int32_t bits = (whole + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return power * scale;
}

// log(1 + t) for 0 <= t <= 1: 2 artanh(t / (2 + t)).
inline float log_plus_one(float t) {
    const float s = t / (2 + t), r = std::max(s, 1e-18f), q = r * r;  // the square of less would be denormal, which is slow
    return 2 * s * (1 + q * (1 / 3.0f + q * (0.2f + q * (1 / 7.0f + q * (1 / 9.0f + q * (1 / 11.0f))))));
}

// With z in scales from the mean and F the CDF, z F - the integral of F is minus the entropy H of F, so that the mean of z over
// a .. b is (H(a) - H(b)) / (F(b) - F(a)). H is even, and tails cancel nowhere. A narrow range is nearly uniform, with
// the logistic's slope -tanh(z / 2) there.
inline float truncated_mean(float a, float b) {
    const float size_a = std::fabs(a), size_b = std::fabs(b), middle = 0.5f * (a + b), width = b - a;
    const float low = exp_minus(size_a), high = exp_minus(size_b);
    const float tail_a = low / (1 + low), tail_b = high / (1 + high);
    const float entropies = (size_a * tail_a + log_plus_one(low)) - (size_b * tail_b + log_plus_one(high));
    const float mass = a < 0 && b > 0 ? 1 - tail_a - tail_b : std::fabs(tail_a - tail_b);
    const float wide = entropies / (mass > 1e-30f ? mass : 1e-30f);
    const float centre = exp_minus(std::fabs(middle)), slope = (1 - centre) / (1 + centre);
    const float narrow = middle - width * width * (1 / 12.0f) * (middle > 0 ? slope : -slope);
    return width < NARROW ? narrow : wide;
}

inline float clipped(float x, float lo, float hi) {
    const float above = x > lo ? x : lo;
    return above < hi ? above : hi;
}

}  // namespace

void BandCoefficients::find(const BandRanges& ranges, size_t first, int count) {
    const int16_t *lo = &ranges.lo[first], *hi = &ranges.hi[first];
    bool any_open = false;
    for (int k = 0; k < count; k++) {
        mean[k] = hi[k] == lo[k] ? float(lo[k]) : 0.0f;
        variance[k] = 0;
        lack[k] = hi[k] == lo[k] ? 0.5f * float(lo[k] & 1) : 0.25f;
    }
    if (ranges.scale.empty()) return;
    const uint8_t* scale = &ranges.scale[first];
    for (int k = 0; k < count; k++) any_open = any_open || (scale[k] != NO_SCALE && lo[k] < hi[k]);
    if (!any_open) return;
    const Scale* table = scales();
    float units[CHUNK], inverse[CHUNK];
    for (int k = 0; k < count; k++) {
        const Scale& chosen = table[scale[k] == NO_SCALE ? 48 : scale[k]];
        units[k] = chosen.units, inverse[k] = chosen.inverse;
    }
    const int16_t* predicted = &ranges.mean[first];
    for (int k = 0; k < count; k++) {
        const float from = float(lo[k]), to = float(hi[k]);
        // The mean is drawn to the range, as the coder does.
        const float margin = 0.5f + STEEP * units[k];
        const float centre = clipped(float(predicted[k]) * (1.0f / MEAN_UNIT), from - margin, to + margin);
        const float z = truncated_mean((from - 0.5f - centre) * inverse[k], (to + 0.5f - centre) * inverse[k]);
        const float mean_in_range = clipped(z * units[k] + centre, from, to);
        const bool open = scale[k] != NO_SCALE && from < to;
        mean[k] = open ? mean_in_range : mean[k];
        // That of a logistic where the range is wide, of a uniform distribution where it is narrow.
        const float width = to - from + 1, logistic = LOGISTIC_VARIANCE * units[k] * units[k], uniform = width * width / 12;
        variance[k] = open ? logistic * uniform / (logistic + uniform) : 0.0f;
    }
}

namespace {

// A band's part of an image, in real numbers: pairs l + h / 2, l - h / 2, as if l and h were independent.
class Synthesis {
  public:
    Synthesis(const Band& band, const BandRanges& ranges, const Estimate& coarse, Estimate& fine)
        : band_(band), ranges_(ranges), coarse_(coarse), fine_(fine) {}

    // Stored rows [first, last).
    void run(int first, int last) const {
        BandCoefficients coefficients;
        for (int y = first; y < last; y += BLOCK)
            for (int x = 0; x < band_.coarse_width; x += CHUNK / CHANNELS) {
                const int rows = std::min(BLOCK, last - y), pairs = std::max(0, std::min(CHUNK / CHANNELS, band_.width - x));
                for (int v = y; v < y + rows; v++) {
                    if (pairs) coefficients.find(ranges_, (size_t(v) * band_.width + x) * CHANNELS, pairs * CHANNELS);
                    for (int u = 0; u < pairs; u++) pair(v, x + u, coefficients, u * CHANNELS);
                    if (band_.coarse_width > band_.width && x + CHUNK / CHANNELS >= band_.coarse_width) single(v);
                }
            }
    }

  private:
    // Where a position of an image, as the band stores it, lies in the upright one.
    size_t index_of(const Estimate& image, int y, int x) const {
        return (band_.transposed ? size_t(x) * image.width + y : size_t(y) * image.width + x) * CHANNELS;
    }

    void pair(int y, int x, const BandCoefficients& coefficients, int k) const {
        const size_t from = index_of(coarse_, y, x), a = index_of(fine_, y, 2 * x), b = index_of(fine_, y, 2 * x + 1);
        for (int c = 0; c < CHANNELS; c++) {
            const float middle = coarse_.mean[from + c] + coefficients.lack[k + c], half = 0.5f * coefficients.mean[k + c];
            fine_.mean[a + c] = middle + half;
            fine_.mean[b + c] = middle - half;
            fine_.variance[a + c] = fine_.variance[b + c] = coarse_.variance[from + c] + 0.25f * coefficients.variance[k + c];
        }
    }

    void single(int y) const {
        const size_t from = index_of(coarse_, y, band_.width), to = index_of(fine_, y, 2 * band_.width);
        std::copy_n(&coarse_.mean[from], CHANNELS, &fine_.mean[to]);
        std::copy_n(&coarse_.variance[from], CHANNELS, &fine_.variance[to]);
    }

    const Band& band_;
    const BandRanges& ranges_;
    const Estimate& coarse_;
    Estimate& fine_;
};

// Whether any coefficient of a band was coded.
bool is_coded(const BandRanges& ranges) {
    return std::any_of(ranges.scale.begin(), ranges.scale.end(), [](uint8_t scale) { return scale != NO_SCALE; });
}

bool has_coefficients(const Pass& pass) {
    for (size_t b = pass.geometry().size(); b-- > 0;)
        if (is_coded(pass.ranges(int(b)))) return true;
    return false;
}

int16_t nearest(float x) { return int16_t(int(x + 32768.5f) - 32768); }

bool is_open(const BandRanges& ranges) { return ranges.lo != ranges.hi; }

Planes means_of(const BandRanges& ranges, const Band& band) {
    Planes planes(band.height, band.width);
    BandCoefficients coefficients;
    for (size_t k = 0; k < planes.values.size(); k += CHUNK) {
        const int count = int(std::min(size_t(CHUNK), planes.values.size() - k));
        coefficients.find(ranges, k, count);
        for (int j = 0; j < count; j++) planes.values[k + j] = nearest(coefficients.mean[j]);
    }
    return planes;
}

Planes rounded(const Estimate& estimate) {
    Planes planes(estimate.height, estimate.width);
    for (size_t k = 0; k < planes.values.size(); k++) planes.values[k] = nearest(estimate.mean[k]);
    return planes;
}

int threads_of(const Band& band, int threads) { return band.positions() < LEAST_SHARED ? 1 : threads; }

// A band under what its network predicts for the step that codes it next. The network sees both sides of a position; when a
// coefficient was coded, it had seen one. It was trained on better coefficients before a position than there are now. So it is
// asked twice: the second time it sees its first means there. The finest band, half of all positions, is asked once: what the network
// of previews corrects is no better for it.
BandRanges foreseen(const Pass& pass, size_t b, const Estimate& coarse, int threads) {
    const Planes before = rounded(coarse);
    BandRanges first = pass.predicted(int(b), before, nullptr, threads);
    if (b == 0) return first;
    const Planes coded = means_of(first, pass.geometry()[b]);
    return pass.predicted(int(b), before, &coded, threads);
}

}  // namespace

Estimate of_bands(const Pass& pass, int threads, size_t first) {
    const bool has_any = has_coefficients(pass);
    Estimate coarse(1, 1);
    for (int c = 0; c < CHANNELS; c++) {
        const Range root = pass.root()[c];
        coarse.mean[c] = float(root.lo + root.hi) / 2;
    }
    for (size_t b = pass.geometry().size(); b-- > first;) {
        const Band& band = pass.geometry()[b];
        const int length = band.width + band.coarse_width, shared = threads_of(band, threads);
        const BandRanges& known = pass.ranges(int(b));
        const BandRanges ranges = has_any && is_open(known) ? foreseen(pass, b, coarse, shared) : known;
        Estimate fine(band.transposed ? length : band.height, band.transposed ? band.height : length);
        const Synthesis synthesis(band, ranges, coarse, fine);
        run_threads(shared, [&](const Team& team, int t) {
            const ThreadPart rows(band.height, t, team.threads());
            synthesis.run(rows.first, rows.last);
        });
        coarse = std::move(fine);
    }
    return coarse;
}

namespace {

bool exact_has_begun(const Pass& pass) {
    const int done = pass.segments_done();
    return pass.has_begun() && (done == pass.segments() || pass.schedule()[done].level == EXACT);
}

// What bands show, corrected where any of them was coded.
std::vector<float> corrected(const Pass& pass, int threads) {
    Estimate estimate = of_bands(pass, threads);
    const Trained* trained = pass.preview_network();
    if (trained && has_coefficients(pass)) correct(trained->network, threads, estimate);
    return std::move(estimate.mean);
}

// Without bands, all that hints at unknown pixels is the last known pixels above them, which fade to the mean of all.
void extend_down(const uint8_t* known, int height, int width, float* mean) {
    double sum[CHANNELS] = {};
    size_t count = 0;
    std::vector<int> ends(width);  // how many rows of a column are known, from above
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const size_t at = size_t(y) * width + x;
            if (!known[at]) continue;
            ends[x] = y + 1;
            count++;
            for (int c = 0; c < CHANNELS; c++) sum[c] += mean[at * CHANNELS + c];
        }
    float all[CHANNELS] = {UNKNOWN_LUMA, 0, 0};
    for (int c = 0; count && c < CHANNELS; c++) all[c] = float(sum[c] / double(count));
    std::vector<float> hints(size_t(width) * CHANNELS);  // by column, less the mean of all
    for (int x = 0; x < width; x++) {
        int near = 0;
        float* hint = &hints[size_t(x) * CHANNELS];
        for (int u = std::max(0, x - HINT); u <= std::min(width - 1, x + HINT); u++) {
            if (!ends[u]) continue;
            near++;
            for (int c = 0; c < CHANNELS; c++) hint[c] += mean[(size_t(ends[u] - 1) * width + u) * CHANNELS + c] - all[c];
        }
        for (int c = 0; near && c < CHANNELS; c++) hint[c] /= float(near);
    }
    std::vector<float> fading(height);
    for (int d = 0; d < height; d++) fading[d] = std::exp(-float(d) * FADE);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const size_t at = size_t(y) * width + x;
            for (int c = 0; !known[at] && c < CHANNELS; c++)
                mean[at * CHANNELS + c] = all[c] + hints[size_t(x) * CHANNELS + c] * fading[y - ends[x]];
        }
}

}  // namespace

void means(const Pass& pass, int threads, float* out) {
    const Layout& l = pass.layout();
    const size_t size = size_t(l.height) * l.width;
    const bool has_bands = !pass.root().empty();
    if (has_bands && !pass.is_exact()) {
        std::vector<float>& kept = pass.kept_means();
        if (kept.empty()) kept = corrected(pass, threads);
        std::copy(kept.begin(), kept.end(), out);
        if (!exact_has_begun(pass)) kept = {};
    }
    std::vector<uint8_t> known(size);
    if (exact_has_begun(pass)) {
        std::vector<uint8_t> exact(size * l.channels);
        pass.pixels(exact.data(), known.data());
        int16_t ycocg[CHANNELS];
        for (size_t at = 0; at < size; at++) {
            if (!known[at]) continue;
            to_ycocg(&exact[at * l.channels], l.channels, ycocg);
            std::copy_n(ycocg, CHANNELS, out + at * CHANNELS);
        }
    }
    if (!has_bands) extend_down(known.data(), l.height, l.width, out);
    for (size_t at = 0; l.channels == 1 && at < size; at++)  // which is known from the beginning
        for (int c = 1; c < CHANNELS; c++) out[at * CHANNELS + c] = 0;
}

Estimate reduced(const Pass& pass, int halvings, int threads) {
    size_t first = 0;
    for (int halved[2] = {}; first < pass.geometry().size(); first++)
        if (++halved[pass.geometry()[first].transposed] > halvings) break;
    Estimate planes = of_bands(pass, threads, first);
    if (pass.layout().channels == 1)
        for (size_t k = 0; k < planes.mean.size(); k++)
            if (k % CHANNELS) planes.mean[k] = 0;
    return planes;
}

void to_rgb(const float* planes, size_t count, uint8_t* out) {
    auto rounded = [](float x) { return uint8_t(clipped(x, 0, 255) + 0.5f); };
    for (size_t at = 0; at < count * CHANNELS; at += CHANNELS) {
        const float middle = planes[at] - planes[at + 2] / 2, blue = middle - planes[at + 1] / 2;
        out[at] = rounded(blue + planes[at + 1]);
        out[at + 1] = rounded(middle + planes[at + 2]);
        out[at + 2] = rounded(blue);
    }
}

}  // namespace ddpm
