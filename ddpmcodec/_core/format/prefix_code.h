// Prefix codes of deflate: code lengths of the fewest bits under a limit, and the words of given lengths.
#pragma once
#include <cstdint>
#include <span>

namespace ddpm {

// Sets the length of each symbol, at most `longest` bits, so that the counted symbols take the fewest bits; 0 for symbols that do not occur, and 1
// for the only one that does. At most 2^longest and 288 symbols.
void set_code_lengths(std::span<const uint32_t> counts, int longest, uint8_t* lengths);

// The words of these lengths, with the bit that is written first lowest.
void set_code_words(std::span<const uint8_t> lengths, uint16_t* words);

}  // namespace ddpm
