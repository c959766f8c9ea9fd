// How many levels of cells an encoder puts before the exact coefficients of a JPEG file.
#pragma once
#include "coefficients.h"

namespace ddpm {

// As many as its steps have, but at most `most`; none for small images, of which prefixes show little.
int suited_levels(const Coefficients& image, int most);

}  // namespace ddpm
