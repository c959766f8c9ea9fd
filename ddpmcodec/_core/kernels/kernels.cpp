// Packed weights, their products, and networks that run on them.
#include "kernels.h"

#include <cstring>
#include <stdexcept>

namespace ddpm {

Packed::Packed(int outputs, int inputs, const Kernels& kernels)
    : kernels(&kernels),
      outputs(outputs),
      inputs(inputs),
      padded_outputs(rounded_up(outputs, VECTOR)),
      padded_inputs(rounded_up(inputs, kernels.input_unit)) {
    if (outputs < 1 || inputs < 1 || inputs > LARGEST_INPUTS) {
        throw std::invalid_argument("packed weights: expected 1 or more outputs and 1 .. 65535 inputs, found " +
                                    std::to_string(outputs) + " and " + std::to_string(inputs));
    }
    data.assign((size_t)padded_outputs * padded_inputs * kernels.weight_bytes, 0);
    offset.assign(padded_outputs, 0);
}

Packed::Packed(const int8_t* weights, int outputs, int inputs) : Packed(outputs, inputs) {
    for (int o = 0; o < outputs; o++) set_row(o, weights + (size_t)o * inputs);
}

void Packed::set_row(int output, const int8_t* row) { kernels->pack_row(over(inputs), output, row, inputs); }

void Packed::get_row(int output, int8_t* row) const {
    const int group = kernels->group;
    const size_t first = (size_t)(output / VECTOR) * padded_inputs * VECTOR + output % VECTOR * group;
    for (int k = 0; k < inputs; k++) {
        const size_t index = first + (size_t)(k / group) * (VECTOR * group) + k % group;
        int16_t wide = 0;
        std::memcpy(&wide, data.data() + index * kernels->weight_bytes, kernels->weight_bytes);
        row[k] = (int8_t)wide;  // the low byte, which is first on x86 and on ARM
    }
}

void Packed::set_columns(int used, int first, int last, const uint8_t* x, size_t x_stride, uint8_t flip) {
    kernels->pack_columns(over(used), first, last, x, x_stride, used, flip);
}

Weights Packed::over(int used) const {
    return {const_cast<uint8_t*>(data.data()), const_cast<int32_t*>(offset.data()), padded_outputs / VECTOR,
            rounded_up(used, kernels->input_unit)};
}

void product(const uint8_t* x, size_t x_stride, int rows, const Packed& weights, int32_t* sums, size_t sums_stride) {
    weights.kernels->product(x, x_stride, rows, weights.over(weights.inputs), sums, sums_stride);
}

namespace {

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(std::string("network: ") + what);
}

bool is(const Packed& weights, int outputs, int inputs) {
    return weights.outputs == outputs && weights.inputs == inputs;
}

}  // namespace

void Network::require_sizes() const {
    const bool is_width = width >= VECTOR && width <= LARGEST_WIDTH && width % VECTOR == 0;
    require(is_width, "the width is no multiple of 16 up to 512");
    const bool is_inputs = inputs >= VECTOR && inputs <= LARGEST_WIDTH && inputs % VECTOR == 0;
    require(is_inputs, "the number of inputs is no multiple of 16 up to 512");
    const bool is_shown = shown >= 0 && shown <= width && shown % VECTOR == 0 && block_inputs() <= LARGEST_BLOCK;
    require(is_shown, "the number of shown activations is no multiple of 16 up to the width");
    require(neighbours == NEIGHBOURS || shown == width, "previews show all activations to all around");
    require(depth >= 1 && depth <= LARGEST_DEPTH, "the depth is not 1 .. 8");
    require(outputs >= 1 && outputs <= LARGEST_OUTPUTS, "the number of outputs is not 1 .. 256");
    require(conditions >= 1, "there are no conditions");
    const size_t w = width, n = head.padded_outputs, s = conditions;
    require(is(stem, width, inputs) && is(head, outputs, width), "weights do not fit the width");
    require(is(skip, outputs, inputs), "weights do not fit the inputs and outputs");
    require((stem_factor.size() == w || stem_factor.size() == s * w) && head_factor.size() == n && skip_factor.size() == n,
            "factors do not fit the outputs");
    require(stem_bias.size() == s * w && head_bias.size() == s * n, "biases do not fit the conditions and outputs");
    require((int)blocks.size() == depth && (int)block_factor.size() == depth, "blocks do not fit the depth");
    for (int k = 0; k < depth; k++) {
        require(is(blocks[k], width, block_inputs()) && block_factor[k].size() == w, "a block does not fit the width");
    }
}

