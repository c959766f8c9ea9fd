// The decoder for Python: a file's bytes in, events, pixels and a verdict out. What Python does with them is in ddpmcodec/codec.
#include "decoder.h"
#include "batch.h"
#include "original.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "costs.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Edges = std::tuple<int, int, int, int>;

std::unique_ptr<Decoder> make_decoder(const std::optional<Edges>& box, int scale, std::optional<int> step, bool partial,
                                      std::optional<uint64_t> max_pixels, bool each_segment) {
    Plan plan{std::nullopt, scale, step, each_segment, partial, max_pixels};
    if (box) plan.box = PixelBox{std::get<0>(*box), std::get<1>(*box), std::get<2>(*box), std::get<3>(*box)};
    return std::make_unique<Decoder>(plan);
}

const Header& header_of(const Decoder& decoder) {
    if (!decoder.header()) throw Error(Fault::ARGUMENT, "the header was not read");
    return *decoder.header();
}

nb::tuple picture_of(Decoder& decoder, int threads) {
    header_of(decoder);
    Picture picture;
    {
        nb::gil_scoped_release unlocked;
        picture = decoder.picture(threads);
    }
    const size_t height = size_t(picture.height), width = size_t(picture.width), channels = picture.colour.size() / (height * width);
    nb::object alpha = nb::none();
    if (!picture.alpha.empty()) alpha = nb::cast(array_of(std::move(picture.alpha), {height, width}));
    nb::object samples = nb::none();
    if (!picture.samples.empty()) samples = nb::cast(array_of(std::move(picture.samples), {height, width, channels + !alpha.is_none()}));
    return nb::make_tuple(MODE_NAMES[int(picture.mode)], array_of(std::move(picture.colour), {height, width, channels}), alpha, samples);
}

void set_pixels(Decoder& decoder, const nb::ndarray<const uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>& colour) {
    decoder.set_pixels({colour.data(), colour.data() + colour.size()});
}

void set_tile(Decoder& decoder, const std::optional<nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>>& pixels) {
    decoder.set_tile(pixels ? std::vector<uint8_t>(pixels->data(), pixels->data() + pixels->size()) : std::vector<uint8_t>());
}

Clock::time_point after(double seconds) { return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)); }

// uint8 [H, W, C], of a run [N, H, W, C]; None where it is damaged.
nb::object image_of(const Batch& batch, const std::tuple<int, int, int, int>& shape, bool is_shared, int stream) {
    std::vector<uint8_t> pixels = batch.image(stream);
    if (pixels.empty()) return nb::none();
    const auto [images, height, width, channels] = shape;
    std::vector<size_t> sizes{size_t(height), size_t(width), size_t(channels)};
    if (is_shared) sizes.insert(sizes.begin(), size_t(images));
    return nb::cast(array_of(std::move(pixels), sizes));
}

// What Python holds of a group: its shape, too.
struct PyBatch {
    std::tuple<int, int, int, int> shape;
    bool is_shared;
    Batch batch;
};

std::unique_ptr<PyBatch> make_batch(const std::vector<std::shared_ptr<Trained>>& networks, int levels, const std::tuple<int, int, int, int>& shape,
                                    bool is_shared, bool repeats, int threads) {
    const auto [images, height, width, channels] = shape;
    const Model model = model_of({networks.begin(), networks.end()}, levels);
    return std::unique_ptr<PyBatch>(new PyBatch{shape, is_shared, Batch(model, levels, {images, height, width, channels, is_shared, repeats}, threads)});
}

void bind_batch(nb::module_& m) {
    nb::class_<PyBatch>(m, "Batch", "Images of one size that are decoded together.")
        .def(nb::new_(&make_batch), "networks"_a, "levels"_a, "shape"_a, nb::kw_only(), "is_shared"_a, "repeats"_a, "threads"_a)
        .def("add", [](PyBatch& b, const PyBytes& stream, int state_bytes, const PyBytes& covered) { b.batch.add(view_of(stream), state_bytes, view_of(covered)); },
             "stream"_a, "state_bytes"_a, "covered"_a)
        .def("advance", [](PyBatch& b, double seconds) { return b.batch.advance(after(seconds)); }, "seconds"_a, nb::call_guard<nb::gil_scoped_release>())
        .def("image", [](const PyBatch& b, int stream) { return image_of(b.batch, b.shape, b.is_shared, stream); }, "stream"_a)
        .def_prop_ro("costs", [](const PyBatch& b) { return costs_of(b.batch.costs()); });
}

