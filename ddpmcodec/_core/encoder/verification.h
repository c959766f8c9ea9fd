// Verification of files by decoders that see their bytes alone.
#pragma once
#include "image_encoder.h"

namespace ddpm {

// Adds jobs that decode files, and throw Error (CHECKSUM) unless they find every image. Small ones of one size are decoded side by side.
void add_verification(JobQueue& queue, const std::vector<std::unique_ptr<ImageEncoder>>& images, const ModelBank& models, int threads);

}  // namespace ddpm
