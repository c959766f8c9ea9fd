// Reads archives, .ddpma: docs/format.md has the layout. A damaged index is rebuilt from the headers of the blocks.
#pragma once
#include <optional>
#include <vector>

#include "block.h"
#include "header.h"
#include "source.h"

namespace ddpm {

inline constexpr int ARCHIVE_VERSION = 1;

// All that an archive says of itself: the headers of its blocks.
struct Index {
    std::vector<Block> blocks;

    // Images that the archive had when it was made.
    uint64_t total() const;
    // All images, in the order in which they were given.
    std::vector<const Entry*> entries() const;
};

struct BlockPlace {
    uint64_t body;   // position
    bool is_intact;  // its header is where the index says, and says the same
};

// Where the parts of the body of a block are. In a prefix of an archive, parts are short or empty.
struct Parts {
    std::vector<ByteRange> values;
    std::vector<ByteRange> sections;  // each image has a file or an alpha section
    std::vector<ByteRange> alphas;    // each run has a stream of alpha planes, which may be empty
    std::vector<ByteRange> streams;   // each run has a stream of colours; by bits back there is one stack
};

struct Archive {
    Index index;
    std::vector<BlockPlace> places;   // of the blocks
    uint64_t size = 0, end = 0;       // bytes of the data, and what they are to be
    uint64_t index_bytes = 0;         // bytes of header and index; 0 if they are damaged
    std::optional<Error> damage;      // what is wrong with the index, if it was rebuilt

    uint64_t missing() const { return end > size ? end - size : 0; }
    uint64_t following() const { return size > end ? size - end : 0; }
    Parts parts(size_t block) const;
};

// Reads the index of an archive, or of a prefix of one, and finds its blocks. Missing bytes, and those that follow the end, are counted,
// not refused. Throws Error: TRUNCATED if the data ends inside the index; FORMAT, CHECKSUM or CORRUPT if it is no archive of this
// version, its index contradicts itself, or it is damaged and no block is found.
Archive open_archive(const Source& source);

// Throws Error unless an archive is complete, and nothing is damaged that shows without decoding.
void require_whole(const Archive& archive);

}  // namespace ddpm
