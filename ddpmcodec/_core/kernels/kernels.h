// Networks of the context model in exact integers, and what their layers keep so that they can go on learning.
//
// Products are of eight-bit integers, whose sums are exact in any order. The trunk is float32, and all that is done to
// it is elementwise, one rounding for each operation: the same bits on every processor, in rows of any number.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels_table.h"

namespace ddpm {

constexpr int BLOCK_ROWS = 48;  // rows that go through all layers together, whole blocks of 6: they stay in the cache
constexpr int LARGEST_DEPTH = 8, LARGEST_OUTPUTS = 256;
constexpr int NEIGHBOURS = 3;             // positions whose activations blocks see beside their own, while pixels are coded
constexpr int AROUND = 8;                 // the same, in previews
constexpr int LARGEST_INPUTS = 65535;     // of a product, whose sums would not fit int32 otherwise
constexpr int LARGEST_POSITIONS = 60000;  // of a step of learning, for the same reason

constexpr int rounded_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

// Memory that vectors are loaded from, which begins with a line of the cache.
template <typename T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <typename U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{64})); }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t{64}); }
    bool operator==(const AlignedAllocator&) const { return true; }
    bool operator!=(const AlignedAllocator&) const { return false; }
};
template <typename T>
using Aligned = std::vector<T, AlignedAllocator<T>>;

// ---- Which kernels

// Names of those that this build has and this processor can run, the fastest first.
std::vector<std::string> kernels_here();

struct UnknownKernels : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Those in use: the fastest, or what DDPMCODEC_KERNELS names. Throws UnknownKernels where that cannot be.
const Kernels& kernels();

// For tests: what `kernels` returns from now on. What was packed before keeps its kernels. Throws as `kernels` does.
void use_kernels(const std::string& name);

// ---- Products

// int8 weights [outputs, inputs] as the kernels in use take them, padded with zeros to 16 outputs.
struct Packed {
    Packed() = default;
    // Zeros.
    Packed(int outputs, int inputs, const Kernels& kernels = ddpm::kernels());
    Packed(const int8_t* weights, int outputs, int inputs);

    // Changes one output's weights, int8 [inputs]. Threads may change different outputs at a time.
    void set_row(int output, const int8_t* row);
    // One output's weights, as they were given.
    void get_row(int output, int8_t* row) const;
    // Columns of x become the weights of outputs in blocks [first, last) of 16: x [used][outputs] ^ flip, read as int8.
    // From then on there are `used` inputs, which only `over(used)` knows.
    void set_columns(int used, int first, int last, const uint8_t* x, size_t x_stride, uint8_t flip);
    Weights over(int used) const;

    const Kernels* kernels = nullptr;
    int outputs = 0, inputs = 0;
    int padded_outputs = 0, padded_inputs = 0;
    Aligned<uint8_t> data;
    Aligned<int32_t> offset;  // [padded_outputs]: 128 times the sum of weights, which inputs that carry 128 add to sums
};

// sums[m][n] = sum over k of x[m][k] w[n][k]: uint8 rows, which can be read up to a multiple of ROW_UNIT bytes whose
// values beyond the inputs do not matter; int32 [rows][padded_outputs].
void product(const uint8_t* x, size_t x_stride, int rows, const Packed& weights, int32_t* sums, size_t sums_stride);

// ---- Networks

// Of a network. depth: blocks. shown: activations of a position that others see. neighbours: how many others a position sees.
struct Sizes {
    int width = 0, shown = 0, depth = 0, inputs = 0, outputs = 0, conditions = 0, neighbours = NEIGHBOURS;

    int block_inputs() const { return width + neighbours * shown; }
};

// A residual network: stem, blocks, head, and beside them a skip layer, linear from inputs to outputs. Blocks also see
// the first `shown` activations that the same block of other positions saw: causal convolutions, where these are NEIGHBOURS
// that were computed before (van den Oord et al. 2016); convolutions, where they are all that lie around it. Arrays by condition are
// [conditions][...] in one piece.
struct Network : Sizes {
    Packed stem;  // its sums are too large by its `offset`
    std::vector<float> stem_factor, stem_bias;  // [width], or by condition if there are gains; [conditions][width]
    std::vector<Packed> blocks;  // [width][block_inputs]
    std::vector<std::vector<float>> block_factor;  // [depth][width]
    std::vector<std::vector<float>> block_bias;    // [depth][conditions][width], added to the trunk for what a block sees; or none
    Packed head;
    std::vector<float> head_factor, head_bias;  // [padded outputs], [conditions][padded outputs]
    Packed skip;                                // from the inputs; its sums are too large by its `offset`
    std::vector<float> skip_factor;             // [padded outputs]

