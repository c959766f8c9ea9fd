// Pixels of a caller's, as an encoder takes them.
#pragma once
#include "ddpm.h"
#include "image.h"

namespace ddpm {

// A copy of a picture. Throws Error: ARGUMENT unless its buffers hold it, IMAGE if it is too large.
Image image_of(const ddpm_picture& picture);

}  // namespace ddpm
