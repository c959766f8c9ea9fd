// A network of JPEG coefficients that goes on learning from the tile that is coded.
#pragma once
#include "coefficient_model.h"
#include "kernels_learner.h"

namespace ddpm {

// Its head, the head's biases and its skip layer learn: docs/experiments/jpeg.md.
class LearningNetwork {
  public:
    // most: positions of a wave.
    LearningNetwork(const Network& start, int most)
        : network_(start), learner_(network_, 0, most + LEAST, true), scratch_(network_), outputs_(size_t(most) * size_t(start.outputs)) {}

    // Forgets positions of another condition, too few for a step.
    void begin_condition() { filled_ = 0; }

    int outputs() const { return network_.outputs; }

    // Computes the outputs of a wave, int32 [count][outputs], which stay until the next.
    const int32_t* run(const InputRows& inputs) {
        places_.clear();
        for (int k = 0; k < inputs.count; k++) {
            places_.push_back(filled_ + k);
            std::copy_n(inputs.rows + size_t(k) * inputs.stride, network_.inputs, learner_.inputs(filled_ + k));
        }
        ddpm::run(network_, inputs, outputs_.data(), scratch_, nullptr, learner_.kept(places_.data()));
        return outputs_.data();
    }

    // Where gradients of the code length by the outputs of a position of the wave are to be written before `learn`.
    float* gradients(int position) { return learner_.gradients(filled_ + position); }

    // Learns from a wave, once there are enough positions.
    void learn(int condition) {
        for (const int place : places_)
            for (int o = 0; o < network_.outputs; o++) learner_.gradients(place)[o] *= network_.head_factor[size_t(o)];
        filled_ += int(places_.size());
        if (filled_ < LEAST) return;
        for (int phase = 0; phase < Learner::PHASES; phase++) learner_.phase(phase, condition, filled_, RATES, 0, 1);
        filled_ = 0;
    }

  private:
    static constexpr int LEAST = 8;  // positions of a step
    static constexpr Rates RATES{0.14f, 0.0f, 0.0f, 0.05f, 0.3f};

    Network network_;
    Learner learner_;
    Scratch scratch_;
    std::vector<int32_t> outputs_;
    std::vector<int> places_;   // of the wave's positions among those of a step
    int filled_ = 0;            // positions since the last step
};

}  // namespace ddpm
