#include "model_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "checksums.h"

namespace ddpm {

namespace {

constexpr std::string_view METADATA_KEY = "__metadata__", KEY = "ddpmcodec", UNET_KEY = "ddpmcodec.unet", SEAL = "sha256";
constexpr size_t LENGTH_BYTES = 8;                   // of the header
constexpr size_t DIGITS = 2 * sizeof(Digest);        // hexadecimal, of a hash

struct TensorType {
    std::string_view name;
    uint64_t bytes;
};
constexpr TensorType TYPES[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2}, {"BF16", 2},
                                {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};

[[noreturn]] void refuse(const std::string& source, const std::string& message) { throw Error(Fault::MODEL, source + ": " + message); }

[[noreturn]] void refuse_damaged(const std::string& source, const std::string& problem) {
    refuse(source, "the model file is damaged (" + problem + "); get it again");
}

std::string_view text_of(Bytes data) { return {reinterpret_cast<const char*>(data.data()), data.size()}; }

// The JSON of the header of a safetensors file; null for other data. size: of all bytes before the tensors.
Json header_of(Bytes data, size_t& size) {
    if (data.size() < LENGTH_BYTES) return {};
    const uint64_t length = ByteReader(data, "the model file").integer(LENGTH_BYTES);
    if (length > LARGEST_MODEL_HEADER || length > data.size() - LENGTH_BYTES) return {};
    size = LENGTH_BYTES + size_t(length);
    try {
        return parse_json(text_of(data.subspan(LENGTH_BYTES, size_t(length))));
    } catch (const Error&) {
        return {};
    }
}

// The metadata of any model; null for other files.
Json metadata_in(const Json& entries) {
    const Json* entry = entries.find(KEY);
    if (!entry || !entry->text()) return {};
    try {
        Json metadata = parse_json(*entry->text());
        const Json* kind = metadata.find("kind");
        return kind && kind->text() && metadata.find("format") ? metadata : Json{};
    } catch (const Error&) {
        return {};
    }
}

Json metadata_of(const Json& header, const std::string& source) {
    const Json* found = header.find(METADATA_KEY);
    const Json entries = found ? *found : Json{};
    Json metadata = metadata_in(entries);
    if (!metadata.object())
        refuse(source, std::string("not a ddpmcodec model, but ") +
                           (entries.find(UNET_KEY) ? "a network of the paper (U-Net), which codes archives by bits back" : "some other file"));
    return metadata;
}

void check_kind(const Json& metadata, const std::string& source, const std::string& kind) {
    const std::string& found = *metadata.find("kind")->text();
    if (found != kind) refuse(source, "a model of kind '" + found + "'; one of kind '" + kind + "' is needed here");
    const int64_t* format = metadata.find("format")->integer();
    if (format && *format == MODEL_FORMAT) return;
    const std::string stated = format ? std::to_string(*format) : "unknown";
    refuse(source, "model format " + stated + ", this version reads " + std::to_string(MODEL_FORMAT) + "; update ddpmcodec");
}

// The seal as the header holds it: JSON in a string of JSON.
std::string seal_entry(const std::string& digest) { return "\\\"" + std::string(SEAL) + "\\\": \\\"" + digest + "\\\""; }

// The hash covers all bytes, with zeros for its own digits.
void check_seal(Bytes data, const Json& metadata, const std::string& source) {
    const Json* seal = metadata.find(SEAL);
    const std::string* digest = seal ? seal->text() : nullptr;
    if (!digest || digest->size() != DIGITS) refuse(source, "the model file carries no hash of itself; export the model again");
    const std::string entry = seal_entry(*digest), blank = seal_entry(std::string(DIGITS, '0'));
    const std::string_view text = text_of(data);
    const size_t begin = std::min(text.find(entry), text.size()), end = std::min(begin + entry.size(), text.size());
    Sha256 hash;
    hash.add(data.first(begin));
    hash.add({reinterpret_cast<const uint8_t*>(blank.data()), blank.size()});
    hash.add(data.subspan(end));
    if (hex(hash.digest()) != *digest) refuse(source, "the model file is damaged: its hash does not match; get it again");
}

// Reads the entry of a tensor; its place in the data is checked against its type and shape, not against other tensors.
class TensorReader {
  public:
    TensorReader(Bytes data, const std::string& name, const std::string& source) : data_(data), name_(name), source_(source) {}

