// Online learning of a network's last layers: which part of it each thread does, and in which order.
#include "kernels_learner.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ddpm {
namespace {

constexpr uint8_t SIGN = 128;  // flips the top bit: x less 128, read as signed

// The part of `count` things that one of `threads` threads does, in whole units.
struct Share {
    int first, last;
    Share(int first, int last) : first(first), last(last) {}
    Share(int count, int unit, int thread, int threads) {
        const long long units = (count + unit - 1) / unit;
        first = bounded(units * thread / threads * unit, count);
        last = bounded(units * (thread + 1) / threads * unit, count);
    }
    static int bounded(long long value, int count) { return value < count ? (int)value : count; }
};

// A rate with what corrects means that began at zero. beta_powers: BETA1 and BETA2 to the number of steps.
float step_size_of(float rate, const float* beta_powers) { return rate * (std::sqrt(1.0f - beta_powers[1]) / (1.0f - beta_powers[0])); }

float bounded(float x, float limit) {
    const float above = x > -limit ? x : -limit;
    return above < limit ? above : limit;
}

}  // namespace

LayerGradients::LayerGradients(int outputs, int most_positions)
    : outputs(outputs),
      stride(rounded_up(outputs, VECTOR)),
      row_stride(rounded_up(most_positions, ROW_UNIT)),
      values((size_t)most_positions * stride, 0.0f),
      rows(outputs * row_stride, SIGN),
      units(outputs, 0.0f),
      shares(outputs, 0.0f),
      totals(outputs, 0) {}

LearningLayer::LearningLayer(const Packed& packed, int most_positions)
    : outputs(packed.outputs),
      width(packed.inputs),
      weights((size_t)outputs * width),
      first_moment((size_t)outputs * width, 0.0f),
      second_moment((size_t)outputs * width, 0.0f),
      quantised((size_t)outputs * width),
      kept((size_t)most_positions * width, 0),
      columns(width, most_positions, *packed.kernels),
      sums((size_t)outputs * width, 0),
      gradients(outputs, most_positions) {
    for (int o = 0; o < outputs; o++) packed.get_row(o, quantised.data() + (size_t)o * width);
    for (size_t i = 0; i < weights.size(); i++) weights[i] = quantised[i];
}

BackwardLayer::BackwardLayer(int outputs, int inputs, int most_positions, const Kernels& kernels)
    : weights(inputs, outputs, kernels),
      stride(rounded_up(outputs, ROW_UNIT)),
      rows(most_positions * stride, SIGN),
      units(most_positions, 0.0f),
      sums((size_t)most_positions * inputs, 0) {}

Learner::Learner(Network& network, int blocks, int most_positions, bool learns_skip)
    : network_(network),
      kernels_(*network.stem.kernels),
      most_(most_positions >= 1 && most_positions <= LARGEST_POSITIONS
                ? most_positions
                : throw std::invalid_argument("learner: the most positions of a step are not 1 .. 60000")),
      trunk_((size_t)most_positions * network.width) {
    if (blocks < 0 || blocks > network.depth) throw std::invalid_argument("learner: the blocks that learn are not 0 .. the depth");
    for (int k = network.depth - blocks; k < network.depth; k++) layers_.emplace_back(network.blocks[k], most_positions);
    layers_.emplace_back(network.head, most_positions);
    if (learns_skip) skip_.emplace(network.skip, most_positions);
    for (int i = 1; i <= blocks; i++) backward_.emplace_back(layers_[i].outputs, network.width, most_positions, kernels_);
    const size_t biases = (size_t)network.conditions * network.outputs;
    bias_.first_moment.assign(biases, 0.0f);
    bias_.second_moment.assign(biases, 0.0f);
    bias_.beta_powers.assign(2 * (size_t)network.conditions, 1.0f);
}

LearningRecord Learner::kept(const int* places) {
    LearningRecord kept{blocks(), {}, head().kept.data(), places};
    for (int k = 0; k < blocks(); k++) kept.block[k] = layers_[k].kept.data();
    return kept;
}

void Learner::phase(int number, int condition, int count, const Rates& rates, int thread, int threads) {
    if (number == 0) prepare(condition, count, thread, threads);
    else if (number == 1) backward(count, thread, threads);
    else learn(condition, count, rates, thread, threads);
}

// Phase 0 prepares the factors of products: weights for the ways back, and what the layers saw.
void Learner::prepare(int condition, int count, int thread, int threads) {
    if (thread == 0) {
        float* bias = bias_.beta_powers.data() + 2 * condition;
        beta_powers_[0] *= BETA1, bias[0] *= BETA1;
        beta_powers_[1] *= BETA2, bias[1] *= BETA2;
    }
    auto set_columns = [&](LearningLayer& layer) {
        const Share columns(layer.width / VECTOR, 1, thread, threads);
        layer.columns.set_columns(count, columns.first, columns.last, layer.kept.data(), layer.width, SIGN);
    };
    if (skip_) set_columns(*skip_);
    for (size_t i = 0; i < layers_.size(); i++) {
        LearningLayer& layer = layers_[i];
        set_columns(layer);
        if (i == 0) continue;
        const Share back(network_.width / VECTOR, 1, thread, threads);
        const auto* weights = reinterpret_cast<const uint8_t*>(layer.quantised.data());
        backward_[i - 1].weights.set_columns(layer.outputs, back.first, back.last, weights, layer.width, 0);
    }
}

