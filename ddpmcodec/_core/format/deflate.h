// Raw deflate (RFC 1951), encoded.
#pragma once
#include <vector>

#include "bytes.h"

namespace ddpm {

std::vector<uint8_t> deflated(Bytes data);

}  // namespace ddpm
