// Parts of the coder, as functions without state.
#include <algorithm>
#include <cmath>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "normal.h"
#include "stages.h"
#include "streams.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Image = nb::ndarray<const int16_t, nb::shape<-1, -1, CHANNELS>, nb::c_contig, nb::device::cpu>;
using Pixels = nb::ndarray<const uint8_t, nb::shape<-1, -1, CHANNELS>, nb::c_contig, nb::device::cpu>;
using Integers = std::vector<int64_t>;
using Pair = std::pair<int, int>;

void require_scale(int scale) {
    if (scale < 0 || scale >= SCALES) throw std::invalid_argument("no such scale");
}

template <class Array> void require_inside(const Array& array, int y, int x) {
    if (y < 0 || x < 0 || size_t(y) >= array.shape(0) || size_t(x) >= array.shape(1)) throw std::invalid_argument("no such position");
}

Shares shares_of(const Integers& weights) {
    require_components(int64_t(weights.size()));
    Shares shares{};
    std::copy(weights.begin(), weights.end(), shares.share);
    return shares;
}

Integers listed(const Shares& shares, size_t components) { return Integers(shares.share, shares.share + components); }

Mixture mixture_of(const Integers& weights, int64_t lo, int64_t hi, const Integers& means, const std::vector<int>& scales) {
    if (means.size() != weights.size() || scales.size() != weights.size()) throw std::invalid_argument("a mean and a scale each");
    for (int scale : scales) require_scale(scale);
    return Mixture(shares_of(weights), int(weights.size()), lo, hi, means.data(), scales.data());
}

void bind_mixtures(nb::module_& m) {
    m.def("centred", [](const Integers& distances, int scale) {
        require_scale(scale);
        Integers centred_masses;
        for (int64_t distance : distances) centred_masses.push_back(centred(distance, scale));
        return centred_masses;
    }, "distances"_a, "scale"_a);
    m.def("truncated", [](int64_t lo, int64_t hi, int64_t mean, int scale) {
        require_scale(scale);
        const TruncatedLogistic part(lo, hi, mean, scale);
        Integers masses;
        for (int64_t x = lo; x <= hi + 1; x++) masses.push_back(part.before(x));
        return masses;
    }, "lo"_a, "hi"_a, "mean"_a, "scale"_a);
    m.def("weights_of", [](const std::vector<int32_t>& logits) {
        require_components(int64_t(logits.size()));
        Shares weights;
        set_weights(logits.data(), int(logits.size()), weights);
        return listed(weights, logits.size());
    }, "logits"_a);
    m.def("cumulative", [](const Integers& weights, int64_t lo, int64_t hi, const Integers& means, const std::vector<int>& scales) {
        const Mixture mixture = mixture_of(weights, lo, hi, means, scales);
        Integers cumulative;
        for (int64_t x = lo; x <= hi + 1; x++) cumulative.push_back(mixture.cumulative(x));
        return cumulative;
    }, "weights"_a, "lo"_a, "hi"_a, "means"_a, "scales"_a);
    m.def("find", [](const Integers& weights, int64_t lo, int64_t hi, const Integers& means, const std::vector<int>& scales,
                     const std::vector<uint32_t>& slots) {
        const Mixture mixture = mixture_of(weights, lo, hi, means, scales);
        Integers values;
        for (uint32_t slot : slots) values.push_back(mixture.find(slot));
        return values;
    }, "weights"_a, "lo"_a, "hi"_a, "means"_a, "scales"_a, "slots"_a);
    m.def("after", [](const Integers& weights, int64_t lo, int64_t hi, const Integers& means, const std::vector<int>& scales,
                      int64_t first, int64_t last) {
        const Mixture mixture = mixture_of(weights, lo, hi, means, scales);
        Masses masses;
        mixture.masses(first, last, masses);
        return listed(mixture.after(shares_of(weights), masses), weights.size());
    }, "weights"_a, "lo"_a, "hi"_a, "means"_a, "scales"_a, "first"_a, "last"_a);
}

// --- colours

// Whatever red is, the blue that is expected has the same mean.
ExpectedValue expected_of(int64_t mean, int scale) { return {mean, scale, {64 * mean, 0}}; }

