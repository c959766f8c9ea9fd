// Passes seen from inside: where their segments end, and the previews of what they know.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "estimates.h"
#include "preview_network.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

template <class T> using Out = nb::ndarray<nb::numpy, T>;
using Words = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::vector<size_t> ends_of(const Pass& pass, int stream) {
    const Pass::Use use(pass);
    return pass.ends(stream);
}

void extend(Pass& pass, int stream, const Words& words) {
    const Pass::Use use(pass);
    pass.extend(stream, words.data(), words.size());
}

// --- previews

Out<float> array_of_means(Estimate estimate) {
    return array_of(std::move(estimate.mean), {size_t(estimate.height), size_t(estimate.width), CHANNELS});
}

Out<float> means_of(const Pass& pass, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    const size_t H = pass.layout().height, W = pass.layout().width;
    std::vector<float> planes(H * W * CHANNELS);
    means(pass, threads, planes.data());
    return array_of(std::move(planes), {H, W, CHANNELS});
}

Out<float> reduced_of(const Pass& pass, int halvings, int threads) {
    const Pass::Use use(pass);
    require_preview(pass, threads);
    require_bands(pass);
    if (halvings < 1) throw std::invalid_argument("halvings must be 1 or more, not " + std::to_string(halvings));
    return array_of_means(reduced(pass, halvings, threads));
}

Out<float> corrected_by(const Trained& trained, const Floats& mean, const Floats& variance, int threads) {
    if (trained.network.neighbours != AROUND) throw std::invalid_argument("a network of previews is needed");
    require_threads(threads);
    Estimate estimate = estimate_from(mean, variance);
    correct(trained.network, threads, estimate);
    return array_of_means(std::move(estimate));
}

Out<uint8_t> rgb(const Floats& planes) {
    if (planes.ndim() != 3 || planes.shape(2) != CHANNELS || planes.size() == 0)
        throw std::invalid_argument("planes must be float32 [H, W, 3], of one pixel or more");
    std::vector<uint8_t> pixels(planes.size());
    to_rgb(planes.data(), planes.size() / CHANNELS, pixels.data());
    return array_of(std::move(pixels), {planes.shape(0), planes.shape(1), CHANNELS});
}

// Means of coefficients of one channel that follow each other.
Out<float> band_means(const nb::ndarray<const int16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>& columns) {
    if (columns.shape(0) != 4) throw std::invalid_argument("columns must be int16 [4, K]: lo, hi, mean, scale");
    const size_t count = columns.shape(1);
    const int16_t* c = columns.data();
    for (size_t k = 3 * count; k < 4 * count; k++)
        if (c[k] < 0 || (c[k] >= SCALES && c[k] != NO_SCALE)) throw std::invalid_argument("no such scale");
    const BandRanges ranges{{c, c + count}, {c + count, c + 2 * count}, {c + 2 * count, c + 3 * count}, {c + 3 * count, c + 4 * count}};
    std::vector<float> mean(count);
    BandCoefficients coefficients;
    for (size_t k = 0; k < count; k += CHUNK) {
        const int chunk_length = int(std::min(size_t(CHUNK), count - k));
        coefficients.find(ranges, k, chunk_length);
        std::copy_n(coefficients.mean, chunk_length, &mean[k]);
    }
    return array_of(std::move(mean), {count});
}

}  // namespace

void bind_pass_parts(nb::module_& m) {
    m.def("ends", &ends_of, "coding_pass"_a, "stream"_a, "How many symbols precede the end of each part of each segment.");
    m.def("extend", &extend, "coding_pass"_a, "stream"_a, "words"_a, "Append words to a stream that is being decoded.");
    m.def("means", &means_of, "coding_pass"_a, "threads"_a = 1, "Means float32 [H, W, 3] of the planes of the image, as they are known.");
    m.def("reduced", &reduced_of, "coding_pass"_a, "halvings"_a, "threads"_a = 1,
          "Means float32 [H, W, 3] of the planes of the image, halved in both directions, from its coarse bands alone.");
    m.def("corrected", &corrected_by, "network"_a, "mean"_a, "variance"_a, "threads"_a = 1,
          "Means float32 [H, W, 3] of an estimate, corrected by a network of previews.");
    m.def("to_rgb", &rgb, "planes"_a, "uint8 [H, W, 3] of planes Y, Co, Cg.");
    m.def("band_means", &band_means, "columns"_a, "Means of coefficients: lo, hi, mean, scale, int16 [4, K].");
}

}  // namespace ddpm
