// Models of JPEG coefficients.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "coefficient_model.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

void bind_coefficients(nb::module_& m) {
    nb::class_<CoefficientModel>(m, "CoefficientModel", "Networks of JPEG coefficients.")
        .def_static("parse", [](const PyBytes& data, const std::string& source, int number) {
            return std::const_pointer_cast<CoefficientModel>(CoefficientModel::parse(view_of(data), source, number));
        }, "data"_a, "source"_a, "number"_a = 0)
        .def_prop_ro("name", &CoefficientModel::name)
        .def_prop_ro("id", [](const CoefficientModel& model) { return nb::bytes(model.id().data(), model.id().size()); })
        .def_prop_ro("number", &CoefficientModel::number)
        .def_prop_ro("file", [](const CoefficientModel& model) { return nb::bytes(model.file().data(), model.file().size()); })
        .def("check", [](const CoefficientModel& model, int effort) { model.networks(effort); }, "effort"_a, nb::call_guard<nb::gil_scoped_release>());
    m.def("jpeg_answers", [](const PyBytes& data, const std::string& source) {
        return CoefficientModel::parse(view_of(data), source)->answers();
    }, "data"_a, "source"_a);
}

}  // namespace ddpm
