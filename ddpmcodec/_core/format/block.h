// Blocks of a .ddpma archive: images, runs, how they are coded. docs/format.md has the bytes of their headers. The limits of a block are
// written here alone.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "bytes.h"
#include "header.h"

namespace ddpm {

inline constexpr uint64_t MAX_IMAGES = 1 << 20;          // images of an archive
inline constexpr uint64_t MAX_BLOCK_IMAGES = 512;
inline constexpr uint64_t MAX_BLOCK_VALUES = 2 * MAX_BLOCK_IMAGES;
inline constexpr uint64_t MAX_STACKED_PIXELS = 1 << 16;  // pixels of an image that a block codes itself
inline constexpr uint64_t MAX_RUN_PIXELS = 1 << 17;      // pixels of all images of a run: bounds the memory of a decoder
inline constexpr uint64_t MAX_LATENT_LEVELS = 4096;
inline constexpr int64_t MAX_LATENT_LEVEL = 1 << 26;     // in 1/1024 grey level
inline constexpr uint64_t MAX_NAME = 4096;               // bytes of UTF-8
inline constexpr uint64_t MAX_PROFILE = 4096;            // bytes of JSON
inline constexpr uint64_t MAX_MODEL_NUMBER = 255;
inline constexpr uint64_t MAX_BLOCK_HEADER = 1 << 22;            // bytes of a header, before compression

using ShortId = std::array<uint8_t, MODEL_ID_BYTES>;

enum class BlockKind : uint8_t { FILES, CONTEXT, BITS_BACK };
inline constexpr int BLOCK_KINDS = 3;

// One image. icc, exif: positions of its ICC profile, and of its EXIF and XMP, in the values of its block, from 1; 0: it has none.
struct Entry {
    std::string name;     // UTF-8; no path that is safe to write to
    Mode mode = Mode::L;
    uint32_t width = 0, height = 0;
    uint32_t number = 0;  // position in the archive
    uint64_t length = 0;  // bytes of its file, or of its alpha section; 0: by the context model, its run codes its alpha
    uint16_t icc = 0, exif = 0;

    int channels() const { return channels_of(mode); }
    uint64_t pixels() const { return uint64_t(width) * height; }
    bool is_alpha_in_run() const { return has_alpha(mode) && !length; }  // in a block by the context model
    bool operator==(const Entry&) const = default;
};

// Images of one size that were coded at once.
struct Run {
    uint16_t images = 0;
    bool initial = false;                 // by bits back: the context model coded its image as initial bits
    uint8_t state_bytes = LEAST_STATE_BYTES;
    uint32_t check = 0;                   // by bits back: CRC-32 of the pixels
    uint64_t words = 0;                   // by the context model: of its stream
    uint16_t alpha_images = 0;            // by the context model: whose alpha planes share one more stream
    uint8_t alpha_state_bytes = LEAST_STATE_BYTES;
    uint64_t alpha_words = 0;

    // Bytes of the streams.
    uint64_t length() const { return state_bytes + WORD_BYTES * words; }
    uint64_t alpha_length() const { return alpha_images ? alpha_state_bytes + WORD_BYTES * alpha_words : 0; }
    bool operator==(const Run&) const = default;
};

// How the images of a block are coded: by the context model, or, if there are latent levels, by bits back.
struct BlockCoding {
    int effort = 1, levels = 0, model_number = 0;  // of the context model, as in a header; it also codes the initial bits
    ShortId model_id{};                            // if the number is 0
    std::vector<int32_t> latent_levels;            // noise levels of the latents, in 1/1024 grey level
    ShortId latent_id{};                           // of the Gaussian model
    std::string profile;                           // of such a model that is not exact: a JSON object of integers and strings; or empty
    bool repeats = false, alpha_repeats = false;   // kind 1 may first seek exact pixels, or alpha, among repeats

    bool operator==(const BlockCoding&) const = default;
};

struct Block {
    std::vector<Entry> entries;
    uint64_t total = 0;                 // images of the whole archive
    std::optional<BlockCoding> coding;  // none: the images are whole .ddpm files
    std::vector<Run> runs;
    std::vector<uint64_t> value_lengths;
    uint64_t words = 0;                 // of the stack of a block by bits back

    BlockKind kind() const;
    // Bytes of the stream of each run, or of the stack.
    std::vector<uint64_t> stream_lengths() const;
    // Bytes of the alpha stream of each run; 0: it has none.
    std::vector<uint64_t> alpha_lengths() const;
    uint64_t body_length() const;
    bool operator==(const Block&) const = default;
};

// A block by its header, before compression. Throws Error (FORMAT) for a header that contradicts itself, and for a block that would take more
// memory to decode than an archive may ask for. A claim allocates nothing: every number of a header takes a byte of it.
Block parse_block(Bytes header);

}  // namespace ddpm
