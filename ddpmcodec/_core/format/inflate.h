// Raw deflate (RFC 1951), decoded as far as the data go, piece by piece: a section that claims to be large takes no memory for that, and
// alpha planes of prefixes have their upper rows.
#pragma once
#include <functional>
#include <vector>

#include "bytes.h"

namespace ddpm {

// What became of a deflate stream.
struct Inflated {
    uint64_t size = 0;     // bytes that were written
    bool is_sound = true;  // false for bytes that no deflate stream has
    bool ended = false;    // the stream ended, and nothing follows it
};

// Calls write(piece) for pieces of up to 32768 bytes, and for `most` bytes at most.
Inflated inflate(Bytes data, uint64_t most, const std::function<void(Bytes)>& write);

// All that a stream holds. Throws Error: CORRUPT for bytes that no deflate stream has, FORMAT where it holds more than `most`
// bytes, ends early, or bytes follow it. name: of the section, in messages.
std::vector<uint8_t> inflated(Bytes data, uint64_t most, const std::string& name);

}  // namespace ddpm
