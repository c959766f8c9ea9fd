// The log-odds of a bit that is one, from several sources, and their mixture.
#pragma once
#include <array>
#include <vector>

#include "logistic_curves.h"

namespace ddpm {

inline constexpr double MOST_ODDS = 12;  // the largest log-odds that a source may give, as a natural logarithm

// Log-odds of one situation, learned from the bits that came in it.
class BitOdds {
  public:
    double odds() const { return double(odds_); }

    void learn(int bit, const LogisticCurves& curves) {
        if (count_ < MOST_COUNT) count_++;
        odds_ = float(std::clamp(odds() + (bit - curves.logistic(odds())) * 2 / (count_ + 1), -MOST_ODDS, MOST_ODDS));
    }

  private:
    static constexpr int MOST_COUNT = 30;
    float odds_ = 0;
    int count_ = 0;
};

// A weighted sum of log-odds, whose weights learn by gradient descent on the code length.
template <size_t SOURCES> class OddsMixer {
  public:
    using Odds = std::array<double, SOURCES>;

    explicit OddsMixer(const Odds& weights) : weights_(weights) {}

    double mixed(const Odds& odds) const {
        double sum = 0;
        for (size_t s = 0; s < SOURCES; s++) sum += weights_[s] * odds[s];
        return sum;
    }

    // miss: the bit less its probability.
    void learn(const Odds& odds, double miss) {
        for (size_t s = 0; s < SOURCES; s++) weights_[s] += RATE * miss * odds[s];
    }

  private:
    static constexpr double RATE = 0.012;
    Odds weights_;
};

}  // namespace ddpm
