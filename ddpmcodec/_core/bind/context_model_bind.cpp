// Context models, as the core reads them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "context_model.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

void bind_context_model(nb::module_& m) {
    nb::class_<ContextModel>(m, "ContextModel", "Networks of pixels.")
        .def_static("parse", [](const PyBytes& data, const std::string& source, int number) {
            return std::const_pointer_cast<ContextModel>(ContextModel::parse(view_of(data), source, number));
        }, "data"_a, "source"_a, "number"_a = 0)
        .def_prop_ro("name", &ContextModel::name)
        .def("macs_per_pixel", &ContextModel::macs_per_pixel, "effort"_a, "levels"_a);
}

}  // namespace ddpm
