#include "errors.h"

#include <nanobind/nanobind.h>

#include "bytes.h"
#include "kernels.h"

namespace nb = nanobind;

namespace ddpm {

namespace {

void raise(const char* name, const std::exception& error) {
    PyErr_SetString(nb::module_::import_("ddpmcodec.errors").attr(name).ptr(), error.what());
}

void raise(const Error& error) {
    switch (error.fault) {
        case Fault::FORMAT: return raise("FormatError", error);
        case Fault::TRUNCATED: return raise("TruncatedError", error);
        case Fault::CHECKSUM: return raise("ChecksumError", error);
        case Fault::CORRUPT: return raise("CorruptError", error);
        case Fault::MODEL: return raise("ModelError", error);
        case Fault::IMAGE: return raise("ImageError", error);
        case Fault::ARGUMENT: return PyErr_SetString(PyExc_ValueError, error.what());
    }
}

}  // namespace

void register_errors() {
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const UnknownKernels& error) {  // of whoever set the variable
            raise("DdpmError", error);
        } catch (const Error& error) {
            raise(error);
        }
    });
}

}  // namespace ddpm
