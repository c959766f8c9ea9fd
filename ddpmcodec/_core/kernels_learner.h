// Online learning: a network's head and last block go on learning from the image that is coded.
//
// Both sides take one step of gradient descent on their code length after some positions, by backpropagation through
// these layers (Adam, Kingma & Ba 2015, with a short memory of gradients). Weights move in fractions of their integers; the
// network runs with the nearest. Gradients add up in integers: slopes are rounded to eight bits, in units of the largest.
#pragma once

#include "kernels.h"

namespace ddpm {

// How far a weight or a bias moves where all gradients agree, in steps between integers (of a bias: of an output).
struct Rates {
    float head, block, bias;
};

// Slopes of the code length by a layer's sums, at the positions of this step.
struct LearningSlopes {
    LearningSlopes(int outputs, int most_positions);

    int outputs, stride;               // of `values`, whose rows are filled up with zeros
    size_t row_stride;                 // of `rows`
    std::vector<float> values;         // [most][stride]
    Aligned<uint8_t> rows;             // in eight bits [outputs][row_stride]
    std::vector<float> units, shares;  // what 1 stands for in `rows`, and its inverse [outputs]
    std::vector<int32_t> totals;       // 128 times the sum of them [outputs]
};

// What learning keeps of one layer.
struct LearningLayer {
    LearningLayer(const Packed& packed, int most_positions);

    int outputs, width;                    // width: inputs
    std::vector<float> weights;            // [outputs][width], with their fractions
    std::vector<float> momentum, squares;  // means of their gradients and of the squares of these
    std::vector<int8_t> nearest;           // integers to the weights [outputs][width]
    std::vector<uint8_t> kept;             // what the layer saw at the positions of this step [most][width]
    Packed columns;                        // the same less 128, as weights: [width, most]
    Aligned<int32_t> sums;                 // slopes times inputs, over all positions [outputs][width]
};

// What learning keeps of the head's biases, by condition, as each has biases of its own.
struct LearningBias {
    std::vector<float> momentum, squares;  // [conditions][outputs]
    std::vector<float> powers;             // MOMENTUM and SQUARES to the number of steps [conditions][2]
};

class Learner {
public:
    // Changes `network`, which must be a copy of the learner's own, and outlive it.
    Learner(Network& network, int most_positions);

    // The caller writes for each position k of this step: slopes of the code length by the head's sums (those by outputs,
    // times head_factor), and what the last block and the head saw.
    float* slopes(int k) { return head_slopes_.values.data() + (size_t)k * head_slopes_.stride; }
    uint8_t* kept_block(int k) { return block_.kept.data() + (size_t)k * block_.width; }
    uint8_t* kept_head(int k) { return head_.kept.data() + (size_t)k * head_.width; }

    int most_positions() const { return most_; }
    const LearningLayer& head() const { return head_; }
    const LearningLayer& block() const { return block_; }

    // One step of the optimiser, of `count` positions (1 .. most_positions) all in one condition, is these phases, one
    // after the other. `threads` threads each do a share of each phase, with a barrier after it: the result is what one
    // thread computes alone.
    static constexpr int PHASES = 3;
    void phase(int number, int condition, int count, const Rates& rates, int thread, int threads);

private:
    void prepare(int condition, int count, int thread, int threads);
    void propagate(int count, int thread, int threads);
    void learn(int condition, int count, const Rates& rates, int thread, int threads);
    void move_block(int count, const Rates& rates, int first, int last);
    void move_last(int condition, int count, const Rates& rates, int first, int last);
    void quantise(LearningSlopes& slopes, int count, int first, int last);
    void multiply(const LearningSlopes& slopes, LearningLayer& layer, int count, int first, int last);
    void move(LearningLayer& layer, Packed& packed, const LearningSlopes& slopes, float rate, int first, int last);
    void move_bias(int condition, int count, float rate, int first, int last);

    Network& network_;
    const Kernels& kernels_;
    int most_;
    LearningSlopes head_slopes_, block_slopes_;
    LearningLayer head_, block_;
    LearningBias bias_;
    Packed back_;                    // the head's weights, outputs for inputs
    size_t back_stride_;             // of `back_rows_`
    Aligned<uint8_t> back_rows_;     // slopes of the head in eight bits [most][back_stride_]
    std::vector<float> back_units_;  // what 1 stands for in them [most]
    Aligned<int32_t> back_sums_;     // [most][width]
    float powers_[2] = {1.0f, 1.0f};  // MOMENTUM and SQUARES to the number of steps
};

}  // namespace ddpm
