// The encoder for Python: images in, events and files out.
#include "coder_answer.h"
#include "encoder.h"
#include "graphics.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <deque>

#include "costs.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

template <class Value> using Array = nb::ndarray<const Value, nb::c_contig, nb::device::cpu>;
using MetadataValues = std::tuple<PyBytes, PyBytes, PyBytes, PyBytes>;                            // ICC profile, EXIF, XMP, chunks of a PNG
using KeptValues = std::tuple<std::string, std::string, std::string, uint64_t, uint64_t, PyBytes>;  // format, ending, reason, width, height, file

std::vector<uint8_t> copied(const PyBytes& data) { return {data.data(), data.data() + data.size()}; }
template <class Value> std::vector<Value> copied(const std::optional<Array<Value>>& array) {
    return array ? std::vector<Value>(array->data(), array->data() + array->size()) : std::vector<Value>();
}

Mode mode_of(const std::string& name) {
    for (int mode = 0; mode < MODES; mode++)
        if (name == MODE_NAMES[mode]) return Mode(mode);
    throw Error(Fault::ARGUMENT, "no mode is called " + name);
}

KeptFile kept_of(const KeptValues& values) {
    const auto& [format, ending, reason, width, height, file] = values;
    return {format, ending, reason, width, height, file.size(), false, copied(file)};
}

std::unique_ptr<Encoder> make_encoder(int effort, std::optional<int> levels, int tile, bool verify) {
    return std::make_unique<Encoder>(EncodeOptions{effort, levels, tile, verify});
}

void add(Encoder& encoder, const std::string& mode, const std::tuple<int, int>& size, const std::optional<Array<uint8_t>>& colour,
         const std::optional<Array<uint8_t>>& alpha, const std::optional<Array<uint16_t>>& samples, int sample_bits,
         const MetadataValues& metadata, const std::optional<KeptValues>& kept) {
    Image image;
    image.picture = {mode_of(mode), std::get<0>(size), std::get<1>(size), copied(colour), copied(alpha), copied(samples)};
    image.sample_bits = sample_bits;
    image.metadata = {copied(std::get<0>(metadata)), copied(std::get<1>(metadata)), copied(std::get<2>(metadata)), copied(std::get<3>(metadata))};
    if (kept) image.kept = kept_of(*kept);
    nb::gil_scoped_release unlocked;
    encoder.add(std::move(image));
}

using Pixels = nb::ndarray<const uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

PlaneView view_of_image(const Pixels& image) { return {image.data(), int(image.shape(0)), int(image.shape(1)), int(image.shape(2))}; }

nb::tuple shares_of(const Pixels& image) {
    PredictedShares shares;
    {
        nb::gil_scoped_release unlocked;
        shares = predicted_shares(view_of_image(image));
    }
    return nb::make_tuple(shares.left, shares.slopes);
}

// The bytes of the words of each image, coded straight to exact as trials are.
std::vector<uint64_t> trial_bytes(const std::vector<Pixels>& images, const std::shared_ptr<ContextModel>& model, int threads) {
    std::deque<EncodeTile> tiles;
    for (const Pixels& image : images)
        tiles.push_back({view_of_image(image), {0, 0, int(image.shape(1)), int(image.shape(0))}, {model, TRIAL_EFFORT, 0, false}, false, {}, true, {}});
    nb::gil_scoped_release unlocked;
    std::vector<EncodeTile*> queued;
    for (EncodeTile& tile : tiles) queued.push_back(&tile);
    JobQueue queue;
    add_tile_jobs(queue, queued, threads);
    queue.advance(Clock::time_point::max(), threads);
    std::vector<uint64_t> bytes;
    for (const EncodeTile& tile : tiles) bytes.push_back(tile.word_bytes());
    return bytes;
}

Image read_jpeg(const PyBytes& file) {
    nb::gil_scoped_release unlocked;
    return image_of_jpeg(copied(file));
}

}  // namespace

void bind_encoder(nb::module_& m) {
    nb::class_<Image>(m, "JpegImage", "A JPEG file whose coefficients can be coded.")
        .def_prop_ro("size", [](const Image& image) { return std::make_tuple(image.picture.width, image.picture.height); });
    m.def("predicted_shares", &shares_of, "image"_a);
    m.def("trial_bytes", &trial_bytes, "images"_a, "model"_a, "threads"_a);
    m.def("require_coder_answer", &require_coder_answer);
    m.def("read_jpeg", &read_jpeg, "file"_a);
    nb::class_<Encoder>(m, "Encoder", "An encoder of images to .ddpm files.")
        .def(nb::new_(&make_encoder), nb::kw_only(), "effort"_a, "levels"_a = nb::none(), "tile"_a = 0, "verify"_a = true)
        .def("use_model", [](Encoder& e, std::shared_ptr<ContextModel> model) { e.use_model(std::move(model)); }, "model"_a)
        .def("use_model", [](Encoder& e, std::shared_ptr<CoefficientModel> model) { e.use_model(std::move(model)); }, "model"_a)
        .def("set_model", [](Encoder& e, std::shared_ptr<ContextModel> model) { e.set_model(std::move(model)); }, "model"_a)
        .def("set_model", [](Encoder& e, std::shared_ptr<CoefficientModel> model) { e.set_model(std::move(model)); }, "model"_a)
        .def("add", &add, nb::kw_only(), "mode"_a, "size"_a, "colour"_a, "alpha"_a, "samples"_a, "sample_bits"_a, "metadata"_a, "kept"_a)
        .def("add_jpeg", [](Encoder& e, const Image& image) { e.add(image); }, "image"_a)
        .def("advance", &Encoder::advance, "seconds"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>())
        .def_prop_ro("needed_model", &Encoder::needed_model)
        .def("file", [](const Encoder& e, size_t image) { return bytes_of(e.file(image)); }, "image"_a)
        .def_prop_ro("work", &Encoder::work)
        .def_prop_ro("done", &Encoder::done)
        .def("take_costs", [](Encoder& e) { return costs_of(e.take_costs()); });
}

}  // namespace ddpm
