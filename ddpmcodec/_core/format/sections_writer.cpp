#include "sections_writer.h"

#include "checksums.h"
#include "deflate.h"
#include "header_writer.h"

namespace ddpm {

namespace {

std::vector<uint8_t> with_crc32(Bytes data) {
    ByteWriter writer;
    writer.integer(crc32(data), CRC32_BYTES);
    writer.bytes(data);
    return writer.take();
}

std::vector<uint8_t> entries_of(const Metadata& metadata) {
    ByteWriter entries;
    for (size_t kind = 0; kind < metadata.size(); kind++) {
        if (metadata[kind].empty()) continue;
        entries.byte(int(kind) + 1);
        entries.varint(metadata[kind].size());
        entries.bytes(metadata[kind]);
    }
    return entries.take();
}

}  // namespace

void require_metadata(const Metadata& metadata) {
    const size_t size = entries_of(metadata).size();
    if (size > MAX_METADATA / 2)  // deflate can only grow it by far less than that
        throw Error(Fault::IMAGE, std::to_string(size) + " bytes of ICC profile, EXIF and XMP are too many: leave them out");
}

std::vector<uint8_t> pack_metadata(const Metadata& metadata) {
    require_metadata(metadata);
    const std::vector<uint8_t> entries = entries_of(metadata);
    return entries.empty() ? entries : with_crc32(deflated(entries));
}

std::vector<uint8_t> pack_alpha(Bytes plane, int height, int width) {
    const size_t row = size_t(width);
    std::vector<uint8_t> differences(plane.begin(), plane.end());
    for (size_t k = size_t(height) * row; k-- > row;) differences[k] = uint8_t(plane[k] - plane[k - row]);
    ByteWriter writer;
    writer.bytes(deflated(differences));
    writer.integer(crc32(plane), CRC32_BYTES);
    return writer.take();
}

std::vector<uint8_t> pack_coded_alpha(const Header& header, Bytes file) {
    ByteWriter grid, writer;
    if (header.is_tiled) grid.varint(uint64_t(header.tile_width)), grid.varint(uint64_t(header.tile_height));
    writer.byte(CODED_ALPHA | CODED_ALPHA_REPEATS * header.repeats);
    writer.bytes(file.subspan(header_start(header).size() + grid.bytes().size()));
    return writer.take();
}

std::vector<uint8_t> pack_kept(const KeptFile& kept) {
    const std::vector<uint8_t> packed = deflated(kept.file);
    const bool is_deflated = packed.size() < kept.file.size();
    ByteWriter writer;
    writer.varint(kept.width);
    writer.varint(kept.height);
    for (const std::string* text : {&kept.format, &kept.ending, &kept.reason}) {
        writer.varint(text->size());
        writer.bytes(Bytes(reinterpret_cast<const uint8_t*>(text->data()), text->size()));
    }
    writer.varint(uint64_t(kept.file.size()) << 1 | is_deflated);
    writer.bytes(is_deflated ? packed : kept.file);
    return with_crc32(writer.bytes());
}

std::vector<uint8_t> pack_low_bits(const std::vector<std::vector<uint8_t>>& streams) {
    ByteWriter writer;
    for (const std::vector<uint8_t>& stream : streams) writer.varint(stream.size());
    writer.integer(crc16(writer.bytes()), CRC16_BYTES);
    for (const std::vector<uint8_t>& stream : streams) writer.bytes(stream);
    return writer.take();
}

std::vector<uint8_t> pack_frame(Bytes frame) {
    ByteWriter writer;
    writer.integer(crc16(frame), CRC16_BYTES);
    writer.bytes(frame);
    return writer.take();
}

std::vector<uint8_t> pack_recipe(Bytes recipe) {
    ByteReader reader(recipe, "the recipe");
    const uint64_t size = reader.varint();
    const Bytes check = reader.take(CRC32_BYTES), items = recipe.subspan(reader.position());
    ByteWriter writer;
    writer.varint(size | 1);
    writer.bytes(check);
    writer.bytes(deflated(items));
    return writer.bytes().size() < recipe.size() ? writer.take() : std::vector<uint8_t>(recipe.begin(), recipe.end());
}

}  // namespace ddpm
