// Kernels, networks and learning, apart from the passes that use them.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <numeric>
#include <thread>

#include "arrays.h"
#include "contract.h"
#include "kernels_learner.h"
#include "tensors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

template <class T> using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using Out = nb::ndarray<nb::numpy, T>;

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

// Rows as the kernels read them: zeros up to a multiple of ROW_UNIT bytes.
struct PaddedRows {
    int count, inputs;
    size_t stride;
    Aligned<uint8_t> values;

    explicit PaddedRows(const Matrix<uint8_t>& rows)
        : count(int(rows.shape(0))), inputs(int(rows.shape(1))), stride(rounded_up(inputs, ROW_UNIT)), values(count * stride, 0) {
        for (int m = 0; m < count; m++) std::memcpy(values.data() + m * stride, rows.data() + size_t(m) * inputs, inputs);
    }
};

// The first columns of rows that are `stride` long.
template <class T> Out<T> cropped(const T* padded, size_t rows, size_t stride, size_t columns) {
    std::vector<T> values(rows * columns);
    for (size_t m = 0; m < rows; m++) std::copy_n(padded + m * stride, columns, &values[m * columns]);
    return array_of(std::move(values), {rows, columns});
}

// int32 [M, N]: uint8 [M, K] times int8 [N, K].
Out<int32_t> product_of(const Matrix<uint8_t>& x, const Matrix<int8_t>& w) {
    require(x.shape(1) == w.shape(1), "x and w have other inputs");
    const PaddedRows rows(x);
    const Packed packed(w.data(), int(w.shape(0)), rows.inputs);
    Aligned<int32_t> sums(size_t(rows.count) * packed.padded_outputs);
    product(rows.values.data(), rows.stride, rows.count, packed, sums.data(), packed.padded_outputs);
    return cropped(sums.data(), rows.count, packed.padded_outputs, packed.outputs);
}

// uint8 [M, 32] of int16 [M, 32] and [3].
Out<uint8_t> differences_of(const Matrix<int16_t>& window, const std::vector<int16_t>& centre) {
    require(window.shape(1) == WINDOW_ROW && centre.size() == CHANNELS, "rows of a window, and a pixel");
    std::vector<uint8_t> inputs(window.size());
    kernels().differences(window.data(), WINDOW_ROW, int(window.shape(0)), centre.data(), inputs.data(), WINDOW_ROW);
    return array_of(std::move(inputs), {window.shape(0), size_t(WINDOW_ROW)});
}

// A network from a model file's tensors, of any sizes.
Network any_network(const nb::dict& tensors) {
    Sizes sizes;
    sizes.inputs = length(tensors, "stem.weight", 1), sizes.outputs = length(tensors, "head.weight", 0);
    sizes.conditions = length(tensors, "stem.bias", 0);
    Network network = network_of(tensors, sizes);
    const Tensors source{tensors};
    if (tensors.contains("stem.gain")) network.set_gains(source.biases("stem.gain", network.conditions, network.width));
    auto bias = [&] { return "block" + std::to_string(network.block_bias.size()) + ".bias"; };
    while (tensors.contains(nb::str(bias().c_str()))) network.add_block_bias(source.biases(bias(), network.conditions, network.width));
    network.require_sizes();
    return network;
}

// int32 [24]: of pairs of values int16 [V] from offsets [N] on times int16 [N, 48], pairs of 24, the last 16 of sizes of values.
Out<int32_t> weighed(const Matrix<int16_t>& weights, const std::vector<int32_t>& offsets, const std::vector<int16_t>& values) {
    require(weights.shape(1) == 2 * WEIGHED && weights.shape(0) == offsets.size(), "24 pairs of weights for each offset");
    for (const int32_t offset : offsets) require(offset >= 0 && size_t(offset) + 1 < values.size(), "no such pair");
    std::vector<int32_t> sums(WEIGHED);
    kernels().weigh(weights.data(), offsets.data(), int(offsets.size()), values.data(), sums.data());
    return array_of(std::move(sums), {size_t(WEIGHED)});
}

Out<int32_t> outputs_of(const Network& network, const Matrix<uint8_t>& inputs, int condition) {
    const PaddedRows rows(inputs);
    require(rows.inputs == network.inputs && condition >= 0 && condition < network.conditions, "other inputs, or no such condition");
    std::vector<int32_t> outputs(size_t(rows.count) * network.outputs);
    Scratch scratch(network);
    run(network, {condition, rows.values.data(), rows.stride, rows.count}, outputs.data(), scratch);
    return array_of(std::move(outputs), {size_t(rows.count), size_t(network.outputs)});
}

