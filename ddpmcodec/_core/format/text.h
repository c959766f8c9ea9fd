// UTF-8, as names and JSON have it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>

namespace ddpm {

// Bytes of a character that begins with this one; 0: none does. Longer ones than UTF-8 has are left out.
inline size_t utf8_length(uint8_t first) {
    if (first < 0x80) return 1;
    return first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

inline bool is_surrogate(uint32_t code) { return code >= 0xD800 && code < 0xE000; }

// Whether a text is UTF-8: no halves of surrogate pairs, and each character in its shortest form.
inline bool is_utf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const size_t count = utf8_length(uint8_t(text[at]));
        if (!count || count > text.size() - at) return false;
        uint32_t code = uint8_t(text[at]) & (count == 1 ? 0x7Fu : 0x7Fu >> count);
        for (size_t k = 1; k < count; k++) {
            const uint8_t next = uint8_t(text[at + k]);
            if (next >> 6 != 2) return false;
            code = code << 6 | (next & 63u);
        }
        const uint32_t least = count == 3 ? 0x800 : count == 4 ? 0x10000 : 0;
        if (code < least || code > 0x10FFFF || is_surrogate(code)) return false;
        at += count;
    }
    return true;
}

// Characters of a text that is UTF-8.
inline uint64_t letters_of(std::string_view text) {
    return uint64_t(std::count_if(text.begin(), text.end(), [](char byte) { return uint8_t(byte) >> 6 != 2; }));
}

}  // namespace ddpm
