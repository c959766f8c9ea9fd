#include "sections.h"

#include <algorithm>

#include "checksums.h"
#include "inflate.h"
#include "text.h"
#include "varints.h"

namespace ddpm {

namespace {

// Takes the bytes of a plane as they are inflated. Each row is stored as its differences from the row above.
class PlaneWriter {
  public:
    PlaneWriter(int width, const PixelBox& part) : part_(part), row_(size_t(width)) {
        alpha.plane.assign(part.pixels(), OPAQUE);
    }

    void write(Bytes piece) {
        for (const uint8_t difference : piece) {
            row_[column_] = uint8_t(row_[column_] + difference);
            if (++column_ == row_.size()) finish_row();
        }
    }

    int rows() const { return rows_; }
    uint32_t check() const { return check_; }

    Alpha alpha;

  private:
    void finish_row() {
        column_ = 0;
        check_ = crc32(row_, check_);
        if (rows_ == 0) first_ = row_[0];
        alpha.varies = alpha.varies || std::ranges::any_of(row_, [this](uint8_t value) { return value != first_; });
        if (rows_ >= part_.top && rows_ < part_.bottom)
            std::copy_n(&row_[size_t(part_.left)], part_.width(), &alpha.plane[size_t(rows_ - part_.top) * size_t(part_.width())]);
        rows_++;
    }

