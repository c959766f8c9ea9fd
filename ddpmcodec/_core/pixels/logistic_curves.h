// Logarithms of odds, and probabilities of them, by + - * / in a written order: the same numbers on every machine.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ddpm {

// e^x, for |x| up to 700.
inline double exponential(double x) {
    const double scaled = x * 1.4426950408889634;  // 1 / log 2
    const int64_t whole = int64_t(scaled + (scaled < 0 ? -0.5 : 0.5));
    const double rest = x - double(whole) * 0.6931471805599453;
    double sum = 1;
    for (int k = 12; k > 0; k--) sum = 1 + sum * rest / k;
    return sum * std::bit_cast<double>(uint64_t(1023 + whole) << 52);
}

// log(1 + x), for 0 <= x <= 1.
inline double logarithm_above_one(double x) {
    const double ratio = x / (2 + x), square = ratio * ratio;
    double sum = 0;
    for (int k = 35; k > 0; k -= 2) sum = sum * square + 1.0 / k;
    return 2 * ratio * sum;
}

// Two curves, as lines between the points of a table.
class LogisticCurves {
  public:
    static const LogisticCurves& get() {
        static const LogisticCurves curves;
        return curves;
    }

    // log(1 + e^x), whose differences are log-odds between two halves of an interval under a logistic distribution.
    double softplus(double x) const {
        const double size = x < 0 ? -x : x, above = x < 0 ? 0 : x;
        return size >= LIMIT ? above : above + at(softplus_, size);
    }

    // 1 / (1 + e^-x).
    double logistic(double x) const {
        const double upper = at(logistic_, std::min(x < 0 ? -x : x, LIMIT));
        return x < 0 ? 1 - upper : upper;
    }

  private:
    static constexpr double LIMIT = 24;
    static constexpr int STEPS = 64;  // a unit has as many
    using Table = std::array<double, size_t(LIMIT) * STEPS + 2>;

    LogisticCurves() {
        for (size_t k = 0; k < softplus_.size(); k++) {
            const double tail = exponential(-double(k) / STEPS);
            softplus_[k] = logarithm_above_one(tail);
            logistic_[k] = 1 / (1 + tail);
        }
    }

    static double at(const Table& table, double x) {
        const size_t k = size_t(x * STEPS);
        return table[k] + (table[k + 1] - table[k]) * (x * STEPS - double(k));
    }

    Table softplus_, logistic_;
};

}  // namespace ddpm
