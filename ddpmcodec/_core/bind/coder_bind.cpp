// The coder for Python: models, passes, streams, and what training needs of the same rules.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "known_answer.h"
#include "learning_rules.h"
#include "pass.h"
#include "positions.h"
#include "preview_network.h"
#include "streams.h"
#include "tensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

template <class T> using Out = nb::ndarray<nb::numpy, T>;

Role role_of(const std::string& name) {
    if (name == "band") return Role::BAND;
    if (name == "direct") return Role::DIRECT;
    if (name == "last") return Role::LAST;
    if (name == "preview") return Role::PREVIEW;
    throw std::invalid_argument("a network's role is band, direct, last or preview, not " + name);
}

std::shared_ptr<Trained> make_network(const nb::dict& tensors, const std::string& role_name, int components) {
    const Role role = role_of(role_name);
    require_components(components);
    const int conditions = conditions_of(role, length(tensors, "stem.bias", 0));
    return std::make_shared<Trained>(Trained{network_of(tensors, sizes_for(role, components, conditions)), components});
}

// A network whose outputs a Python object computes: `outputs(rows, condition)`, uint8 [M, inputs] to int32 [M, outputs].
std::shared_ptr<Trained> wrap_network(const nb::object& object, const std::string& role_name, int components, int conditions) {
    const Role role = role_of(role_name);
    require_components(components);
    if (role == Role::PREVIEW) throw std::invalid_argument("a network of previews is the core's own");
    auto trained = std::make_shared<Trained>();
    const size_t inputs = size_t(inputs_of(role)), outputs = size_t(outputs_in(role, components));
    trained->components = components;
    trained->network.inputs = int(inputs);
    trained->network.outputs = int(outputs);
    trained->network.conditions = conditions_of(role, conditions);
    trained->predict = [object, inputs, outputs](const InputRows& asked, int32_t* out) {
        const size_t count = asked.count;
        if (!count) return;
        nb::gil_scoped_acquire locked;
        std::vector<uint8_t> unpadded_rows(count * inputs);
        for (size_t m = 0; m < count; m++) std::copy_n(asked.rows + m * asked.stride, inputs, &unpadded_rows[m * inputs]);
        In<int32_t> predicted;
        const nb::object answer = object.attr("outputs")(array_of(std::move(unpadded_rows), {count, inputs}), asked.condition);
        if (!nb::try_cast(answer, predicted, false) || predicted.ndim() != 2 || predicted.shape(0) != count ||
            predicted.shape(1) != outputs)
            throw std::invalid_argument("outputs of a network must be int32 [" + std::to_string(count) + ", " + std::to_string(outputs) +
                                        "], in one piece, not " + kind_of(answer));
        const int32_t limit = int32_t(OUTPUT_LIMIT);
        for (size_t k = 0; k < predicted.size(); k++) out[k] = std::min(std::max(predicted.data()[k], -limit), limit);
    };
    return trained;
}

// width: rows are the pixels of an image so wide, in raster order; 0: each is alone.
Out<int32_t> outputs(const Trained& trained, const In<uint8_t>& rows, int condition, int width) {
    const Network& network = trained.network;
    if (rows.ndim() != 2 || int(rows.shape(1)) != network.inputs) throw std::invalid_argument("rows must be uint8 [M, inputs]");
    if (condition < 0 || condition >= network.conditions) throw std::invalid_argument("no such condition");
    const size_t count = rows.shape(0), stride = size_t(rounded_up(network.inputs, ROW_UNIT));
    if (width < 0 || (width && count % width)) throw std::invalid_argument("rows must be those of a whole image");
    std::vector<uint8_t> padded_rows(count * stride);
    std::vector<int32_t> values(count * network.outputs);
    if (trained.predict) {
        trained.predict({condition, rows.data(), size_t(network.inputs), int(count)}, values.data());
    } else {
        nb::gil_scoped_release unlocked;
        const IeeeArithmetic arithmetic;
        for (size_t m = 0; m < count; m++) std::copy_n(rows.data() + m * network.inputs, network.inputs, &padded_rows[m * stride]);
        if (network.neighbours == AROUND) {
            values = convolved(network, padded_rows.data(), stride, width ? int(count) / width : 1, width ? width : int(count));
        } else if (width) {
            values = outputs_of_image(network, condition, padded_rows.data(), stride, int(count) / width, width);
        } else {
            Scratch scratch(network);
            run(network, {condition, padded_rows.data(), stride, int(count)}, values.data(), scratch);
        }
    }
    return array_of(std::move(values), {count, size_t(network.outputs)});
}

