// The Python module ddpmcodec._testing: parts of the core, as functions, and objects of ddpmcodec._native seen from inside.
#include <nanobind/nanobind.h>

#include "errors.h"

namespace nb = nanobind;

namespace ddpm {
void bind_coder_parts(nb::module_& m);
void bind_coefficient_parts(nb::module_& m);
void bind_format_parts(nb::module_& m);
void bind_kernel_parts(nb::module_& m);
void bind_low_bits(nb::module_& m);
void bind_pass_parts(nb::module_& m);
void bind_writer_parts(nb::module_& m);
void bind_kernels(nb::module_& m);
}  // namespace ddpm

NB_MODULE(_testing, m) {
    m.doc() = "Parts of the core of ddpmcodec, for tests.";
    nb::module_::import_("ddpmcodec._native");  // the types of passes and networks
    ddpm::register_errors();
    ddpm::bind_kernels(m);
    ddpm::bind_coder_parts(m);
    ddpm::bind_coefficient_parts(m);
    ddpm::bind_format_parts(m);
    ddpm::bind_kernel_parts(m);
    ddpm::bind_low_bits(m);
    ddpm::bind_pass_parts(m);
    ddpm::bind_writer_parts(m);
}
