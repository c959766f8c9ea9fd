#include "header_writer.h"

#include <algorithm>

#include "checksums.h"

namespace ddpm {

namespace {

bool is_extended(const Header& header) { return header.kind != Kind::PIXELS || header.source_bits != SAMPLE_BITS; }
bool has_sections(const Header& header) { return !header.sections.empty() || header.orientation != UPRIGHT; }

// Whether it states the size of tiles. A single tile of JPEG coefficients is the image.
bool has_grid(const Header& header) {
    const bool is_image = header.tile_width == header.width && header.tile_height == header.height;
    return header.is_tiled && !(header.has_coefficients() && is_image);
}

void write_crc(ByteWriter& writer, size_t start = 0) { writer.integer(crc16(Bytes(writer.bytes()).subspan(start)), CRC16_BYTES); }

void write_coding(ByteWriter& writer, const Header& header) {
    writer.bytes(MAGIC);
    const bool is_square = header.width == header.height;
    writer.byte(VERSION << VERSION_SHIFT | SQUARE_FLAG * is_square | TILED_FLAG * has_grid(header) | SECTIONS_FLAG * has_sections(header) | int(header.mode));
    writer.byte(header.effort << EFFORT_SHIFT | EXTENDED_FLAG * is_extended(header) | REPEATS_FLAG * header.repeats | header.levels);
    if (!is_extended(header)) return;
    writer.byte((header.bits - 1) << DEPTH_SHIFT | int(header.kind));
    if (header.kind == Kind::PIXELS) writer.byte(int(header.scaling) << SCALING_SHIFT | (header.source_bits - 1));
}

void write_start(ByteWriter& writer, const Header& header) {
    write_coding(writer, header);
    writer.byte(header.model_number);
    if (!header.model_number) writer.bytes(header.model_id);
    writer.varint(uint64_t(header.width));
    if (header.width != header.height) writer.varint(uint64_t(header.height));
    if (!has_sections(header)) return;
    writer.byte(header.orientation);
    for (const SectionEntry& entry : header.sections) writer.byte(entry.tag), writer.varint(entry.length);
    writer.byte(0);
}

void write_index(ByteWriter& writer, const Header& header) {
    ByteWriter index;
    for (const Chunk& chunk : header.chunks) index.varint(chunk.length), index.integer(chunk.check, CRC16_BYTES);
    if (has_grid(header)) writer.varint(uint64_t(header.tile_width)), writer.varint(uint64_t(header.tile_height));
    writer.varint(index.bytes().size());
    write_crc(writer);
    const size_t start = writer.bytes().size();
    writer.bytes(index.bytes());
    write_crc(writer, start);
}

void write_length(ByteWriter& writer, const Header& header) {
    const uint64_t words = (header.payload_length - uint64_t(header.state_bytes)) / WORD_BYTES;
    writer.varint(STATE_SIZES * words + uint64_t(header.state_bytes - LEAST_STATE_BYTES));
    if (!header.is_plain()) write_crc(writer);
}

bool is_read_as(const Header& found, const Header& header) {
    auto facts = [](const Header& h) {
        return std::tie(h.mode, h.kind, h.bits, h.source_bits, h.scaling, h.width, h.height, h.effort, h.levels, h.repeats, h.model_number, h.model_id,
                        h.orientation, h.is_tiled, h.tile_width, h.tile_height, h.payload_length, h.state_bytes);
    };
    auto sections = [](const SectionEntry& a, const SectionEntry& b) { return a.tag == b.tag && a.length == b.length; };
    auto chunks = [](const Chunk& a, const Chunk& b) { return a.length == b.length && a.check == b.check; };
    return facts(found) == facts(header) && std::ranges::equal(found.sections, header.sections, sections) && std::ranges::equal(found.chunks, header.chunks, chunks);
}

}  // namespace

std::vector<uint8_t> header_start(const Header& header) {
    ByteWriter writer;
    write_start(writer, header);
    return writer.take();
}

std::vector<uint8_t> write_header(const Header& header) {
    ByteWriter writer;
    write_start(writer, header);
    if (header.is_tiled) write_index(writer, header);
    else write_length(writer, header);
    const Header found = parse_header(writer.bytes());
    if (found.size != writer.bytes().size() || !is_read_as(found, header)) throw Error(Fault::FORMAT, "no header can state what this image needs");
    return writer.take();
}

}  // namespace ddpm
