// PPM, PGM and PAM files of decoded pixels.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ddpm.h"

using Data = std::vector<uint8_t>;

// PNM: PGM or PPM, or PAM if there is alpha.
enum class Format { PNM, PPM, PGM, PAM };

// The format that a name asks for. Throws Failure.
Format format_of(const std::string& out);

// The file of these pixels. bits: of a sample; of more than 8 a sample has two bytes, the high one first. out: its name, for messages.
// Throws Failure if the format cannot hold them.
Data file_of(ddpm_layout layout, uint32_t bits, Data pixels, Format format, const std::string& out);
