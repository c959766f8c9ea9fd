// Networks of JPEG coefficients as a model file: of luma and of chroma, of two efforts and of finer levels, with the answers that they
// must give.
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
// Of networks of chroma, those that precede the component's.
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
    void begin_condition() { conditions_.emplace_back(); }
    // Adds a sum to the last condition, in a lane of WEIGHED. factor: what 1 stands for. Throws std::invalid_argument for a sum that int32
    // cannot hold.
    void add(int lane, const std::vector<Weight>& weights, float factor);

    // Writes the weights of a condition, [entries][WEIGHED]; returns which entries have some, by block a bit for each rank.
    std::vector<uint64_t> spread(int condition, std::vector<int16_t>& weights) const;
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

struct CoefficientNetwork {
    Network network;
    Predictors predictors;
};

inline constexpr int MOST_NETWORKS = 2;  // that predict a coefficient

// The networks of an effort: those that predict the same coefficients, the better one first. Finer levels have the same at each effort.
struct CoefficientNetworks {
    using Group = std::vector<std::shared_ptr<const CoefficientNetwork>>;
    Group luma, chroma, refining_luma, refining_chroma;

    const Group& of(JpegRole role, bool is_refining) const {
        return role == JpegRole::LUMA ? (is_refining ? refining_luma : luma) : (is_refining ? refining_chroma : chroma);
    }
};

// SHA-256 in hexadecimal digits of what a network and its predictors compute for seeded inputs, in up to three conditions.
std::string answer_of(const CoefficientNetwork& network);

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
    // By their keys, what all networks compute, whatever the file says.
    std::map<std::string, std::string> answers() const;

  private:
    using Shared = std::shared_ptr<const CoefficientNetwork>;

    CoefficientModel(Bytes data, const std::string& source, int number, const Digest* known_id);
    Shared network(const std::string& key) const;
    Shared made(const std::string& key) const;

    const std::vector<uint8_t> data_;
    ModelFile file_;  // views of the data
    std::string name_;
    const LazyDigest id_;
    const int number_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, Shared> made_;
};

}  // namespace ddpm
