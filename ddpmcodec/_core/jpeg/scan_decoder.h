// The symbols and bits of a scan to coefficients (T.81, annexes F and G).
#pragma once
#include <memory>

#include "scan.h"

namespace ddpm {

using Decoders = std::array<std::array<std::shared_ptr<const HuffmanDecoder>, TABLE_SLOTS>, TABLE_CLASSES>;

// Reads a scan into the coefficients, and sets its exceptions. data: the file; position: where the scan begins. Returns where it ends.
// Throws Error: TRUNCATED, CORRUPT, or FORMAT if a table is missing, or for codes that `encode_scan` has no exception for.
size_t decode_scan(Bytes data, size_t position, Coefficients& image, Scan& scan, bool is_progressive, int interval, const Decoders& tables);

}  // namespace ddpm
