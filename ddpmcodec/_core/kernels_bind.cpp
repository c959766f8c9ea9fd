// The kernels for Python, which tests them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <thread>

#include "arrays.h"
#include "inputs.h"
#include "kernels_learner.h"
#include "pyramid.h"

namespace nb = nanobind;

namespace ddpm {
namespace {

using Any = nb::ndarray<nb::ro, nb::device::cpu>;
using Sizes = std::vector<long long>;

std::string shape_of(const Sizes& sizes) {
    std::string text = "[";
    for (size_t i = 0; i < sizes.size(); i++) {
        text += (i ? ", " : "") + (sizes[i] < 0 ? std::string("any") : std::to_string(sizes[i]));
    }
    return text + "]";
}

[[noreturn]] void refuse(const std::string& what) { throw nb::value_error(what.c_str()); }

// A C-contiguous array of one type and of `sizes`, of which -1 is any but 0.
template <typename T>
struct Array {
    Array(nb::handle object, const std::string& name, const char* type, const Sizes& sizes) {
        if (!nb::try_cast<Any>(object, array_, false)) refuse(name + ": expected an array of " + type);
        bool fits = array_.dtype() == nb::dtype<T>() && array_.ndim() == sizes.size();
        Sizes shape;
        for (size_t i = 0; i < array_.ndim(); i++) shape.push_back((long long)array_.shape(i));
        for (size_t i = 0; fits && i < sizes.size(); i++) fits = sizes[i] < 0 ? shape[i] > 0 : shape[i] == sizes[i];
        if (!fits) {
            refuse(name + ": expected " + type + " " + shape_of(sizes) + ", found another type or " + shape_of(shape));
        }
        long long stride = 1;
        for (size_t i = sizes.size(); i-- > 0; stride *= shape[i]) {
            if (shape[i] > 1 && array_.stride(i) != stride) refuse(name + ": expected a C-contiguous array");
        }
    }
    const T* data() const { return static_cast<const T*>(array_.data()); }
    int size(int axis) const {
        const size_t size = array_.shape(axis);
        if (size > 0x7FFFFFFF) refuse("an array is too large");
        return (int)size;
    }
    std::vector<T> copy() const { return {data(), data() + array_.size()}; }

private:
    Any array_;
};

using Bytes = Array<uint8_t>;
using Integers = Array<int8_t>;
using Floats = Array<float>;

// Rows as the kernels read them: zeros up to a multiple of 64 bytes.
Aligned<uint8_t> padded(const uint8_t* rows, int count, int length, size_t stride) {
    Aligned<uint8_t> padded_rows(count * stride, 0);
    for (int m = 0; m < count; m++) std::memcpy(padded_rows.data() + m * stride, rows + (size_t)m * length, length);
    return padded_rows;
}

template <typename T>
nb::object matrix_of(std::vector<T> values, size_t rows, size_t columns) {
    return nb::cast(array_of(std::move(values), {rows, columns}));
}

template <typename Source>
auto without_padding(const Source& padded_values, size_t rows, size_t stride, size_t columns) {
    std::vector<typename Source::value_type> values(rows * columns);
    for (size_t m = 0; m < rows; m++) {
        for (size_t n = 0; n < columns; n++) values[m * columns + n] = padded_values[m * stride + n];
    }
    return values;
}

nb::object product_of(nb::handle x, nb::handle w) {
    const Bytes rows(x, "x", "uint8", {-1, -1});
    const Integers weights(w, "w", "int8", {-1, rows.size(1)});
    const int count = rows.size(0), inputs = rows.size(1), outputs = weights.size(0);
    if (inputs > LARGEST_INPUTS) refuse("x: expected up to 65535 inputs");
    std::vector<int32_t> sums;
    {
        nb::gil_scoped_release release;
        const Packed packed(weights.data(), outputs, inputs);
        const size_t stride = rounded_up(inputs, ROW_UNIT);
        const Aligned<uint8_t> padded_rows = padded(rows.data(), count, inputs, stride);
        Aligned<int32_t> padded_sums((size_t)count * packed.padded_outputs);
        product(padded_rows.data(), stride, count, packed, padded_sums.data(), packed.padded_outputs);
        sums = without_padding(padded_sums, count, packed.padded_outputs, outputs);
    }
    return matrix_of(std::move(sums), count, outputs);
}

nb::object differences_of(nb::handle window, nb::handle centre) {
    const Array<int16_t> values(window, "window", "int16", {-1, WINDOW_ROW}), pixel(centre, "centre", "int16", {CHANNELS});
    const int rows = values.size(0);
    std::vector<uint8_t> inputs((size_t)rows * WINDOW_ROW);
    kernels().differences(values.data(), WINDOW_ROW, rows, pixel.data(), inputs.data(), WINDOW_ROW);
    return matrix_of(std::move(inputs), rows, WINDOW_ROW);
}

nb::handle tensor(const nb::dict& params, const std::string& name) {
    if (!params.contains(name.c_str())) refuse("network: there is no tensor '" + name + "'");
    return params[name.c_str()];
}

// The tensors of a network by their names, of any sizes. Throws ValueError where they are not as they must be.
struct Named {
    const nb::dict& params;

