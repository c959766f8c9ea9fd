// Least squares over earlier samples, which count the less the longer ago they came.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>

namespace ddpm {

class LeastSquares {
  public:
    static constexpr size_t MOST_INPUTS = 28;
    using Inputs = std::array<double, MOST_INPUTS>;

    LeastSquares(size_t inputs, double decay) : count_(inputs), decay_(decay) {}

    double predict(const Inputs& inputs) const {
        double sum = 0;
        for (size_t i = 0; i < count_; i++) sum += weights_[i] * inputs[i];
        return sum;
    }

    void learn(const Inputs& inputs, double target) {
        for (size_t i = 0; i < count_; i++) {
            const double share = inputs[i];
            for (size_t j = 0; j <= i; j++) products_[i][j] = decay_ * products_[i][j] + share * inputs[j];
            targets_[i] = decay_ * targets_[i] + share * target;
        }
        if (++seen_ % INTERVAL == 0) solve();
    }

  private:
    using Matrix = std::array<Inputs, MOST_INPUTS>;

    static constexpr unsigned INTERVAL = 8;       // samples from one solution to the next
    static constexpr double RIDGE = 0.002;        // added to the sums of squares
    static constexpr double LEAST_PIVOT = 1e-9;

    // By Cholesky's decomposition. The weights stay if it fails.
    void solve() {
        Matrix lower;
        for (size_t i = 0; i < count_; i++)
            for (size_t j = 0; j <= i; j++) {
                double sum = products_[i][j] + (i == j ? RIDGE : 0.0);
                for (size_t k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
                if (i == j && !(sum > LEAST_PIVOT)) return;
                lower[i][j] = i == j ? std::sqrt(sum) : sum / lower[j][j];
            }
        Inputs middle{};
        for (size_t i = 0; i < count_; i++) {
            double sum = targets_[i];
            for (size_t k = 0; k < i; k++) sum -= lower[i][k] * middle[k];
            middle[i] = sum / lower[i][i];
        }
        for (size_t i = count_; i-- > 0;) {
            double sum = middle[i];
            for (size_t k = i + 1; k < count_; k++) sum -= lower[k][i] * weights_[k];
            weights_[i] = sum / lower[i][i];
        }
    }

    size_t count_;
    double decay_;
    unsigned seen_ = 0;
    Inputs weights_{}, targets_{};
    Matrix products_{};
};

}  // namespace ddpm
