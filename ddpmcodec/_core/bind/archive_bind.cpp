// The index of an archive for Python, column by column: an archive may have a million images.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <functional>

#include "archive.h"
#include "errors.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

// A list of what `field` has of each value.
template <class Value, class Field> nb::list column(const std::vector<Value>& values, Field field) {
    nb::list column;
    for (const Value& value : values) column.append(std::invoke(field, value));
    return column;
}

nb::tuple entries_of(const std::vector<Entry>& entries) {
    std::vector<nb::object> names;  // of modes: many images share one
    for (const char* name : MODE_NAMES) names.push_back(nb::cast(name));
    return nb::make_tuple(column(entries, &Entry::name), column(entries, [&](const Entry& entry) { return names[size_t(entry.mode)]; }),
                          column(entries, &Entry::width), column(entries, &Entry::height), column(entries, &Entry::number),
                          column(entries, &Entry::length), column(entries, &Entry::icc), column(entries, &Entry::exif));
}

nb::tuple runs_of(const std::vector<Run>& runs) {
    return nb::make_tuple(column(runs, &Run::images), column(runs, &Run::check), column(runs, &Run::initial), column(runs, &Run::state_bytes),
                          column(runs, &Run::words), column(runs, &Run::alpha_images), column(runs, &Run::alpha_state_bytes), column(runs, &Run::alpha_words));
}

nb::object coding_of(const Block& block) {
    if (!block.coding) return nb::none();
    const BlockCoding& coding = *block.coding;
    const Bytes no_id;
    return nb::make_tuple(coding.effort, coding.levels, coding.model_number, bytes_of(coding.model_number ? no_id : Bytes(coding.model_id)),
                          nb::tuple(column(coding.latent_levels, std::identity())),
                          bytes_of(coding.latent_levels.empty() ? no_id : Bytes(coding.latent_id)), coding.profile, coding.repeats, coding.alpha_repeats);
}

nb::tuple block_of(const Block& block) {
    return nb::make_tuple(entries_of(block.entries), block.total, coding_of(block), runs_of(block.runs),
                          nb::tuple(column(block.value_lengths, std::identity())), block.words);
}

nb::list slices_of(const std::vector<ByteRange>& ranges) {
    return column(ranges, [](const ByteRange& range) { return nb::slice(nb::int_(range.begin), nb::int_(range.end), nb::none()); });
}

nb::list places_of(const Archive& archive) {
    nb::list places;
    for (size_t k = 0; k < archive.places.size(); k++) {
        const Parts parts = archive.parts(k);
        places.append(nb::make_tuple(slices_of(parts.values), slices_of(parts.sections), slices_of(parts.alphas), slices_of(parts.streams), archive.places[k].is_intact));
    }
    return places;
}

// What is wrong with an archive that is to be complete; None if nothing is.
nb::object problem_of(const Archive& archive) {
    try {
        require_whole(archive);
        return nb::none();
    } catch (const Error& error) {
        return exception_of(error);
    }
}

}  // namespace

void bind_archive(nb::module_& m) {
    nb::class_<Archive>(m, "ArchiveIndex", "The index of an archive, and where the parts of its blocks are.")
        .def_prop_ro("blocks", [](const Archive& a) { return column(a.index.blocks, &block_of); })
        .def_prop_ro("parts", &places_of)
        .def_ro("size", &Archive::size)
        .def_prop_ro("missing", &Archive::missing)
        .def_prop_ro("following", &Archive::following)
        .def_ro("index_bytes", &Archive::index_bytes)
        .def_prop_ro("damage", [](const Archive& a) { return a.damage ? exception_of(*a.damage) : nb::none(); })
        .def_prop_ro("problem", &problem_of);
    m.def("open_archive", [](const nb::object& data) { return open_archive(*source_of(data)); }, "data"_a);
    m.def("parse_block", [](const PyBytes& header) { return block_of(parse_block(view_of(header))); }, "header"_a);
}

}  // namespace ddpm