// What an image of these pixels (green, red, blue) teaches, all of whose channels have one and the same mixture.
Colors observed(const Pixels& history, const Mixture& mixture, int64_t mean, int scale) {
    const ExpectedValue expected = expected_of(mean, scale);
    Colors colors;
    std::vector<ColorScores> scores(1);
    WeightedMixture window;
    for (size_t k = 0; k < history.size(); k += CHANNELS) {
        const int coded[CHANNELS] = {history.data()[k], history.data()[k + 1], history.data()[k + 2]};
        for (int c = 0; c < CHANNELS; c++) {
            if (!colors.weighs(c, scale)) continue;
            colors.weigh(mixture, c, coded, expected, window);
            colors.observe(window, c, coded[c], scores[0]);
        }
        scores[0].pixels.push_back({coded[0], coded[1], coded[2]});
        colors.learn(scores);
    }
    return colors;
}

// What the values of a channel of one more pixel, those before it known, occupy then. (cumulative, values at the slots)
std::pair<Integers, Integers> weighed(const Pixels& history, const Integers& weights, const Integers& means,
                                      const std::vector<int>& scales, int channel, const std::vector<int>& pixel,
                                      const std::vector<uint32_t>& slots) {
    if (channel < 0 || channel >= CHANNELS || pixel.size() != CHANNELS) throw std::invalid_argument("no such channel or pixel");
    const Mixture mixture = mixture_of(weights, 0, 255, means, scales);
    const Colors colors = observed(history, mixture, means[0], scales[0]);
    WeightedMixture window;
    colors.weigh(mixture, channel, pixel.data(), expected_of(means[0], scales[0]), window);
    Integers cumulative, values;
    for (int64_t x = 0; x <= 256; x++) cumulative.push_back(window.cumulative(x));
    for (uint32_t slot : slots) values.push_back(window.find(slot));
    return {cumulative, values};
}

void bind_colors(nb::module_& m) {
    m.def("color_weighs", [](const Pixels& history, const Integers& weights, const Integers& means, const std::vector<int>& scales) {
        const Mixture mixture = mixture_of(weights, 0, 255, means, scales);
        const Colors colors = observed(history, mixture, means[0], scales[0]);
        return std::vector<bool>{colors.weighs(0, scales[0]), colors.weighs(1, scales[0]), colors.weighs(2, scales[0])};
    }, "history"_a, "weights"_a, "means"_a, "scales"_a);
    m.def("binary_logarithm", &binary_logarithm, "x"_a);
    m.def("weighed", &weighed, "history"_a, "weights"_a, "means"_a, "scales"_a, "channel"_a, "pixel"_a, "slots"_a);
    m.def("is_from_ycbcr", [](int red, int green, int blue) {
        if (((red | green | blue) & ~255) != 0) throw std::invalid_argument("channels are 0 to 255");
        return SeenColors().is_from_ycbcr(red, green, blue);
    }, "red"_a, "green"_a, "blue"_a);
}

// --- streams

void bind_streams(nb::module_& m) {
    m.def("packed", [](const std::vector<uint32_t>& starts, const std::vector<uint32_t>& freqs, const std::vector<size_t>& ends,
                       uint32_t check) {
        if (starts.size() != freqs.size() || ends.empty() || ends.back() != starts.size() || !std::is_sorted(ends.begin(), ends.end()))
            throw std::invalid_argument("symbols and ends differ");
        Symbols symbols;
        for (size_t i = 0; i < starts.size(); i++) symbols.put(starts[i], freqs[i]);
        const Stream stream = packed(symbols, ends, check);
        return std::make_pair(stream.state, stream.words);
    }, "starts"_a, "freqs"_a, "ends"_a, "check"_a);
    // The states of a decoder that takes these symbols, as far as they are those of the stream: (slot, state, words taken, ended) before the
    // first and after each.
    m.def("taken", [](uint64_t state, const std::vector<uint32_t>& words, const std::vector<uint32_t>& starts,
                      const std::vector<uint32_t>& freqs) {
        Reader reader;
        reader.state = state;
        reader.words = words;
        std::vector<std::tuple<uint32_t, uint64_t, size_t, bool>> states{{reader.slot(), reader.state, 0, false}};
        for (size_t k = 0; k < starts.size() && reader.slot() >= starts[k] && reader.slot() - starts[k] < freqs.at(k); k++) {
            reader.take(starts[k], freqs[k]);
            states.emplace_back(reader.slot(), reader.state, reader.position, reader.ended);
        }
        return states;
    }, "state"_a, "words"_a, "starts"_a, "freqs"_a);
}

