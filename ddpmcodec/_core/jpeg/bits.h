// Bits of the scans of JPEG files: high bits first, and a zero byte after each byte of ones (T.81, F.1.2.3).
#pragma once
#include <vector>

#include "bytes.h"

namespace ddpm {

class BitReader {
  public:
    BitReader(Bytes data, size_t position) : data_(data), position_(position) {}

    // The next bits, at most 16, without taking them. There are zeros after the end.
    int peek(int count) {
        if (held_ < count) fill();
        const uint64_t bits = held_ >= count ? window_ >> (held_ - count) : window_ << (count - held_);
        return int(bits & ((1u << count) - 1));
    }

    void skip(int count) {
        if (count > held_) throw Error(Fault::TRUNCATED, "a scan of the JPEG file ends early, before byte " + std::to_string(position_));
        held_ -= count;
    }

    int bits(int count) {
        const int value = peek(count);
        skip(count);
        return value;
    }

    struct Padding {
        int count;
        uint32_t bits;
    };
    // Takes the rest of a byte. Then position() is the byte after it.
    Padding align() {
        const int count = held_ % 8;
        const Padding padding{count, uint32_t(count ? bits(count) : 0)};
        for (; held_; held_ -= 8, window_ >>= 8) position_ -= (window_ & 0xFF) == 0xFF ? 2 : 1;
        return padding;
    }

    size_t position() const { return position_; }
    // Takes a marker, if it is the next one.
    bool take_marker(int code) {
        if (data_.size() - position_ < 2 || data_[position_] != 0xFF || data_[position_ + 1] != code) return false;
        position_ += 2;
        return true;
    }

  private:
    void fill() {
        while (held_ <= 48 && position_ < data_.size()) {
            const uint8_t byte = data_[position_];
            if (byte == 0xFF && (position_ + 1 == data_.size() || data_[position_ + 1])) break;
            position_ += byte == 0xFF ? 2 : 1;
            window_ = window_ << 8 | byte;
            held_ += 8;
        }
    }

    const Bytes data_;
    size_t position_;
    uint64_t window_ = 0;
    int held_ = 0;
};

class BitWriter {
  public:
    // most: bytes of `out`. Throws Error (CORRUPT) before there are more.
    BitWriter(std::vector<uint8_t>& out, uint64_t most) : out_(out), most_(most) {}

    void bits(uint32_t value, int count) {
        window_ = window_ << count | (value & ((uint64_t(1) << count) - 1));
        for (held_ += count; held_ >= 8; held_ -= 8) byte(uint8_t(window_ >> (held_ - 8)));
    }
    int missing() const { return (8 - held_) % 8; }  // bits of the last byte

  private:
    void byte(uint8_t value) {
        if (out_.size() + (value == 0xFF ? 2 : 1) > most_)
            throw Error(Fault::CORRUPT, "the JPEG file is longer than the " + std::to_string(most_) + " bytes that its recipe states");
        out_.push_back(value);
        if (value == 0xFF) out_.push_back(0);
    }

    std::vector<uint8_t>& out_;
    const uint64_t most_;
    uint64_t window_ = 0;
    int held_ = 0;
};

}  // namespace ddpm