    const int8_t* weights(const std::string& name, int outputs, int inputs) {
        return Integers(tensor(params, name), name, "int8", {outputs, inputs}).data();
    }
    const float* factors(const std::string& name, int count) {
        return Floats(tensor(params, name), name, "float32", {count}).data();
    }
    const float* biases(const std::string& name, int conditions, int count) {
        return Floats(tensor(params, name), name, "float32", {conditions, count}).data();
    }
};

}  // namespace

// A network from a model file's tensors. Throws ValueError where they are not as they must be.
Network network_of(const nb::dict& params) {
    const Integers stem(tensor(params, "stem.weight"), "stem.weight", "int8", {-1, -1});
    const Integers head(tensor(params, "head.weight"), "head.weight", "int8", {-1, stem.size(0)});
    const int width = stem.size(0), inputs = stem.size(1), outputs = head.size(0);
    const int conditions = Floats(tensor(params, "stem.bias"), "stem.bias", "float32", {-1, width}).size(0);
    if (width > LARGEST_WIDTH || width % VECTOR) refuse("stem.weight: expected a multiple of 16 up to 512 as width");
    if (inputs > LARGEST_WIDTH || inputs % VECTOR) refuse("stem.weight: expected a multiple of 16 up to 512 as inputs");
    if (outputs > LARGEST_OUTPUTS) refuse("head.weight: expected up to 256 outputs");
    int depth = 0;
    while (params.contains(("block" + std::to_string(depth) + ".weight").c_str())) depth++;
    if (depth == 0) refuse("network: there is no tensor 'block0.weight'");
    if (depth > LARGEST_DEPTH) refuse("network: expected up to 8 blocks");
    const Integers block(tensor(params, "block0.weight"), "block0.weight", "int8", {width, -1});
    const int shown = shown_by(block.size(1), width);
    if (shown < 0) refuse("block0.weight: expected as many inputs as outputs, and three times the shown activations");
    Named named{params};
    return network_of(named, width, shown, inputs, outputs, conditions, depth);
}

namespace {

void require_condition(const Network& network, int condition) {
    if (condition < 0 || condition >= network.conditions) {
        const std::string last = std::to_string(network.conditions - 1);
        refuse("condition: expected 0 .. " + last + ", found " + std::to_string(condition));
    }
}

nb::object outputs_of(const Network& network, nb::handle object, int condition) {
    const Bytes rows(object, "rows", "uint8", {-1, network.inputs});
    require_condition(network, condition);
    const int count = rows.size(0);
    std::vector<int32_t> outputs((size_t)count * network.outputs);
    {
        nb::gil_scoped_release release;
        const size_t stride = rounded_up(network.inputs, ROW_UNIT);
        const Aligned<uint8_t> padded_rows = padded(rows.data(), count, network.inputs, stride);
        Scratch scratch(network);
        run(network, {condition, padded_rows.data(), stride, count}, outputs.data(), scratch);
    }
    return matrix_of(std::move(outputs), count, network.outputs);
}

// A learner with a network of its own.
struct OwnLearner {
    Network network;
    Learner learner;
    OwnLearner(const Network& start, int blocks, int most) : network(start), learner(network, blocks, most) {}
    OwnLearner(const OwnLearner&) = delete;

