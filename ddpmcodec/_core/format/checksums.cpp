#include "checksums.h"

#include <cstring>

#include "sha256_blocks.h"

namespace ddpm {

namespace {

constexpr std::array<uint16_t, 256> crc16_table() {
    std::array<uint16_t, 256> table{};
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned value = byte << 8;
        for (int bit = 0; bit < 8; bit++) value = value & 0x8000 ? value << 1 ^ 0x1021 : value << 1;
        table[byte] = uint16_t(value);
    }
    return table;
}

constexpr int SLICES = 8;  // bytes that are taken together: checks of pixels cost little beside decoding

constexpr std::array<std::array<uint32_t, 256>, SLICES> crc32_tables() {
    std::array<std::array<uint32_t, 256>, SLICES> tables{};
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xEDB88320 : value >> 1;
        tables[0][byte] = value;
    }
    for (size_t slice = 1; slice < SLICES; slice++)
        for (size_t byte = 0; byte < 256; byte++) tables[slice][byte] = tables[slice - 1][byte] >> 8 ^ tables[0][tables[slice - 1][byte] & 255];
    return tables;
}

constexpr auto CRC16 = crc16_table();
constexpr auto CRC32 = crc32_tables();

// By the fastest code that this processor runs.
void sha256_blocks(uint32_t (&state)[8], const uint8_t* data, size_t blocks) {
    static const Sha256Blocks chosen = fast_sha256() ? fast_sha256() : plain_sha256;
    chosen(state, data, blocks);
}

}  // namespace

uint16_t crc16(Bytes data, uint16_t first) {
    uint16_t crc = first;
    for (const uint8_t byte : data) crc = uint16_t(crc << 8 ^ CRC16[(crc >> 8) ^ byte]);
    return crc;
}

uint32_t crc32(Bytes data, uint32_t first) {
    uint32_t crc = ~first;
    size_t at = 0;
    for (; at + SLICES <= data.size(); at += SLICES) {
        uint32_t low, high;
        std::memcpy(&low, &data[at], 4);
        std::memcpy(&high, &data[at + 4], 4);
        low ^= crc;
        crc = CRC32[7][low & 255] ^ CRC32[6][low >> 8 & 255] ^ CRC32[5][low >> 16 & 255] ^ CRC32[4][low >> 24] ^ CRC32[3][high & 255] ^
              CRC32[2][high >> 8 & 255] ^ CRC32[1][high >> 16 & 255] ^ CRC32[0][high >> 24];
    }
    for (; at < data.size(); at++) crc = crc >> 8 ^ CRC32[0][(crc ^ data[at]) & 255];
    return ~crc;
}

void Sha256::add(Bytes data) {
    size_ += data.size();
    while (!data.empty()) {
        if (held_ == 0 && data.size() >= sizeof rest_) {
            const size_t blocks = data.size() / sizeof rest_;
            sha256_blocks(state_, data.data(), blocks);
            data = data.subspan(blocks * sizeof rest_);
            continue;
        }
        const size_t count = std::min(sizeof rest_ - held_, data.size());
        std::memcpy(rest_ + held_, data.data(), count);
        data = data.subspan(count);
        if ((held_ += count) == sizeof rest_) sha256_blocks(state_, rest_, 1), held_ = 0;
    }
}

Digest Sha256::digest() {
    const uint64_t bits = 8 * size_;
    const uint8_t one = 0x80, zero = 0;
    add({&one, 1});
    while (held_ != 56) add({&zero, 1});
    uint8_t length[8];
    for (int k = 0; k < 8; k++) length[k] = uint8_t(bits >> (56 - 8 * k));
    add(length);
    Digest found;
    for (size_t k = 0; k < found.size(); k++) found[k] = uint8_t(state_[k / 4] >> (24 - 8 * (k % 4)));
    return found;
}

}  // namespace ddpm