void bind_header(nb::module_& m) {
    auto length_of = [](uint8_t tag) { return [tag](const Header& h) { return h.section(tag).value_or(ByteRange{}).size(); }; };
    nb::class_<Header>(m, "FileHeader", "The header of a .ddpm file, as it was read.")
        .def_prop_ro("mode", [](const Header& h) { return MODE_NAMES[int(h.mode)]; })
        .def_prop_ro("channels", &Header::channels)
        .def_ro("bits", &Header::bits)
        .def_ro("source_bits", &Header::source_bits)
        .def_prop_ro("scaling", [](const Header& h) { return SCALING_NAMES[int(h.scaling)]; })
        .def_prop_ro("low_bits_length", length_of(LOW_BITS))
        .def_prop_ro("kind", [](const Header& h) { return KIND_NAMES[int(h.kind)]; })
        .def_prop_ro("has_coefficients", &Header::has_coefficients)
        .def_prop_ro("has_alpha", [](const Header& h) { return has_alpha(h.mode); })
        .def_ro("width", &Header::width)
        .def_ro("height", &Header::height)
        .def_ro("effort", &Header::effort)
        .def_ro("levels", &Header::levels)
        .def_ro("repeats", &Header::repeats)
        .def_ro("model_number", &Header::model_number)
        .def_prop_ro("model_id", [](const Header& h) { return nb::bytes(h.model_id.data(), h.model_number ? 0 : h.model_id.size()); })
        .def_ro("orientation", &Header::orientation)
        .def_ro("is_tiled", &Header::is_tiled)
        .def_prop_ro("is_plain", &Header::is_plain)
        .def_prop_ro("tile_size", [](const Header& h) { return std::make_tuple(h.tile_width, h.tile_height); })
        .def_prop_ro("tile_count", &Header::tile_count)
        .def_prop_ro("segments", &Header::segments)
        .def_prop_ro("steps", &Header::steps)
        .def_ro("size", &Header::size)
        .def_prop_ro("end", &Header::end)
        .def_prop_ro("alpha_length", length_of(ALPHA))
        .def_prop_ro("metadata_length", length_of(METADATA))
        .def_prop_ro("frame_length", length_of(FRAME))
        .def_prop_ro("recipe_length", length_of(RECIPE))
        .def_prop_ro("kept_length", length_of(KEPT))
        .def("section", [](const Header& h, uint8_t tag) {
            const ByteRange range = h.section(tag).value_or(ByteRange{});
            return std::make_tuple(range.begin, range.end);
        }, "tag"_a)
        .def_ro("state_bytes", &Header::state_bytes)
        .def_ro("payload_length", &Header::payload_length)
        .def_ro("covered", &Header::covered)
        .def_prop_ro("chunk_lengths", [](const Header& h) {
            std::vector<uint64_t> lengths;
            for (const Chunk& chunk : h.chunks) lengths.push_back(chunk.length);
            return lengths;
        })
        .def_prop_ro("payload", [](const Header& h) { return std::make_tuple(h.payload().begin, h.payload().end); });
    m.def("parse_header", [](const PyBytes& data) { return parse_header(view_of(data)); }, "data"_a);
}

nb::tuple facts_of(const KeptFile& kept) { return nb::make_tuple(kept.format, kept.ending, kept.reason, kept.width, kept.height, kept.length); }

// A file, or what there is of one, cut into its parts; nothing is decoded.
struct PyContainer {
    std::shared_ptr<const Source> source;
    Container container;

    explicit PyContainer(const nb::object& data) : source(source_of(data)), container(*source) { container.update(true); }

    // Throws Error unless the sections besides the pixels, all of which are there, are sound.
    void require_sound_sections() const {
        const Header& header = container.header();
        const PixelBox nothing{0, 0, 0, 0};
        if (const auto alpha = header.section(ALPHA)) {
            const std::vector<uint8_t> section = container.bytes(*alpha);
            if (is_coded_alpha(section)) AlphaTiles(source, container, {0, 0, header.width, header.height}).require_sound();
            else parse_alpha(section, false, header.width, header.height, nothing);
        }
        if (const auto metadata = header.section(METADATA)) parse_metadata(container.bytes(*metadata));
        if (const auto low = header.section(LOW_BITS)) parse_low_bits_index(container.bytes(*low), low->size(), header.tile_count());
        if (const auto kept = header.section(KEPT)) parse_kept(container.bytes(*kept), true);
    }

