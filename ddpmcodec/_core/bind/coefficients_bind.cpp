// Models of JPEG coefficients.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include "coefficient_pass.h"
#include "coefficient_tiles.h"
#include "python_source.h"
#include "timed_pass.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

// A tile that is encoded.
class PyTile {
  public:
    // box: left, top, right, bottom.
    PyTile(const CoefficientModel& model, int effort, int levels, const Coefficients& image, const std::tuple<int, int, int, int>& box)
        : tile_(cut_tile(image, {std::get<0>(box), std::get<1>(box), std::get<2>(box), std::get<3>(box)})), pass_(model.networks(effort), tile_, levels) {
        pass_.encode();
    }
    PyTile(const PyTile&) = delete;  // the pass refers to the tile

    bool advance(int segment, double seconds) { return pass_.advance(segment, deadline_after(seconds)); }
    nb::list chunks() const {
        nb::list list;
        for (const std::vector<uint8_t>& chunk : pass_.chunks()) list.append(nb::bytes(chunk.data(), chunk.size()));
        return list;
    }

  private:
    Coefficients tile_;
    CoefficientPass pass_;
};

}  // namespace

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
    nb::class_<PyTile>(m, "CoefficientTile", "A tile of the coefficients of a JPEG file that is encoded.")
        .def(nb::init<const CoefficientModel&, int, int, const Coefficients&, const std::tuple<int, int, int, int>&>(), "model"_a, "effort"_a, "levels"_a, "image"_a, "box"_a)
        .def("advance", &PyTile::advance, "segment"_a, "seconds"_a, nb::call_guard<nb::gil_scoped_release>())
        .def("chunks", &PyTile::chunks);
    m.def("jpeg_answers", [](const PyBytes& data, const std::string& source) {
        return CoefficientModel::parse(view_of(data), source)->answers();
    }, "data"_a, "source"_a);
}

}  // namespace ddpm
