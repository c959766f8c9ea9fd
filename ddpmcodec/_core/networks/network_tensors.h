// The tensors of one network in a model file.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "model_file.h"

namespace ddpm {

// What `network_of` asks: the tensors of one network. Throws std::invalid_argument if a tensor is missing, or has another type or shape.
class NetworkTensors {
  public:
    NetworkTensors(const TensorMap& tensors, std::string key) : tensors_(tensors), prefix_(key + ".") {}

    const int8_t* weights(const std::string& name, int outputs, int inputs) {
        return reinterpret_cast<const int8_t*>(tensor(name, "I8", {outputs, inputs}).data.data());
    }
    const float* factors(const std::string& name, int count) { return aligned(tensor(name, "F32", {count}), floats_); }
    const float* biases(const std::string& name, int conditions, int count) { return aligned(tensor(name, "F32", {conditions, count}), floats_); }

    bool has(const std::string& name) const { return tensors_.contains(prefix_ + name); }

    int side(const std::string& name, size_t axis) const {
        const Tensor& found = find(name);
        if (axis >= found.shape.size()) throw std::invalid_argument(name + ": a tensor of " + std::to_string(found.shape.size()) + " sides");
        return found.shape[axis];
    }

  protected:
    const Tensor& tensor(const std::string& name, const std::string& type, const std::vector<int>& shape) const {
        const Tensor& found = find(name);
        if (found.type != type || found.shape != shape)
            throw std::invalid_argument(name + ": expected " + described(type, shape) + ", found " + described(found.type, found.shape));
        return found;
    }

    // The numbers of a tensor, which may begin anywhere, until the next call with these `values`.
    template <class T> static const T* aligned(const Tensor& tensor, std::vector<T>& values) {
        values.resize(tensor.data.size() / sizeof(T));
        if (!values.empty()) std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
        return values.data();
    }

    std::vector<float> floats_;

  private:
    const Tensor& find(const std::string& name) const {
        const auto found = tensors_.find(prefix_ + name);
        if (found == tensors_.end()) throw std::invalid_argument("there is no tensor " + name);
        return found->second;
    }

    static std::string described(const std::string& type, const std::vector<int>& shape) {
        std::string text = type + " (";
        for (const int side : shape) text += (text.back() == '(' ? "" : ", ") + std::to_string(side);
        return text + ")";
    }

    const TensorMap& tensors_;
    const std::string prefix_;
};

}  // namespace ddpm
