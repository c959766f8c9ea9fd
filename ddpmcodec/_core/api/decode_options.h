// The options of ddpm-decode.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ddpm.h"

extern const char* const USAGE;

struct Options {
    ddpm_plan plan{};
    std::optional<uint64_t> max_bytes;
    std::string model, in, out;
    bool overwrites = false, is_info = false, is_original = false;
};

// Throws Failure (USED_WRONGLY).
Options parse(const std::vector<std::string>& arguments);
