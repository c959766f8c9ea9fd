#include "context_model.h"

#include <functional>
#include <limits>
#include <numeric>
#include <set>

#include "known_answer.h"
#include "network_tensors.h"
#include "shown.h"

namespace ddpm {

namespace {

constexpr const char* KIND = "context";
constexpr const char* BAND_ROLES[] = {"band1", "band2", "band3"};
constexpr const char* ROLES[] = {"direct", "single", "last", BAND_ROLES[0], BAND_ROLES[1], BAND_ROLES[2]};  // that code, and each effort has
constexpr const char* PREVIEW = "preview";  // of networks that correct previews, which an effort may have

constexpr const char* FAST = "0.direct";  // of effort 0, which a model may have; all others of effort 0 are those of effort 1

std::string key_of(int effort, const std::string& role) { return std::to_string(effort) + "." + role; }

std::string role_name(const std::string& key) { return key.substr(key.find('.') + 1); }

Role role_of(const std::string& key) {
    const std::string role = role_name(key);
    if (role == "direct") return Role::DIRECT;
    if (role == "single" || role == "last") return Role::LAST;
    return role == PREVIEW ? Role::PREVIEW : Role::BAND;
}

[[noreturn]] void refuse(const std::string& source, const std::string& message) { throw Error(Fault::MODEL, source + ": " + message); }

// --- facts

using Entries = std::map<std::string, const Json*>;

// Entries of all networks that there must be, and of those that there may be.
Entries entries_of(const Json& metadata, const std::string& source) {
    std::set<std::string> wanted;
    Entries entries;
    for (int effort = 1; effort <= MAX_EFFORT; effort++)
        for (const char* role : ROLES) wanted.insert(key_of(effort, role));
    const Json* networks = metadata.find("networks");
    const JsonObject* listed = networks ? networks->object() : nullptr;
    if (!listed) refuse(source, "it holds no networks; export it again");
    std::set<std::string> found;
    for (const auto& [key, entry] : *listed) {
        entries[key] = &entry;
        const bool may_lack = key == FAST || (key.size() > 2 && key[0] >= '1' && key[0] <= '0' + MAX_EFFORT && key.substr(1) == std::string(".") + PREVIEW);
        if (!may_lack) found.insert(key);
    }
    if (found != wanted)
        refuse(source, "it must hold networks of " + std::to_string(MAX_EFFORT) + " efforts, of " + std::to_string(std::size(ROLES)) +
                           " roles each; export it again");
    return entries;
}

// A count of 1 or more; 0 if there is none.
int count_in(const Json& entry, std::string_view key) {
    const Json* json = entry.find(key);
    const int64_t* count = json ? json->integer() : nullptr;
    return count && *count > 0 && *count <= std::numeric_limits<int>::max() ? int(*count) : 0;
}

// Of a network that has tensors of its own.
NetworkFacts stored_facts(const std::string& key, const Json& entry, const std::string& source) {
    NetworkFacts facts;
    facts.stored = key;
    facts.components = count_in(entry, "components");
    if (entry.find("conditions")) facts.conditions = count_in(entry, "conditions");
    const Json* architecture = entry.find("architecture");
    if (!facts.components || facts.conditions == 0 || (architecture && !architecture->text()))
        refuse(source, "it does not say what network " + key + " is; export the model again");
    if (architecture) facts.architecture = *architecture->text();
    if (const Json* answer = entry.find("answer"); answer && answer->text()) facts.answer = *answer->text();
    return facts;
}

std::map<std::string, NetworkFacts> facts_of(const Json& metadata, const std::string& source) {
    constexpr std::string_view SAME_AS = "same_as";  // in an entry, instead of all else: the network of the file that it equals
    const Entries entries = entries_of(metadata, source);
    std::map<std::string, NetworkFacts> facts;
    for (const auto& [key, entry] : entries)
        if (!entry->find(SAME_AS)) facts[key] = stored_facts(key, *entry, source);
    const std::map<std::string, NetworkFacts> stored = facts;  // those that others may equal: neither chains nor circles
    for (const auto& [key, entry] : entries) {
        const Json* same_as = entry->find(SAME_AS);
        if (!same_as) continue;
        const std::string same = same_as->text() ? *same_as->text() : "";
        if (!stored.contains(same))
            refuse(source, "network " + key + " is to equal '" + same + "', which the file does not hold; export the model again");
        if (role_of(same) != role_of(key)) refuse(source, "network " + key + " cannot equal " + same + ", of another role; export the model again");
        facts[key] = stored.at(same);
    }
    return facts;
}

// --- networks

// A network of the core's own, whose tensors say its width, its depth, and what is shown.
Network network_of(NetworkTensors tensors, Role role, int components) {
    require_components(components);
    Sizes sizes = sizes_for(role, components, conditions_of(role, tensors.side("stem.bias", 0)));
    sizes.width = tensors.side("stem.weight", 0);
    while (sizes.depth <= LARGEST_DEPTH && tensors.has("block" + std::to_string(sizes.depth) + ".weight")) sizes.depth++;
    if (sizes.width < 1 || sizes.width > LARGEST_WIDTH || sizes.depth > LARGEST_DEPTH)
        throw std::invalid_argument("a network has up to 8 blocks of a width up to 512");
    if (sizes.depth) sizes.shown = shown_by(tensors.side("block0.weight", 1), sizes.width, sizes.neighbours);
    return network_of<NetworkTensors>(tensors, sizes);
}

}  // namespace

ContextModel::ContextModel(Bytes data, const std::string& source, int number, const Digest* known_id, MakeOther make_other)
    : data_(data.begin(), data.end()), file_(parse_model_file(data_, source, KIND, known_id)), id_(data_, known_id),
      number_(number), facts_(facts_of(file_.metadata, source)), make_other_(std::move(make_other)) {
    const Json* name = file_.metadata.find("name");
    name_ = name && name->text() ? *name->text() : "None";
}

std::shared_ptr<const ContextModel> ContextModel::parse(Bytes data, const std::string& source, int number, const Digest* known_id,
                                                        MakeOther make_other) {
    return std::shared_ptr<const ContextModel>(new ContextModel(data, source, number, known_id, std::move(make_other)));
}

bool ContextModel::is_named_by(int number, const std::array<uint8_t, MODEL_ID_BYTES>& id) const {
    return number == number_ && (number || std::ranges::equal(id, Bytes(this->id()).first(MODEL_ID_BYTES)));
}

std::vector<ContextModel::Shared> ContextModel::networks(int effort, int levels) const {
    if (effort < MIN_EFFORT || effort > MAX_EFFORT)
        throw Error(Fault::ARGUMENT, "effort " + std::to_string(effort) + " (" + std::to_string(MIN_EFFORT) + " to " + std::to_string(MAX_EFFORT) + " are possible)");
    if (std::ranges::find(SCHEDULES, levels, &Schedule::levels) == std::end(SCHEDULES))
        throw Error(Fault::ARGUMENT, std::to_string(levels) + " noise levels, of which there is no schedule");
    if (!effort && !levels && facts_.contains(FAST)) return {network(FAST)};
    effort = std::max(effort, 1);
    if (!levels) return {network(key_of(effort, "direct"))};
    std::vector<Shared> networks = {network(key_of(effort, levels == 1 ? "single" : "last"))};
    for (const char* role : BAND_ROLES) networks.push_back(network(key_of(effort, role)));
    for (size_t k = 1; k < networks.size(); k++)
        if (networks[k]->network.conditions < conditions_for(levels))
            refuse(name_, "its networks do not know the schedule of " + std::to_string(levels) +
                              " noise levels, which is newer: choose another number of levels, or train its bands on (docs/training.md)");
    if (const std::string preview = key_of(effort, PREVIEW); facts_.contains(preview)) networks.push_back(network(preview));
    return networks;
}

// Networks are made without the lock: threads do not wait for each other inside of `make_other_`. Of two that are made at a time,
// the first is kept.
ContextModel::Shared ContextModel::network(const std::string& key) const {
    const NetworkFacts& facts = facts_.at(key);
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = made_.find(facts.stored); found != made_.end()) return found->second;
    }
    Shared network = made(facts);
    if (answer_of(*network, role_of(facts.stored)) != facts.answer)
        refuse(name_, "its networks do not compute here what they must: the file is damaged, or this machine's arithmetic differs; files would"
                      " not decode elsewhere");
    const std::lock_guard lock(mutex_);
    return made_.try_emplace(facts.stored, std::move(network)).first->second;
}

