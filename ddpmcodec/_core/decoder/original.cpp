#include "original.h"

#include "checksums.h"
#include "recipe.h"

namespace ddpm {

namespace {

// What a reader returns, or nothing if the bytes are cut or damaged.
template <class Read> auto if_sound(Read read) -> std::optional<decltype(read())> {
    try {
        return read();
    } catch (const Error&) {
        return std::nullopt;
    }
}

// The first bytes of a range, as far as they are there.
std::vector<uint8_t> beginning(const Container& container, ByteRange range, uint64_t most) {
    return container.bytes({range.begin, std::min(range.end, range.begin + most)});
}

}  // namespace

// A payload begins with a CRC-32: of a WebP's pixels, or of the JPEG file, whose length follows.
std::vector<uint8_t> unpack_stored(Bytes payload, bool is_jpeg) {
    const char* const inside = is_jpeg ? "the JPEG inside the file " : "the WebP inside the file ";
    ByteReader reader(payload, "the payload");
    uint64_t check = 0, length = 0;
    try {
        check = reader.integer(CRC32_BYTES);
        if (is_jpeg) length = reader.varint();
    } catch (const Error&) {
        throw Error(Fault::CORRUPT, std::string(inside) + "has no beginning: get the file again");
    }
    const Bytes file = reader.take(reader.left());
    if (length > MAX_JPEG_BYTES) throw Error(Fault::CORRUPT, std::string(inside) + "claims " + std::to_string(length) + " bytes (at most " + std::to_string(MAX_JPEG_BYTES) + " are possible)");
    if (is_jpeg && (file.size() != length || !holds(crc32(file), uint32_t(check)))) throw Error(Fault::CHECKSUM, std::string(inside) + "is not the one that was encoded; get the file again");
    return {file.begin(), file.end()};
}

std::optional<uint64_t> jpeg_length(const Container& container) {
    const Header& header = container.header();
    if (!header.is_jpeg()) return std::nullopt;
    const ByteRange range = header.has_coefficients() ? header.section(RECIPE).value_or(ByteRange{}) : header.payload();
    const std::vector<uint8_t> bytes = beginning(container, range, CRC32_BYTES + MAX_VARINT_BYTES);
    return if_sound([&] {
        ByteReader reader(bytes, "the length of the JPEG file");
        if (header.has_coefficients()) return reader.varint() >> 1;  // the last bit tells whether the recipe is deflated
        reader.take(CRC32_BYTES);
        return reader.varint();
    });
}

std::optional<KeptFile> kept_facts(const Container& container) {
    const auto section = container.header().section(KEPT);
    if (!section) return std::nullopt;
    const std::vector<uint8_t> bytes = beginning(container, *section, MAX_KEPT_FACTS);
    return if_sound([&] { return parse_kept(bytes, false); });
}

}  // namespace ddpm
