// Which kernels a process uses, for Python.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "kernels.h"

namespace nb = nanobind;

namespace ddpm {

void bind_kernels(nb::module_& m) {
    m.def("kernels", &kernels_here, "Names of the kernels that this processor can run, the fastest first.");
    m.def("kernel", [] { return std::string(kernels().name); }, "The name of those in use.");
    m.def("use_kernel", &use_kernels, nb::arg("name"), "Choose the kernels that networks are made for from now on.");
}

}  // namespace ddpm
