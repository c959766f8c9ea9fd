// Model files, and context models.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "context_model.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

// What a Python function makes. Threads may call and drop it without Python's lock, which they wait for: so none of them may hold a lock
// that Python's threads wait for.
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

std::shared_ptr<ContextModel> parsed(const PyBytes& data, const std::string& source, int number, const std::optional<nb::bytes>& known_id,
                                     const std::optional<nb::callable>& make_other) {
    Digest id{};
    if (known_id && known_id->size() != id.size()) throw Error(Fault::ARGUMENT, "the id of a model has " + std::to_string(id.size()) + " bytes");
    if (known_id) std::copy_n(static_cast<const uint8_t*>(known_id->data()), id.size(), id.begin());
    ContextModel::MakeOther make = maker_of(make_other);
    const nb::gil_scoped_release unlocked;
    return std::const_pointer_cast<ContextModel>(ContextModel::parse(view_of(data), source, number, known_id ? &id : nullptr, std::move(make)));
}

std::vector<std::shared_ptr<Trained>> networks(const ContextModel& model, int effort, int levels) {
    std::vector<std::shared_ptr<Trained>> found;
    for (const ContextModel::Shared& network : model.networks(effort, levels)) found.push_back(std::const_pointer_cast<Trained>(network));
    return found;
}

nb::bytes id_of(const ContextModel& model) {
    const Digest* id;
    {
        const nb::gil_scoped_release unlocked;  // it may have to be computed
        id = &model.id();
    }
    return bytes_of(*id);
}

}  // namespace

void bind_context_model(nb::module_& m) {
    m.def("model_kind", [](const PyBytes& data) { return model_kind(view_of(data)); }, "data"_a);
    m.def("model_metadata", [](const PyBytes& data, const std::string& source, const std::string& kind) {
        return model_metadata(view_of(data), source, kind);
    }, "data"_a, "source"_a, "kind"_a, nb::call_guard<nb::gil_scoped_release>());
    nb::class_<NetworkFacts>(m, "NetworkFacts", "What a model file says of a network.")
        .def_ro("stored", &NetworkFacts::stored)
        .def_ro("components", &NetworkFacts::components)
        .def_ro("answer", &NetworkFacts::answer)
        .def_ro("architecture", &NetworkFacts::architecture)
        .def_ro("conditions", &NetworkFacts::conditions);
    nb::class_<ContextModel>(m, "ContextModel", "Networks of pixels.")
        .def_static("parse", &parsed, "data"_a, "source"_a, "number"_a = 0, "known_id"_a = nb::none(), "make_other"_a = nb::none())
        .def_prop_ro("name", &ContextModel::name)
        .def_prop_ro("id", &id_of)
        .def_prop_ro("number", &ContextModel::number)
        .def_prop_ro("file", [](const ContextModel& model) { return bytes_of(model.file()); })
        .def_prop_ro("facts", &ContextModel::facts, nb::rv_policy::copy)
        .def("networks", &networks, "effort"_a, "levels"_a, nb::call_guard<nb::gil_scoped_release>())
        .def("macs_per_pixel", &ContextModel::macs_per_pixel, "effort"_a, "levels"_a);
}

}  // namespace ddpm
