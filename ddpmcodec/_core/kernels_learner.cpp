// Online learning of a network's last layers: which part of it each thread does, and in which order.
#include "kernels_learner.h"

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

// A rate with what corrects means that began at zero. powers: MOMENTUM and SQUARES to the number of steps.
float pace_of(float rate, const float* powers) { return rate * (std::sqrt(1.0f - powers[1]) / (1.0f - powers[0])); }

float bounded(float x, float limit) {
    const float above = x > -limit ? x : -limit;
    return above < limit ? above : limit;
}

}  // namespace

LearningSlopes::LearningSlopes(int outputs, int most_positions)
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
      momentum((size_t)outputs * width, 0.0f),
      squares((size_t)outputs * width, 0.0f),
      nearest((size_t)outputs * width),
      kept((size_t)most_positions * width, 0),
      columns(width, most_positions, *packed.kernels),
      sums((size_t)outputs * width, 0) {
    for (int o = 0; o < outputs; o++) packed.get_row(o, nearest.data() + (size_t)o * width);
    for (size_t i = 0; i < weights.size(); i++) weights[i] = nearest[i];
}

Learner::Learner(Network& network, int most_positions)
    : network_(network),
      kernels_(*network.stem.kernels),
      most_(most_positions >= 1 && most_positions <= LARGEST_POSITIONS
                ? most_positions
                : throw std::invalid_argument("learner: the most positions of a step are not 1 .. 60000")),
      head_slopes_(network.outputs, most_positions),
      block_slopes_(network.width, most_positions),
      head_(network.head, most_positions),
      block_(network.blocks.back(), most_positions),
      back_(network.width, network.outputs, kernels_),
      back_stride_(rounded_up(network.outputs, ROW_UNIT)),
      back_rows_(most_positions * back_stride_, SIGN),
      back_units_(most_positions, 0.0f),
      back_sums_((size_t)most_positions * network.width, 0) {
    const size_t biases = (size_t)network.conditions * network.outputs;
    bias_.momentum.assign(biases, 0.0f);
    bias_.squares.assign(biases, 0.0f);
    bias_.powers.assign(2 * (size_t)network.conditions, 1.0f);
}

void Learner::phase(int number, int condition, int count, const Rates& rates, int thread, int threads) {
    if (number == 0) prepare(condition, count, thread, threads);
    else if (number == 1) propagate(count, thread, threads);
    else learn(condition, count, rates, thread, threads);
}

// Phase 0 prepares the factors of products: the head's weights for the way back, what the layers saw, and slopes.
void Learner::prepare(int condition, int count, int thread, int threads) {
    if (thread == 0) {
        float* bias = bias_.powers.data() + 2 * condition;
        powers_[0] *= MOMENTUM, bias[0] *= MOMENTUM;
        powers_[1] *= SQUARES, bias[1] *= SQUARES;
    }
    const Share back(head_.width / VECTOR, 1, thread, threads);
    const auto* weights = reinterpret_cast<const uint8_t*>(head_.nearest.data());
    back_.set_columns(head_.outputs, back.first, back.last, weights, head_.width, 0);
    for (LearningLayer* layer : {&head_, &block_}) {
        const Share columns(layer->width / VECTOR, 1, thread, threads);
        layer->columns.set_columns(count, columns.first, columns.last, layer->kept.data(), layer->width, SIGN);
    }
    const Share positions(count, 1, thread, threads);
    for (int k = positions.first; k < positions.last; k++) {
        back_units_[k] = kernels_.quantise_row(slopes(k), head_slopes_.stride, back_rows_.data() + k * back_stride_);
    }
}

// Phase 1 computes slopes by the block's sums, of a share of the positions.
void Learner::propagate(int count, int thread, int threads) {
    const Share positions(count, 4, thread, threads);
    const int width = head_.width, first = positions.first;
    int32_t* sums = back_sums_.data();
    kernels_.product(back_rows_.data() + first * back_stride_, back_stride_, positions.last - first,
                     back_.over(head_.outputs), sums + (size_t)first * width, width);
    for (int k = first; k < positions.last; k++) {
        float* slopes = block_slopes_.values.data() + (size_t)k * width;
        kernels_.back(sums + (size_t)k * width, back_.offset.data(), back_units_[k],
                      network_.block_factor.back().data(), kept_head(k), slopes, width);
    }
}

