#include "input_file.h"

#include <algorithm>
#include <filesystem>

#include "failure.h"

namespace fs = std::filesystem;

namespace {

constexpr size_t PIECE = 1 << 16;  // bytes that are read at once

}  // namespace

InputFile::InputFile(const std::string& name) {
    if (name == "-") {
        set_binary(stdin);
        return;
    }
    std::error_code error;
    if (fs::is_directory(name, error)) fail(FAILED, "is a folder");
    file_.reset(std::fopen(name.c_str(), "rb"));
    if (!file_) fail(FAILED, "cannot be read: " + reason());
    has_positions_ = fs::is_regular_file(name, error);
    if (has_positions_) size_ = fs::file_size(name);
}

void InputFile::read_pieces(uint64_t most, const std::function<void(const uint8_t*, size_t)>& take) const {
    std::vector<uint8_t> piece(PIECE);
    for (uint64_t left = most; left;) {
        const size_t count = std::fread(piece.data(), 1, size_t(std::min<uint64_t>(piece.size(), left)), stream());
        if (!count) break;
        take(piece.data(), count);
        left -= count;
    }
    if (std::ferror(stream())) fail(FAILED, "cannot be read: " + reason());
}

Data InputFile::all() const {
    Data data;
    if (has_positions_) data.reserve(size_t(size_));
    read_pieces(UINT64_MAX, [&](const uint8_t* piece, size_t size) { data.insert(data.end(), piece, piece + size); });
    return data;
}