    // Throws std::invalid_argument where sizes are not as they must be: width and inputs are multiples of 16 up to 512,
    // `shown` is one up to the width, and in previews the width.
    void require_sizes() const;

    // Multiplies the stem's sums by gains [conditions][width].
    void set_gains(const float* gains);
    // Adds biases [conditions][width] before the next block that has none.
    void add_block_bias(const float* biases);

    bool has_gains() const { return stem_factor.size() > size_t(width); }
    const float* stem_factor_in(int condition) const { return &stem_factor[has_gains() ? size_t(condition) * width : 0]; }
    const float* shift(int block, int condition) const {  // null: none
        return size_t(block) < block_bias.size() ? &block_bias[block][size_t(condition) * width] : nullptr;
    }
};

// How many activations are shown, by the inputs of a block; -1 where it cannot be.
inline int shown_by(int block_inputs, int width, int neighbours) {
    return block_inputs >= width && (block_inputs - width) % neighbours == 0 ? (block_inputs - width) / neighbours : -1;
}

// A network from its tensors, which a source gives in this order: int8 weights(name, outputs, inputs), and float32
// factors(name, count) and biases(name, conditions, count). What they point to may change with the next call.
template <class Source> Network network_of(Source& source, const Sizes& sizes) {
    if (sizes.shown < 0) throw std::invalid_argument("block0.weight: its inputs are not the width, and what others show");
    auto packed = [&](const std::string& layer, int to, int from) { return Packed(source.weights(layer + ".weight", to, from), to, from); };
    auto padded = [](const float* values, int rows, int columns) {  // each row continued with zeros
        const int padded_columns = rounded_up(columns, VECTOR);
        std::vector<float> padded_rows((size_t)rows * padded_columns, 0.0f);
        for (int m = 0; m < rows; m++)
            std::copy_n(values + (size_t)m * columns, columns, &padded_rows[(size_t)m * padded_columns]);
        return padded_rows;
    };
    auto factors = [&](const std::string& layer, int count) { return padded(source.factors(layer + ".factor", count), 1, count); };
    auto biases = [&](const std::string& layer, int count) {
        return padded(source.biases(layer + ".bias", sizes.conditions, count), sizes.conditions, count);
    };
    Network network;
    static_cast<Sizes&>(network) = sizes;
    network.stem = packed("stem", sizes.width, sizes.inputs);
    network.stem_factor = factors("stem", sizes.width);
    network.stem_bias = biases("stem", sizes.width);
    for (int k = 0; k < sizes.depth; k++) {
        const std::string layer = "block" + std::to_string(k);
        network.blocks.push_back(packed(layer, sizes.width, sizes.block_inputs()));
        network.block_factor.push_back(factors(layer, sizes.width));
    }
    network.head = packed("head", sizes.outputs, sizes.width);
    network.head_factor = factors("head", sizes.outputs);
    network.head_bias = biases("head", sizes.outputs);
    network.skip = packed("skip", sizes.outputs, sizes.inputs);
    network.skip_factor = factors("skip", sizes.outputs);
    network.require_sizes();
    return network;
}

// What `run` writes for BLOCK_ROWS rows; each thread has one.
struct Scratch {
    explicit Scratch(const Network& network);

    size_t sums_stride, skip_stride, activation_stride;
    Aligned<int32_t> sums, skip_sums;
    Aligned<float> trunk;
    Aligned<uint8_t> activation;

    // Sums of the head and the skip layer, of `count` rows. head_bias: of a condition.
    HeadSums ends(const Network&, const float* head_bias, int count) const;
};

// Where a position finds what others show it, and shows its own: uint8 [depth][shown] each.
struct NeighbourActivations {
    const uint8_t* near[NEIGHBOURS];
    uint8_t* own;
};

// Positions in one condition: uint8 [count][stride], which carry 128 and can be read as `product` says.
struct InputRows {
    int condition;
    const uint8_t* rows;
    size_t stride;
    int count;
};

// Where learning keeps what it needs of positions: what the last blocks and the head saw, uint8 [block_inputs] and [width] each.
struct LearningRecord {
    int blocks = 0;
    uint8_t* block[LARGEST_DEPTH] = {};
    uint8_t* head = nullptr;
    const int* places = nullptr;  // of each position, in these
};

// outputs: int32 [count][outputs]. shown: [count], or nullptr: each position is alone. Does not allocate.
void run(const Network& network, const InputRows& inputs, int32_t* outputs, Scratch& scratch, const NeighbourActivations* shown = nullptr,
         const LearningRecord& kept = {});

}  // namespace ddpm