    std::vector<int> tiles() const { return tiles_of({0, 0, container.header().width, container.header().height}, container.header()); }
};

void bind_container(nb::module_& m) {
    auto of = [](auto member) { return [member](const PyContainer& c) { return (c.container.*member)(); }; };
    nb::class_<PyContainer>(m, "Container", "A .ddpm file, or as much of one as there is, cut into its parts.")
        .def(nb::init<const nb::object&>(), "data"_a)
        .def_prop_ro("header", [](const PyContainer& c) -> const Header& { return c.container.header(); }, nb::rv_policy::reference_internal)
        .def_prop_ro("jpeg_length", [](const PyContainer& c) { return jpeg_length(c.container); })
        .def_prop_ro("kept_facts", [](const PyContainer& c) -> nb::object {
            const auto kept = kept_facts(c.container);
            return kept ? nb::object(facts_of(*kept)) : nb::none();
        })
        .def_prop_ro("is_lossy", of(&Container::is_lossy))
        .def_prop_ro("size", of(&Container::size))
        .def_prop_ro("missing", of(&Container::missing))
        .def_prop_ro("following", of(&Container::following))
        .def("bytes", [](const PyContainer& c, uint64_t begin, uint64_t end) { return bytes_of(c.container.bytes({begin, end})); }, "begin"_a, "end"_a)
        .def("end_of_segment", [](const PyContainer& c, int segments) {
            if (segments < 0 || segments > c.container.header().segments()) throw Error(Fault::ARGUMENT, "no such segment");
            return c.container.end_of_segment(segments);
        }, "segments"_a)
        .def("require_whole", [](const PyContainer& c) { c.container.require_whole(c.tiles()); })
        .def("require_sound_sections", &PyContainer::require_sound_sections)
        .def("require_undamaged", [](const PyContainer& c) { c.container.require_undamaged(c.tiles()); });
}

nb::tuple metadata_of(const Metadata& metadata) {
    return nb::make_tuple(bytes_of(metadata[ICC_PROFILE]), bytes_of(metadata[EXIF]), bytes_of(metadata[XMP]), bytes_of(metadata[PNG]));
}

nb::tuple kept_of(const KeptFile& kept) { return nb::make_tuple(facts_of(kept), bytes_of(kept.file)); }

nb::object alpha_of(const PyBytes& section, int height, int width) {
    if (height < 1 || width < 1) throw Error(Fault::ARGUMENT, "an alpha plane has rows and columns");
    Alpha alpha = parse_alpha(view_of(section), false, width, height, {0, 0, width, height});
    return nb::cast(array_of(std::move(alpha.plane), {size_t(height), size_t(width)}));
}

}  // namespace