    Tensor tensor(const Json& entry) const {
        Tensor tensor;
        const Json* type = entry.find("dtype");
        tensor.type = type && type->text() ? *type->text() : "";
        const uint64_t size = elements(entry.find("shape"), tensor.shape) * type_bytes(tensor.type);
        const Json* offsets = entry.find("data_offsets");
        const JsonArray* ends = offsets ? offsets->array() : nullptr;
        if (!ends || ends->size() != 2) fail("no place in the file");
        const uint64_t begin = natural((*ends)[0]), end = natural((*ends)[1]);
        if (begin > end || end > data_.size()) fail("a place outside of the file");
        if (end - begin != size) fail("a place of " + std::to_string(end - begin) + " bytes where " + std::to_string(size) + " are needed");
        tensor.data = data_.subspan(size_t(begin), size_t(size));
        return tensor;
    }

  private:
    [[noreturn]] void fail(const std::string& problem) const { refuse_damaged(source_, "the tensor " + name_ + " has " + problem); }

    uint64_t natural(const Json& json) const {
        const int64_t* value = json.integer();
        if (!value || *value < 0) fail("a size or a place that is no number");
        return uint64_t(*value);
    }

    uint64_t type_bytes(const std::string& type) const {
        const auto* found = std::ranges::find(TYPES, std::string_view(type), &TensorType::name);
        if (found == std::end(TYPES)) fail("the unknown type '" + type + "'");
        return found->bytes;
    }

    // How many numbers a shape has: at most as many as the data has bytes.
    uint64_t elements(const Json* shape, std::vector<int>& sides) const {
        const JsonArray* list = shape ? shape->array() : nullptr;
        if (!list) fail("no shape");
        uint64_t count = 1;
        for (const Json& json : *list) {
            const uint64_t side = natural(json);
            if (side > uint64_t(std::numeric_limits<int>::max()) || (side && count > data_.size() / side)) fail("more numbers than the file");
            count *= side;
            sides.push_back(int(side));
        }
        return count;
    }

    const Bytes data_;
    const std::string &name_, &source_;
};

// Tensors follow each other without gaps, to the end: no byte belongs to two of them, or to none.
void check_places(const TensorMap& tensors, Bytes data, const std::string& source) {
    std::vector<Bytes> places;
    for (const auto& [name, tensor] : tensors) places.push_back(tensor.data);
    std::ranges::sort(places, [](Bytes a, Bytes b) { return a.data() != b.data() ? a.data() < b.data() : a.size() < b.size(); });
    const uint8_t* end = data.data();
    for (const Bytes place : places) {
        if (place.data() != end) refuse_damaged(source, "its tensors overlap, or bytes between them belong to none");
        end += place.size();
    }
    if (end != data.data() + data.size()) refuse_damaged(source, "bytes follow its last tensor");
}

bool is_bounded(const Tensor& tensor) {
    for (size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
        float value;
        std::memcpy(&value, &tensor.data[at], sizeof value);
        if (!(std::abs(value) <= LARGEST_NUMBER)) return false;  // also of NaN
    }
    return true;
}

TensorMap tensors_of(const Json& header, Bytes data, const std::string& source) {
    TensorMap tensors;
    for (const auto& [name, entry] : *header.object())
        if (name != METADATA_KEY) tensors.emplace(name, TensorReader(data, name, source).tensor(entry));
    check_places(tensors, data, source);
    for (const auto& [name, tensor] : tensors)
        if (tensor.type == "F32" && !is_bounded(tensor))
            refuse(source, name + " holds numbers beyond " + std::to_string(int(LARGEST_NUMBER)) + "; export the model again");
    return tensors;
}

}  // namespace

ModelFile parse_model_file(Bytes data, const std::string& source, const std::string& kind, bool is_known) {
    size_t size = 0;
    const Json header = header_of(data, size);
    ModelFile file{metadata_of(header, source), {}};
    check_kind(file.metadata, source, kind);
    if (!is_known) check_seal(data, file.metadata, source);
    file.tensors = tensors_of(header, data.subspan(size), source);
    return file;
}

std::string model_metadata(Bytes data, const std::string& source, const std::string& kind) {
    parse_model_file(data, source, kind, false);
    size_t size = 0;
    return *header_of(data, size).find(METADATA_KEY)->find(KEY)->text();
}

std::string model_kind(Bytes data) {
    size_t size = 0;
    const Json header = header_of(data, size);
    const Json* entries = header.find(METADATA_KEY);
    if (!entries) return "";
    const Json metadata = metadata_in(*entries);
    if (const Json* kind = metadata.find("kind")) return *kind->text();
    return entries->find(UNET_KEY) ? std::string(UNET_KIND) : "";
}

}  // namespace ddpm
