// The reading side of the format: JSON, model files, parts of files.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "checksums.h"
#include "chunks.h"
#include "exif.h"
#include "inflate.h"
#include "json.h"
#include "known_answer.h"
#include "sections.h"
#include "sha256_blocks.h"

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

// --- parts of files

// (plane, whether it varies, whether all of it is there and sound)
nb::tuple alpha_of(const nb::bytes& section, bool is_cut, int height, int width, const std::tuple<int, int, int, int>& part) {
    const auto [left, top, right, bottom] = part;
    const PixelBox box{left, top, right, bottom};
    Alpha alpha = parse_alpha(bytes_of(section), is_cut, width, height, box);
    return nb::make_tuple(array_of(std::move(alpha.plane), {size_t(box.height()), size_t(box.width())}), alpha.varies, alpha.is_whole);
}

nb::tuple tuple_of(const StreamStart& stream) { return nb::make_tuple(stream.state, stream.words); }

nb::list lanes_of(const nb::bytes& data, uint64_t length, bool is_first, int parts) {
    nb::list lanes;
    for (const StreamStart& lane : parse_chunk(bytes_of(data), length, is_first, parts).lanes) lanes.append(tuple_of(lane));
    return lanes;
}

}  // namespace

void bind_format_parts(nb::module_& m) {
    m.def("parse_json", &json_of, "text"_a, "Fractions and large numbers become 0.5.");
    m.def("parse_alpha", &alpha_of, "section"_a, "is_cut"_a, "height"_a, "width"_a, "part"_a, "part: left, top, right, bottom.");
    m.def("parse_chunk", &lanes_of, "data"_a, "length"_a, "is_first"_a, "parts"_a, "State and words of each lane.");
    m.def("parse_stream", [](const nb::bytes& data, int state_bytes) { return tuple_of(parse_stream(bytes_of(data), state_bytes)); }, "data"_a,
                "state_bytes"_a);
    m.def("inflated", [](const nb::bytes& data, uint64_t most) { return python_bytes(inflated(bytes_of(data), most, "the data")); }, "data"_a, "most"_a);
    m.def("sha256_blocks", [](const nb::bytes& data, bool is_plain) {
        const Sha256Blocks blocks = is_plain ? plain_sha256 : fast_sha256();
        uint32_t state[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        if (blocks) blocks(state, bytes_of(data).data(), data.size() / 64);
        return std::vector<uint32_t>(state, blocks ? state + 8 : state);
    }, "data"_a, "is_plain"_a, "The state after blocks. Empty: the processor has no instructions for it.");
    m.def("sha256", [](const nb::bytes& data) {
        const Digest digest = sha256(bytes_of(data));
        return python_bytes(digest);
    }, "data"_a);
    m.def("orientation_of", [](const nb::bytes& exif) { return orientation_of(bytes_of(exif)); }, "exif"_a);
    m.def("exif_of_jpeg", [](const nb::bytes& file) { return python_bytes(exif_of_jpeg(bytes_of(file))); }, "file"_a);
    m.def("philox", [](uint64_t key, int count) {
        Philox numbers(key);
        std::vector<uint64_t> values;
        for (int k = 0; k < count; k++) values.push_back(numbers.next());
        return values;
    }, "key"_a, "count"_a);
}

}  // namespace ddpm
