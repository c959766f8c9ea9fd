// Errors of the core as those of ddpmcodec.errors.
#pragma once

namespace ddpm {

void register_errors();

}  // namespace ddpm
