// Known answers of networks: what they must compute for seeded inputs. A machine that computes something else must not code.
#pragma once
#include <array>
#include <string>

#include "trained.h"

namespace ddpm {

// Philox 4x64 in ten rounds (Salmon et al. 2011): the numbers of `numpy.random.Philox(key=key).random_raw`.
class Philox {
  public:
    explicit Philox(uint64_t key) : key_{key, 0} {}
    uint64_t next();

  private:
    using Block = std::array<uint64_t, 4>;
    Block block() const;

    const std::array<uint64_t, 2> key_;
    Block counter_{}, held_{};
    size_t used_ = held_.size();
};

// SHA-256, in hexadecimal digits, of a network's outputs for seeded inputs, in up to three conditions. one_by_one: a network of another
// architecture is asked for one position at a time; it must not make a difference.
std::string answer_of(const Trained& trained, Role role, bool one_by_one = false);

}  // namespace ddpm
