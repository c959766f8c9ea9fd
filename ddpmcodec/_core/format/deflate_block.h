// A block of a deflate stream: its tokens, the codes that suit them, and the bits that it takes.
#pragma once
#include <span>
#include <vector>

#include "bytes.h"
#include "deflate_tables.h"

namespace ddpm {

// Writes bits, the lowest of a value first.
class DeflateWriter {
  public:
    void bits(uint32_t value, int count) {  // at most 32
        held_ |= uint64_t(value) << holds_;
        for (holds_ += count; holds_ >= 8; holds_ -= 8, held_ >>= 8) bytes_.push_back(uint8_t(held_));
    }
    void align() {
        if (holds_) bits(0, 8 - holds_);
    }
    int held() const { return holds_; }  // bits of a byte that is not complete
    void bytes(Bytes data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }  // after `align`
    std::vector<uint8_t> take() { return align(), std::move(bytes_); }

  private:
    std::vector<uint8_t> bytes_;
    uint64_t held_ = 0;
    int holds_ = 0;
};

// A literal, of length 1, or what repeats earlier bytes.
struct Token {
    uint16_t length, distance;  // distance: 0 of a literal
};

// How often tokens have each symbol.
struct SymbolCounts {
    uint32_t literals[LITERALS] = {}, distances[DISTANCES] = {};

    // data: which the tokens stand for.
    void add(std::span<const Token> tokens, const uint8_t* data);
    void add(const SymbolCounts& other);
};

// The code lengths of a block's symbols.
struct BlockCode {
    uint8_t literals[FIXED_LITERALS] = {}, distances[FIXED_DISTANCES] = {};

    static BlockCode fixed();
    static BlockCode suited(const SymbolCounts& counts);
    uint64_t bits(const SymbolCounts& counts) const;  // of tokens, and of the end of the block
};

inline constexpr size_t MOST_STORED = 65535;  // bytes of a stored block
inline constexpr size_t STORED_HEAD = 5;      // bytes before them

// A block in the shortest form: stored, by the fixed codes, or by codes that suit it.
class DeflateBlock {
  public:
    DeflateBlock(const SymbolCounts& counts, size_t bytes);

    uint64_t bits() const;  // about, as stored bytes are aligned
    const BlockCode& suited() const { return suited_; }
    void write(DeflateWriter& writer, std::span<const Token> tokens, Bytes data, bool is_last) const;

  private:
    // What stands for the lengths of the suited code: symbols of the code of code lengths, and the bits that follow them.
    struct Run {
        uint8_t symbol, more;
    };

    void find_runs();
    void write_suited_code(DeflateWriter& writer) const;
    void write_stored(DeflateWriter& writer, Bytes data, bool is_last) const;

    BlockCode suited_;
    int literal_count_ = LITERALS, distance_count_ = DISTANCES, length_count_ = LENGTH_CODES;
    std::vector<Run> runs_;
    uint8_t run_lengths_[LENGTH_CODES];
    uint64_t suited_bits_, fixed_bits_, stored_bits_;
};

}  // namespace ddpm
