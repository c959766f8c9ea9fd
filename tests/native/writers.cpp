// The writing side of the format: headers, chunks, sections, deflate, and the plan of tiles.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <map>

#include "chunks.h"
#include "deflate.h"
#include "grid.h"
#include "header_writer.h"
#include "prefix_code.h"
#include "sections_writer.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Words = std::vector<uint32_t>;

Bytes bytes_of(const nb::bytes& data) { return {static_cast<const uint8_t*>(data.data()), data.size()}; }

nb::bytes python_bytes(Bytes data) { return nb::bytes(data.data(), data.size()); }

Header header_of(const nb::bytes& data) { return parse_header(bytes_of(data)); }

std::vector<uint8_t> vector_of(const nb::bytes& data) {
    const Bytes bytes = bytes_of(data);
    return {bytes.begin(), bytes.end()};
}

// The header of data after changes of some of its fields, by name.
nb::bytes written_header(const nb::bytes& data, const nb::kwargs& changes) {
    Header header = header_of(data);
    const std::map<std::string, int*> fields = {
        {"width", &header.width}, {"height", &header.height}, {"effort", &header.effort}, {"levels", &header.levels}, {"bits", &header.bits},
        {"source_bits", &header.source_bits}, {"model_number", &header.model_number}, {"orientation", &header.orientation},
        {"tile_width", &header.tile_width}, {"tile_height", &header.tile_height}, {"state_bytes", &header.state_bytes}};
    for (const auto& [key, value] : changes) {
        const std::string name = nb::cast<std::string>(key);
        if (name == "payload_length") header.payload_length = nb::cast<uint64_t>(value);
        else if (name == "chunks") header.chunks.resize(nb::cast<size_t>(value));
        else if (name == "sections") {
            header.sections.clear();
            for (const auto& [tag, length] : nb::cast<std::vector<std::pair<int, uint64_t>>>(value)) header.sections.push_back({uint8_t(tag), length});
        } else *fields.at(name) = nb::cast<int>(value);
    }
    return python_bytes(write_header(header));
}

// parts: of each the words of each lane. states: of lanes, or none.
std::vector<Stream> streams_of(const std::vector<std::vector<Words>>& parts, const std::vector<uint64_t>& states) {
    std::vector<Stream> lanes(LANES);
    for (size_t lane = 0; lane < LANES; lane++) {
        lanes[lane].state = states.at(lane);
        for (const std::vector<Words>& part : parts) lanes[lane].words.push_back(part.at(lane));
    }
    return lanes;
}

nb::bytes kept_section(const std::string& format, const std::string& ending, const std::string& reason, uint64_t width, uint64_t height, const nb::bytes& file) {
    KeptFile kept{format, ending, reason, width, height, file.size(), false, vector_of(file)};
    return python_bytes(pack_kept(kept));
}

nb::object grid_of(const std::optional<Grid>& grid) { return grid ? nb::object(nb::make_tuple(grid->tile_width, grid->tile_height)) : nb::none(); }

nb::bytes code_lengths(const std::vector<uint32_t>& counts, int longest) {
    std::vector<uint8_t> lengths(counts.size());
    set_code_lengths(counts, longest, lengths.data());
    return python_bytes(lengths);
}

}  // namespace

void bind_writer_parts(nb::module_& m) {
    m.def("write_header", &written_header, "Writes the header of data again, with other fields if some are given.");
    m.def("header_start", [](const nb::bytes& data) { return python_bytes(header_start(header_of(data))); }, "data"_a);
    m.def("pack_stream", [](uint64_t state, const std::vector<Words>& parts) { return python_bytes(pack_stream({state, parts})); }, "state"_a, "parts"_a);
    m.def("pack_chunk", [](const std::vector<std::vector<Words>>& parts, const std::vector<uint64_t>& states, size_t first_part, size_t count) {
        return python_bytes(pack_chunk(streams_of(parts, states), first_part, count));
    }, "parts"_a, "states"_a, "first_part"_a, "count"_a, "parts: of each the words of all lanes.");
    m.def("pack_metadata", [](const std::vector<nb::bytes>& values) {
        Metadata metadata;
        for (size_t k = 0; k < values.size(); k++) metadata.at(k) = vector_of(values[k]);
        return python_bytes(pack_metadata(metadata));
    }, "values"_a);
    m.def("pack_alpha", [](const nb::bytes& plane, int height, int width) { return python_bytes(pack_alpha(bytes_of(plane), height, width)); }, "plane"_a,
          "height"_a, "width"_a);
    m.def("pack_coded_alpha", [](const nb::bytes& file) { return python_bytes(pack_coded_alpha(header_of(file), bytes_of(file))); }, "file"_a);
    m.def("pack_kept", &kept_section, "format"_a, "ending"_a, "reason"_a, "width"_a, "height"_a, "file"_a);
    m.def("pack_low_bits", [](const std::vector<nb::bytes>& streams) {
        std::vector<std::vector<uint8_t>> packed;
        for (const nb::bytes& stream : streams) packed.push_back(vector_of(stream));
        return python_bytes(pack_low_bits(packed));
    }, "streams"_a);
    m.def("parse_low_bits_index", [](const nb::bytes& section, uint64_t length, int tiles) {
        std::vector<std::pair<uint64_t, uint64_t>> ranges;
        for (const ByteRange& range : parse_low_bits_index(bytes_of(section), length, tiles)) ranges.emplace_back(range.begin, range.end);
        return ranges;
    }, "section"_a, "length"_a, "tiles"_a);
    m.def("pack_recipe", [](const nb::bytes& recipe) { return python_bytes(pack_recipe(bytes_of(recipe))); }, "recipe"_a);
    m.def("deflated", [](const nb::bytes& data) { return python_bytes(deflated(bytes_of(data))); }, "data"_a);
    m.def("code_lengths", &code_lengths, "counts"_a, "longest"_a);
    m.def("plan_grid", [](int width, int height, int segments, int side, bool repeats) { return grid_of(plan_grid(width, height, segments, side, repeats)); },
          "width"_a, "height"_a, "segments"_a, "side"_a = 0, "repeats"_a = false, "Width and height of tiles, or None.");
    m.def("plan_jpeg_grid", [](int width, int height, int mcu_width, int mcu_height, int side) {
        return grid_of(plan_jpeg_grid(width, height, mcu_width, mcu_height, side));
    }, "width"_a, "height"_a, "mcu_width"_a, "mcu_height"_a, "side"_a = 0);
}

}  // namespace ddpm