// --- the stack of bits back

void bind_stacks(nb::module_& m) {
    m.def("logistic_table", [] { return Integers(std::begin(LOGISTIC), std::end(LOGISTIC)); });
    m.def("normal_table", [] { return Integers(std::begin(NORMAL), std::end(NORMAL)); });
    m.def("normal_window", [](double mean, double deviation) {
        const Normal normal(mean, deviation);
        return std::make_tuple(normal.lo, normal.hi, normal.shift);
    }, "mean"_a, "std"_a, "The first and the last coarse cell, and the logarithm of their width.");
    m.def("normal_starts", [](double mean, double deviation, const Integers& cells) {
        const Normal normal(mean, deviation);
        Integers starts;
        for (int64_t k : cells) starts.push_back(normal.start(k));
        return starts;
    }, "mean"_a, "std"_a, "cells"_a);
}

// --- the pyramid

Planes planes_of(const Image& image) {
    Planes planes(int(image.shape(0)), int(image.shape(1)));
    std::copy_n(image.data(), planes.values.size(), planes.values.begin());
    return planes;
}

nb::ndarray<nb::numpy, int16_t> image_of(Planes planes) {
    return array_of(std::move(planes.values), {size_t(planes.height), size_t(planes.width), size_t(CHANNELS)});
}

void bind_pyramid(nb::module_& m) {
    m.def("to_ycocg", [](const Pixels& pixels) {
        return image_of(ddpm::planes_of(pixels.data(), int(pixels.shape(0)), int(pixels.shape(1)), CHANNELS));
    }, "pixels"_a, "Y, Co, Cg of red, green, blue.");
    m.def("to_grb", [](const Image& image) {
        Planes planes = planes_of(image);
        for (size_t k = 0; k < planes.values.size(); k += CHANNELS) to_grb(&planes.values[k], &planes.values[k]);
        return image_of(std::move(planes));
    }, "image"_a);
    // (number, transposed, height, width) of each band as it is stored, finest first.
    m.def("bands_of", [](int height, int width) {
        std::vector<std::tuple<int, bool, int, int>> bands;
        for (const Band& band : bands_of(height, width)) bands.emplace_back(band.number, band.transposed, band.height, band.width);
        return bands;
    }, "height"_a, "width"_a);
    m.def("analysed", [](const Image& image) {
        Pyramid pyramid(planes_of(image), bands_of(int(image.shape(0)), int(image.shape(1))));
        nb::list differences;
        for (Planes& band : pyramid.differences) differences.append(image_of(std::move(band)));
        return nb::make_tuple(image_of(std::move(pyramid.root)), differences);
    }, "image"_a, "The root, and the differences of each band, finest first.");
    m.def("synthesised", [](const Image& root, const std::vector<Image>& differences, int height, int width) {
        Planes image = planes_of(root);
        const std::vector<Band> geometry = bands_of(height, width);
        if (differences.size() != geometry.size()) throw std::invalid_argument("another number of bands");
        for (size_t b = geometry.size(); b-- > 0;)
            image = synthesise_band(geometry[b].transposed ? image.turned() : image, planes_of(differences[b]), geometry[b]);
        return image_of(std::move(image));
    }, "root"_a, "differences"_a, "height"_a, "width"_a);
    m.def("cell_width", &cell_width, "band"_a, "channel"_a, "level"_a);
    m.def("cell_of", [](int value, Pair known, int64_t width) {
        const Range cell = cell_of(value, {known.first, known.second}, width);
        return Pair{cell.lo, cell.hi};
    }, "value"_a, "known"_a, "width"_a);
    // The range that bounds of Y, Co, Cg leave to green, red or blue once those before it are known.
    m.def("bounds", [](const std::vector<Pair>& ranges, int channel, int green, int red) {
        if (ranges.size() != CHANNELS || channel < 0 || channel >= CHANNELS)
            throw std::invalid_argument("three ranges, and one of three channels");
        Bounds bounds;
        for (int c = 0; c < CHANNELS; c++) bounds.of[c] = {ranges[c].first, ranges[c].second};
        const Range range = bounds.channel(channel, green, red, {-FAR, FAR});
        return Pair{range.lo, range.hi};
    }, "of"_a, "channel"_a, "green"_a = 0, "red"_a = 0);
    m.def("estimate_of", [](Pair range) { return estimate_of({range.first, range.second}); }, "range"_a);
}

