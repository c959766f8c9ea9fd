// Networks from the tensors of a model file: a dict of NumPy arrays by name.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels.h"

namespace ddpm {

template <class T> using In = nanobind::ndarray<const T, nanobind::c_contig, nanobind::device::cpu>;

// An array's type and shape, or the type of what is none, for messages.
inline std::string kind_of(const nanobind::object& object) {
    namespace nb = nanobind;
    if (!nb::hasattr(object, "dtype") || !nb::hasattr(object, "shape")) return nb::str(object.type().attr("__name__")).c_str();
    return nb::str(nb::str("{} {}").attr("format")(object.attr("dtype"), object.attr("shape"))).c_str();
}

inline nanobind::object tensor(const nanobind::dict& tensors, const std::string& name) {
    const nanobind::str key(name.c_str());
    if (!tensors.contains(key)) throw std::invalid_argument("there is no tensor " + name);
    return tensors[key];
}

inline int length(const nanobind::dict& tensors, const std::string& name, int axis) {
    return nanobind::cast<int>(tensor(tensors, name).attr("shape")[axis]);
}

// What `network_of` asks. Throws std::invalid_argument where a tensor is not there, or another one.
struct Tensors {
    const nanobind::dict& tensors;

    template <class T> const T* values(const std::string& name, const std::vector<int>& shape) const {
        const nanobind::object object = tensor(tensors, name);
        In<T> array;
        bool fits = nanobind::try_cast(object, array, false) && array.ndim() == shape.size();
        std::string expected = std::is_same_v<T, float> ? "float32 (" : "int8 (";
        for (size_t axis = 0; axis < shape.size(); axis++) {
            fits = fits && array.shape(axis) == size_t(shape[axis]);
            expected += (axis ? ", " : "") + std::to_string(shape[axis]);
        }
        if (!fits) throw std::invalid_argument(name + ": expected " + expected + ") in one piece, found " + kind_of(object));
        return array.data();
    }
    const int8_t* weights(const std::string& name, int outputs, int inputs) const { return values<int8_t>(name, {outputs, inputs}); }
    const float* factors(const std::string& name, int count) const { return values<float>(name, {count}); }
    const float* biases(const std::string& name, int conditions, int count) const { return values<float>(name, {conditions, count}); }
};

// A network from `<layer>.weight` int8, `.factor` and, of stem and head, `.bias` float32, which say its width, depth and what is shown.
inline Network network_of(const nanobind::dict& tensors, Sizes sizes) {
    sizes.width = length(tensors, "stem.weight", 0);
    while (tensors.contains(nanobind::str(("block" + std::to_string(sizes.depth) + ".weight").c_str()))) sizes.depth++;
    if (sizes.depth) sizes.shown = shown_by(length(tensors, "block0.weight", 1), sizes.width, sizes.neighbours);
    const Tensors source{tensors};
    return network_of(source, sizes);
}

}  // namespace ddpm