// A list of uint8 [M, block inputs], and [M, W]: what the blocks and the head see, each row alone.
nb::tuple kept_of(const Network& network, const Matrix<uint8_t>& inputs, int condition) {
    const PaddedRows rows(inputs);
    require(rows.inputs == network.inputs && condition >= 0 && condition < network.conditions, "other inputs, or no such condition");
    const size_t count = rows.count, block_inputs = network.block_inputs();
    std::vector<int32_t> outputs(count * network.outputs);
    std::vector<uint8_t> head(count * network.width);
    std::vector<std::vector<uint8_t>> blocks(network.depth, std::vector<uint8_t>(count * block_inputs));
    Scratch scratch(network);
    std::vector<int> places(count);
    std::iota(places.begin(), places.end(), 0);
    LearningRecord kept{network.depth, {}, head.data(), places.data()};
    for (int k = 0; k < network.depth; k++) kept.block[k] = blocks[k].data();
    run(network, {condition, rows.values.data(), rows.stride, rows.count}, outputs.data(), scratch, nullptr, kept);
    nb::list kept_blocks;
    for (std::vector<uint8_t>& block : blocks) kept_blocks.append(array_of(std::move(block), {count, block_inputs}));
    return nb::make_tuple(kept_blocks, array_of(std::move(head), {count, size_t(network.width)}));
}

// A learner with a network of its own.
struct OwnLearner {
    Network network;
    Learner learner;
    const bool learns_skip;

    OwnLearner(const Network& start, int blocks, int most, bool learns_skip)
        : network(start), learner(network, blocks, most, learns_skip), learns_skip(learns_skip) {}
    OwnLearner(const OwnLearner&) = delete;
};

// gradients: float32 [M, outputs]; kept_blocks, kept_head: what the blocks that learn, and the head, saw; rates: head, last block,
// blocks before it, biases, skip layer; inputs: what the skip layer saw, if it learns.
void step(OwnLearner& self, int condition, const Matrix<float>& gradients, const std::vector<Matrix<uint8_t>>& kept_blocks,
          const Matrix<uint8_t>& kept_head, const std::vector<float>& rates, const std::vector<Matrix<uint8_t>>& inputs, int threads) {
    const Network& network = self.network;
    const size_t count = gradients.shape(0), outputs = network.outputs;
    require(condition >= 0 && condition < network.conditions && threads >= 1, "no such condition, or no thread");
    require(gradients.shape(1) == outputs && count >= 1 && count <= size_t(self.learner.most_positions()), "gradients of another shape");
    require(int(kept_blocks.size()) == self.learner.blocks(), "one array for each block that learns");
    for (const Matrix<uint8_t>& block : kept_blocks) require(block.size() == count * network.block_inputs(), "a block of another shape");
    require(kept_head.size() == count * network.width && rates.size() == 5, "a head of another shape, or other rates");
    require(inputs.size() == size_t(self.learns_skip), "inputs if the skip layer learns");
    for (const Matrix<uint8_t>& rows : inputs) {
        require(rows.size() == count * network.inputs, "inputs of another shape");
        std::memcpy(self.learner.inputs(0), rows.data(), rows.size());
    }
    for (size_t k = 0; k < count; k++) std::copy_n(gradients.data() + k * outputs, outputs, self.learner.gradients(int(k)));
    const LearningRecord kept = self.learner.kept(nullptr);
    for (size_t b = 0; b < kept_blocks.size(); b++) std::memcpy(kept.block[b], kept_blocks[b].data(), kept_blocks[b].size());
    std::memcpy(kept.head, kept_head.data(), kept_head.size());
    for (int phase = 0; phase < Learner::PHASES; phase++) {
        auto share = [&, phase](int thread) {
            self.learner.phase(phase, condition, int(count), {rates[0], rates[1], rates[2], rates[3], rates[4]}, thread, threads);
        };
        std::vector<std::thread> others;
        for (int thread = 1; thread < threads; thread++) others.emplace_back(share, thread);
        share(0);
        for (std::thread& other : others) other.join();
    }
}

Out<float> weights_of(const LearningLayer& layer) { return array_of(layer.weights, {size_t(layer.outputs), size_t(layer.width)}); }

}  // namespace

void bind_kernel_parts(nb::module_& m) {
    m.def("product", &product_of, "x"_a, "w"_a);
    m.def("differences", &differences_of, "window"_a, "centre"_a);
    m.def("weighed", &weighed, "weights"_a, "places"_a, "values"_a);
    nb::class_<Network>(m, "Network", "A network in integers.")
        .def(nb::new_(&any_network), "tensors"_a)
        .def("outputs", &outputs_of, "rows"_a, "condition"_a)
        .def("kept", &kept_of, "rows"_a, "condition"_a);
    nb::class_<OwnLearner>(m, "Learner", "A copy of a network whose last blocks and head go on learning.")
        .def(nb::init<const Network&, int, int, bool>(), "network"_a, "blocks"_a, "most_positions"_a, "learns_skip"_a = false)
        .def("step", &step, "condition"_a, "gradients"_a, "kept_blocks"_a, "kept_head"_a, "rates"_a, "inputs"_a = std::vector<Matrix<uint8_t>>(),
             "threads"_a = 1)
        .def("outputs", [](const OwnLearner& self, const Matrix<uint8_t>& rows, int c) { return outputs_of(self.network, rows, c); },
             "rows"_a, "condition"_a)
        .def("head_weights", [](const OwnLearner& self) { return weights_of(self.learner.head()); })
        .def("block_weights", [](const OwnLearner& self, int block) { return weights_of(self.learner.block(block)); }, "block"_a)
        .def("head_bias", [](const OwnLearner& self) {
            const Network& network = self.network;
            return cropped(network.head_bias.data(), network.conditions, network.head.padded_outputs, network.outputs);
        });
}

}  // namespace ddpm