void bind_decoder(nb::module_& m) {
    bind_header(m);
    bind_batch(m);
    bind_container(m);
    m.attr("REDUCTIONS") = nb::tuple(nb::cast(std::vector<int>(std::begin(REDUCTIONS), std::end(REDUCTIONS))));
    m.def("parse_alpha", &alpha_of, "section"_a, "height"_a, "width"_a, "The plane uint8 [H, W] of a whole alpha section.");
    m.def("parse_metadata", [](const PyBytes& section) { return metadata_of(parse_metadata(view_of(section))); }, "section"_a,
          "(ICC profile, EXIF, XMP, chunks of a PNG) of a whole metadata section.");
    m.def("parse_kept", [](const PyBytes& section) { return kept_of(parse_kept(view_of(section), true)); }, "section"_a,
          "((format, ending, reason, width, height, length), file) of a whole section of a file that is kept whole.");
    nb::enum_<Event>(m, "Event", "What a decoder needs, or has.")
        .value("NEED_BYTES", Event::NEED_BYTES)
        .value("NEED_MODEL", Event::NEED_MODEL)
        .value("NEED_PIXELS", Event::NEED_PIXELS)
        .value("MORE", Event::MORE)
        .value("PREVIEW", Event::PREVIEW)
        .value("DONE", Event::DONE);
    nb::class_<Verdict>(m, "Verdict", "What a file turned out to be.")
        .def_ro("is_exact", &Verdict::is_exact)
        .def_ro("is_damaged", &Verdict::is_damaged)
        .def_ro("is_lossy", &Verdict::is_lossy)
        .def_ro("alpha_damaged", &Verdict::alpha_damaged)
        .def_ro("metadata_damaged", &Verdict::metadata_damaged)
        .def_ro("kept_damaged", &Verdict::kept_damaged)
        .def_ro("low_bits_damaged", &Verdict::low_bits_damaged)
        .def_ro("colours_exact", &Verdict::colours_exact)
        .def_ro("steps_done", &Verdict::steps_done)
        .def_ro("steps", &Verdict::steps)
        .def_ro("bytes_used", &Verdict::bytes_used)
        .def_ro("missing", &Verdict::missing)
        .def_ro("following", &Verdict::following);
    nb::class_<Decoder>(m, "Decoder", "A decoder of one .ddpm file.")
        .def(nb::new_(&make_decoder), nb::kw_only(), "box"_a = nb::none(), "scale"_a = 1, "step"_a = nb::none(), "partial"_a = false,
             "max_pixels"_a = nb::none(), "each_segment"_a = false)
        .def("feed", [](Decoder& d, const PyBytes& data) { d.feed(view_of(data)); }, "data"_a)
        .def("finish", &Decoder::finish)
        .def("open", [](Decoder& d, const nb::object& data) { d.open(source_of(data)); }, "data"_a)
        .def("set_networks", [](Decoder& d, const std::vector<std::shared_ptr<Trained>>& networks) { d.set_networks({networks.begin(), networks.end()}); },
             "networks"_a)
        .def_prop_ro("needs_alpha_networks", &Decoder::needs_alpha_networks)
        .def("set_alpha_networks",
             [](Decoder& d, const std::vector<std::shared_ptr<Trained>>& networks) { d.set_alpha_networks({networks.begin(), networks.end()}); }, "networks"_a)
        .def("set_pixels", &set_pixels, "colour"_a)
        .def_prop_ro("is_batchable", &Decoder::is_batchable)
        .def("set_tile", &set_tile, "pixels"_a, "Takes over pixels that a Batch found, uint8 [H, W, C]; None: the file is damaged.")
        .def("advance", &Decoder::advance, "seconds"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>())
        .def_prop_ro("header", [](const Decoder& d) -> const Header* { return d.header(); }, nb::rv_policy::reference_internal)
        .def_prop_ro("bytes_shown", &Decoder::bytes_shown)
        .def_prop_ro("verdict", &Decoder::verdict)
        .def_prop_ro("metadata", [](const Decoder& d) { return metadata_of(d.metadata()); })
        .def("set_jpeg_networks", [](Decoder& d, const CoefficientModel& model, int effort) { d.set_jpeg_networks(model.networks(effort)); }, "model"_a, "effort"_a)
        .def("file_inside", [](const Decoder& d) { return bytes_of(d.file_inside()); })
        .def_prop_ro("kept", [](const Decoder& d) -> nb::object {
            if (d.kept().format.empty()) return nb::none();
            return kept_of(d.kept());
        }, "(facts, file) of a file that is kept whole, once it was checked; None otherwise.")
        .def_prop_ro("box_inside", [](const Decoder& d) {
            const PixelBox box = d.box_inside();
            return std::make_tuple(box.left, box.top, box.right, box.bottom);
        })
        .def("payload", [](const Decoder& d) {
            const Header& header = header_of(d);
            return bytes_of(d.container()->bytes(header.payload()));
        })
        .def("covered", [](const Decoder& d) {
            const Header& header = header_of(d);
            return bytes_of(d.container()->bytes({0, header.is_plain() ? header.covered : 0}));
        }, "What the check of its stream covers before the samples.")
        .def("picture", &picture_of, "threads"_a, "(mode, colours uint8 [H, W, C], alpha uint8 [H, W] or None) as far as they are known.")
        .def("take_costs", [](Decoder& d) { return costs_of(d.take_costs()); });
}

}  // namespace ddpm