    void step(int condition, int count, const Rates& rates, int threads) {
        for (int phase = 0; phase < Learner::PHASES; phase++) {
            std::vector<std::thread> others;
            for (int t = 1; t < threads; t++) {
                others.emplace_back([this, phase, condition, count, rates, t, threads] {
                    learner.phase(phase, condition, count, rates, t, threads);
                });
            }
            learner.phase(phase, condition, count, rates, 0, threads);
            for (std::thread& other : others) other.join();
        }
    }
};

void learn(OwnLearner& self, int condition, nb::handle slopes, const nb::list& kept_blocks, nb::handle kept_head,
           float head_rate, float block_rate, float inner_rate, float bias_rate, int threads) {
    const int width = self.network.width, outputs = self.network.outputs;
    const Floats by_sums(slopes, "slopes", "float32", {-1, outputs});
    const int count = by_sums.size(0);
    const int block_inputs = self.network.block_inputs(), learning = self.learner.blocks();
    if ((int)kept_blocks.size() != learning) refuse("kept_blocks: expected one array for each block that learns");
    std::vector<Bytes> blocks;
    for (nb::handle kept : kept_blocks) blocks.emplace_back(kept, "kept_blocks", "uint8", Sizes{count, block_inputs});
    const Bytes head(kept_head, "kept_head", "uint8", {count, width});
    require_condition(self.network, condition);
    if (count > self.learner.most_positions()) refuse("slopes: more positions than the learner was made for");
    if (threads < 1 || threads > 64) refuse("threads: expected 1 .. 64");
    nb::gil_scoped_release release;
    for (int k = 0; k < count; k++) std::memcpy(self.learner.slopes(k), by_sums.data() + (size_t)k * outputs, outputs * sizeof(float));
    const Kept kept = self.learner.kept(nullptr);
    for (int b = 0; b < learning; b++) std::memcpy(kept.block[b], blocks[b].data(), (size_t)count * block_inputs);
    std::memcpy(kept.head, head.data(), (size_t)count * width);
    self.step(condition, count, {head_rate, block_rate, inner_rate, bias_rate}, threads);
}

nb::object kept_of(const Network& network, nb::handle object, int condition) {
    const Bytes rows(object, "rows", "uint8", {-1, network.inputs});
    require_condition(network, condition);
    const int count = rows.size(0), block_inputs = network.block_inputs();
    std::vector<int32_t> outputs((size_t)count * network.outputs);
    std::vector<uint8_t> head((size_t)count * network.width);
    std::vector<std::vector<uint8_t>> blocks(network.depth, std::vector<uint8_t>((size_t)count * block_inputs));
    const size_t stride = rounded_up(network.inputs, ROW_UNIT);
    const Aligned<uint8_t> padded_rows = padded(rows.data(), count, network.inputs, stride);
    Scratch scratch(network);
    std::vector<int> places(count);
    std::iota(places.begin(), places.end(), 0);
    Kept kept{network.depth, {}, head.data(), places.data()};
    for (int k = 0; k < network.depth; k++) kept.block[k] = blocks[k].data();
    run(network, {condition, padded_rows.data(), stride, count}, outputs.data(), scratch, nullptr, kept);
    nb::list of_blocks;
    for (std::vector<uint8_t>& block : blocks) of_blocks.append(matrix_of(std::move(block), count, block_inputs));
    return nb::make_tuple(of_blocks, matrix_of(std::move(head), count, network.width));
}

nb::object weights_of(const LearningLayer& layer) { return matrix_of(layer.weights, layer.outputs, layer.width); }

nb::object bias_of(const OwnLearner& self) {
    const Network& network = self.network;
    const int conditions = network.conditions, outputs = network.outputs;
    return matrix_of(without_padding(network.head_bias, conditions, network.head.padded_outputs, outputs), conditions,
                    outputs);
}

}  // namespace

void bind_kernels(nb::module_& m) {
    m.def("kernels", &kernels_here, "Names of the kernels that this processor can run, the fastest first.");
    m.def("kernel", [] { return std::string(kernels().name); }, "The name of those in use.");
    m.def("use_kernel", &use_kernels, nb::arg("name"), "For tests: what networks are made for from now on.");
    m.def("product", &product_of, nb::arg("x"), nb::arg("w"), "int32 [M, N]: uint8 [M, K] times int8 [N, K].");
    m.def("differences", &differences_of, nb::arg("window"), nb::arg("centre"), "For tests: uint8 [M, 32] of int16 [M, 32] and [3].");
    nb::class_<Network>(m, "Network", "A network in integers, from a model file's tensors.")
        .def("__init__", [](Network* self, const nb::dict& params) { new (self) Network(network_of(params)); },
             nb::arg("params"))
        .def("outputs", &outputs_of, nb::arg("rows"), nb::arg("condition"), "int32 [M, O] of uint8 [M, I].")
        .def("kept", &kept_of, nb::arg("rows"), nb::arg("condition"),
             "a list of uint8 [M, block inputs], and [M, W]: what the blocks and the head see, each row alone.");
    nb::class_<OwnLearner>(m, "Learner", "For tests: a copy of a network whose last blocks and head go on learning.")
        .def(nb::init<const Network&, int, int>(), nb::arg("network"), nb::arg("blocks"), nb::arg("most_positions"))
        .def("step", &learn, nb::arg("condition"), nb::arg("slopes"), nb::arg("kept_blocks"), nb::arg("kept_head"),
             nb::arg("head_rate"), nb::arg("block_rate"), nb::arg("inner_rate"), nb::arg("bias_rate"), nb::arg("threads") = 1)
        .def("outputs", [](const OwnLearner& self, nb::handle rows, int c) { return outputs_of(self.network, rows, c); },
             nb::arg("rows"), nb::arg("condition"))
        .def("head_weights", [](const OwnLearner& self) { return weights_of(self.learner.head()); })
        .def("block_weights", [](const OwnLearner& self, int block) { return weights_of(self.learner.block(block)); },
             nb::arg("block"))
        .def("head_bias", &bias_of);
}

}  // namespace ddpm
