// The options of ddpm-decode.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "command.h"

std::string usage();

struct Options {
    ddpm_plan plan{};
    std::optional<uint64_t> max_bytes;
    std::optional<std::string> member;  // of an archive
    std::string model, models;
    Files files;
    bool is_info = false, is_list = false, is_original = false;

    int named() const { return is_info || is_list ? 1 : 2; }  // of files
};

// Throws Failure (USED_WRONGLY).
Options parse(const std::vector<std::string>& arguments);
