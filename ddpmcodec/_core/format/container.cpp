#include "container.h"

#include "checksums.h"

namespace ddpm {

namespace {

constexpr size_t FIRST_BYTES = 1 << 12;  // that are read for a header; a large index needs more

Header header_of(const Source& source) {
    for (uint64_t size = FIRST_BYTES;; size *= 4) {
        const std::vector<uint8_t> start = source.bytes(0, size);
        try {
            return parse_header(start);
        } catch (const Error& error) {
            if (error.fault != Fault::TRUNCATED || size >= source.size()) throw;
        }
    }
}

}  // namespace

Container::Container(const Source& source) : source_(source), header_(header_of(source)) {
    uint64_t begin = header_.payload().begin;
    for (const Chunk& chunk : header_.chunks) chunk_begins_.push_back(begin), begin += chunk.length;
    if (!header_.is_tiled) chunk_begins_.push_back(begin), begin += header_.payload_length;
    chunk_begins_.push_back(begin);
}

void Container::update(bool is_last) {
    is_last_ = is_last_ || is_last;
    const uint64_t all = source_.size();
    if (is_lossy_ || all < available_) return;
    available_ = all;
    if (all < header_.end() && all >= header_.size + MARK_BYTES && ends_in_mark(all)) available_ -= MARK_BYTES, is_lossy_ = true;
}

// Other data ends in what looks like a mark one time in 65,536: only then is the checksum of all bytes worth its time.
bool Container::ends_in_mark(uint64_t size) const {
    constexpr uint64_t PIECE = 1 << 20;
    const std::vector<uint8_t> end = source_.bytes(size - MARK_BYTES, size);
    if (!std::equal(std::begin(END_MARK), std::end(END_MARK), end.begin())) return false;
    uint32_t check = 0;
    for (uint64_t at = 0; at < size - MARK_BYTES; at += PIECE) check = crc32(source_.bytes(at, std::min(at + PIECE, size - MARK_BYTES)), check);
    ByteReader reader(Bytes(end).subspan(std::size(END_MARK)), "the end mark");
    return holds(check, uint32_t(reader.integer(CRC32_BYTES)));
}

Container::ChunkBytes Container::read_chunk(int number) const {
    const ByteRange range = chunk(number);
    std::vector<uint8_t> data = bytes(range);
    if (!has(range)) return {ChunkState::CUT, std::move(data)};
    const bool is_sound = !header_.is_tiled || holds(crc16(data), header_.chunks[size_t(number)].check);
    return {is_sound ? ChunkState::WHOLE : ChunkState::DAMAGED, std::move(data)};
}

Container::Whole Container::whole_segments(int tile, int most) const {
    for (int segment = 0; segment < most; segment++)
        if (const ChunkState state = read_chunk(chunk_of(tile, segment)).state; state != ChunkState::WHOLE) return {segment, state};
    return {most, ChunkState::WHOLE};
}

void Container::require_length() const {
    if (missing())
        throw Error(Fault::TRUNCATED, "the file ends after " + std::to_string(size()) + " of " + std::to_string(header_.end()) + " bytes, inside " + last_part() +
                                          ": get the rest, or decode a preview with partial=True");
}

void Container::require_undamaged(const std::vector<int>& tiles) const {
    int damaged = 0, first = -1;
    for (const int tile : header_.is_tiled ? tiles : std::vector<int>()) {
        const Whole whole = whole_segments(tile, header_.segments());
        if (whole.next == ChunkState::DAMAGED && !damaged++) first = chunk_of(tile, whole.segments);
    }
    if (damaged)
        throw Error(Fault::CHECKSUM, std::to_string(damaged) + " of " + std::to_string(tiles.size()) + " tiles are damaged, the first in " +
                                         chunk_name(first) + ": its checksum does not match; get the file again");
}

std::string Container::last_part() const {
    if (size() < header_.payload().begin) return "the alpha section";
    for (int number = 0; number < chunk_count(); number++)
        if (!has(chunk(number))) return chunk_name(number);
    const auto kept = header_.section(KEPT);
    return kept && size() >= kept->begin ? "the file that is kept whole" : "the metadata section";
}

std::string Container::chunk_name(int number) const {
    if (!header_.is_tiled) return "the pixel stream";
    const PixelBox box = header_.tile(number % header_.tile_count());
    return "segment " + std::to_string(number / header_.tile_count() + 1) + " of " + std::to_string(header_.segments()) + " of the tile at columns " +
           std::to_string(box.left) + " to " + std::to_string(box.right - 1) + ", rows " + std::to_string(box.top) + " to " + std::to_string(box.bottom - 1);
}

}  // namespace ddpm