std::unique_ptr<Pass> make_pass(std::vector<std::shared_ptr<Trained>> networks, int levels, std::tuple<int, int, int, int> shape,
                                int streams, bool learns, bool repeats, int threads) {
    if (std::any_of(networks.begin(), networks.end(), [](const auto& network) { return !network; }))
        throw std::invalid_argument("a network is None");
    const Model model = model_of({networks.begin(), networks.end()}, levels);
    const auto [images, height, width, channels] = shape;
    const Layout layout{images, height, width, channels, streams, learns, threads, repeats};
    return std::make_unique<Pass>(model, levels, layout);
}

void begin_encoding(Pass& pass, const In<uint8_t>& pixels, bool for_previews) {
    const Layout& l = pass.layout();
    if (pixels.size() != size_t(l.images) * l.height * l.width * l.channels) throw std::invalid_argument("pixels of another shape");
    const Pass::Use use(pass);
    nb::gil_scoped_release unlocked;
    pass.encode(pixels.data(), for_previews);
}

void begin_decoding(Pass& pass, const std::vector<uint64_t>& states, const std::vector<In<uint32_t>>& words, bool for_previews,
                    bool is_cut) {
    const Pass::Use use(pass);
    std::vector<std::vector<uint32_t>> copied;
    for (const In<uint32_t>& stream_words : words) copied.emplace_back(stream_words.data(), stream_words.data() + stream_words.size());
    pass.decode(states, std::move(copied), for_previews, is_cut);
}

int advance(Pass& pass, int waves, int segment) {
    const Pass::Use use(pass);
    return pass.advance(waves, segment);
}

// What a pass says of itself, unless another thread uses it.
template <class Member> auto guarded(Member member) {
    return [member](const Pass& pass) {
        const Pass::Use use(pass);
        return (pass.*member)();
    };
}

uint64_t state(const Pass& pass, int stream) {
    const Pass::Use use(pass);
    return pass.reader(stream).state;
}

size_t position(const Pass& pass, int stream) {
    const Pass::Use use(pass);
    return pass.reader(stream).position;
}

nb::tuple symbols(const Pass& pass, int stream) {
    const Pass::Use use(pass);
    const Symbols& stream_symbols = pass.symbols(stream);
    std::vector<uint32_t> starts, freqs;
    for (size_t i = 0; i < stream_symbols.size(); i++) starts.push_back(stream_symbols[i].start), freqs.push_back(stream_symbols[i].freq);
    return nb::make_tuple(array_of(std::move(starts), {stream_symbols.size()}), array_of(std::move(freqs), {stream_symbols.size()}));
}

// (state, words of each part of each segment as little-endian bytes)
nb::tuple stream(const Pass& pass, int stream, uint32_t check) {
    const Pass::Use use(pass);
    if (!pass.is_exact()) throw std::logic_error("nothing is packed before all is coded");
    Stream packed_stream;
    {
        nb::gil_scoped_release unlocked;
        packed_stream = packed(pass.symbols(stream), pass.ends(stream), check);
    }
    nb::list words;
    for (const std::vector<uint32_t>& part : packed_stream.words)
        words.append(nb::bytes(reinterpret_cast<const char*>(part.data()), sizeof(uint32_t) * part.size()));
    return nb::make_tuple(packed_stream.state, words);
}

