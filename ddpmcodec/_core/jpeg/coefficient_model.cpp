#include "coefficient_model.h"

#include <set>

#include "coefficient_inputs.h"
#include "environment.h"
#include "header.h"
#include "known_answer.h"
#include "logistic_table.h"
#include "network_tensors.h"

namespace ddpm {

namespace {

// Networks have the keys <effort>.<role>, predictors the keys predictors.<role>.
constexpr const char *LUMA = "luma", *CHROMA = "chroma", *REFINING_LUMA = "refine.luma", *REFINING_CHROMA = "refine.chroma";
constexpr const char* COEFFICIENT_ROLES[] = {LUMA, CHROMA, REFINING_LUMA, REFINING_CHROMA};
constexpr const char* PREDICTORS = "predictors.";
constexpr int STORED_EFFORTS = MOST_NETWORKS;  // an effort uses its own networks and those below; higher ones all
constexpr int MOST_SUM_WEIGHTS = 64;    // of a predictor
constexpr int NO_WEIGHT = 255;          // in a sum of sizes
constexpr int MOST_WEIGHT = 65535;      // of a sum: times the largest coefficient that fits int32
constexpr float GAIN_UNIT = 1.0f / 4096, BIAS_UNIT = 1.0f / 32;

[[noreturn]] void refuse(const std::string& source, const std::string& message) { throw Error(Fault::MODEL, source + ": " + message); }

// The tensors of a network whose gains and biases are integers.
class CoefficientTensors : public NetworkTensors {
  public:
    using NetworkTensors::NetworkTensors;

    // Those of the stem are stored as integers, those of the head as they are.
    const float* biases(const std::string& name, int conditions, int count) {
        return name == "head.bias" ? NetworkTensors::biases(name, conditions, count) : scaled(name, conditions, count, BIAS_UNIT);
    }

    const float* scaled(const std::string& name, int conditions, int count, float unit) {
        const int16_t* integers = aligned(tensor(name, "I16", {conditions, count}), integers_);
        floats_.resize(integers_.size());
        for (size_t k = 0; k < floats_.size(); k++) floats_[k] = float(integers[k]) * unit;
        return floats_.data();
    }

    std::vector<uint8_t> bytes(const std::string& name, const std::vector<int>& shape) const {
        const Bytes data = tensor(name, "U8", shape).data;
        return {data.begin(), data.end()};
    }
    std::vector<int16_t> integers(const std::string& name, const std::vector<int>& shape) {
        aligned(tensor(name, "I16", shape), integers_);
        return integers_;
    }
    std::vector<float> floats(const std::string& name, int conditions, int count) {
        NetworkTensors::biases(name, conditions, count);
        return floats_;
    }

  private:
    std::vector<int16_t> integers_;
};

Network coefficient_network(CoefficientTensors& tensors, int inputs, int outputs, int conditions) {
    Sizes sizes;
    sizes.inputs = inputs, sizes.outputs = outputs, sizes.conditions = conditions;
    sizes.width = tensors.side("stem.weight", 0);
    while (sizes.depth <= LARGEST_DEPTH && tensors.has("block" + std::to_string(sizes.depth) + ".weight")) sizes.depth++;
    if (sizes.width < 1 || sizes.width > LARGEST_WIDTH || sizes.depth > LARGEST_DEPTH)
        throw std::invalid_argument("a network has up to 8 blocks of a width up to 512");
    Network network = network_of<CoefficientTensors>(tensors, sizes);
    network.set_gains(tensors.scaled("stem.gain", conditions, sizes.width, GAIN_UNIT));
    for (int k = 0; k < sizes.depth; k++)
        network.add_block_bias(tensors.scaled("block" + std::to_string(k) + ".bias", conditions, sizes.width, BIAS_UNIT));
    return network;
}

// A weight of a sum of sizes: 2^(14 - code/16).
int16_t magnitude_weight(uint8_t code) {
    return code == NO_WEIGHT ? int16_t(0) : int16_t(((SIXTEENTH_POWER[code & 15] >> (code >> 4)) + (1 << 15)) >> 16);
}

// Sums of each condition. gaps: from one entry to the next.
struct StoredSums {
    int count, first_lane, most;  // sums of a condition; weights of a sum
    std::vector<uint8_t> gaps;
    std::vector<int16_t> weights;
    std::vector<float> factors;

