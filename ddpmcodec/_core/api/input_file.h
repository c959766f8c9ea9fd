// The file that a command reads: one that can be read at any position, or a pipe.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "system.h"

using Data = std::vector<uint8_t>;

class InputFile {
  public:
    // Throws Failure if the file cannot be read. name: "-" is standard input.
    explicit InputFile(const std::string& name);

    std::FILE* stream() const { return file_ ? file_.get() : stdin; }
    bool has_positions() const { return has_positions_; }
    uint64_t size() const { return size_; }  // bytes; of a pipe the most that there can be

    // Gives all bytes, or the first ones, piece by piece. Throws Failure.
    void read_pieces(uint64_t most, const std::function<void(const uint8_t* data, size_t size)>& take) const;
    Data all() const;

  private:
    File file_{nullptr};  // null: standard input
    bool has_positions_ = false;
    uint64_t size_ = UINT64_MAX;
};
