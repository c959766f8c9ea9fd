// Context models as files: networks of three efforts, with the answers that they must give. docs/extending.md describes the file.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "checksums.h"
#include "header.h"
#include "model_file.h"
#include "trained.h"

namespace ddpm {

// What a model file says of a network.
struct NetworkFacts {
    std::string stored;                       // the network whose tensors it has, mostly its own: <effort>.<role>
    int components = 0;                       // of its mixtures
    std::string answer;                       // SHA-256 in hexadecimal digits
    std::optional<std::string> architecture;  // if it is not the core's
    std::optional<int> conditions;            // of another architecture
};

class ContextModel {
  public:
    using Shared = std::shared_ptr<const Trained>;
    // Makes a network of another architecture, by the name under which its tensors are stored. Any thread may call it.
    using MakeOther = std::function<Shared(const std::string& key)>;

    // data: copied. source: what messages call the file. number: of an embedded model, 0 of others. known_id: SHA-256 of the data, if
    // they have been compared with it; null: they are hashed, and must be as they were sealed. Throws Error (MODEL).
    static std::shared_ptr<const ContextModel> parse(Bytes data, const std::string& source, int number = 0,
                                                     const Digest* known_id = nullptr, MakeOther make_other = nullptr);

    const std::string& name() const { return name_; }
    const Digest& id() const { return id_.get(); }
    int number() const { return number_; }
    Bytes file() const { return data_; }
    const std::map<std::string, NetworkFacts>& facts() const { return facts_; }  // by <effort>.<role>
    // Whether a file with this number, and this id if it is 0, was written with the model.
    bool is_named_by(int number, const std::array<uint8_t, MODEL_ID_BYTES>& id) const;

    // The networks that `model_of` takes, which are made when they are first asked for. Any thread may call this. Throws Error: ARGUMENT
    // if there is no such effort or schedule, MODEL if networks do not compute here what they must, cannot be made here, or were
    // trained before there was this schedule.
    std::vector<Shared> networks(int effort, int levels) const;

    // Multiply-accumulates for a pixel of a large image, about as many in both directions. Throws Error (ARGUMENT) as `networks`.
    double macs_per_pixel(int effort, int levels) const;

  private:
    ContextModel(Bytes data, const std::string& source, int number, const Digest* known_id, MakeOther make_other);

    Shared network(const std::string& key) const;
    double macs(const std::string& key) const;  // of a position
    Shared made(const NetworkFacts& facts) const;

    const std::vector<uint8_t> data_;
    ModelFile file_;  // views of the data
    std::string name_;
    const LazyDigest id_;
    const int number_;
    std::map<std::string, NetworkFacts> facts_;
    const MakeOther make_other_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, Shared> made_;  // by the name that they are stored under
};

}  // namespace ddpm
