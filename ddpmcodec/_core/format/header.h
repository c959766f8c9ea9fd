// The header of a .ddpm file, with the index of a tiled one: docs/format.md has the layout. The limits are those of the format, and
// are written here alone.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "bytes.h"

namespace ddpm {

inline constexpr uint8_t MAGIC[] = {0xDD, 0x0A}, ARCHIVE_MAGIC[] = {0xDD, 'A', '\r', '\n'};
inline constexpr int VERSION = 1;
inline constexpr int VERSION_SHIFT = 6, SQUARE_FLAG = 8, TILED_FLAG = 16, SECTIONS_FLAG = 32, MODE_BITS = 7;  // of the third byte of a header
inline constexpr int EFFORT_SHIFT = 4, EFFORT_BITS = 7, REPEATS_FLAG = 128, EXTENDED_FLAG = 8, LEVEL_BITS = 7;  // of the fourth
inline constexpr int REPEATS_UNIT = 8;  // in the effort of a block: its runs are coded by repeats
inline constexpr int DEPTH_SHIFT = 4, KIND_BITS = 15;  // of the fifth, if EXTENDED_FLAG
inline constexpr int SCALING_SHIFT = 4, SOURCE_BITS = 15;  // of the sixth, if EXTENDED_FLAG and pixels
inline constexpr int SAMPLE_BITS = 8;
inline constexpr int MIN_EFFORT = 0, MAX_EFFORT = 3;
inline constexpr int MODEL_ID_BYTES = 4;
// The embedded models, by number from 1 on. Once a version is released its numbers stay, and a model that changes gets a new one.
inline constexpr const char* EMBEDDED_MODELS[] = {"cifar10", "photo", "jpeg"};
inline constexpr int LEAST_STATE_BYTES = 4, MOST_STATE_BYTES = 8;
inline constexpr int STATE_SIZES = MOST_STATE_BYTES - LEAST_STATE_BYTES + 1;
inline constexpr int WORD_BYTES = 4;
inline constexpr int LANES = 4;                            // streams of a tile
inline constexpr int JPEG_SEGMENTS = 9, MOST_JPEG_LEVELS = 3;  // of coefficients: their ranks, and one for each finer level
inline constexpr int CRC16_BYTES = 2, CRC32_BYTES = 4;
inline constexpr int UPRIGHT = 1, MAX_ORIENTATION = 8;     // as EXIF counts orientations
inline constexpr uint64_t MAX_PIXELS = 1u << 28;           // pixels of an image
inline constexpr uint64_t MAX_TILE_PIXELS = 1u << 21;      // pixels of one tile: bounds the memory of a decoder
inline constexpr uint64_t MAX_CHUNKS = 1u << 20;
inline constexpr uint64_t MAX_METADATA = 1u << 24;         // bytes, before and after compression
inline constexpr uint64_t MAX_KEPT = 1u << 30;             // bytes of a file that is kept whole
inline constexpr uint64_t MAX_JPEG_SIDE = 65535;           // pixels

// Colour modes, in the order of their numbers in files.
enum class Mode : uint8_t { L, RGB, LA, RGBA, BILEVEL };
inline constexpr const char* MODE_NAMES[] = {"L", "RGB", "LA", "RGBA", "1"};
inline constexpr int MODES = 5;

constexpr int jpeg_segments(int levels) { return JPEG_SEGMENTS + levels; }

inline int channels_of(Mode mode) { return mode == Mode::RGB || mode == Mode::RGBA ? 3 : 1; }
inline bool has_alpha(Mode mode) { return mode == Mode::LA || mode == Mode::RGBA; }

// Kinds of payloads, in the order of their numbers in files.
enum class Kind : uint8_t { PIXELS, COEFFICIENTS };
inline constexpr const char* KIND_NAMES[] = {"pixels", "coefficients"};
inline constexpr int KINDS = 2;

// How a sample of the image is made of the value that is coded, in the order of their numbers in files.
enum class Scaling : uint8_t {
    NONE,      // the value
    SHIFTED,   // zeros follow its bits
    REPEATED,  // its bits follow once more, as many as fit: 8 bits times 257 are 16
};
inline constexpr const char* SCALING_NAMES[] = {"none", "shifted", "repeated"};
inline constexpr int SCALINGS = 3;

// Types of sections, and the tags that these have.
inline constexpr uint8_t ALPHA = 0x81, METADATA = 0x42, FRAME = 0x83, RECIPE = 0xC4, KEPT = 0xC5, LOW_BITS = 0xC6;

inline constexpr int TYPE_BITS = 63;

struct SectionEntry {
    uint8_t tag;
    uint64_t length;  // bytes

