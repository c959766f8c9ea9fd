// Errors of the core as those of ddpmcodec.errors.
#pragma once
#include <nanobind/nanobind.h>

#include "bytes.h"

namespace ddpm {

void register_errors();

// The exception of Python that an error becomes.
nanobind::object exception_of(const Error& error);

}  // namespace ddpm
