// The options of ddpm-encode.
#pragma once
#include <string>
#include <vector>

#include "command.h"

std::string encode_usage();

struct EncodeCommand {
    ddpm_encode_options options{};
    std::string model, models;
    Files files;
};

// Throws Failure (USED_WRONGLY).
EncodeCommand parse_encode(const std::vector<std::string>& arguments);
