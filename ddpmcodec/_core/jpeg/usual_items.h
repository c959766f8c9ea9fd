// Lists of markers that many files have: each takes one byte in a recipe.
#pragma once
#include "syntax.h"

namespace ddpm {

inline constexpr int USUAL_LISTS = 13;

// The list of a number from 0, for the frame of an image.
std::vector<Item> usual_items(const Coefficients& image, int number);

// A baseline file that has the standard's Huffman tables.
std::vector<Item> baseline_items(const Coefficients& image);

}  // namespace ddpm
