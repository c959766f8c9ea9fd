#include "errors.h"

#include "kernels.h"

namespace nb = nanobind;

namespace ddpm {

namespace {

nb::object class_of(const char* name) { return nb::module_::import_("ddpmcodec.errors").attr(name); }

nb::object class_of(Fault fault) {
    switch (fault) {
        case Fault::FORMAT: return class_of("FormatError");
        case Fault::TRUNCATED: return class_of("TruncatedError");
        case Fault::CHECKSUM: return class_of("ChecksumError");
        case Fault::CORRUPT: return class_of("CorruptError");
        case Fault::MODEL: return class_of("ModelError");
        case Fault::IMAGE: return class_of("ImageError");
        case Fault::ARGUMENT: break;
    }
    return nb::borrow(PyExc_ValueError);
}

}  // namespace

nb::object exception_of(const Error& error) { return class_of(error.fault)(error.what()); }

void register_errors() {
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const UnknownKernels& error) {  // of whoever set the variable
            PyErr_SetString(class_of("DdpmError").ptr(), error.what());
        } catch (const Error& error) {
            PyErr_SetString(class_of(error.fault).ptr(), error.what());
        }
    });
}

}  // namespace ddpm