    const PixelBox part_;
    std::vector<uint8_t> row_;
    size_t column_ = 0;
    int rows_ = 0;
    uint32_t check_ = 0;
    uint8_t first_ = 0;
};

}  // namespace

Alpha parse_alpha(Bytes section, bool is_cut, int width, int height, const PixelBox& part) {
    PlaneWriter writer(width, part);
    if (!is_cut && section.size() < CRC32_BYTES) throw Error(Fault::CORRUPT, "the alpha section has no checksum: the data is damaged");
    const Bytes deflated = is_cut ? section : section.first(section.size() - CRC32_BYTES);
    const Inflated end = inflate(deflated, uint64_t(width) * uint64_t(height), [&](Bytes piece) { writer.write(piece); });
    if (!end.is_sound) throw Error(Fault::CORRUPT, "the alpha section does not inflate: the data is damaged");
    if (is_cut) return std::move(writer.alpha);
    if (!end.ended || writer.rows() != height)
        throw Error(Fault::CORRUPT, "the alpha section does not hold as many pixels as the image: the data is damaged");
    ByteReader check(section.last(CRC32_BYTES), "the alpha section");
    if (!holds(writer.check(), uint32_t(check.integer(CRC32_BYTES))))
        throw Error(Fault::CHECKSUM, "the alpha section decodes to other pixels than were encoded: the data is damaged");
    writer.alpha.is_whole = true;
    return std::move(writer.alpha);
}

std::vector<uint8_t> head_of_alpha(const Header& header, uint8_t first) {
    const bool repeats = first & CODED_ALPHA_REPEATS, is_square = header.width == header.height;
    if (first != (CODED_ALPHA | (repeats ? CODED_ALPHA_REPEATS : 0)))
        throw Error(Fault::CORRUPT, "the alpha section has an unknown coding: the data is damaged, or a newer ddpmcodec is needed");
    std::vector<uint8_t> head(std::begin(MAGIC), std::end(MAGIC));
    head.push_back(uint8_t(VERSION << VERSION_SHIFT | (is_square ? SQUARE_FLAG : 0) | (header.is_tiled ? TILED_FLAG : 0) | int(Mode::L)));
    head.push_back(uint8_t(header.effort << EFFORT_SHIFT | (repeats ? REPEATS_FLAG : 0)));
    head.push_back(uint8_t(header.model_number));
    if (!header.model_number) head.insert(head.end(), header.model_id.begin(), header.model_id.end());
    write_varint(head, uint64_t(header.width));
    if (!is_square) write_varint(head, uint64_t(header.height));
    if (header.is_tiled) write_varint(head, uint64_t(header.tile_width)), write_varint(head, uint64_t(header.tile_height));
    return head;
}

Metadata parse_metadata(Bytes section) {
    ByteReader reader(section, "the metadata section");
    if (reader.left() < CRC32_BYTES || !holds(crc32(section.subspan(CRC32_BYTES)), uint32_t(reader.integer(CRC32_BYTES))))
        throw Error(Fault::CHECKSUM, "the metadata section is damaged: its checksum does not match");
    const std::vector<uint8_t> entries = inflated(section.subspan(CRC32_BYTES), MAX_METADATA, "the metadata section");
    ByteReader entry(entries, "the metadata");
    Metadata metadata;
    try {
        while (!entry.at_end()) {
            const int kind = entry.byte() - 1;
            if (kind < 0 || kind >= METADATA_KINDS || !metadata[size_t(kind)].empty())
                throw Error(Fault::FORMAT, "unknown or repeated kind of metadata " + std::to_string(kind + 1) + ": a newer ddpmcodec is needed");
            const Bytes value = entry.take(size_t(entry.varint()));
            metadata[size_t(kind)].assign(value.begin(), value.end());
        }
    } catch (const Error& error) {
        if (error.fault == Fault::TRUNCATED) throw Error(Fault::FORMAT, std::string("the metadata contradict themselves (") + error.what() + ")");
        throw;
    }
    return metadata;
}

namespace {

bool is_ending(const std::string& text) {
    return text.size() <= MAX_ENDING && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

std::string text_of(ByteReader& reader) {
    const uint64_t length = reader.varint();
    if (length > MAX_WORDS) throw Error(Fault::FORMAT, "a kept file claims a text of " + std::to_string(length) + " bytes: the data is damaged");
    const Bytes bytes = reader.take(size_t(length));
    const std::string text(bytes.begin(), bytes.end());
    if (!is_utf8(text)) throw Error(Fault::FORMAT, "a kept file has a text that is not UTF-8: the data is damaged");
    return text;
}

KeptFile facts_of_kept(ByteReader& reader) {
    KeptFile kept;
    kept.width = reader.varint(), kept.height = reader.varint();
    kept.format = text_of(reader), kept.ending = text_of(reader), kept.reason = text_of(reader);
    if (!is_ending(kept.ending)) throw Error(Fault::FORMAT, "a kept file has an ending that no name has: the data is damaged");
    kept.length = reader.varint();
    kept.is_deflated = kept.length & 1;
    if ((kept.length >>= 1) > MAX_KEPT) throw Error(Fault::FORMAT, "a kept file claims " + std::to_string(kept.length) + " bytes (at most " + std::to_string(MAX_KEPT) + " are possible)");
    return kept;
}

KeptFile unpacked_kept(ByteReader& reader) {
    KeptFile kept = facts_of_kept(reader);
    const Bytes rest = reader.take(reader.left());
    kept.file = kept.is_deflated ? inflated(rest, kept.length, "the kept file") : std::vector<uint8_t>(rest.begin(), rest.end());
    if (kept.file.size() != kept.length) throw Error(Fault::CORRUPT, "a kept file has another length than it claims: the data is damaged");
    return kept;
}

}  // namespace

KeptFile parse_kept(Bytes section, bool with_file) {
    ByteReader reader(section, "the kept file");
    try {
        const uint32_t check = uint32_t(reader.integer(CRC32_BYTES));
        if (with_file && !holds(crc32(section.subspan(CRC32_BYTES)), check))
            throw Error(Fault::CHECKSUM, "the file that is kept whole is damaged: its checksum does not match; get the file again");
        return with_file ? unpacked_kept(reader) : facts_of_kept(reader);
    } catch (const Error& error) {
        if (error.fault != Fault::TRUNCATED || !with_file) throw;
        throw Error(Fault::FORMAT, std::string("the facts of a kept file contradict themselves (") + error.what() + ")");
    }
}

std::vector<ByteRange> parse_low_bits_index(Bytes section, uint64_t length, int tiles) {
    ByteReader reader(section, "the index of low bits");
    std::vector<uint64_t> lengths;
    for (int tile = 0; tile < tiles; tile++) lengths.push_back(reader.varint());
    const uint16_t check = crc16(reader.since(0));
    if (!holds(check, uint32_t(reader.integer(CRC16_BYTES)))) throw Error(Fault::CHECKSUM, "the index of low bits is damaged: its checksum does not match");
    std::vector<ByteRange> streams;
    uint64_t begin = reader.position();
    for (const uint64_t bytes : lengths) streams.push_back({begin, begin + bytes}), begin += bytes;
    if (begin != length) throw Error(Fault::CORRUPT, "the index of low bits does not fill its section: the data is damaged");
    return streams;
}

}  // namespace ddpm
