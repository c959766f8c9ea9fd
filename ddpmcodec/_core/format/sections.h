// What no model codes: the alpha plane, metadata (ICC profile, EXIF, XMP, chunks of a PNG), and files that are kept whole.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "header.h"

namespace ddpm {

inline constexpr uint8_t OPAQUE = 255;

// An alpha plane, or a part of it, as far as its section holds it: opaque in the rows that are missing.
struct Alpha {
    std::vector<uint8_t> plane;  // [part height, part width]
    bool varies = false;         // the rows of the whole plane that were read have several values
    bool is_whole = false;       // all rows were read, and their checksum matches
};

// Of a deflated plane. part: of the plane (width, height) that is kept. Throws Error: CORRUPT or CHECKSUM where a whole section is damaged, CORRUPT
// where a section that is cut holds bytes that no deflate stream has.
Alpha parse_alpha(Bytes section, bool is_cut, int width, int height, const PixelBox& part);

// Bits of the first byte of an alpha section: a coded plane has the first two, which no deflate stream begins with.
inline constexpr uint8_t CODED_ALPHA = 6, CODED_ALPHA_REPEATS = 8;

inline bool is_coded_alpha(Bytes section) { return !section.empty() && (section[0] & CODED_ALPHA) == CODED_ALPHA; }

// The beginning of a file of grey levels, which the rest of a section with this first byte completes. Throws Error (CORRUPT) for a byte that
// no encoder writes.
std::vector<uint8_t> head_of_alpha(const Header& header, uint8_t first);

enum MetadataKind { ICC_PROFILE, EXIF, XMP, PNG, METADATA_KINDS };  // PNG: ddpmcodec/formats/png.py specifies it

using Metadata = std::array<std::vector<uint8_t>, METADATA_KINDS>;  // empty where there is none

// Throws Error: CHECKSUM, CORRUPT or FORMAT.
Metadata parse_metadata(Bytes section);

// Bytes of the texts of a kept file, and of all of its facts.
inline constexpr uint64_t MAX_WORDS = 255, MAX_ENDING = 16, MAX_KEPT_FACTS = CRC32_BYTES + 6 * MAX_VARINT_BYTES + 3 * MAX_WORDS;

// A file that is kept whole, as its pixels are not coded: the image is a preview of it.
struct KeptFile {
    std::string format, ending, reason;  // ending: of its name, without the dot
    uint64_t width = 0, height = 0;      // pixels of its picture; 0: it has none that was read
    uint64_t length = 0;                 // bytes of the file
    bool is_deflated = false;
    std::vector<uint8_t> file;           // empty unless it was wanted
};

// with_file: also check and unpack the file; otherwise the section may end after its facts. Throws Error: TRUNCATED if the facts are cut,
// CHECKSUM, CORRUPT or FORMAT.
KeptFile parse_kept(Bytes section, bool with_file);

// Where the streams of the low bits of all tiles lie in a section, which may be cut after its index. Throws Error: TRUNCATED if the index is
// cut, otherwise CHECKSUM, CORRUPT or FORMAT. length: of the section.
std::vector<ByteRange> parse_low_bits_index(Bytes section, uint64_t length, int tiles);

}  // namespace ddpm
