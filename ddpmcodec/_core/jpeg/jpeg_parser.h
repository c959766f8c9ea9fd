// A JPEG file to its coefficients and the list of its markers.
#pragma once
#include "syntax.h"

namespace ddpm {

struct ParsedFile {
    Coefficients image;
    std::vector<Item> items;  // all tables of Huffman codes are listed
};

// Throws Error: FORMAT for what is not supported (arithmetic coding, lossless and hierarchical files, 12 bits, a number of lines that follows
// the scan) and what contradicts itself, TRUNCATED or CORRUPT for what is damaged.
ParsedFile parse_file(Bytes file);

}  // namespace ddpm