// Phase 2 moves a share of the layers' outputs, the block's first, in whole blocks of 16.
void Learner::learn(int condition, int count, const Rates& rates, int thread, int threads) {
    const int width = block_.outputs;  // a multiple of 16
    const Share outputs(width + head_.outputs, VECTOR, thread, threads);
    const Share block{outputs.first < width ? outputs.first : width, outputs.last < width ? outputs.last : width};
    const Share last{outputs.first - block.first, outputs.last - block.last};
    if (block.first < block.last) move_block(count, rates, block.first, block.last);
    if (last.first < last.last) move_last(condition, count, rates, last.first, last.last);
}

void Learner::move_block(int count, const Rates& rates, int first, int last) {
    quantise(block_slopes_, count, first, last);
    multiply(block_slopes_, block_, count, first, last);
    move(block_, network_.blocks.back(), block_slopes_, rates.block, first, last);
}

// Moves outputs of the head, and their biases.
void Learner::move_last(int condition, int count, const Rates& rates, int first, int last) {
    quantise(head_slopes_, count, first, last);
    multiply(head_slopes_, head_, count, first, last);
    move(head_, network_.head, head_slopes_, rates.head, first, last);
    move_bias(condition, count, rates.bias, first, last);
}

void Learner::quantise(LearningSlopes& slopes, int count, int first, int last) {
    kernels_.quantise_columns(slopes.values.data(), slopes.stride, count, first, last, slopes.rows.data(),
                              slopes.row_stride, slopes.units.data(), slopes.shares.data(), slopes.totals.data());
}

void Learner::multiply(const LearningSlopes& slopes, LearningLayer& layer, int count, int first, int last) {
    kernels_.product(slopes.rows.data() + first * slopes.row_stride, slopes.row_stride, last - first,
                     layer.columns.over(count), layer.sums.data() + (size_t)first * layer.width, layer.width);
}

void Learner::move(LearningLayer& layer, Packed& packed, const LearningSlopes& slopes, float rate, int first, int last) {
    const int width = layer.width;
    const float pace = pace_of(rate, powers_);
    for (int o = first; o < last; o++) {
        const size_t start = (size_t)o * width;
        const LearnedRow row{&layer.weights[start], &layer.momentum[start], &layer.squares[start], &layer.nearest[start], pace};
        kernels_.move(layer.sums.data() + start, layer.columns.offset.data(), slopes.totals[o], slopes.units[o], row, width);
        packed.set_row(o, row.nearest);
    }
}

// The gradient by a bias is that by its output: the sum over positions, in their order, over the head's factor.
void Learner::move_bias(int condition, int count, float rate, int first, int last) {
    const size_t start = (size_t)condition * head_.outputs;
    float* biases = network_.head_bias.data() + (size_t)condition * network_.head.padded_outputs;
    const float pace = pace_of(rate, bias_.powers.data() + 2 * condition);
    for (int o = first; o < last; o++) {
        float sum = 0.0f;
        for (int k = 0; k < count; k++) sum += head_slopes_.values[(size_t)k * head_slopes_.stride + o];
        const float factor = network_.head_factor[o];
        const float gradient = factor != 0.0f ? sum / factor : 0.0f;
        float &squares = bias_.squares[start + o], &momentum = bias_.momentum[start + o];
        momentum = MOMENTUM * momentum + (1.0f - MOMENTUM) * gradient;
        squares = SQUARES * squares + (1.0f - SQUARES) * (gradient * gradient);
        const float moved = pace * (momentum / (std::sqrt(squares) + TINY));
        biases[o] = bounded(biases[o] - moved, OUTPUT_LIMIT);
    }
}

}  // namespace ddpm
