// A .ddpm file, or as much of one as there is, cut into its parts.
#pragma once
#include <optional>
#include <string>

#include "header.h"
#include "source.h"

namespace ddpm {

inline constexpr uint8_t END_MARK[] = {0xDD, 'E'};  // begins the mark at the end of a file that was cut on purpose
inline constexpr int MARK_BYTES = 2 + CRC32_BYTES;  // bytes of that mark

enum class ChunkState { WHOLE, CUT, DAMAGED };

class Container {
  public:
    // source: outlives the container. Throws Error as `parse_header` does.
    explicit Container(const Source& source);

    const Header& header() const { return header_; }

    // Looks at what the source has now. is_last: nothing will follow.
    void update(bool is_last);

    // Whether nothing that follows would change what the file shows.
    bool is_final() const { return is_last_ || is_lossy_ || available_ >= header_.end(); }
    bool is_lossy() const { return is_lossy_; }
    uint64_t size() const { return std::min(available_, header_.end()); }  // bytes of the file that are there, without a mark
    uint64_t missing() const { return header_.end() - size(); }
    uint64_t following() const { return available_ - size(); }  // bytes after the end

    // The bytes of a range, or as many of them as there are.
    std::vector<uint8_t> bytes(ByteRange range) const { return source_.bytes(range.begin, std::min(range.end, size())); }
    bool has(ByteRange range) const { return range.end <= size(); }

    // --- chunks of a tiled file. A file of one stream has one, its payload.

    int chunk_count() const { return header_.is_tiled ? int(header_.chunks.size()) : 1; }
    ByteRange chunk(int number) const { return {chunk_begins_[size_t(number)], chunk_begins_[size_t(number) + 1]}; }
    int chunk_of(int tile, int segment) const { return segment * header_.tile_count() + tile; }

    // A chunk, as far as it is there. A payload without an index has no checksum: its stream has one.
    struct ChunkBytes {
        ChunkState state;
        std::vector<uint8_t> bytes;
    };
    ChunkBytes read_chunk(int number) const;

    // How many segments of a tile are whole, up to `most`, and what the next one is.
    struct Whole {
        int segments;
        ChunkState next;
    };
    Whole whole_segments(int tile, int most) const;

    // Where the first segments of all tiles end; of a single stream, whose segments only decoding finds, where it begins.
    uint64_t end_of_segment(int segments) const { return chunk_begins_[header_.is_tiled ? size_t(segments) * size_t(header_.tile_count()) : 0]; }

    // Throws Error (TRUNCATED) if bytes are missing.
    void require_length() const;
    // Throws Error (CHECKSUM) if a chunk of these tiles is there and damaged. A single stream has a check of its own.
    void require_undamaged(const std::vector<int>& tiles) const;
    void require_whole(const std::vector<int>& tiles) const { require_length(), require_undamaged(tiles); }
    // The name of a chunk in messages.
    std::string chunk_name(int number) const;

  private:
    bool ends_in_mark(uint64_t size) const;
    std::string last_part() const;

    const Source& source_;
    const Header header_;
    std::vector<uint64_t> chunk_begins_;  // and the end of the last one
    uint64_t available_ = 0;
    bool is_last_ = false, is_lossy_ = false;
};

}  // namespace ddpm