ContextModel::Shared ContextModel::made(const NetworkFacts& facts) const {
    const Role role = role_of(facts.stored);
    if (facts.architecture) {
        Shared other = make_other_ ? make_other_(facts.stored) : nullptr;
        if (!other)
            refuse(name_, "networks of the architecture '" + *facts.architecture + "' are needed, which nothing registers here: decode with" +
                              " a program that has them");
        if (other->network.inputs != inputs_of(role) || other->network.outputs != outputs_in(role, facts.components))
            refuse(name_, "the network " + facts.stored + " of the architecture '" + *facts.architecture + "' is one of another role");
        return other;
    }
    try {
        return std::make_shared<const Trained>(Trained{network_of(NetworkTensors(file_.tensors, facts.stored), role, facts.components), facts.components});
    } catch (const std::invalid_argument& error) {
        refuse(name_, "a network of the role " + role_name(facts.stored) + ": " + error.what() + "; export the model again");
    }
}

double ContextModel::macs(const std::string& key) const {
    const std::string prefix = facts_.at(key).stored + ".";
    double macs = 0;
    for (auto tensor = file_.tensors.lower_bound(prefix); tensor != file_.tensors.end() && tensor->first.starts_with(prefix); ++tensor)
        if (tensor->first.ends_with("weight"))
            macs += std::accumulate(tensor->second.shape.begin(), tensor->second.shape.end(), 1.0, std::multiplies());
    return macs;
}

// A step gathers the context of each position of its bands once: half of them are in the finest band, a quarter in the second, and so on.
double ContextModel::macs_per_pixel(int effort, int levels) const {
    const std::string pixels = levels > 1 ? "last" : levels == 1 ? "single" : "direct", fast = key_of(effort, pixels);
    const int own = std::max(effort, 1);
    const double bands = 0.5 * macs(key_of(own, BAND_ROLES[0])) + 0.25 * macs(key_of(own, BAND_ROLES[1])) + 0.25 * macs(key_of(own, BAND_ROLES[2]));
    return macs(facts_.contains(fast) ? fast : key_of(own, pixels)) + levels * bands;
}

}  // namespace ddpm