    void add_to(Predictors& predictors, int condition) const {
        for (int sum = 0; sum < count; sum++) {
            const size_t number = size_t(condition * count + sum), first = number * size_t(most);
            std::vector<Predictors::Weight> placed;
            int entry = 0;
            for (size_t k = first; k < first + size_t(most); k++, entry++) {
                entry += gaps[k];
                if (weights[k]) placed.push_back({entry, weights[k]});
            }
            predictors.add(first_lane + sum, placed, factors[number]);
        }
    }
};

int weights_of(const CoefficientTensors& tensors, const std::string& name) {
    const int most = tensors.side(name, 2);
    if (most < 1 || most > MOST_SUM_WEIGHTS) throw std::invalid_argument("a predictor has 1 to 64 weights");
    return most;
}

StoredSums linear_sums(CoefficientTensors& tensors, int conditions) {
    const int most = weights_of(tensors, "linear.gap");
    const std::vector<int> shape = {conditions, PREDICTED, most};
    return {PREDICTED, 0, most, tensors.bytes("linear.gap", shape), tensors.integers("linear.weight", shape),
            tensors.floats("linear.factor", conditions, PREDICTED)};
}

StoredSums magnitude_sums(CoefficientTensors& tensors, int conditions) {
    const int most = weights_of(tensors, "magnitude.gap");
    const std::vector<int> shape = {conditions, MAGNITUDES, most};
    const std::vector<uint8_t> codes = tensors.bytes("magnitude.weight", shape);
    StoredSums sums{MAGNITUDES, LINEAR, most, tensors.bytes("magnitude.gap", shape), {}, tensors.floats("magnitude.factor", conditions, MAGNITUDES)};
    for (const uint8_t code : codes) sums.weights.push_back(magnitude_weight(code));
    for (const float factor : sums.factors)
        if (factor < 0) throw std::invalid_argument("magnitude.factor: a factor below zero");
    return sums;
}

Predictors predictors_of(CoefficientTensors& tensors, bool is_luma, int conditions) {
    Predictors predictors(is_luma ? SEEN_BLOCKS : MOST_SEEN_BLOCKS);
    const StoredSums linear = linear_sums(tensors, conditions), magnitudes = magnitude_sums(tensors, conditions);
    for (int c = 0; c < conditions; c++) {
        predictors.begin_condition();
        linear.add_to(predictors, c);
        magnitudes.add_to(predictors, c);
    }
    return predictors;
}

// What a key says.
bool is_of_luma(const std::string& key) { return key.ends_with(LUMA); }
bool is_refining(const std::string& key) { return key.find(".refine.") != std::string::npos; }

std::string network_key(int effort, const std::string& role) { return std::to_string(effort) + "." + role; }

// --- known answers

constexpr int ANSWER_ROWS = 24;
constexpr uint64_t SEED = 1;

std::set<int> answered(int conditions) { return {0, conditions / 2, conditions - 1}; }

void hash_network(const Network& network, int condition, Sha256& hash) {
    Philox numbers(SEED);
    const size_t stride = size_t(rounded_up(network.inputs, ROW_UNIT));
    std::vector<uint8_t> rows(ANSWER_ROWS * stride);
    for (size_t row = 0; row < ANSWER_ROWS; row++)
        for (size_t k = 0; k < size_t(network.inputs); k++) rows[row * stride + k] = uint8_t(numbers.next());
    std::vector<int32_t> outputs(size_t(ANSWER_ROWS * network.outputs));
    Scratch scratch(network);
    run(network, {condition, rows.data(), stride, ANSWER_ROWS}, outputs.data(), scratch);
    hash.add({reinterpret_cast<const uint8_t*>(outputs.data()), outputs.size() * sizeof(int32_t)});
}

void hash_sums(const Predictors& predictors, int condition, Sha256& hash) {
    Philox numbers(SEED);
    std::vector<int16_t> values;
    for (int entry = 0; entry < predictors.entries(); entry++)
        values.push_back(int16_t(int(numbers.next() % (2 * LARGEST_DEQUANTISED + 1)) - LARGEST_DEQUANTISED));
    const auto [entries, weights] = predictors.pairs(condition);
    int32_t sums[WEIGHED] = {};
    kernels().weigh(weights.data(), entries.data(), int(entries.size()), values.data(), sums);
    hash.add({reinterpret_cast<const uint8_t*>(sums), sizeof sums});
    hash.add({reinterpret_cast<const uint8_t*>(predictors.factors(condition)), WEIGHED * sizeof(float)});
}

}  // namespace

void Predictors::add(int lane, const std::vector<Weight>& weights, float factor) {
    int64_t total = 0;
    Condition& condition = conditions_.back();
    for (const Weight& weight : weights) {
        if (weight.entry >= entries()) throw std::invalid_argument("a predictor weighs an entry that there is not");
        total += std::abs(int(weight.weight));
        condition.weights.push_back({lane, weight});
    }
    if (total > MOST_WEIGHT) throw std::invalid_argument("the weights of a predictor are larger than 65535 in total");
    condition.factor[lane] = factor;
}

Predictors::Pairs Predictors::pairs(int condition) const {
    std::vector<int> number(size_t(entries()) / 2, -1);
    for (const auto& [lane, weight] : conditions_[size_t(condition)].weights) number[size_t(weight.entry) / 2] = 0;
    Pairs pairs;
    for (size_t k = 0; k < number.size(); k++) {
        if (number[k] < 0) continue;
        number[k] = int(pairs.entries.size());
        pairs.entries.push_back(int32_t(2 * k));
    }
    pairs.weights.resize(pairs.entries.size() * WEIGHED * 2);
    for (const auto& [lane, weight] : conditions_[size_t(condition)].weights)
        pairs.weights[size_t((number[size_t(weight.entry) / 2] * WEIGHED + lane) * 2 + weight.entry % 2)] = weight.weight;
    return pairs;
}

std::vector<Predictors::Weight> Predictors::weights(int condition, int lane) const {
    std::vector<Weight> found;
    for (const auto& [of_lane, weight] : conditions_[size_t(condition)].weights)
        if (of_lane == lane) found.push_back(weight);
    return found;
}

std::string answer_of(const Network& network) {
    const IeeeArithmetic arithmetic;
    Sha256 hash;
    for (const int condition : answered(network.conditions)) hash_network(network, condition, hash);
    return hex(hash.digest());
}

std::string answer_of(const Predictors& predictors) {
    const IeeeArithmetic arithmetic;
    Sha256 hash;
    for (const int condition : answered(predictors.conditions())) hash_sums(predictors, condition, hash);
    return hex(hash.digest());
}

// --- the file

CoefficientModel::CoefficientModel(Bytes data, const std::string& source, int number, const Digest* known_id)
    : data_(data.begin(), data.end()), file_(parse_model_file(data_, source, COEFFICIENT_KIND, known_id)), id_(data_, known_id),
      number_(number) {
    const Json* name = file_.metadata.find("name");
    name_ = name && name->text() ? *name->text() : "None";
}

std::shared_ptr<const CoefficientModel> CoefficientModel::parse(Bytes data, const std::string& source, int number, const Digest* known_id) {
    return std::shared_ptr<const CoefficientModel>(new CoefficientModel(data, source, number, known_id));
}

CoefficientNetworks CoefficientModel::networks(int effort) const {
    if (effort < 1 || effort > MAX_EFFORT) throw Error(Fault::ARGUMENT, "effort " + std::to_string(effort) + " (1 to " + std::to_string(MAX_EFFORT) + " are possible)");
    return {group(LUMA, effort), group(CHROMA, effort), group(REFINING_LUMA, effort), group(REFINING_CHROMA, effort)};
}

CoefficientGroup CoefficientModel::group(const std::string& role, int effort) const {
    const std::lock_guard lock(mutex_);
    CoefficientGroup group{checked(predictors_, PREDICTORS + role), {}};
    for (int stored = std::min(effort, STORED_EFFORTS); stored >= 1; stored--) group.networks.push_back(checked(networks_, network_key(stored, role)));
    return group;
}

std::map<std::string, std::string> CoefficientModel::answers() const {
    std::map<std::string, std::string> answers;
    for (const std::string role : COEFFICIENT_ROLES) {
        answers[PREDICTORS + role] = answer_of(*made<Predictors>(PREDICTORS + role));
        for (int effort = 1; effort <= STORED_EFFORTS; effort++) {
            const std::string key = network_key(effort, role);
            answers[key] = answer_of(*made<Network>(key));
        }
    }
    return answers;
}

template <class Made> std::shared_ptr<const Made> CoefficientModel::checked(ByKey<Made>& known, const std::string& key) const {
    std::shared_ptr<const Made>& found = known[key];
    if (found) return found;
    const Json* networks = file_.metadata.find("networks");
    const Json* entry = networks ? networks->find(key) : nullptr;
    const Json* answer = entry ? entry->find("answer") : nullptr;
    std::shared_ptr<const Made> fresh = made<Made>(key);
    if (!answer || !answer->text() || answer_of(*fresh) != *answer->text())
        refuse(name_, "its networks do not compute here what they must: the file is damaged, or this machine's arithmetic differs; files would"
                      " not decode elsewhere");
    return found = fresh;
}

template <class Made> std::shared_ptr<const Made> CoefficientModel::made(const std::string& key) const {
    const bool is_luma = is_of_luma(key);
    const int conditions = conditions_of(is_refining(key));
    try {
        CoefficientTensors tensors(file_.tensors, key);
        if constexpr (std::is_same_v<Made, Predictors>) {
            return std::make_shared<const Predictors>(predictors_of(tensors, is_luma, conditions));
        } else {
            const int outputs = is_refining(key) ? REFINING_OUTPUTS : COEFFICIENT_OUTPUTS;
            return std::make_shared<const Network>(
                coefficient_network(tensors, is_luma ? LUMA_INPUTS : CHROMA_INPUTS, outputs, (is_luma ? 1 : 2) * conditions));
        }
    } catch (const std::invalid_argument& error) {
        refuse(name_, "the network " + key + ": " + error.what() + "; export the model again");
    }
}

}  // namespace ddpm
