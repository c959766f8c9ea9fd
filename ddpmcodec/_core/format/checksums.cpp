#include "checksums.h"

#include <bit>
#include <cstring>

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

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

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

void Sha256::block(const uint8_t* data) {
    uint32_t w[64];
    for (int k = 0; k < 16; k++)
        w[k] = uint32_t(data[4 * k]) << 24 | uint32_t(data[4 * k + 1]) << 16 | uint32_t(data[4 * k + 2]) << 8 | data[4 * k + 3];
    for (int k = 16; k < 64; k++) {
        const uint32_t s0 = std::rotr(w[k - 15], 7) ^ std::rotr(w[k - 15], 18) ^ w[k - 15] >> 3;
        const uint32_t s1 = std::rotr(w[k - 2], 17) ^ std::rotr(w[k - 2], 19) ^ w[k - 2] >> 10;
        w[k] = w[k - 16] + s0 + w[k - 7] + s1;
    }
    uint32_t v[8];
    std::memcpy(v, state_, sizeof v);
    // A round moves every value on by one place: here the names of places move instead.
    auto round = [&](int k, int place) {
        const auto at = [&](int n) -> uint32_t& { return v[(n - place) & 7]; };
        const uint32_t s1 = std::rotr(at(4), 6) ^ std::rotr(at(4), 11) ^ std::rotr(at(4), 25);
        const uint32_t first = at(7) + s1 + ((at(4) & at(5)) ^ (~at(4) & at(6))) + ROUNDS[k] + w[k];
        const uint32_t s0 = std::rotr(at(0), 2) ^ std::rotr(at(0), 13) ^ std::rotr(at(0), 22);
        const uint32_t second = s0 + ((at(0) & at(1)) ^ (at(0) & at(2)) ^ (at(1) & at(2)));
        at(3) += first;
        at(7) = first + second;
    };
    for (int k = 0; k < 64; k += 8) {
        round(k, 0), round(k + 1, 1), round(k + 2, 2), round(k + 3, 3);
        round(k + 4, 4), round(k + 5, 5), round(k + 6, 6), round(k + 7, 7);
    }
    for (int k = 0; k < 8; k++) state_[k] += v[k];
}

void Sha256::add(Bytes data) {
    size_ += data.size();
    while (!data.empty()) {
        if (held_ == 0 && data.size() >= sizeof rest_) {
            block(data.data());
            data = data.subspan(sizeof rest_);
            continue;
        }
        const size_t count = std::min(sizeof rest_ - held_, data.size());
        std::memcpy(rest_ + held_, data.data(), count);
        data = data.subspan(count);
        if ((held_ += count) == sizeof rest_) block(rest_), held_ = 0;
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