void Network::set_gains(const float* gains) {
    const std::vector<float> factor = stem_factor;
    stem_factor.resize(size_t(conditions) * width);
    for (size_t k = 0; k < stem_factor.size(); k++) stem_factor[k] = factor[k % width] * gains[k];
}

void Network::add_block_bias(const float* biases) { block_bias.emplace_back(biases, biases + size_t(conditions) * width); }

Scratch::Scratch(const Network& network)
    : sums_stride(rounded_up(network.width > network.outputs ? network.width : network.outputs, VECTOR)),
      skip_stride(rounded_up(network.outputs, VECTOR)),
      activation_stride(rounded_up(network.block_inputs(), ROW_UNIT)),
      sums(BLOCK_ROWS * sums_stride),
      skip_sums(BLOCK_ROWS * skip_stride),
      trunk((size_t)BLOCK_ROWS * network.width),
      activation(BLOCK_ROWS * activation_stride) {}

HeadSums Scratch::ends(const Network& network, const float* head_bias, int count) const {
    HeadSums ends;
    ends.sums = sums.data(), ends.sums_stride = sums_stride;
    ends.skip_sums = skip_sums.data(), ends.skip_stride = skip_stride;
    ends.factor = network.head_factor.data(), ends.bias = head_bias;
    ends.skip_offset = network.skip.offset.data(), ends.skip_factor = network.skip_factor.data();
    ends.count = count, ends.outputs = network.outputs;
    return ends;
}

namespace {

// What the next layer sees, of each row its first `length` bytes.
void keep(const Rows& rows, int length, const int* places, uint8_t* kept) {
    for (int m = 0; m < rows.count; m++) std::memcpy(kept + (size_t)places[m] * length, rows.activation + m * rows.activation_stride, length);
}

// Shows the activations before a block, and puts what others show beside them. Rows may see each other.
void exchange(const Rows& rows, int length, int block, const NeighbourActivations* shown) {
    const size_t start = (size_t)block * length;
    for (int m = 0; shown && m < rows.count; m++) std::memcpy(shown[m].own + start, rows.activation + m * rows.activation_stride, length);
    for (int m = 0; m < rows.count; m++) {
        uint8_t* beside = rows.activation + m * rows.activation_stride + rows.width;
        for (int j = 0; j < NEIGHBOURS; j++, beside += length) {
            if (shown) std::memcpy(beside, shown[m].near[j] + start, length);
            else std::memset(beside, 0, length);
        }
    }
}

}  // namespace

void run(const Network& network, const InputRows& inputs, int32_t* outputs, Scratch& scratch, const NeighbourActivations* shown, const LearningRecord& kept) {
    const Kernels& kernels = *network.stem.kernels;
    const int width = network.width, count = inputs.count;
    const float* stem_bias = network.stem_bias.data() + (size_t)inputs.condition * width;
    const float* head_bias = network.head_bias.data() + (size_t)inputs.condition * network.head.padded_outputs;
    int32_t* sums = scratch.sums.data();
    Rows rows{sums, scratch.trunk.data(), scratch.activation.data(), scratch.sums_stride, scratch.activation_stride,
              0, width, nullptr};
    auto multiply = [&](const Packed& weights) {
        product(rows.activation, rows.activation_stride, rows.count, weights, sums, rows.sums_stride);
    };
    for (int first = 0; first < count; first += BLOCK_ROWS) {
        rows.count = count - first < BLOCK_ROWS ? count - first : BLOCK_ROWS;
        const uint8_t* seen = inputs.rows + first * inputs.stride;
        product(seen, inputs.stride, rows.count, network.skip, scratch.skip_sums.data(), scratch.skip_stride);
        product(seen, inputs.stride, rows.count, network.stem, sums, rows.sums_stride);
        rows.shift = network.shift(0, inputs.condition);
        kernels.after_stem(rows, network.stem.offset.data(), network.stem_factor_in(inputs.condition), stem_bias);
        for (int k = 0; k < network.depth; k++) {
            if (network.shown) exchange(rows, network.shown, k, shown ? shown + first : nullptr);
            const int number = k - (network.depth - kept.blocks);
            if (number >= 0) keep(rows, network.block_inputs(), kept.places + first, kept.block[number]);
            multiply(network.blocks[k]);
            rows.shift = network.shift(k + 1, inputs.condition);
            kernels.after_block(rows, network.block_factor[k].data());
        }
        if (kept.head) keep(rows, width, kept.places + first, kept.head);
        multiply(network.head);
        kernels.after_head(scratch.ends(network, head_bias, rows.count), outputs + (size_t)first * network.outputs, network.outputs);
    }
}

}  // namespace ddpm
