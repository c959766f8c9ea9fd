// How many levels of cells come before the exact coefficients of a JPEG file, if nobody says.
#pragma once
#include "coefficients.h"

namespace ddpm {

// As many as its steps have; none for small images, of which prefixes show little.
int suited_levels(const Coefficients& image);

}  // namespace ddpm
