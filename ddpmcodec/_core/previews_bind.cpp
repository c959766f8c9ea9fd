// Previews for Python: moments of what is known, and the denoiser.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include "denoiser.h"
#include "previews.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
template <class T> using Out = nb::ndarray<nb::numpy, T>;

template <class T> Out<T> array_of(std::vector<T> values, std::vector<size_t> shape) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return Out<T>(kept->data(), shape.size(), shape.data(), owner);
}

std::string text(const std::vector<size_t>& shape) {
    std::string found;
    for (size_t length : shape) found += (found.empty() ? "[" : ", ") + std::to_string(length);
    return found + "]";
}

Floats tensor(const nb::dict& tensors, const std::string& name, const std::vector<size_t>& shape) {
    const nb::str key(name.c_str());
    if (!tensors.contains(key)) throw std::invalid_argument("a denoiser needs a tensor " + name);
    Floats found;
    if (!nb::try_cast(tensors[key], found)) throw std::invalid_argument(name + " must be float32 in one piece");
    bool fits = found.ndim() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); i++) fits = found.shape(i) == shape[i];
    if (!fits) throw std::invalid_argument(name + " must be of shape " + text(shape));
    return found;
}

std::string name_of(int layer) {
    if (layer == 0) return "enter";
    return layer == Denoiser::LAYERS - 1 ? "leave" : "blocks." + std::to_string(layer - 1);
}

void make_denoiser(Denoiser* place, const nb::dict& tensors) {
    Denoiser found;
    for (int k = 0; k < Denoiser::LAYERS; k++) {
        const size_t inputs = Denoiser::inputs_of(k), outputs = Denoiser::outputs_of(k);
        const Floats weight = tensor(tensors, name_of(k) + ".weight", {outputs, inputs, 3, 3});
        const Floats bias = tensor(tensors, name_of(k) + ".bias", {outputs});
        found.add(weight.data(), bias.data());
    }
    if (tensors.size() != 2 * Denoiser::LAYERS) throw std::invalid_argument("tensors that no denoiser has");
    new (place) Denoiser(std::move(found));
}

void require_planes(const Floats& planes, const char* name) {
    if (planes.ndim() != 3 || planes.shape(2) != CHANNELS || planes.size() == 0)
        throw std::invalid_argument(std::string(name) + " must be float32 [H, W, 3], of one pixel or more");
}

void require_threads(int threads) {
    if (threads < 1) throw std::invalid_argument("threads must be 1 or more, not " + std::to_string(threads));
}

Out<float> denoise(const Denoiser& denoiser, const Floats& mean, const Floats& deviation, const Floats& level, int threads) {
    require_planes(mean, "mean");
    require_planes(deviation, "deviation");
    require_threads(threads);
    const size_t H = mean.shape(0), W = mean.shape(1);
    if (deviation.shape(0) != H || deviation.shape(1) != W) throw std::invalid_argument("mean and deviation have different shapes");
    if (level.ndim() != 1 || level.size() != CHANNELS) throw std::invalid_argument("level must be float32 [3]");
    std::vector<float> found(mean.size());
    {
        nb::gil_scoped_release unlocked;
        denoiser.denoise({mean.data(), deviation.data(), level.data(), int(H), int(W)}, threads, found.data());
    }
    return array_of(std::move(found), {H, W, CHANNELS});
}

void require_image(const Pass& pass, int image) {
    if (!pass.is_for_previews()) throw std::invalid_argument("the pass keeps nothing for previews: begin it with for_previews");
    const int images = pass.layout().images;
    if (image < 0 || image >= images) throw std::invalid_argument("no image " + std::to_string(image) + " of " + std::to_string(images));
}

nb::tuple moments_of(const Pass& pass, int image, int threads) {
    require_image(pass, image);
    require_threads(threads);
    const size_t H = pass.layout().height, W = pass.layout().width;
    std::vector<float> mean(H * W * CHANNELS), deviation(mean.size());
    {
        nb::gil_scoped_release unlocked;
        moments(pass, image, threads, mean.data(), deviation.data());
    }
    return nb::make_tuple(array_of(std::move(mean), {H, W, CHANNELS}), array_of(std::move(deviation), {H, W, CHANNELS}));
}

Out<float> reduced_of(const Pass& pass, int halvings, int image, int threads) {
    require_image(pass, image);
    require_threads(threads);
    if (halvings < 1) throw std::invalid_argument("halvings must be 1 or more, not " + std::to_string(halvings));
    if (pass.root().empty()) throw std::invalid_argument("a pass without noise levels has no bands");
    Reduced found;
    {
        nb::gil_scoped_release unlocked;
        found = reduced(pass, image, halvings, threads);
    }
    return array_of(std::move(found.mean), {size_t(found.height), size_t(found.width), CHANNELS});
}

Out<uint8_t> rgb(const Floats& planes) {
    require_planes(planes, "planes");
    std::vector<uint8_t> found(planes.size());
    {
        nb::gil_scoped_release unlocked;
        to_rgb(planes.data(), planes.size() / CHANNELS, found.data());
    }
    return array_of(std::move(found), {planes.shape(0), planes.shape(1), CHANNELS});
}

// Of coefficients in a row, of one channel: for tests.
nb::tuple band_moments(const nb::ndarray<const int16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>& columns) {
    if (columns.shape(0) != 4) throw std::invalid_argument("columns must be int16 [4, K]: lo, hi, mean, scale");
    const size_t count = columns.shape(1);
    const int16_t* c = columns.data();
    const BandRanges ranges{{c, c + count}, {c + count, c + 2 * count}, {c + 2 * count, c + 3 * count}, {c + 3 * count, c + 4 * count}};
    std::vector<float> mean(count), variance(count);
    Coefficients found;
    for (size_t k = 0; k < count; k += CHUNK) {
        const int some = int(std::min(size_t(CHUNK), count - k));
        found.find(ranges, k, some);
        std::copy_n(found.mean, some, &mean[k]);
        std::copy_n(found.variance, some, &variance[k]);
    }
    return nb::make_tuple(array_of(std::move(mean), {count}), array_of(std::move(variance), {count}));
}

}  // namespace

void bind_previews(nb::module_& m) {
    nb::class_<Denoiser>(m, "Denoiser", "The denoiser of previews, from its tensors.")
        .def("__init__", &make_denoiser, "tensors"_a)
        .def("denoise", &denoise, "mean"_a, "deviation"_a, "level"_a, "threads"_a = 1,
             "Better means float32 [H, W, 3] of planes. level: the mean of the image whose part this may be.");
    m.def("moments", &moments_of, "coding_pass"_a, "image"_a = 0, "threads"_a = 1,
          "Means and standard deviations, float32 [H, W, 3], of the planes of an image as far as it is decoded.");
    m.def("reduced", &reduced_of, "coding_pass"_a, "halvings"_a, "image"_a = 0, "threads"_a = 1,
          "Means float32 [H, W, 3] of the planes of an image that is halved in both directions, from its coarse bands alone.");
    m.def("has_coefficients", [](const Pass& pass, int image) {
        require_image(pass, image);
        return has_coefficients(pass, image);
    }, "coding_pass"_a, "image"_a = 0, "Whether there is more to a preview than one colour, or than pixels.");
    m.def("to_rgb", &rgb, "planes"_a, "uint8 [H, W, 3] of planes Y, Co, Cg.");
    m.def("band_moments", &band_moments, "columns"_a, "Means and variances of coefficients: lo, hi, mean, scale, int16 [4, K].");
}

}  // namespace ddpm
