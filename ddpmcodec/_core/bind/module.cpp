// The Python module ddpmcodec._native. Each of its parts binds itself, in a file of its own.
#include <nanobind/nanobind.h>

#include "errors.h"

namespace nb = nanobind;

namespace ddpm {
void bind_archive(nb::module_& m);
void bind_constants(nb::module_& m);
void bind_context_model(nb::module_& m);
void bind_encoder(nb::module_& m);
void bind_jpeg(nb::module_& m);
void bind_kernels(nb::module_& m);
void bind_coder(nb::module_& m);
void bind_coefficients(nb::module_& m);
void bind_decoder(nb::module_& m);
void bind_previews(nb::module_& m);
void bind_stack(nb::module_& m);
}  // namespace ddpm

NB_MODULE(_native, m) {
    m.doc() = "The compiled core of ddpmcodec.";
    nb::set_leak_warnings(false);  // models that are kept live as long as the process: no line on stderr for that
    m.def("version", [] { return DDPMCODEC_VERSION; }, "The version of ddpmcodec that this was compiled from.");
    ddpm::register_errors();
    ddpm::bind_constants(m);
    ddpm::bind_archive(m);
    ddpm::bind_jpeg(m);
    ddpm::bind_kernels(m);
    ddpm::bind_coder(m);
    ddpm::bind_coefficients(m);
    ddpm::bind_decoder(m);
    ddpm::bind_context_model(m);
    ddpm::bind_encoder(m);
    ddpm::bind_previews(m);
    ddpm::bind_stack(m);
}
