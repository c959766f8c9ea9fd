// Networks of JPEG coefficients as a model file: of luma and of chroma, of the coarsest level and of finer ones, of two efforts, which
// share predictors; with the answers that they must give.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "checksums.h"
#include "kernels.h"
#include "model_file.h"
#include "ranks.h"

namespace ddpm {

// Of networks of the coarsest level: the logit of a flag, then logits, means and scales of a mixture.
inline constexpr int COEFFICIENT_OUTPUTS = 10, COEFFICIENT_COMPONENTS = 3;
inline constexpr int REFINING_OUTPUTS = CELL_PARTS;  // of networks of finer levels: logits of a cell's parts
inline constexpr const char* COEFFICIENT_KIND = "jpeg";  // of a model file
inline constexpr int PREDICTED = 5, MAGNITUDES = WEIGHED - LINEAR;          // sums of coefficients, and of their sizes
inline constexpr int SEEN_BLOCKS = 9;                                       // 3x3 of a component itself; luma's and Cb's follow
inline constexpr int LUMA_BLOCK = 9, CB_BLOCK = 10, MOST_SEEN_BLOCKS = 11;

// Conditions of a component's networks. Finer levels have no flags.
constexpr int conditions_of(bool is_refining) { return is_refining ? BLOCK_VALUES : JPEG_CONDITIONS; }
// Of networks of chroma, those that precede the component's. Predictors of Cb and Cr are the same.
constexpr int conditions_before(JpegRole role, bool is_refining) { return role == JpegRole::CR ? conditions_of(is_refining) : 0; }

// Weighted sums of what a position sees, some for each condition. An entry is 64 times the number of a block, plus a rank.
class Predictors {
  public:
    struct Weight {
        int entry;
        int16_t weight;
    };

    explicit Predictors(int blocks) : blocks_(blocks) {}

    int entries() const { return blocks_ * BLOCK_VALUES; }
    int conditions() const { return int(conditions_.size()); }
    void begin_condition() { conditions_.emplace_back(); }
    // Adds a sum to the last condition, in a lane of WEIGHED. factor: what 1 stands for. Throws std::invalid_argument for a sum that int32
    // cannot hold.
    void add(int lane, const std::vector<Weight>& weights, float factor);

    // Pairs of entries of which one has weights, by the even one: weights are [pairs][WEIGHED][2].
    struct Pairs {
        std::vector<int32_t> entries;
        std::vector<int16_t> weights;
    };
    Pairs pairs(int condition) const;
    // Those of one sum.
    std::vector<Weight> weights(int condition, int lane) const;
    const float* factors(int condition) const { return conditions_[size_t(condition)].factor; }

  private:
    struct Condition {
        std::vector<std::pair<int, Weight>> weights;  // by lane
        float factor[WEIGHED] = {};
    };

    const int blocks_;
    std::vector<Condition> conditions_;
};

inline constexpr int MOST_NETWORKS = 2;  // that predict a coefficient

// The networks that predict the same coefficients, the better one first, and the predictors that all of them see.
struct CoefficientGroup {
    std::shared_ptr<const Predictors> predictors;
    std::vector<std::shared_ptr<const Network>> networks;
};

// The networks of an effort.
struct CoefficientNetworks {
    CoefficientGroup luma, chroma, refining_luma, refining_chroma;

    const CoefficientGroup& of(JpegRole role, bool is_refining) const {
        return role == JpegRole::LUMA ? (is_refining ? refining_luma : luma) : (is_refining ? refining_chroma : chroma);
    }
};

// SHA-256 in hexadecimal digits of what a network, or predictors, compute for seeded inputs, in up to three conditions.
std::string answer_of(const Network& network);
std::string answer_of(const Predictors& predictors);

class CoefficientModel {
  public:
    // data: copied. source: what messages call the file. number, known_id: as for context models. Throws Error (MODEL).
    static std::shared_ptr<const CoefficientModel> parse(Bytes data, const std::string& source, int number = 0,
                                                         const Digest* known_id = nullptr);

    const std::string& name() const { return name_; }
    const Digest& id() const { return id_.get(); }
    int number() const { return number_; }
    Bytes file() const { return data_; }

    // Networks are made when they are first asked for, by any thread. Throws Error: ARGUMENT if there is no such effort, MODEL if networks
    // do not compute here what they must, or cannot be made.
    CoefficientNetworks networks(int effort) const;
    // By their keys, what all networks and predictors compute, whatever the file says.
    std::map<std::string, std::string> answers() const;

  private:
    template <class Made> using ByKey = std::map<std::string, std::shared_ptr<const Made>>;

    CoefficientModel(Bytes data, const std::string& source, int number, const Digest* known_id);
    CoefficientGroup group(const std::string& role, int effort) const;
    // The network or the predictors of a key, made once.
    template <class Made> std::shared_ptr<const Made> checked(ByKey<Made>& known, const std::string& key) const;
    template <class Made> std::shared_ptr<const Made> made(const std::string& key) const;

    const std::vector<uint8_t> data_;
    ModelFile file_;  // views of the data
    std::string name_;
    const LazyDigest id_;
    const int number_;
    mutable std::mutex mutex_;
    mutable ByKey<Network> networks_;
    mutable ByKey<Predictors> predictors_;
};

}  // namespace ddpm
