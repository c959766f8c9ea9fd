// Coefficients and a list of markers to a JPEG file.
#pragma once
#include "syntax.h"

namespace ddpm {

// most: bytes of the file. Throws Error: CORRUPT if there are more, if a code is missing, or if the list is none of a file.
std::vector<uint8_t> write_file(const Coefficients& image, std::vector<Item> items, uint64_t most);

// Marks the Huffman tables that need no list: those of the standard, and the optimal ones.
void shorten_tables(const Coefficients& image, std::vector<Item>& items);

}  // namespace ddpm
