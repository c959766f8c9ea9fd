#include "archive.h"

#include <algorithm>
#include <map>

#include "block_search.h"
#include "inflate.h"

namespace ddpm {

namespace {

constexpr uint64_t MAGIC_BYTES = std::size(ARCHIVE_MAGIC);
constexpr uint64_t START_BYTES = MAGIC_BYTES + 1;  // magic and version

[[noreturn]] void refuse(const std::string& message) { throw Error(Fault::FORMAT, message); }

// The inflated index, and the header of each block in it.
struct ParsedIndex {
    struct BlockHeader {
        uint64_t length;  // in the block, where it is deflated
        Bytes content;    // before compression
    };

    std::vector<uint8_t> facts;
    std::vector<BlockHeader> headers;
    Index index;
    uint64_t end = 0;  // of header and index
};

void require_magic(Bytes start) {
    if (!std::ranges::equal(start, Bytes(ARCHIVE_MAGIC).first(start.size())))
        refuse("not an archive: it starts with " + hex(start, " ") + ", not " + hex(ARCHIVE_MAGIC, " ") + "; give a .ddpma file");
}

void require_version(Bytes start) {
    if (start.size() == START_BYTES && start.back() != ARCHIVE_VERSION)
        refuse("archive version " + std::to_string(start.back()) + " (this program reads " + std::to_string(ARCHIVE_VERSION) +
               "): a newer ddpmcodec is needed");
}

std::vector<uint8_t> read_index(const Source& source, uint64_t& end) {
    const std::vector<uint8_t> start = source.bytes(0, START_BYTES);
    require_magic(Bytes(start).first(std::min(start.size(), size_t(MAGIC_BYTES))));
    require_version(start);
    const Frame frame = parse_frame(source, 0, START_BYTES);
    if (frame.content_length() > most_deflated(MAX_INDEX)) refuse("the index has " + std::to_string(frame.content_length()) + " bytes: the archive is damaged");
    if (frame.end > source.size())
        throw Error(Fault::TRUNCATED, "the data ends inside the header, after " + std::to_string(source.size()) + " bytes: at least " +
                                          std::to_string(frame.end) + " are needed");
    const std::optional<std::vector<uint8_t>> content = content_of(source, frame);
    if (!content) throw Error(Fault::CHECKSUM, "the index is damaged: its checksum does not match");
    end = frame.end;
    return inflated(*content, MAX_INDEX, "the index");
}

void parse_headers(ParsedIndex& parsed) {
    ByteReader reader(parsed.facts, "the index");
    Totals totals;
    for (uint64_t left = reader.varint(); left > 0; left--) {
        const uint64_t deflated = reader.varint(), length = reader.varint();
        if (length > MAX_BLOCK_HEADER || deflated > most_deflated(MAX_BLOCK_HEADER))
            refuse("the header of a block takes " + std::to_string(std::max(length, deflated)) + " bytes where " + std::to_string(MAX_BLOCK_HEADER) +
                   " are the most: the archive is damaged");
        parsed.headers.push_back({deflated, reader.take(size_t(length))});
        Block block = parse_block(parsed.headers.back().content);
        totals.add(block);  // before a small index has become a large one in memory
        parsed.index.blocks.push_back(std::move(block));
    }
    if (!reader.at_end()) refuse("the index contradicts itself: bytes follow its last block");
}

bool are_names_distinct(const Index& index) {
    std::vector<std::string_view> names;
    for (const Block& block : index.blocks)
        for (const Entry& entry : block.entries) names.push_back(entry.name);
    std::ranges::sort(names);
    return std::ranges::adjacent_find(names) == names.end();
}

// Whether all images are there, each once.
bool is_complete(const Index& index) {
    const std::vector<const Entry*> entries = index.entries();
    for (size_t k = 0; k < entries.size(); k++)
        if (entries[k]->number != k) return false;
    const auto has_all = [&](const Block& block) { return block.total == entries.size(); };
    return std::ranges::all_of(index.blocks, has_all) && are_names_distinct(index);
}

ParsedIndex parse_index(const Source& source) {
    ParsedIndex parsed;
    parsed.facts = read_index(source, parsed.end);
    try {
        parse_headers(parsed);
    } catch (const Error& error) {
        if (error.fault != Fault::TRUNCATED) throw;
        refuse(std::string("the index contradicts itself (") + error.what() + "): the archive is damaged");  // it is all there
    }
    if (!is_complete(parsed.index)) refuse("the index contradicts itself: images are missing, or two have one name or one place");
    return parsed;
}

// --- places of blocks

uint64_t varint_bytes(uint64_t value) { return value < 128 ? 1 : 1 + varint_bytes(value >> 7); }

// Blocks that are not where the index says may be elsewhere: bytes were lost, or came in between.
void find_moved(const Source& source, Archive& archive) {
    const std::vector<FoundBlock> blocks = find_blocks(source);
    std::map<uint32_t, const FoundBlock*> by_first_image;  // no two have an image in common
    for (const FoundBlock& other : blocks) by_first_image[other.block.entries[0].number] = &other;
    for (size_t k = 0; k < archive.places.size(); k++) {
        const Block& block = archive.index.blocks[k];
        const auto other = by_first_image.find(block.entries[0].number);
        const bool has_moved = !archive.places[k].is_intact && other != by_first_image.end() && other->second->block == block;
        if (has_moved) archive.places[k].body = other->second->body;
    }
}

Archive indexed(const Source& source, ParsedIndex parsed) {
    Archive archive;
    archive.size = source.size();
    archive.index = std::move(parsed.index);
    archive.index_bytes = archive.end = parsed.end;
    for (size_t k = 0; k < parsed.headers.size(); k++) {
        const uint64_t length = parsed.headers[k].length, body = archive.end + std::size(BLOCK_MARK) + varint_bytes(length) + CRC32_BYTES + length;
        archive.places.push_back({body, has_header(source, archive.end, body, parsed.headers[k].content)});
        archive.end = body + archive.index.blocks[k].body_length();
    }
    const auto is_intact = [](const BlockPlace& place) { return place.is_intact; };
    if (!std::ranges::all_of(archive.places, is_intact)) find_moved(source, archive);
    return archive;
}

Archive rebuilt(const Source& source, std::vector<FoundBlock> found, const Error& damage) {
    Archive archive;
    archive.size = source.size();
    for (FoundBlock& other : found) {
        archive.places.push_back({other.body, true});
        archive.end = std::max(archive.end, other.body + other.block.body_length());
        archive.index.blocks.push_back(std::move(other.block));
    }
    if (!are_names_distinct(archive.index)) refuse("two images have one name: the archive is damaged");
    const std::vector<uint8_t> magic = source.bytes(0, MAGIC_BYTES);
    if (std::ranges::equal(magic, ARCHIVE_MAGIC))
        archive.damage.emplace(damage);
    else
        archive.damage.emplace(Fault::FORMAT, "the start of the archive is damaged, and with it the index");
    return archive;
}

}  // namespace

uint64_t Index::total() const {
    uint64_t total = 0;
    for (const Block& block : blocks) total = std::max(total, block.total);
    return total;
}

std::vector<const Entry*> Index::entries() const {
    std::vector<const Entry*> entries;
    for (const Block& block : blocks)
        for (const Entry& entry : block.entries) entries.push_back(&entry);
    std::ranges::sort(entries, {}, &Entry::number);
    return entries;
}

Parts Archive::parts(size_t block) const {
    uint64_t position = places[block].body;
    const auto next = [&](uint64_t length) {
        const ByteRange range{std::min(position, size), std::min(position + length, size)};
        position += length;
        return range;
    };
    Parts parts;
    for (const uint64_t length : index.blocks[block].value_lengths) parts.values.push_back(next(length));
    for (const Entry& entry : index.blocks[block].entries) parts.sections.push_back(next(entry.length));
    for (const uint64_t length : index.blocks[block].alpha_lengths()) parts.alphas.push_back(next(length));
    for (const uint64_t length : index.blocks[block].stream_lengths()) parts.streams.push_back(next(length));
    return parts;
}

Archive open_archive(const Source& source) {
    std::optional<ParsedIndex> parsed;
    std::optional<Error> damage;
    try {
        parsed = parse_index(source);
    } catch (const Error& error) {
        damage.emplace(error);
    }
    if (parsed) return indexed(source, std::move(*parsed));
    std::vector<FoundBlock> found = find_blocks(source);
    if (found.empty()) throw Error(*damage);
    return rebuilt(source, std::move(found), *damage);
}

void require_whole(const Archive& archive) {
    if (archive.missing()) throw Error(Fault::TRUNCATED, std::to_string(archive.missing()) + " bytes are missing at its end: get the file again");
    if (archive.damage) throw Error(*archive.damage);
    if (!std::ranges::all_of(archive.places, [](const BlockPlace& place) { return place.is_intact; }))
        refuse("the header of a block is damaged: extract its images, and archive them again");
    if (archive.following())
        refuse(std::to_string(archive.following()) + (archive.following() == 1 ? " byte follows" : " bytes follow") +
               " the end of the archive: keep what precedes it, `head -c " + std::to_string(archive.end) + "`");
}

}  // namespace ddpm
