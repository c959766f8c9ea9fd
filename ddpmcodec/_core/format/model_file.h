// Model files: one safetensors file each, whose metadata say of what kind it is. The metadata are one JSON object under the key
// `ddpmcodec`; they also hold the file's seal, a SHA-256 of all its bytes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "bytes.h"
#include "json.h"

namespace ddpm {

inline constexpr int MODEL_FORMAT = 1;
inline constexpr uint64_t LARGEST_MODEL_HEADER = 1 << 20;  // bytes
inline constexpr float LARGEST_NUMBER = 1 << 20;           // of factors and biases: all that networks predict stays finite

struct Tensor {
    std::string type;        // as safetensors files call it: I8, F32, ...
    std::vector<int> shape;
    Bytes data;              // may begin anywhere, so that floats are not aligned
};

using TensorMap = std::map<std::string, Tensor, std::less<>>;

struct ModelFile {
    Json metadata;
    TensorMap tensors;  // views of the file
};

// source: what messages call the file. is_known: the hash of all bytes is known to be the model's id, so that the seal need not be
// checked. Throws Error (MODEL) for data that is no model, for a model of another kind or format, and for a damaged one.
ModelFile parse_model_file(Bytes data, const std::string& source, const std::string& kind, bool is_known);

// The metadata of a model of this kind, as JSON. Throws as `parse_model_file` does.
std::string model_metadata(Bytes data, const std::string& source, const std::string& kind);

inline constexpr std::string_view UNET_KIND = "unet";  // files of the paper's network, which have other metadata

// The kind that a model file states, by its header alone; empty for data that is no model.
std::string model_kind(Bytes data);

}  // namespace ddpm
