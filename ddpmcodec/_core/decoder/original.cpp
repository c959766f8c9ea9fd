#include "original.h"

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

std::optional<uint64_t> jpeg_length(const Container& container) {
    const auto recipe = container.header().section(RECIPE);
    if (!recipe) return std::nullopt;
    const std::vector<uint8_t> bytes = beginning(container, *recipe, MAX_VARINT_BYTES);
    return if_sound([&] { return ByteReader(bytes, "the length of the JPEG file").varint() >> 1; });  // the last bit tells whether the recipe is deflated
}

std::optional<KeptFile> kept_facts(const Container& container) {
    const auto section = container.header().section(KEPT);
    if (!section) return std::nullopt;
    const std::vector<uint8_t> bytes = beginning(container, *section, MAX_KEPT_FACTS);
    return if_sound([&] { return parse_kept(bytes, false); });
}

}  // namespace ddpm
