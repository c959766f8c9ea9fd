// What an encoder and a decoder of deflate (RFC 1951) both know: the symbols of lengths and distances, and the order of code lengths.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace ddpm {

inline constexpr int LENGTHS = 29, DISTANCES = 30, END_OF_BLOCK = 256, LITERALS = 286;  // symbols; those of lengths follow END_OF_BLOCK
inline constexpr int LEAST_MATCH = 3, LONGEST_MATCH = 258, FARTHEST_MATCH = 1 << 15;  // bytes
inline constexpr uint16_t LENGTH[LENGTHS] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                             31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
inline constexpr uint8_t LENGTH_BITS[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
inline constexpr uint16_t DISTANCE[DISTANCES] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                                 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
inline constexpr uint8_t DISTANCE_BITS[DISTANCES] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

template <int COUNT>
constexpr uint8_t symbol_of(const uint16_t (&least)[COUNT], int value) {
    return uint8_t(std::upper_bound(least, least + COUNT, value) - least - 1);
}

inline constexpr auto LENGTH_SYMBOLS = [] {
    std::array<uint8_t, LONGEST_MATCH + 1> symbols{};
    for (int length = LEAST_MATCH; length <= LONGEST_MATCH; length++) symbols[size_t(length)] = symbol_of(LENGTH, length);
    return symbols;
}();

// By the distance less 1, and for long ones by a 128th of it: all that have it in common have one symbol.
inline constexpr int QUICK_DISTANCES = 256, FAR_SHIFT = 7;
inline constexpr auto DISTANCE_SYMBOLS = [] {
    std::array<uint8_t, 2 * QUICK_DISTANCES> symbols{};
    for (int k = 0; k < QUICK_DISTANCES; k++) {
        symbols[size_t(k)] = symbol_of(DISTANCE, k + 1);
        symbols[size_t(QUICK_DISTANCES + k)] = symbol_of(DISTANCE, (k << FAR_SHIFT) + 1);
    }
    return symbols;
}();

inline int length_symbol(int length) { return LENGTH_SYMBOLS[size_t(length)]; }  // from 0
inline int distance_symbol(int distance) {
    const int before = distance - 1;
    return DISTANCE_SYMBOLS[size_t(before < QUICK_DISTANCES ? before : QUICK_DISTANCES + (before >> FAR_SHIFT))];
}

// Symbols of the code of code lengths: 0 to 15 are lengths, and runs repeat the last one (REPEAT, 2 bits) or 0 (ZEROS, 3 bits; MANY_ZEROS, 7 bits).
inline constexpr int LENGTH_CODES = 19, REPEAT = 16, ZEROS = 17, MANY_ZEROS = 18;
inline constexpr int run_bits(int symbol) { return symbol == REPEAT ? 2 : symbol == ZEROS ? 3 : symbol == MANY_ZEROS ? 7 : 0; }
inline constexpr int LEAST_REPEAT = 3, LEAST_MANY_ZEROS = 11;
inline constexpr int least_run(int symbol) { return symbol == MANY_ZEROS ? LEAST_MANY_ZEROS : LEAST_REPEAT; }
inline constexpr uint8_t ORDER[LENGTH_CODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

inline constexpr int LONGEST_CODE = 15, LONGEST_LENGTH_CODE = 7;  // bits
inline constexpr int FIXED_LITERALS = 288, FIXED_DISTANCES = 32;  // symbols of the fixed codes; the last two of each are not used
inline constexpr int fixed_literal_bits(int symbol) { return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8; }
inline constexpr int FIXED_DISTANCE_BITS = 5;
inline constexpr int LITERALS_OF_COUNT = 257;  // symbols besides those that a block counts in 5 bits

}  // namespace ddpm
