// Previews for Python: means of what is known.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "arrays.h"
#include "previews.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
template <class T> using Out = nb::ndarray<nb::numpy, T>;

void require_preview(const Pass& pass, int threads) {
    if (!pass.is_for_previews()) throw std::invalid_argument("the pass keeps nothing for previews: begin it with for_previews");
    if (threads < 1) throw std::invalid_argument("threads must be 1 or more, not " + std::to_string(threads));
}

Out<float> means_of(const Pass& pass, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    const size_t H = pass.layout().height, W = pass.layout().width;
    std::vector<float> planes(H * W * CHANNELS);
    {
        nb::gil_scoped_release unlocked;
        means(pass, threads, planes.data());
    }
    return array_of(std::move(planes), {H, W, CHANNELS});
}

// What the bands say of the image: (mean, variance) of its planes.
nb::tuple found_estimate(const Pass& pass, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    if (pass.root().empty()) throw std::invalid_argument("a pass without noise levels has no bands");
    Estimate estimate(1, 1);
    {
        nb::gil_scoped_release unlocked;
        estimate = of_bands(pass, threads);
    }
    const std::vector<size_t> shape{size_t(estimate.height), size_t(estimate.width), CHANNELS};
    return nb::make_tuple(array_of(std::move(estimate.mean), shape), array_of(std::move(estimate.variance), shape));
}

Estimate estimate_from(const Floats& mean, const Floats& variance) {
    if (mean.ndim() != 3 || mean.shape(2) != CHANNELS || mean.size() == 0 || variance.ndim() != 3 || variance.shape(0) != mean.shape(0) ||
        variance.shape(1) != mean.shape(1) || variance.shape(2) != CHANNELS)
        throw std::invalid_argument("means and variances must be float32 [H, W, 3], of one pixel or more");
    Estimate estimate(int(mean.shape(0)), int(mean.shape(1)));
    std::copy_n(mean.data(), mean.size(), estimate.mean.data());
    std::copy_n(variance.data(), variance.size(), estimate.variance.data());
    if (std::any_of(estimate.variance.begin(), estimate.variance.end(), [](float x) { return !(x >= 0); }))
        throw std::invalid_argument("a variance is negative");
    return estimate;
}

// What the network of previews sees: uint8 [squares high, squares wide, inputs].
Out<uint8_t> squares_of(const Floats& mean, const Floats& variance) {
    const Estimate estimate = estimate_from(mean, variance);
    const size_t high = estimate.squares_high(), wide = estimate.squares_wide(), inputs = size_t(inputs_of(Role::PREVIEW));
    std::vector<uint8_t> rows(high * wide * inputs, uint8_t(ZERO));
    {
        nb::gil_scoped_release unlocked;
        gather_squares(estimate, {0, 0, int(high), int(wide)}, rows.data(), inputs);
    }
    return array_of(std::move(rows), {high, wide, inputs});
}

Out<float> corrected_by(const Trained& trained, const Floats& mean, const Floats& variance, int threads) {
    if (trained.network.neighbours != AROUND) throw std::invalid_argument("a network of previews is needed");
    if (threads < 1) throw std::invalid_argument("threads must be 1 or more, not " + std::to_string(threads));
    Estimate estimate = estimate_from(mean, variance);
    {
        nb::gil_scoped_release unlocked;
        correct(trained.network, threads, estimate);
    }
    return array_of(std::move(estimate.mean), {size_t(estimate.height), size_t(estimate.width), CHANNELS});
}

Out<float> reduced_of(const Pass& pass, int halvings, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    if (halvings < 1) throw std::invalid_argument("halvings must be 1 or more, not " + std::to_string(halvings));
    if (pass.root().empty()) throw std::invalid_argument("a pass without noise levels has no bands");
    Estimate halved(1, 1);
    {
        nb::gil_scoped_release unlocked;
        halved = reduced(pass, halvings, threads);
    }
    return array_of(std::move(halved.mean), {size_t(halved.height), size_t(halved.width), CHANNELS});
}

Out<uint8_t> rgb(const Floats& planes) {
    if (planes.ndim() != 3 || planes.shape(2) != CHANNELS || planes.size() == 0)
        throw std::invalid_argument("planes must be float32 [H, W, 3], of one pixel or more");
    std::vector<uint8_t> pixels(planes.size());
    {
        nb::gil_scoped_release unlocked;
        to_rgb(planes.data(), planes.size() / CHANNELS, pixels.data());
    }
    return array_of(std::move(pixels), {planes.shape(0), planes.shape(1), CHANNELS});
}

// Means of coefficients of one channel that follow each other, for tests.
Out<float> band_means(const nb::ndarray<const int16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>& columns) {
    if (columns.shape(0) != 4) throw std::invalid_argument("columns must be int16 [4, K]: lo, hi, mean, scale");
    const size_t count = columns.shape(1);
    const int16_t* c = columns.data();
    for (size_t k = 3 * count; k < 4 * count; k++)
        if (c[k] < 0 || (c[k] >= SCALES && c[k] != NO_SCALE)) throw std::invalid_argument("no such scale");
    const BandRanges ranges{{c, c + count}, {c + count, c + 2 * count}, {c + 2 * count, c + 3 * count}, {c + 3 * count, c + 4 * count}};
    std::vector<float> mean(count);
    Coefficients coefficients;
    for (size_t k = 0; k < count; k += CHUNK) {
        const int chunk_length = int(std::min(size_t(CHUNK), count - k));
        coefficients.find(ranges, k, chunk_length);
        std::copy_n(coefficients.mean, chunk_length, &mean[k]);
    }
    return array_of(std::move(mean), {count});
}

}  // namespace

void bind_previews(nb::module_& m) {
    m.def("means", &means_of, "coding_pass"_a, "threads"_a = 1,
          "Means float32 [H, W, 3] of the planes of the image as far as it is decoded.");
    m.def("estimate", &found_estimate, "coding_pass"_a, "threads"_a = 1,
          "Means and variances float32 [H, W, 3] of the planes of the image, as far as its bands are known.");
    m.def("squares", &squares_of, "mean"_a, "variance"_a, "What a network of previews sees of an estimate, uint8 [h, w, inputs].");
    m.def("corrected", &corrected_by, "network"_a, "mean"_a, "variance"_a, "threads"_a = 1,
          "Means float32 [H, W, 3] of an estimate, corrected by a network of previews.");
    m.def("reduced", &reduced_of, "coding_pass"_a, "halvings"_a, "threads"_a = 1,
          "Means float32 [H, W, 3] of the planes of the image, halved in both directions, from its coarse bands alone.");
    m.def("to_rgb", &rgb, "planes"_a, "uint8 [H, W, 3] of planes Y, Co, Cg.");
    m.def("band_means", &band_means, "columns"_a, "Means of coefficients: lo, hi, mean, scale, int16 [4, K].");
}

}  // namespace ddpm
