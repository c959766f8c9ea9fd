// The reading side of the format, for tests: JSON, model files, archives.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "archive.h"
#include "context_model.h"
#include "json.h"
#include "known_answer.h"
#include "source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

Bytes bytes_of(const nb::bytes& data) { return {static_cast<const uint8_t*>(data.data()), data.size()}; }

nb::bytes python_bytes(Bytes data) { return nb::bytes(data.data(), data.size()); }

// --- JSON

nb::object python_of(const Json& json) {
    if (const bool* flag = std::get_if<bool>(&json.value)) return nb::cast(*flag);
    if (const int64_t* integer = json.integer()) return nb::cast(*integer);
    if (std::holds_alternative<JsonNumber>(json.value)) return nb::cast(0.5);
    if (json.text()) return nb::cast(*json.text());
    if (json.array()) {
        nb::list values;
        for (const Json& value : *json.array()) values.append(python_of(value));
        return values;
    }
    if (!json.object()) return nb::none();
    nb::dict members;
    for (const auto& [key, value] : *json.object()) members[key.c_str()] = python_of(value);
    return members;
}

nb::object json_of(const nb::bytes& text) {
    const Bytes data = bytes_of(text);
    return python_of(parse_json({reinterpret_cast<const char*>(data.data()), data.size()}));
}

// --- models

std::shared_ptr<const ContextModel> parsed_model(const nb::bytes& data, const std::string& source, int number, const nb::object& known_id,
                                             const nb::object& make_other) {
    Digest id;
    if (!known_id.is_none()) std::ranges::copy(bytes_of(nb::cast<nb::bytes>(known_id)).first(id.size()), id.begin());
    ContextModel::MakeOther make = nullptr;
    if (!make_other.is_none()) make = [make_other](const std::string& key) {
        nb::gil_scoped_acquire locked;
        return nb::cast<std::shared_ptr<Trained>>(make_other(key));
    };
    return ContextModel::parse(bytes_of(data), source, number, known_id.is_none() ? nullptr : &id, std::move(make));
}

std::vector<std::shared_ptr<Trained>> made_networks(const ContextModel& model, int effort, int levels) {
    std::vector<std::shared_ptr<const Trained>> networks;
    {
        nb::gil_scoped_release unlocked;  // other architectures ask for it
        networks = model.networks(effort, levels);
    }
    std::vector<std::shared_ptr<Trained>> shared;
    for (const auto& network : networks) shared.push_back(std::const_pointer_cast<Trained>(network));
    return shared;
}

// --- archives: tuples and dicts, which tests compare with what Python reads

nb::tuple tuple_of(const Entry& entry) {
    return nb::make_tuple(entry.name, MODE_NAMES[int(entry.mode)], entry.width, entry.height, entry.number, entry.length, entry.icc, entry.exif);
}

nb::object coding_of(const Block& block) {
    if (!block.coding) return nb::none();
    const BlockCoding& coding = *block.coding;
    const bool is_stacked = block.kind() == BlockKind::BITS_BACK;
    return nb::make_tuple(coding.effort, coding.levels, coding.model_number, coding.model_number ? nb::bytes("", 0) : python_bytes(coding.model_id),
                          coding.latent_levels, is_stacked ? python_bytes(coding.latent_id) : nb::bytes("", 0), coding.profile);
}

nb::dict dict_of(const Block& block) {
    nb::list entries, runs;
    for (const Entry& entry : block.entries) entries.append(tuple_of(entry));
    for (const Run& run : block.runs) runs.append(nb::make_tuple(run.images, run.check, run.initial, run.state_bytes, run.words));
    nb::dict found;
    found["entries"] = entries, found["runs"] = runs, found["coding"] = coding_of(block);
    found["total"] = block.total, found["value_lengths"] = block.value_lengths, found["words"] = block.words;
    return found;
}

nb::list list_of(const std::vector<ByteRange>& ranges) {
    nb::list list;
    for (const ByteRange& range : ranges) list.append(nb::make_tuple(range.begin, range.end));
    return list;
}

nb::dict archive_of(const nb::bytes& data) {
    const MemorySource source(bytes_of(data));
    const Archive archive = open_archive(source);
    nb::list blocks, parts;
    for (size_t k = 0; k < archive.places.size(); k++) {
        const Parts own = archive.parts(k);
        blocks.append(dict_of(archive.index.blocks[k]));
        parts.append(nb::make_tuple(list_of(own.values), list_of(own.sections), list_of(own.streams), archive.places[k].is_intact));
    }
    nb::dict found;
    found["blocks"] = blocks, found["parts"] = parts, found["total"] = archive.index.total();
    found["missing"] = archive.missing(), found["following"] = archive.following(), found["index_bytes"] = archive.index_bytes;
    found["damage"] = archive.damage ? nb::cast(std::string(archive.damage->what())) : nb::none();
    return found;
}

void check_whole(const nb::bytes& data) { require_whole(open_archive(MemorySource(bytes_of(data)))); }

}  // namespace

void bind_format_testing(nb::module_& testing) {
    testing.def("parse_json", &json_of, "text"_a, "Fractions and large numbers become 0.5.");
    testing.def("parse_block", [](const nb::bytes& head) { return dict_of(parse_block(bytes_of(head))); }, "head"_a);
    testing.def("open_archive", &archive_of, "data"_a);
    testing.def("require_whole", &check_whole, "data"_a);
    testing.def("philox", [](uint64_t key, int count) {
        Philox numbers(key);
        std::vector<uint64_t> values;
        for (int k = 0; k < count; k++) values.push_back(numbers.next());
        return values;
    }, "key"_a, "count"_a);
    nb::class_<ContextModel>(testing, "ContextModel")
        .def_static("parse", [](const nb::bytes& data, const std::string& source, int number, const nb::object& known_id, const nb::object& make_other) {
            return std::const_pointer_cast<ContextModel>(parsed_model(data, source, number, known_id, make_other));
        }, "data"_a, "source"_a = "m", "number"_a = 0, "known_id"_a = nb::none(), "make_other"_a = nb::none())
        .def("networks", &made_networks, "effort"_a, "levels"_a)
        .def("facts", [](const ContextModel& model) {
            nb::dict found;
            for (const auto& [key, facts] : model.facts())
                found[key.c_str()] = nb::make_tuple(facts.stored, facts.components, facts.answer, facts.architecture, facts.conditions);
            return found;
        })
        .def_prop_ro("name", &ContextModel::name)
        .def_prop_ro("id", [](const ContextModel& model) { return python_bytes(model.id()); })
        .def_prop_ro("number", &ContextModel::number);
}

}  // namespace ddpm
