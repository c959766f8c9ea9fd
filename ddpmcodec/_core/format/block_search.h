// How a block of an archive begins, and the search for blocks if the index cannot tell where they are.
#pragma once
#include <optional>
#include <vector>

#include "block.h"
#include "source.h"

namespace ddpm {

inline constexpr uint8_t BLOCK_MARK[] = {0xDD, 'B', '\r', '\n'};
inline constexpr uint64_t MAX_INDEX = 1 << 27;    // bytes of all headers of an archive, before compression
inline constexpr uint64_t MAX_LETTERS = 1 << 26;  // letters of all names
inline constexpr uint64_t MAX_NUMBERS = 1 << 22;  // latent levels and lengths of values of all blocks
inline constexpr uint64_t SEARCHED = 8;           // times the data: what a search for blocks reads, at most

// Bytes of a deflate stream of so many bytes, at most: deflate can only grow data by far less than that.
constexpr uint64_t most_deflated(uint64_t bytes) { return bytes + bytes / 256 + 1024; }

// Sums over the headers of an archive, whether its index lists them or a search finds them. A few deflated bytes may describe many images,
// and repeat a long name in each: one header too many is refused before it is kept.
class Totals {
  public:
    // Bytes of a header, before compression. Throws Error (FORMAT), as `add` does.
    void add_bytes(uint64_t count);
    void add(const Block& block);

  private:
    uint64_t bytes_ = 0, images_ = 0, letters_ = 0, numbers_ = 0;
};

// Deflated content under a checksum: `start_bytes` bytes, a varint (its length), CRC-32 of all of them and the content, the content.
struct Frame {
    uint64_t begin, content, end;  // positions
    uint32_t check;                // what the CRC-32 is to be

    uint64_t content_length() const { return end - content; }
};

// A frame that begins there. Throws Error: TRUNCATED, FORMAT. The content need not be there.
Frame parse_frame(const Source& source, uint64_t begin, uint64_t start_bytes);

// The content of a frame. none: its checksum does not match.
std::optional<std::vector<uint8_t>> content_of(const Source& source, const Frame& frame);

// Whether a block with this header, as it is before compression, begins there, and its body at `body`.
bool has_header(const Source& source, uint64_t begin, uint64_t body, Bytes header);

// A block whose header is undamaged.
struct FoundBlock {
    Block block;
    uint64_t body;  // position
};

// All blocks whose headers are undamaged, anywhere; of those with the same images the first. Throws Error (FORMAT) if all headers
// together, also those that are not kept, have more than an index may have.
std::vector<FoundBlock> find_blocks(const Source& source);

}  // namespace ddpm
