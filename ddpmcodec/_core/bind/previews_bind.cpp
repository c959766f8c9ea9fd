// Estimates for Python, which trains the network of previews on them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "arrays.h"
#include "estimates.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

// What the bands say of the image: (mean, variance) of its planes.
nb::tuple found_estimate(const Pass& pass, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    require_bands(pass);
    Estimate estimate(1, 1);
    {
        nb::gil_scoped_release unlocked;
        estimate = of_bands(pass, threads);
    }
    const std::vector<size_t> shape{size_t(estimate.height), size_t(estimate.width), CHANNELS};
    return nb::make_tuple(array_of(std::move(estimate.mean), shape), array_of(std::move(estimate.variance), shape));
}

// What the network of previews sees: uint8 [squares high, squares wide, inputs].
nb::ndarray<nb::numpy, uint8_t> squares_of(const Floats& mean, const Floats& variance) {
    const Estimate estimate = estimate_from(mean, variance);
    const size_t high = estimate.squares_high(), wide = estimate.squares_wide(), inputs = size_t(inputs_of(Role::PREVIEW));
    std::vector<uint8_t> rows(high * wide * inputs, uint8_t(ZERO));
    {
        nb::gil_scoped_release unlocked;
        gather_squares(estimate, {0, 0, int(high), int(wide)}, rows.data(), inputs);
    }
    return array_of(std::move(rows), {high, wide, inputs});
}

}  // namespace

void bind_previews(nb::module_& m) {
    m.def("estimate", &found_estimate, "coding_pass"_a, "threads"_a = 1,
          "Means and variances float32 [H, W, 3] of the planes of the image, as far as its bands are known.");
    m.def("squares", &squares_of, "mean"_a, "variance"_a, "What a network of previews sees of an estimate, uint8 [h, w, inputs].");
}

}  // namespace ddpm
