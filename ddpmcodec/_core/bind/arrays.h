// Results for Python: vectors that NumPy arrays own.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <vector>

namespace ddpm {

template <class T> nanobind::ndarray<nanobind::numpy, T> array_of(std::vector<T> values, std::vector<size_t> shape) {
    auto* kept = new std::vector<T>(std::move(values));
    nanobind::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return {kept->data(), shape.size(), shape.data(), owner};
}

}  // namespace ddpm
