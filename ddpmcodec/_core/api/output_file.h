// The file that a command writes.
#pragma once
#include <cstdint>
#include <vector>

#include "command.h"

using Data = std::vector<uint8_t>;

// Throws Failure unless the output may be written.
void require_output(const Files& files);

// Writes the output as a whole or not at all. Throws Failure.
void write_output(const Files& files, const Data& data);
