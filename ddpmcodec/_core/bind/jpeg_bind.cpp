// JPEG files: their coefficients, and the recipe that rebuilds them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "frame.h"
#include "recipe.h"
#include "suited_levels.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

Bytes bytes_of(const nb::bytes& data) { return {static_cast<const uint8_t*>(data.data()), data.size()}; }
nb::bytes python_bytes(const std::vector<uint8_t>& data) { return nb::bytes(data.data(), data.size()); }

nb::tuple parsed(const nb::bytes& file) {
    ParsedJpeg found;
    {
        nb::gil_scoped_release unlocked;
        found = parse_jpeg(bytes_of(file));
    }
    const nb::bytes frame = python_bytes(found.frame), recipe = python_bytes(found.recipe);
    return nb::make_tuple(std::move(found.image), frame, recipe);
}

Coefficients framed(const nb::bytes& frame, int width, int height) {
    Coefficients image = parse_frame(bytes_of(frame), width, height);
    image.clear();
    return image;
}

// A view of a component's values, which the caller may change.
nb::ndarray<nb::numpy, int16_t, nb::ndim<3>> values(nb::handle_t<Coefficients> self, size_t number) {
    JpegComponent& component = nb::cast<Coefficients&>(self).components.at(number);
    return {component.values.data(), {size_t(component.rows), size_t(component.columns), size_t(BLOCK_VALUES)}, self};
}

}  // namespace

void bind_jpeg(nb::module_& m) {
    nb::class_<Coefficients>(m, "Coefficients")
        .def_ro("width", &Coefficients::width)
        .def_ro("height", &Coefficients::height)
        .def_prop_ro("colour", [](const Coefficients& image) { return int(image.colour); })
        .def_prop_ro("factors", [](const Coefficients& image) {
            nb::list factors;
            for (const JpegComponent& component : image.components) factors.append(nb::make_tuple(component.horizontal, component.vertical));
            return factors;
        })
        .def_prop_ro("steps", [](const Coefficients& image) {
            nb::list steps;
            for (const JpegComponent& component : image.components) steps.append(array_of(std::vector<uint16_t>(component.steps.begin(), component.steps.end()), {size_t(BLOCK_VALUES)}));
            return steps;
        })
        .def("suited_levels", &suited_levels, "most"_a)
        .def("values", &values, "component"_a);
    m.def("parse_jpeg", &parsed, "file"_a);
    m.def("parse_frame", &framed, "frame"_a, "width"_a, "height"_a);
    m.def("rebuild_jpeg", [](const Coefficients& image, const nb::bytes& recipe) {
        std::vector<uint8_t> file;
        {
            nb::gil_scoped_release unlocked;
            file = rebuild_jpeg(image, bytes_of(recipe));
        }
        return python_bytes(file);
    }, "image"_a, "recipe"_a);
    m.def("write_preview_jpeg", [](const Coefficients& image) { return python_bytes(write_preview_jpeg(image)); }, "image"_a);
}

}  // namespace ddpm
