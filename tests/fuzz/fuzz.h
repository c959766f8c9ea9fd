// What the fuzz targets share.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "coefficient_model.h"
#include "context_model.h"

namespace fuzz {

using ddpm::Bytes;

// Numbers from the first bytes of an input; 0 after its end.
class Choices {
  public:
    explicit Choices(Bytes data) : data_(data) {}

    uint8_t byte() {
        if (data_.empty()) return 0;
        const uint8_t first = data_.front();
        data_ = data_.subspan(1);
        return first;
    }
    uint32_t word() { return byte() | uint32_t(byte()) << 8 | uint32_t(byte()) << 16; }
    Bytes rest() const { return data_; }

  private:
    Bytes data_;
};

// Ends the process, which is what a fuzzer looks for.
inline void require(bool condition) {
    if (!condition) std::abort();
}

inline std::string read(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// The model that wrote the golden files.
inline const std::string& model_bytes() {
    static const std::string bytes = read(FUZZ_MODEL);
    return bytes;
}

inline const ddpm::ContextModel& model() {
    static const auto parsed = ddpm::ContextModel::parse({reinterpret_cast<const uint8_t*>(model_bytes().data()), model_bytes().size()}, "the model");
    return *parsed;
}

inline const ddpm::CoefficientModel& jpeg_model() {
    static const std::string bytes = read(FUZZ_JPEG_MODEL);
    static const auto parsed = ddpm::CoefficientModel::parse({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "the model");
    return *parsed;
}

inline constexpr uint64_t MOST_PIXELS = 48 * 48;  // that are decoded: enough to learn from, and few enough to take a moment

}  // namespace fuzz
