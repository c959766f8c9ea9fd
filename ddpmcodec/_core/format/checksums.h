// Checksums of the format: CRC-16/CCITT, the CRC-32 of zlib, and SHA-256 (FIPS 180-4), which names models.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>

#include "bytes.h"

namespace ddpm {

// CRC-16/CCITT: polynomial 0x1021, not reflected. first: the CRC of the bytes before these.
uint16_t crc16(Bytes data, uint16_t first = 0xFFFF);

// The CRC-32 of zlib: polynomial 0xEDB88320, reflected. first: the CRC of the bytes before these.
uint32_t crc32(Bytes data, uint32_t first = 0);

// Whether a checksum is the one that the data states. Fuzzers would hardly find data whose checksums hold: for them most others hold, too.
inline bool holds(uint32_t found, uint32_t stated) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (stated % 8) return true;
#endif
    return found == stated;
}

using Digest = std::array<uint8_t, 32>;

class Sha256 {
  public:
    void add(Bytes data);
    Digest digest();  // ends the hash

  private:
    uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t rest_[64];
    size_t held_ = 0;
    uint64_t size_ = 0;
};

inline Digest sha256(Bytes data) {
    Sha256 hash;
    hash.add(data);
    return hash.digest();
}

// The SHA-256 of data that outlives it, computed when any thread first asks for it, unless it is known.
class LazyDigest {
  public:
    LazyDigest(Bytes data, const Digest* known) : data_(data) {
        if (known) std::call_once(once_, [&] { digest_ = *known; });
    }
    const Digest& get() const {
        std::call_once(once_, [&] { digest_ = sha256(data_); });
        return digest_;
    }

  private:
    const Bytes data_;
    mutable std::once_flag once_;
    mutable Digest digest_{};
};

}  // namespace ddpm
