// A whole file, put together from its parts once their lengths are known.
#pragma once
#include <vector>

#include "header.h"

namespace ddpm {

// The chunks as one payload. The header receives their lengths and checks.
std::vector<uint8_t> set_chunks(Header& header, const std::vector<std::vector<uint8_t>>& chunks);

// The file of a header that lacks the lengths of sections alone; these are given in its order.
std::vector<uint8_t> assembled(Header& header, const std::vector<std::vector<uint8_t>>& sections, Bytes payload);

}  // namespace ddpm
