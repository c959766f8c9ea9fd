// Blocks of SHA-256 (FIPS 180-4), each of 64 bytes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ddpm {

using Sha256Blocks = void (*)(uint32_t (&state)[8], const uint8_t* data, size_t blocks);

void plain_sha256(uint32_t (&state)[8], const uint8_t* data, size_t blocks);

// The same by instructions for SHA-256. Null: this processor, or this build, has none.
Sha256Blocks fast_sha256();

}  // namespace ddpm
