// Bytes that Python hands to the core: in memory, or read by a view.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <memory>

#include "source.h"

namespace ddpm {

using PyBytes = nanobind::ndarray<const uint8_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

inline Bytes view_of(const PyBytes& data) { return {data.data(), data.size()}; }

// Bytes that a Python object reads: `len(object)` of them, `bytes(object[a:b])`.
class PythonSource : public Source {
  public:
    explicit PythonSource(nanobind::object object) : object_(std::move(object)), size_(nanobind::len(object_)) {}
    ~PythonSource() override {
        nanobind::gil_scoped_acquire locked;
        object_.reset();
    }

    uint64_t size() const override { return size_; }
    void read(uint64_t offset, std::span<uint8_t> out) const override {
        nanobind::gil_scoped_acquire locked;
        const nanobind::object part = object_[nanobind::slice(nanobind::int_(offset), nanobind::int_(offset + out.size()), nanobind::int_(1))];
        const nanobind::bytes content = nanobind::steal<nanobind::bytes>(PyObject_Bytes(part.ptr()));
        if (!content.is_valid()) throw nanobind::python_error();
        if (content.size() != out.size()) throw Error(Fault::TRUNCATED, "the file became shorter while it was read");
        std::copy_n(reinterpret_cast<const uint8_t*>(content.c_str()), out.size(), out.begin());
    }

  private:
    nanobind::object object_;
    const uint64_t size_;
};

// Bytes of a Python object that stays as it is.
class BufferSource : public MemorySource {
  public:
    explicit BufferSource(PyBytes data) : MemorySource(view_of(data)), data_(std::move(data)) {}
    ~BufferSource() override {
        nanobind::gil_scoped_acquire locked;
        data_ = PyBytes();
    }

  private:
    PyBytes data_;
};

inline std::shared_ptr<const Source> source_of(const nanobind::object& data) {
    PyBytes bytes;
    if (nanobind::try_cast(data, bytes, false)) return std::make_shared<BufferSource>(std::move(bytes));
    return std::make_shared<PythonSource>(data);
}

inline nanobind::bytes bytes_of(Bytes data) { return nanobind::bytes(data.data(), data.size()); }

}  // namespace ddpm
