// Numbers as bytes, as `ByteReader` reads them.
#pragma once
#include <cstdint>
#include <vector>

namespace ddpm {

inline void write_varint(std::vector<uint8_t>& out, uint64_t value) {
    for (; value >= 128; value >>= 7) out.push_back(uint8_t(value | 128));
    out.push_back(uint8_t(value));
}

inline void write_big(std::vector<uint8_t>& out, int value) { out.push_back(uint8_t(value >> 8)), out.push_back(uint8_t(value)); }

}  // namespace ddpm
