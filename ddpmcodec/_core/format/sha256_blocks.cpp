#include "sha256_blocks.h"

#include <bit>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#define DDPM_SHA_X86
#include <immintrin.h>
#if defined(_MSC_VER)
#include <intrin.h>
#define DDPM_SHA_TARGET
#else
#include <cpuid.h>
#define DDPM_SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#endif
#endif

namespace ddpm {

namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
alignas(16) constexpr uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void plain_block(uint32_t (&state)[8], const uint8_t* data) {
    uint32_t w[64];
    for (int k = 0; k < 16; k++)
        w[k] = uint32_t(data[4 * k]) << 24 | uint32_t(data[4 * k + 1]) << 16 | uint32_t(data[4 * k + 2]) << 8 | data[4 * k + 3];
    for (int k = 16; k < 64; k++) {
        const uint32_t s0 = std::rotr(w[k - 15], 7) ^ std::rotr(w[k - 15], 18) ^ w[k - 15] >> 3;
        const uint32_t s1 = std::rotr(w[k - 2], 17) ^ std::rotr(w[k - 2], 19) ^ w[k - 2] >> 10;
        w[k] = w[k - 16] + s0 + w[k - 7] + s1;
    }
    uint32_t v[8];
    std::memcpy(v, state, sizeof v);
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
    for (int k = 0; k < 8; k++) state[k] += v[k];
}

#if defined(DDPM_SHA_X86)
bool has_instructions() {
    unsigned registers[4] = {};
    constexpr unsigned SSSE3 = 1u << 9, SSE4_1 = 1u << 19, SHA = 1u << 29;
#if defined(_MSC_VER)
    int values[4];
    __cpuid(values, 0);
    if (values[0] < 7) return false;
    __cpuid(values, 1);
    registers[2] = unsigned(values[2]);
    __cpuidex(values, 7, 0);
    registers[1] = unsigned(values[1]);
#else
    unsigned others[4];
    __get_cpuid(1, &others[0], &others[1], &registers[2], &others[3]);
    __get_cpuid_count(7, 0, &others[0], &registers[1], &others[2], &others[3]);
#endif
    return (registers[2] & SSSE3) && (registers[2] & SSE4_1) && (registers[1] & SHA);
}

// The instructions have the eight numbers in two registers: a, b, e, f and c, d, g, h, the first in the highest place.
DDPM_SHA_TARGET void blocks_by_instructions(uint32_t (&state)[8], const uint8_t* data, size_t blocks) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state)), hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4));
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks; blocks--, data += 64) {
        const __m128i first = abef, second = cdgh;
        __m128i words[4];  // of the last 16 rounds
        for (int k = 0; k < 16; k++) {
            __m128i& w = words[k % 4];
            if (k < 4) {
                w = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) + k), order);
            } else {
                const __m128i last = words[(k + 3) % 4], before = words[(k + 2) % 4];
                w = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w, words[(k + 1) % 4]), _mm_alignr_epi8(last, before, 4)), last);
            }
            const __m128i sums = _mm_add_epi32(w, _mm_load_si128(reinterpret_cast<const __m128i*>(ROUNDS) + k));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sums);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sums, 0x0E));
        }
        abef = _mm_add_epi32(abef, first), cdgh = _mm_add_epi32(cdgh, second);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

}  // namespace

void plain_sha256(uint32_t (&state)[8], const uint8_t* data, size_t blocks) {
    for (; blocks; blocks--, data += 64) plain_block(state, data);
}

Sha256Blocks fast_sha256() {
#if defined(DDPM_SHA_X86)
    if (has_instructions()) return blocks_by_instructions;
#endif
    return nullptr;
}

}  // namespace ddpm
