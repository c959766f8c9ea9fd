// Bytes that come from outside: what is wrong with them, and a reader that checks every access.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ddpm {

using Bytes = std::span<const uint8_t>;

// A range of bytes in a file.
struct ByteRange {
    uint64_t begin = 0, end = 0;

    uint64_t size() const { return end - begin; }
};

// Kinds of errors that callers tell apart.
enum class Fault {
    FORMAT,     // not a file of this format, or its structure contradicts itself
    TRUNCATED,  // the data ends early
    CHECKSUM,   // the data decodes to something other than what was encoded
    CORRUPT,    // no encoder writes this data
    MODEL,      // the model is missing, is a different one, or does not compute what it must
    IMAGE,      // the image is larger than the caller allows, or has no such part
    ARGUMENT,   // the caller asked for something that does not exist
};

class Error : public std::runtime_error {
  public:
    Error(Fault fault, const std::string& message) : std::runtime_error(message), fault(fault) {}

    const Fault fault;
};

inline constexpr int MAX_VARINT_BYTES = 5;

// Reads bytes front to back. Throws Error (TRUNCATED) before it reads past the end.
class ByteReader {
  public:
    // part: the name of the data in messages. least: bytes that are needed in any case.
    ByteReader(Bytes data, std::string_view part, size_t least = 0) : data_(data), part_(part), least_(least) {}

    size_t position() const { return position_; }
    size_t left() const { return data_.size() - position_; }
    bool at_end() const { return left() == 0; }
    Bytes since(size_t start) const { return data_.subspan(start, position_ - start); }

    void require(size_t count) const {
        if (count <= left()) return;
        const size_t needed = std::max(position_ + count, least_);
        throw Error(Fault::TRUNCATED, "the data ends inside " + part_ + ", after " + std::to_string(data_.size()) + " bytes: at least " +
                                          std::to_string(needed) + " are needed");
    }

    Bytes take(size_t count) {
        require(count);
        position_ += count;
        return data_.subspan(position_ - count, count);
    }

    uint8_t byte() { return take(1)[0]; }

    // A little-endian integer of `count` bytes, at most 8.
    uint64_t integer(int count) {
        uint64_t value = 0;
        int shift = 0;
        for (const uint8_t byte : take(size_t(count))) value |= uint64_t(byte) << shift, shift += 8;
        return value;
    }

    // LEB128 in at most 5 bytes. Throws Error (FORMAT) for one that is longer than it needs to be: every number has one encoding.
    uint64_t varint() {
        uint64_t value = 0;
        for (int k = 0; k < MAX_VARINT_BYTES; k++) {
            const uint8_t next = byte();
            value |= uint64_t(next & 127) << (7 * k);
            if (next < 128) {
                if (k && !next) break;
                return value;
            }
        }
        throw Error(Fault::FORMAT, "a number before byte " + std::to_string(position_) + " of " + part_ +
                                       " is longer than it needs to be: the data is damaged");
    }

  private:
    const Bytes data_;
    const std::string part_;
    const size_t least_;
    size_t position_ = 0;
};

// Bytes as `ByteReader` reads them.
class ByteWriter {
  public:
    const std::vector<uint8_t>& bytes() const { return bytes_; }
    std::vector<uint8_t> take() { return std::move(bytes_); }

    void bytes(Bytes data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }
    void byte(int value) { bytes_.push_back(uint8_t(value)); }
    void integer(uint64_t value, int count) {
        for (int k = 0; k < count; k++) bytes_.push_back(uint8_t(value >> (8 * k)));
    }
    void varint(uint64_t value) {
        for (; value >= 128; value >>= 7) bytes_.push_back(uint8_t(value | 128));
        bytes_.push_back(uint8_t(value));
    }

  private:
    std::vector<uint8_t> bytes_;
};

// Two digits a byte, with `between` between bytes.
inline std::string hex(Bytes data, std::string_view between = "") {
    static constexpr char DIGITS[] = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : data) {
        if (!text.empty()) text += between;
        text += DIGITS[byte >> 4];
        text += DIGITS[byte & 15];
    }
    return text;
}

}  // namespace ddpm