// --- windows

void bind_windows(nb::module_& m) {
    m.def("band_row", [](const Image& coarse, const Image& coded, const Image& known, int y, int x) {
        for (const Image* planes : {&coarse, &coded, &known}) require_inside(*planes, y, x);
        std::vector<uint8_t> row(inputs_of(Role::BAND), ZERO);
        gather_band(kernels(), with_margin(planes_of(coarse)), inputs_of(planes_of(coded)), inputs_of(planes_of(known)), y, x, row.data());
        return array_of(std::move(row), {size_t(inputs_of(Role::BAND))});
    }, "coarse"_a, "coded"_a, "known"_a, "y"_a, "x"_a);
    // (inputs, what means are relative to) of a pixel; estimate: Y, Co, Cg after noise levels that end at `level`, or None.
    m.def("pixel_row", [](const Pixels& pixels, const std::optional<Image>& estimate, int y, int x, int level) {
        require_inside(pixels, y, x);
        if (estimate && (estimate->shape(0) != pixels.shape(0) || estimate->shape(1) != pixels.shape(1)))
            throw std::invalid_argument("the estimate has another size");
        const int height = int(pixels.shape(0)), width = int(pixels.shape(1));
        std::vector<LevelEstimate> described;
        if (estimate) described.push_back({planes_of(*estimate), {}, level});
        PixelStage stage(1, height, width, CHANNELS, described, pixels.data());
        stage.store_all(1);
        std::vector<uint8_t> row(inputs_of(stage.role), ZERO);
        std::vector<int16_t> base(CHANNELS);
        stage.gather(0, y, x, row.data(), base.data());
        const size_t inputs = row.size();
        return nb::make_tuple(array_of(std::move(row), {inputs}), array_of(std::move(base), {size_t(CHANNELS)}));
    }, "pixels"_a, "estimate"_a.none(), "y"_a, "x"_a, "level"_a = MIDDLE_LEVEL);
}

// --- a position

// Codes one position, nothing coded nearby. known: of each channel; width: of cells.
nb::dict coded(const std::vector<int32_t>& outputs, int components, const std::vector<int>& value, const std::vector<Pair>& known,
               const std::vector<int64_t>& width, const std::vector<int>& base) {
    require_components(components);
    const Outputs shape{components};
    const int channels = int(value.size());
    if (int(outputs.size()) != shape.count() || channels < 1 || channels > CHANNELS || known.size() != value.size() ||
        width.size() != value.size() || base.size() != value.size())
        throw std::invalid_argument("lists of other lengths");
    Values values{};
    for (int c = 0; c < channels; c++) {
        values.value[c] = value[c];
        values.known[c] = {known[c].first, known[c].second};
        values.width[c] = width[c];
        values.base[c] = int16_t(base[c]);
        std::fill_n(values.near[c], 4, NOT_CODED);
    }
    Symbols symbols;
    Position position(shape, outputs.data());
    const Biases biases;
    position.code(values, channels, Coder{&symbols, nullptr}, {biases, nullptr, nullptr, nullptr, true});
    std::vector<float> gradients(outputs.size());
    position.gradients(gradients.data());
    double nats = 0;
    for (size_t i = 0; i < symbols.size(); i++) nats -= std::log(double(symbols[i].freq) / double(1 << PRECISION));
    nb::dict outcome;
    outcome["nats"] = nats;
    outcome["gradients"] = array_of(std::move(gradients), {outputs.size()});
    nb::list ranges, predicted;
    for (int c = 0; c < channels; c++) {
        ranges.append(nb::make_tuple(values.known[c].lo, values.known[c].hi));
        predicted.append(nb::make_tuple(int(values.mean[c]), int(values.scale[c])));
    }
    outcome["known"] = ranges;
    outcome["predicted"] = predicted;
    return outcome;
}

}  // namespace

void bind_coder_parts(nb::module_& m) {
    bind_mixtures(m);
    bind_colors(m);
    bind_streams(m);
    bind_stacks(m);
    bind_pyramid(m);
    bind_windows(m);
    m.def("coded", &coded, "outputs"_a, "components"_a, "value"_a, "known"_a, "width"_a, "base"_a,
          "One position without biases: its code length, and the gradients of it by the outputs.");
}

}  // namespace ddpm
