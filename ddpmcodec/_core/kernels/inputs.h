// How what a position sees becomes inputs of eight bits.
#pragma once
#include <cstdint>

namespace ddpm {

constexpr int ZERO = 128;       // the input that stands for 0
constexpr int WINDOW_ROW = 32;  // values that are read and written with a row of a window: whole vectors

namespace {  // of each file, as some are compiled for more than the least processor

// Small differences as they are, larger ones in quarters, at most 127; plus 128. In 16 bits, as vectors hold eight of those.
inline uint8_t input_of(int16_t difference) {
    const int16_t size = int16_t(difference < 0 ? -difference : difference), least = size < 64 ? size : int16_t(64);
    const int16_t quarters = int16_t(least + int16_t(int16_t(size - least) >> 2)), bounded = quarters < 127 ? quarters : int16_t(127);
    return uint8_t((difference < 0 ? -bounded : bounded) + ZERO);
}

}  // namespace
}  // namespace ddpm