nb::tuple pixels(const Pass& pass) {
    const Pass::Use use(pass);
    const Layout& l = pass.layout();
    const size_t count = size_t(l.images) * l.height * l.width;
    std::vector<uint8_t> decoded(count * l.channels), known(count);
    {
        nb::gil_scoped_release unlocked;
        pass.pixels(decoded.data(), known.data());
    }
    const size_t N = l.images, H = l.height, W = l.width, C = l.channels;
    return nb::make_tuple(array_of(std::move(decoded), {N, H, W, C}), array_of(std::move(known), {N, H, W}));
}

nb::dict columns(Positions positions, Role role) {
    const size_t K = positions.count(), C = CHANNELS;
    nb::dict arrays;
    arrays["rows"] = array_of(std::move(positions.rows), {K, size_t(inputs_of(role))});
    arrays["base"] = array_of(std::move(positions.base), {K, C});
    arrays["lo"] = array_of(std::move(positions.lo), {K, C});
    arrays["hi"] = array_of(std::move(positions.hi), {K, C});
    arrays["new_lo"] = array_of(std::move(positions.new_lo), {K, C});
    arrays["new_hi"] = array_of(std::move(positions.new_hi), {K, C});
    arrays["condition"] = array_of(std::move(positions.condition), {K});
    arrays["near"] = array_of(std::move(positions.near), {K, size_t(NEIGHBOURS)});
    arrays["part"] = array_of(std::move(positions.part), {K});
    return arrays;
}

void require_images(const In<uint8_t>& images) {
    if (images.ndim() != 4 || images.shape(3) != CHANNELS) throw std::invalid_argument("images must be uint8 [N, H, W, 3]");
    if (!images.shape(1) || !images.shape(2)) throw std::invalid_argument("images have a row and a column");
}

// A dict for each kind of band: columns of what positions see and what is coded there.
nb::list band_positions(const In<uint8_t>& images, int levels, double share, int least, int side, uint64_t seed) {
    require_images(images);
    if (side < 1) throw std::invalid_argument("a part has a side");
    Random random(seed);
    Positions by_kind[BAND_KINDS];
    {
        nb::gil_scoped_release unlocked;
        const int height = int(images.shape(1)), width = int(images.shape(2));
        for (size_t n = 0; n < images.shape(0); n++)
            draw_bands(images.data() + n * height * width * CHANNELS, height, width, levels, {share, least, side}, random, by_kind);
    }
    nb::list columns_by_kind;
    for (Positions& positions : by_kind) columns_by_kind.append(columns(std::move(positions), Role::BAND));
    return columns_by_kind;
}

// parts: top, left, height and width of what is taken of every image.
nb::dict pixel_positions(const In<uint8_t>& images, int level, const std::vector<std::tuple<int, int, int, int>>& taken) {
    require_images(images);
    const bool is_known = level == EXACT || std::any_of(std::begin(STEPS), std::end(STEPS), [&](const LevelStep& step) { return step.level == level; });
    if (!is_known) throw std::invalid_argument("there is no noise level " + std::to_string(level));
    Positions positions;
    const int height = int(images.shape(1)), width = int(images.shape(2));
    auto lies_in = [](int first, int count, int size) { return first >= 0 && count >= 0 && count <= size && first <= size - count; };
    std::vector<Part> parts;
    for (const auto& [top, left, part_height, part_width] : taken) {
        if (!lies_in(top, part_height, height) || !lies_in(left, part_width, width))
            throw std::invalid_argument("a part does not lie in the images");
        parts.push_back({top, left, part_height, part_width});
    }
    {
        nb::gil_scoped_release unlocked;
        for (size_t n = 0; n < images.shape(0); n++)
            add_pixels(images.data() + n * height * width * CHANNELS, height, width, level, parts, positions);
    }
    return columns(std::move(positions), level == EXACT ? Role::DIRECT : Role::LAST);
}

}  // namespace

