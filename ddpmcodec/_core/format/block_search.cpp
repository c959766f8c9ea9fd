#include "block_search.h"

#include <algorithm>

#include "checksums.h"
#include "inflate.h"
#include "text.h"

namespace ddpm {

namespace {

constexpr size_t MARK_BYTES = std::size(BLOCK_MARK);
constexpr uint64_t PIECE = 1 << 20;  // bytes that are read at a time to find marks

std::string number(uint64_t value) { return std::to_string(value); }

// Finds marks from the first to the last. No byte of the source is read more often than it must be.
class MarkSearch {
  public:
    explicit MarkSearch(const Source& source) : source_(source) {}

    // The next mark at or after a position, which does not decrease.
    std::optional<uint64_t> next(uint64_t from) {
        while (from + MARK_BYTES <= source_.size()) {
            if (from < begin_ || from + MARK_BYTES > begin_ + piece_.size()) piece_ = source_.bytes(from, from + PIECE), begin_ = from;
            const auto found = std::search(piece_.begin() + ptrdiff_t(from - begin_), piece_.end(), std::begin(BLOCK_MARK), std::end(BLOCK_MARK));
            if (found != piece_.end()) return begin_ + uint64_t(found - piece_.begin());
            from = begin_ + piece_.size() - (MARK_BYTES - 1);  // a mark may lie across the end of the piece
        }
        return std::nullopt;
    }

  private:
    const Source& source_;
    uint64_t begin_ = 0;
    std::vector<uint8_t> piece_;
};

// The frame of a block that begins there, all of which is in the data; none if there is no such frame, or it is damaged.
std::optional<Frame> frame_at(const Source& source, uint64_t begin) {
    try {
        const Frame frame = parse_frame(source, begin, MARK_BYTES);
        const bool is_possible = frame.content_length() <= most_deflated(MAX_BLOCK_HEADER) && frame.end <= source.size();
        return is_possible ? std::optional(frame) : std::nullopt;
    } catch (const Error&) {
        return std::nullopt;
    }
}

// The block of a frame, counted in the totals; none if it is damaged. Throws Error (FORMAT) if it is one too many.
std::optional<Block> block_of(const Source& source, const Frame& frame, Totals& totals) {
    const std::optional<std::vector<uint8_t>> content = content_of(source, frame);
    if (!content) return std::nullopt;
    std::vector<uint8_t> header;
    const Inflated end = inflate(*content, MAX_BLOCK_HEADER, [&](Bytes piece) { header.insert(header.end(), piece.begin(), piece.end()); });
    totals.add_bytes(end.size);  // also of one that is forged: its checksum holds
    if (!end.ended) return std::nullopt;
    std::optional<Block> block;
    try {
        block = parse_block(header);
    } catch (const Error&) {
        return std::nullopt;
    }
    totals.add(*block);
    return block;
}

// Which images a search has found.
class SeenImages {
  public:
    // Whether none of a block's images was found before; then they are from now on.
    bool add(const Block& block) {
        const bool is_new = std::ranges::none_of(block.entries, [this](const Entry& entry) { return seen_[entry.number]; });
        if (is_new)
            for (const Entry& entry : block.entries) seen_[entry.number] = true;
        return is_new;
    }

  private:
    std::vector<bool> seen_ = std::vector<bool>(MAX_IMAGES);
};

}  // namespace

void Totals::add_bytes(uint64_t count) {
    bytes_ += count;
    if (bytes_ > MAX_INDEX) throw Error(Fault::FORMAT, "the headers of the blocks have more than " + number(MAX_INDEX) + " bytes: make several archives");
}

void Totals::add(const Block& block) {
    images_ += block.entries.size();
    for (const Entry& entry : block.entries) letters_ += letters_of(entry.name);
    if (images_ > MAX_IMAGES || letters_ > MAX_LETTERS)
        throw Error(Fault::FORMAT, "the blocks have more than " + number(MAX_IMAGES) + " images, or names of over " + number(MAX_LETTERS) +
                                       " letters: make several archives");
    numbers_ += block.value_lengths.size() + (block.coding ? block.coding->latent_levels.size() : 0);
    if (numbers_ > MAX_NUMBERS)
        throw Error(Fault::FORMAT, "the blocks have more than " + number(MAX_NUMBERS) + " noise levels and lengths of metadata: make several archives");
}

Frame parse_frame(const Source& source, uint64_t begin, uint64_t start_bytes) {
    const std::vector<uint8_t> bytes = source.bytes(begin, begin + start_bytes + MAX_VARINT_BYTES + CRC32_BYTES);
    ByteReader reader(bytes, "the header");
    reader.take(size_t(start_bytes));
    const uint64_t length = reader.varint();
    const uint32_t check = uint32_t(reader.integer(CRC32_BYTES));
    const uint64_t content = begin + reader.position();
    return {begin, content, content + length, check};
}

std::optional<std::vector<uint8_t>> content_of(const Source& source, const Frame& frame) {
    std::vector<uint8_t> content = source.bytes(frame.content, frame.end);
    const std::vector<uint8_t> start = source.bytes(frame.begin, frame.content - CRC32_BYTES);
    if (content.size() < frame.content_length() || !holds(crc32(content, crc32(start)), frame.check)) return std::nullopt;
    return content;
}

bool has_header(const Source& source, uint64_t begin, uint64_t body, Bytes header) {
    const std::optional<Frame> frame = frame_at(source, begin);
    if (!frame || frame->end != body || !std::ranges::equal(source.bytes(begin, begin + MARK_BYTES), BLOCK_MARK)) return false;
    const std::optional<std::vector<uint8_t>> content = content_of(source, *frame);
    if (!content) return false;
    size_t same = 0;
    bool is_same = true;
    const Inflated end = inflate(*content, header.size(), [&](Bytes piece) {
        is_same = is_same && std::ranges::equal(piece, header.subspan(same, piece.size()));
        same += piece.size();
    });
    return is_same && end.ended && end.size == header.size();
}

std::vector<FoundBlock> find_blocks(const Source& source) {
    std::vector<FoundBlock> found;
    Totals totals;
    SeenImages seen;
    MarkSearch search(source);
    uint64_t read = 0;
    for (std::optional<uint64_t> mark = search.next(0); mark && read / SEARCHED <= source.size();) {
        const std::optional<Frame> frame = frame_at(source, *mark);
        if (frame) read += frame->content_length();  // also if it is damaged: data that is all marks claims the same bytes again and again
        std::optional<Block> block = frame ? block_of(source, *frame, totals) : std::nullopt;
        const uint64_t next = block ? frame->end : *mark + 1;
        if (block && seen.add(*block)) found.push_back({std::move(*block), frame->end});
        mark = search.next(next);
    }
    return found;
}

}  // namespace ddpm
