// Online learning: a network's head, last blocks and skip layer go on learning from the image that is coded.
//
// Both sides take one step of gradient descent on their code length after some positions, by backpropagation through
// these layers (Adam, Kingma & Ba 2015, with a short memory of gradients). Weights move in fractions of their integers; the
// network runs with them rounded. Gradients add up in integers: those by sums are rounded to eight bits, in units of the largest.
#pragma once

#include <algorithm>
#include <optional>

#include "kernels.h"

namespace ddpm {

// How far a weight or a bias moves where all gradients agree, in steps between integers (of a bias: of an output).
struct Rates {
    float head, block, inner, bias;  // block: the last one; inner: those before it
    float skip = 0.0f;
};

// Gradients of the code length by a layer's sums, at the positions of this step.
struct LayerGradients {
    LayerGradients(int outputs, int most_positions);

    int outputs, stride;               // of `values`, whose rows are filled up with zeros
    size_t row_stride;                 // of `rows`
    std::vector<float> values;         // [most][stride]
    Aligned<uint8_t> rows;             // in eight bits [outputs][row_stride]
    std::vector<float> units, shares;  // what 1 stands for in `rows`, and its inverse [outputs]
    std::vector<int32_t> totals;       // 128 times the sum of them [outputs]

    GradientColumns columns() {
        return {values.data(), size_t(stride), rows.data(), row_stride, units.data(), shares.data(), totals.data()};
    }
};

// What learning keeps of one layer.
struct LearningLayer {
    LearningLayer(const Packed& packed, int most_positions);

    int outputs, width;                    // width: inputs
    std::vector<float> weights;            // [outputs][width], with their fractions
    std::vector<float> first_moment, second_moment;  // means of their gradients, and of the squares of these
    std::vector<int8_t> quantised;         // integers to the weights [outputs][width]
    std::vector<uint8_t> kept;             // what the layer saw at the positions of this step [most][width]
    Packed columns;                        // the same less 128, as weights: [width, most]
    Aligned<int32_t> sums;                 // gradients times inputs, over all positions [outputs][width]
    LayerGradients gradients;              // by its own sums
};

// The way back through a layer, to gradients by its first inputs: the activations of the trunk.
struct BackwardLayer {
    BackwardLayer(int outputs, int inputs, int most_positions, const Kernels& kernels);

    Packed weights;              // outputs for inputs
    size_t stride;               // of `rows`
    Aligned<uint8_t> rows;       // gradients by the layer's sums in eight bits [most][stride]
    std::vector<float> units;    // what 1 stands for in them [most]
    Aligned<int32_t> sums;       // [most][inputs]
};

// What learning keeps of the head's biases, by condition, as each has biases of its own.
struct LearningBias {
    std::vector<float> first_moment, second_moment;  // [conditions][outputs]
    std::vector<float> beta_powers;                  // BETA1 and BETA2 to the number of steps [conditions][2]
};

class Learner {
public:
    // Changes the head, the last `blocks` blocks, and perhaps the skip layer of `network`, which must be a copy of the learner's own, and
    // outlive it.
    Learner(Network& network, int blocks, int most_positions, bool learns_skip = false);

    // The caller writes for each position k of this step: gradients of the code length by the head's sums (those by outputs,
    // times head_factor), and, in k's place of `kept`, what the blocks that learn and the head saw; and its inputs, if the skip
    // layer learns.
    float* gradients(int k) { return head().gradients.values.data() + (size_t)k * head().gradients.stride; }
    void clear_gradients(int k) { std::fill_n(gradients(k), network_.outputs, 0.0f); }  // of a position that teaches nothing
    LearningRecord kept(const int* places);
    uint8_t* inputs(int k) { return skip_->kept.data() + (size_t)k * skip_->width; }  // what the skip layer saw, if it learns

    int most_positions() const { return most_; }
    int blocks() const { return (int)layers_.size() - 1; }
    const LearningLayer& head() const { return layers_.back(); }
    const LearningLayer& block(int number) const { return layers_[number]; }

    // One step of the optimiser, of `count` positions (1 .. most_positions) all in one condition, is these phases, one
    // after the other. `threads` threads each do a share of each phase, with a barrier after it: the result is what one
    // thread computes alone.
    static constexpr int PHASES = 3;
    void phase(int number, int condition, int count, const Rates& rates, int thread, int threads);

private:
    LearningLayer& head() { return layers_.back(); }
    Packed& packed(int layer) { return layer < blocks() ? network_.blocks[network_.depth - blocks() + layer] : network_.head; }
    void prepare(int condition, int count, int thread, int threads);
    void backward(int count, int thread, int threads);
    void learn(int condition, int count, const Rates& rates, int thread, int threads);
    struct StepExtent {
        int count;         // positions
        float rate;
        int first, last;   // outputs
    };
    void adam_step(LearningLayer& layer, Packed& packed, const LayerGradients& gradients, bool has_offset, const StepExtent& moved);
    void adam_step_of_bias(int condition, int count, float rate, int first, int last);

    Network& network_;
    const Kernels& kernels_;
    int most_;
    std::vector<LearningLayer> layers_;    // blocks, then the head
    std::vector<BackwardLayer> backward_;  // from each layer but the first to the one before it
    std::vector<float> trunk_;             // gradients by the trunk [most][width]
    std::optional<LearningLayer> skip_;
    LearningBias bias_;
    float beta_powers_[2] = {1.0f, 1.0f};  // BETA1 and BETA2 to the number of steps
};

}  // namespace ddpm