// Phase 1 computes gradients by the blocks' sums, of a share of the positions: from layer to layer, those by the trunk add up.
void Learner::backward(int count, int thread, int threads) {
    const Share positions(count, 4, thread, threads);
    const int width = network_.width, first = positions.first;
    std::fill(trunk_.begin() + (size_t)first * width, trunk_.begin() + (size_t)positions.last * width, 0.0f);
    for (int i = blocks(); i > 0; i--) {
        const LearningLayer& from = layers_[i];
        LearningLayer& to = layers_[i - 1];
        BackwardLayer& back = backward_[i - 1];
        for (int k = first; k < positions.last; k++) {
            const float* gradients = from.gradients.values.data() + (size_t)k * from.gradients.stride;
            back.units[k] = kernels_.quantise_row(gradients, from.gradients.stride, back.rows.data() + k * back.stride);
        }
        kernels_.product(back.rows.data() + first * back.stride, back.stride, positions.last - first, back.weights.over(from.outputs),
                         back.sums.data() + (size_t)first * width, width);
        const float* factor = network_.block_factor[network_.depth - blocks() + i - 1].data();
        for (int k = first; k < positions.last; k++)
            kernels_.backward(back.sums.data() + (size_t)k * width, back.weights.offset.data(), back.units[k], factor,
                          from.kept.data() + (size_t)k * from.width, trunk_.data() + (size_t)k * width,
                          to.gradients.values.data() + (size_t)k * width, width);
    }
}

// Phase 2 moves a share of the layers' outputs, in whole blocks of 16: widths are multiples of it.
void Learner::learn(int condition, int count, const Rates& rates, int thread, int threads) {
    const Share outputs(blocks() * network_.width + network_.outputs, VECTOR, thread, threads);
    for (int i = 0; i <= blocks(); i++) {
        const int start = i * network_.width;
        const int first = std::max(outputs.first - start, 0), last = std::min(outputs.last - start, layers_[i].outputs);
        if (first >= last) continue;
        const bool is_head = i == blocks();
        LayerGradients& gradients = layers_[i].gradients;
        kernels_.quantise_columns(gradients.columns(), count, first, last);
        const float rate = is_head ? rates.head : i == blocks() - 1 ? rates.block : rates.inner;
        adam_step(layers_[i], packed(i), gradients, true, {count, rate, first, last});
        if (!is_head) continue;
        if (skip_) adam_step(*skip_, network_.skip, gradients, false, {count, rates.skip, first, last});
        adam_step_of_bias(condition, count, rates.bias, first, last);
    }
}

// Moves outputs of a layer. gradients: by its sums; by those of the skip layer they have other factors, which Adam divides out. has_offset: the
// layer saw numbers from 0 on, whose columns are 128 less; the skip layer saw numbers that stand for themselves less 128.
void Learner::adam_step(LearningLayer& layer, Packed& packed, const LayerGradients& gradients, bool has_offset, const StepExtent& moved) {
    const auto [count, rate, first, last] = moved;
    kernels_.product(gradients.rows.data() + first * gradients.row_stride, gradients.row_stride, last - first, layer.columns.over(count),
                     layer.sums.data() + (size_t)first * layer.width, layer.width);
    const float step_size = step_size_of(rate, beta_powers_);
    for (int o = first; o < last; o++) {
        const size_t start = (size_t)o * layer.width;
        const int32_t total = has_offset ? gradients.totals[o] : 0;
        const LearnedRow row{&layer.weights[start], &layer.first_moment[start], &layer.second_moment[start], &layer.quantised[start], step_size};
        kernels_.adam_step(layer.sums.data() + start, layer.columns.offset.data(), total, gradients.units[o], row, layer.width);
        packed.set_row(o, row.quantised);
    }
}

// The gradient by a bias is that by its output: the sum over positions, in their order, over the head's factor.
void Learner::adam_step_of_bias(int condition, int count, float rate, int first, int last) {
    const LayerGradients& gradients = head().gradients;
    const size_t start = (size_t)condition * network_.outputs;
    float* biases = network_.head_bias.data() + (size_t)condition * network_.head.padded_outputs;
    const float step_size = step_size_of(rate, bias_.beta_powers.data() + 2 * condition);
    float sums[LARGEST_WIDTH] = {};
    for (int k = 0; k < count; k++) {
        const float* position = &gradients.values[(size_t)k * gradients.stride];
        for (int o = first; o < last; o++) sums[o - first] += position[o];
    }
    for (int o = first; o < last; o++) {
        const float sum = sums[o - first];
        const float factor = network_.head_factor[o];
        const float gradient = factor != 0.0f ? sum / factor : 0.0f;
        float &second_moment = bias_.second_moment[start + o], &first_moment = bias_.first_moment[start + o];
        first_moment = BETA1 * first_moment + (1.0f - BETA1) * gradient;
        second_moment = BETA2 * second_moment + (1.0f - BETA2) * (gradient * gradient);
        const float moved = step_size * (first_moment / (std::sqrt(second_moment) + EPSILON));
        biases[o] = bounded(biases[o] - moved, OUTPUT_LIMIT);
    }
}

}  // namespace ddpm
