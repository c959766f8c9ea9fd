// What is known of the file that was encoded, of those that come back byte for byte.
#pragma once
#include <optional>

#include "container.h"
#include "sections.h"

namespace ddpm {

// Bytes of the JPEG file that was encoded; nothing if there is none, or if its length was not received.
std::optional<uint64_t> jpeg_length(const Container& container);

// The file that is kept whole, without its bytes; nothing if there is none, or if its facts are cut or damaged.
std::optional<KeptFile> kept_facts(const Container& container);

}  // namespace ddpm
