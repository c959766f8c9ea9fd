#include "header.h"

#include <algorithm>
#include <concepts>

#include "checksums.h"
#include "schedule.h"

namespace ddpm {

namespace {

constexpr int SMALLEST_HEADER = 7;  // bytes: a short stream of a small square image
constexpr uint8_t KNOWN_TAGS[] = {ALPHA, METADATA, FRAME, RECIPE, KEPT, LOW_BITS};

[[noreturn]] void refuse(const std::string& message) { throw Error(Fault::FORMAT, message); }

std::string number(std::integral auto value) { return std::to_string(value); }

void require_crc(ByteReader& reader, Bytes covered) {
    if (!holds(crc16(covered), uint32_t(reader.integer(CRC16_BYTES)))) refuse("the header is damaged: its checksum does not match");
}

struct Flags {
    bool square, tiled, sections, extended;
};

// Samples of more than 8 bits, or that are made of more.
void parse_samples(ByteReader& reader, Header& header) {
    const uint8_t samples = reader.byte();
    header.source_bits = (samples & SOURCE_BITS) + 1;
    if (samples >> SCALING_SHIFT >= SCALINGS) refuse("an unknown scaling of samples: the data is damaged, or a newer ddpmcodec is needed");
    header.scaling = Scaling(samples >> SCALING_SHIFT);
    const int more = header.source_bits - header.bits;
    const bool fits = header.scaling == Scaling::NONE ? more >= 0 : more > 0 && (header.scaling == Scaling::SHIFTED || more <= header.bits);
    if (header.bits < SAMPLE_BITS || header.source_bits == SAMPLE_BITS || header.mode == Mode::BILEVEL || !fits)
        refuse("the header claims samples of " + number(header.source_bits) + " bits of " + number(header.bits) + ": the data is damaged");
}

Flags parse_coding(ByteReader& reader, Header& header) {
    const uint8_t first = reader.byte();
    if (first >> VERSION_SHIFT != VERSION)
        refuse("format version " + number(first >> VERSION_SHIFT) + " (this program reads " + number(VERSION) + "): a newer ddpmcodec is needed");
    if ((first & MODE_BITS) >= MODES) refuse("unknown colour mode " + number(first & MODE_BITS) + ": the data is damaged, or a newer ddpmcodec is needed");
    header.mode = Mode(first & MODE_BITS);
    const uint8_t second = reader.byte();
    header.effort = (second >> EFFORT_SHIFT) & EFFORT_BITS, header.levels = second & LEVEL_BITS, header.repeats = second & REPEATS_FLAG;
    const Flags flags{bool(first & SQUARE_FLAG), bool(first & TILED_FLAG), bool(first & SECTIONS_FLAG), bool(second & EXTENDED_FLAG)};
    if (!flags.extended) return flags;
    const uint8_t third = reader.byte();
    if ((third & KIND_BITS) >= KINDS) refuse("unknown kind of payload " + number(third & KIND_BITS) + ": the data is damaged, or a newer ddpmcodec is needed");
    header.kind = Kind(third & KIND_BITS);
    header.bits = (third >> DEPTH_SHIFT) + 1;
    if (header.kind == Kind::PIXELS) parse_samples(reader, header);
    else if (header.bits != SAMPLE_BITS) refuse(number(header.bits) + " bits a sample of a JPEG: the data is damaged");
    return flags;
}

void check_coding(const Header& header) {
    const int least = header.has_coefficients() ? 1 : MIN_EFFORT;
    if (header.effort < least || header.effort > MAX_EFFORT)
        refuse("the header claims effort " + number(header.effort) + " (" + number(least) + " to " + number(MAX_EFFORT) + " are possible)");
    if (header.has_coefficients() && header.repeats) refuse("the header claims repeats of a JPEG: the data is damaged");
    if (!header.has_coefficients()) require_levels(uint64_t(header.levels));
    else if (header.levels > MOST_JPEG_LEVELS) refuse("the header claims " + number(header.levels) + " levels of a JPEG: the data is damaged, or a newer ddpmcodec is needed");
    if (header.has_coefficients() && header.mode != Mode::L && header.mode != Mode::RGB)
        refuse("the header claims a JPEG of mode " + std::string(MODE_NAMES[int(header.mode)]) + ": the data is damaged");
}

void parse_model(ByteReader& reader, Header& header) {
    header.model_number = reader.byte();
    if (!header.model_number) std::ranges::copy(reader.take(MODEL_ID_BYTES), header.model_id.begin());
}

void parse_size(ByteReader& reader, Header& header, bool is_square) {
    const uint64_t width = reader.varint(), height = is_square ? width : reader.varint();
    if (width == height && !is_square) refuse("the header says twice that a side has " + number(width) + " pixels: the data is damaged");
    const uint64_t side = header.has_coefficients() ? MAX_JPEG_SIDE : MAX_PIXELS;
    if (!width || !height || std::max(width, height) > side || width * height > MAX_PIXELS)
        refuse("the header claims " + number(width) + " x " + number(height) + " pixels (1 to " + number(MAX_PIXELS) + " pixels are possible, and sides of " +
               number(side) + ")");
    header.width = header.tile_width = int(width);
    header.height = header.tile_height = int(height);
}

void check_section(const Header& header, const SectionEntry& entry) {
    const int type = entry.type();
    const uint8_t* known = std::ranges::find(KNOWN_TAGS, type, [](uint8_t tag) { return tag & TYPE_BITS; });
    const bool is_known = known != std::end(KNOWN_TAGS);
    if (!type || (is_known && entry.tag != *known)) refuse("a section has the tag " + number(entry.tag) + ": the data is damaged");
    if (!is_known && entry.is_critical()) refuse("a section of the unknown type " + number(type) + ": a newer ddpmcodec is needed");
    if (!entry.length) refuse("a section of type " + number(type) + " is empty: the data is damaged");
    if (!header.sections.empty() && header.sections.back().type() >= type) refuse("sections are not in order: the data is damaged");
    if (entry.tag == ALPHA && (header.kind != Kind::PIXELS || !has_alpha(header.mode))) refuse("an alpha section where the image has none: the data is damaged");
    if ((entry.tag == FRAME || entry.tag == RECIPE) && !header.has_coefficients()) refuse("a section of a JPEG where there is none: the data is damaged");
    if (entry.tag == LOW_BITS && !header.low_bits()) refuse("a section of low bits where there are none: the data is damaged");
    if (entry.tag == KEPT && header.has_coefficients()) refuse("a kept file besides a JPEG: the data is damaged");
    if (entry.tag != METADATA) return;
    if (header.has_coefficients()) refuse("metadata besides those of a JPEG: the data is damaged");
    if (entry.length > MAX_METADATA) refuse("the header claims " + number(entry.length) + " bytes of metadata (at most " + number(MAX_METADATA) + " are possible)");
}

void parse_sections(ByteReader& reader, Header& header) {
    header.orientation = reader.byte();
    if (header.orientation < UPRIGHT || header.orientation > MAX_ORIENTATION)
        refuse("the header claims orientation " + number(header.orientation) + " (1 to 8 are possible)");
    while (const uint8_t tag = reader.byte()) {
        const SectionEntry entry{tag, reader.varint()};
        check_section(header, entry);
        header.sections.push_back(entry);
    }
    if (header.sections.empty()) refuse("a list of no sections: the data is damaged");
}

// The grid of tiles, unless the only one is the image.
void parse_grid(ByteReader& reader, Header& header) {
    const uint64_t width = reader.varint(), height = reader.varint();
    if (!width || width > uint64_t(header.width) || !height || height > uint64_t(header.height) || width * height > MAX_TILE_PIXELS)
        refuse("the header claims tiles of " + number(width) + " x " + number(height) + " pixels for an image of " + number(header.width) + " x " +
               number(header.height) + " (1 to " + number(MAX_TILE_PIXELS) + " pixels are possible)");
    if (header.has_coefficients() && width == uint64_t(header.width) && height == uint64_t(header.height))
        refuse("the header claims a grid of a single tile: the data is damaged");
    header.tile_width = int(width), header.tile_height = int(height);
    const uint64_t columns = (uint64_t(header.width) + width - 1) / width, rows = (uint64_t(header.height) + height - 1) / height;
    if (columns * rows > MAX_CHUNKS || columns * rows * uint64_t(header.segments()) > MAX_CHUNKS)
        refuse("the header claims more than " + number(MAX_CHUNKS) + " chunks: the data is damaged");
}

void parse_index(ByteReader& reader, Header& header) {
    const uint64_t length = reader.varint(), chunks = uint64_t(header.tile_count()) * uint64_t(header.segments());
    if (length < (1 + CRC16_BYTES) * chunks || length > (MAX_VARINT_BYTES + CRC16_BYTES) * chunks)
        refuse("the header claims an index of " + number(length) + " bytes for " + number(chunks) + " chunks: the data is damaged");
    require_crc(reader, reader.since(0));
    reader.require(length + CRC16_BYTES);
    const Bytes entries = reader.take(length);
    require_crc(reader, entries);
    ByteReader index(entries, "the index");
    header.chunks.reserve(chunks);
    try {
        for (uint64_t k = 0; k < chunks; k++) {
            const uint64_t chunk_length = index.varint();
            header.chunks.push_back({chunk_length, uint16_t(index.integer(CRC16_BYTES))});
            header.payload_length += chunk_length;
        }
    } catch (const Error&) {
        refuse("the index holds fewer than " + number(chunks) + " chunks: the data is damaged");
    }
    if (!index.at_end()) refuse("the index holds more than " + number(chunks) + " chunks: the data is damaged");
}

void require_one_tile(const Header& header) {
    const uint64_t pixels = uint64_t(header.width) * uint64_t(header.height);
    if (pixels > MAX_TILE_PIXELS)
        refuse("the header claims a single tile of " + number(header.width) + " x " + number(header.height) + " pixels (1 to " + number(MAX_TILE_PIXELS) +
               " pixels are possible)");
}

// The length of a stream: how many words it has and how long its state is.
void parse_length(ByteReader& reader, Header& header) {
    const uint64_t length = reader.varint();
    header.state_bytes = LEAST_STATE_BYTES + int(length % STATE_SIZES);
    header.payload_length = uint64_t(header.state_bytes) + length / STATE_SIZES * WORD_BYTES;
}

}  // namespace

void require_levels(uint64_t levels) {
    for (const Schedule& schedule : SCHEDULES)
        if (uint64_t(schedule.levels) == levels) return;
    refuse(number(levels) + " noise levels: the data is damaged, or a newer ddpmcodec is needed");
}

void require_magic(Bytes data) {
    auto begins_with = [&](Bytes magic) { return data.size() >= magic.size() && std::ranges::equal(data.first(magic.size()), magic); };
    if (begins_with(ARCHIVE_MAGIC)) refuse("an archive, not a .ddpm file: use the commands of `ddpmcodec archive`");
    const Bytes begun = data.first(std::min(data.size(), std::size(MAGIC)));
    if (!std::ranges::equal(begun, Bytes(MAGIC).first(begun.size())))
        refuse("not a ddpmcodec file: it starts with " + hex(begun, " ") + ", not " + hex(MAGIC, " ") + "; give a .ddpm file");
}

Header parse_header(Bytes data) {
    require_magic(data);
    ByteReader reader(data, "the header", SMALLEST_HEADER);
    reader.take(std::size(MAGIC));
    Header header;
    const Flags flags = parse_coding(reader, header);
    check_coding(header);
    parse_model(reader, header);
    parse_size(reader, header, flags.square);
    if (flags.sections) parse_sections(reader, header);
    if (header.kind == Kind::PIXELS && has_alpha(header.mode) && !header.section(ALPHA)) refuse("an image with alpha and no alpha section: the data is damaged");
    if (header.low_bits() && !header.section(LOW_BITS)) refuse("samples of more than 8 bits without their low bits: the data is damaged");
    if (header.has_coefficients() && !(header.section(FRAME) && header.section(RECIPE))) refuse("a JPEG without its frame or recipe: the data is damaged");
    header.is_tiled = flags.tiled || header.has_coefficients();
    if (flags.tiled) parse_grid(reader, header);
    else require_one_tile(header);
    if (header.is_tiled) {
        parse_index(reader, header);
    } else {
        header.covered = reader.position();
        parse_length(reader, header);
        if (!header.is_plain()) require_crc(reader, reader.since(0));
    }
    header.size = reader.position();
    return header;
}

int Header::segments() const { return has_coefficients() ? jpeg_segments(levels) : int(std::size(GROUPS)) * levels + EXACT_SEGMENTS; }

PixelBox Header::tile(int number) const {
    const int left = number % tile_columns() * tile_width, top = number / tile_columns() * tile_height;
    return {left, top, std::min(left + tile_width, width), std::min(top + tile_height, height)};
}

std::optional<ByteRange> Header::section(uint8_t tag) const {
    uint64_t before = size, after = payload().end;
    for (const SectionEntry& entry : sections) {
        uint64_t& begin = entry.is_after() ? after : before;
        if (entry.tag == tag) return ByteRange{begin, begin + entry.length};
        begin += entry.length;
    }
    return std::nullopt;
}

ByteRange Header::payload() const {
    uint64_t begin = size;
    for (const SectionEntry& entry : sections)
        if (!entry.is_after()) begin += entry.length;
    return {begin, begin + payload_length};
}

uint64_t Header::end() const {
    uint64_t end = payload().end;
    for (const SectionEntry& entry : sections)
        if (entry.is_after()) end += entry.length;
    return end;
}

}  // namespace ddpm