    int type() const { return tag & TYPE_BITS; }
    bool is_after() const { return tag & 64; }  // the payload
    bool is_critical() const { return tag & 128; }
};

// A rectangle of pixels. right and bottom: the first column and row outside.
struct PixelBox {
    int left, top, right, bottom;

    int width() const { return right - left; }
    int height() const { return bottom - top; }
    uint64_t pixels() const { return uint64_t(width()) * uint64_t(height()); }
    bool operator==(const PixelBox&) const = default;
};

struct Chunk {
    uint64_t length;  // bytes
    uint16_t check;   // CRC-16
};

struct Header {
    Mode mode = Mode::L;
    Kind kind = Kind::PIXELS;
    int bits = SAMPLE_BITS;                            // of a coded value
    int source_bits = SAMPLE_BITS;                     // of a sample of the image
    Scaling scaling = Scaling::NONE;
    int width = 0, height = 0;                         // pixels
    int effort = 0, levels = 0;                        // levels: of noise, or of cells that are wider than a JPEG's steps
    bool repeats = false;                              // exact pixels are first sought among repeats (repeats.h)
    int model_number = 0;                              // of an embedded model; 0: `model_id` names it
    std::array<uint8_t, MODEL_ID_BYTES> model_id{};
    int orientation = UPRIGHT;
    std::vector<SectionEntry> sections;
    bool is_tiled = false;                             // the payload is chunks, which an index lists
    int tile_width = 0, tile_height = 0;               // without tiles those of the image
    std::vector<Chunk> chunks;                         // segment after segment
    int state_bytes = LEAST_STATE_BYTES;               // of a single stream
    uint64_t payload_length = 0;                       // bytes
    uint64_t size = 0;                                 // bytes of header and index
    size_t covered = 0;                                // bytes from the first on that the check of a plain stream covers

    int channels() const { return channels_of(mode); }
    int low_bits() const { return bits - SAMPLE_BITS; }  // which follow the high ones
    uint16_t sample_of(int value) const {
        const int more = source_bits - bits, shifted = value << more;
        return uint16_t(scaling == Scaling::NONE ? value : scaling == Scaling::SHIFTED ? shifted : shifted | value >> (bits - more));
    }
    bool has_coefficients() const { return kind == Kind::COEFFICIENTS; }  // of a JPEG file
    // A single stream and nothing besides: the check of the stream covers the header, which has no CRC.
    bool is_plain() const { return kind == Kind::PIXELS && !is_tiled && sections.empty() && orientation == UPRIGHT; }
    int steps() const { return has_coefficients() ? segments() : levels + 1; }  // of coefficients each segment is one
    int segments() const;  // of a tile

    int tile_columns() const { return (width + tile_width - 1) / tile_width; }
    int tile_rows() const { return (height + tile_height - 1) / tile_height; }
    int tile_count() const { return tile_columns() * tile_rows(); }
    PixelBox tile(int number) const;

    // --- where the parts of the file lie

    std::optional<ByteRange> section(uint8_t tag) const;
    ByteRange payload() const;
    uint64_t end() const;  // of the whole file
};

// The header at the beginning of a file, and the index after it. Throws Error: TRUNCATED where the data ends inside of them, otherwise
// FORMAT. A claim allocates nothing: every field is checked as it is read, and the index is parsed once all of it is there.
Header parse_header(Bytes data);

// Throws Error (FORMAT) unless a schedule has so many noise levels.
void require_levels(uint64_t levels);

// Throws Error (FORMAT) unless the beginning may be that of a .ddpm file.
void require_magic(Bytes data);

}  // namespace ddpm
