// Context models, as the core reads them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "context_model.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

// What a Python function makes, which threads without Python's lock may call and drop.
ContextModel::MakeOther maker_of(const std::optional<nb::callable>& function) {
    if (!function) return nullptr;
    const std::shared_ptr<nb::callable> kept(new nb::callable(*function), [](nb::callable* dropped) {
        const nb::gil_scoped_acquire locked;
        delete dropped;
    });
    return [kept](const std::string& key) -> ContextModel::Shared {
        const nb::gil_scoped_acquire locked;
        return nb::cast<std::shared_ptr<Trained>>((*kept)(key));
    };
}

std::shared_ptr<ContextModel> parsed(const PyBytes& data, const std::string& source, int number, const std::optional<nb::callable>& make_other) {
    return std::const_pointer_cast<ContextModel>(ContextModel::parse(view_of(data), source, number, nullptr, maker_of(make_other)));
}

}  // namespace

void bind_context_model(nb::module_& m) {
    nb::class_<ContextModel>(m, "ContextModel", "Networks of pixels.")
        .def_static("parse", &parsed, "data"_a, "source"_a, "number"_a = 0, "make_other"_a = nb::none())
        .def_prop_ro("name", &ContextModel::name)
        .def_prop_ro("number", &ContextModel::number)
        .def("macs_per_pixel", &ContextModel::macs_per_pixel, "effort"_a, "levels"_a);
}

}  // namespace ddpm