void bind_coder(nb::module_& m) {
    nb::class_<Trained>(m, "ContextNetwork", "A network of the context model in exact integers.")
        .def_static("make", &make_network, "tensors"_a, "role"_a, "components"_a)
        .def_static("wrap", &wrap_network, "network"_a, "role"_a, "components"_a, "conditions"_a)
        .def("outputs", &outputs, "rows"_a, "condition"_a = 0, "width"_a = 0)
        .def("answer", [](const Trained& network, const std::string& role, bool one_by_one) { return answer_of(network, role_of(role), one_by_one); },
             "role"_a, "one_by_one"_a = false)
        .def_prop_ro("width", [](const Trained& t) { return t.network.width; })
        .def_prop_ro("depth", [](const Trained& t) { return t.network.depth; })
        .def_prop_ro("components", [](const Trained& t) { return t.components; })
        .def_prop_ro("conditions", [](const Trained& t) { return t.network.conditions; });
    nb::class_<Pass>(m, "Pass", "Images of one size, from nothing to exact.")
        .def(nb::new_(&make_pass), "networks"_a, "levels"_a, "shape"_a, nb::kw_only(), "streams"_a, "learns"_a, "repeats"_a = false, "threads"_a)
        .def("encode", &begin_encoding, "pixels"_a, "for_previews"_a = false)
        .def("decode", &begin_decoding, "states"_a, "words"_a, "for_previews"_a = false, "is_cut"_a = false)
        .def("advance", &advance, "waves"_a, "segment"_a, nb::call_guard<nb::gil_scoped_release>())
        .def_prop_ro("segments", &Pass::segments)
        .def_prop_ro("segments_done", guarded(&Pass::segments_done))
        .def_prop_ro("ended", guarded(&Pass::ended))
        .def_prop_ro("is_exact", guarded(&Pass::is_exact))
        .def("bits", guarded(&Pass::bits))
        .def("symbols", &symbols, "stream"_a)
        .def("stream", &stream, "stream"_a, "check"_a)
        .def("state", &state, "stream"_a)
        .def("position", &position, "stream"_a)
        .def("pixels", &pixels);
    m.def("segments", [](int levels, int height, int width) {
        std::vector<std::tuple<int, int, int, size_t, int>> descriptions;
        const std::vector<Band> geometry = bands_of(height, width);
        for (const Segment& segment : segments_of(levels, height, width)) {
            size_t positions = 0;
            if (segment.level == EXACT) {
                auto before = [&](int part) { return size_t(height) * width * part / segment.all_parts; };
                positions = before(segment.first_part + segment.parts) - before(segment.first_part);
            }
            for (int band : segment.bands) positions += geometry[band].positions();
            descriptions.emplace_back(segment.step, segment.level, segment.finest, positions, segment.parts);
        }
        return descriptions;
    }, "levels"_a, "height"_a, "width"_a);
    m.def("band_positions", &band_positions, "images"_a, "levels"_a, "share"_a, "least"_a, "side"_a, "seed"_a);
    m.def("pixel_positions", &pixel_positions, "images"_a, "level"_a, "parts"_a);
    m.attr("BANDS_OF_STEP") = LAST_BAND;
    m.attr("LEARNING_PIXELS") = LEARNING_PIXELS;
    nb::dict schedules;
    for (const Schedule& schedule : SCHEDULES) {
        std::vector<std::tuple<int, int>> steps;
        for (const LevelStep& step : steps_of(schedule.levels)) steps.emplace_back(step.number, step.level);
        schedules[nb::int_(schedule.levels)] = nb::tuple(nb::cast(steps));
    }
    m.attr("SCHEDULES") = schedules;
    m.def("contract", [](const std::string& role_name, int components) {
        const Role role = role_of(role_name);
        require_components(components);
        return std::make_tuple(inputs_of(role), outputs_in(role, components), role == Role::BAND ? CONDITIONS : 1);
    }, "role"_a, "components"_a);
}

}  // namespace ddpm
