// rANS (Duda 2013, arXiv 1311.2540; streaming as in Giesen 2014, arXiv 1402.3392): 64-bit state, 32-bit words, 24-bit
// probabilities.
//
//     push  s -> (s div f) 2^24 + (s mod f) + b        pop  s -> f (s div 2^24) + (s mod 2^24) - b
//
// An encoder begins with 2^24 + check, 24 bits that a decoder finds at its end. Push first moves the low word out where
// s >= f 2^39: once that has happened 2^31 <= s < 2^63 between symbols, and one word at most moves a symbol. Before, s is
// smaller, but never below 2^24 >= f. So a decoder that has no word left where s < 2^31 is near its end, if 2^24 <= s; else
// something is missing.
#pragma once
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache.h"

namespace ddpm {

inline constexpr int PRECISION = 24;
inline constexpr uint64_t STATE_LOW = uint64_t(1) << 31;
inline constexpr uint64_t LEAST_STATE = uint64_t(1) << PRECISION, MOST_STATE = (uint64_t(1) << 63) - 1;  // that an encoder ends with
inline constexpr uint32_t CHECKS = uint32_t(1) << 24;
inline constexpr uint64_t SLOT_MASK = (uint64_t(1) << PRECISION) - 1;

// The intervals that symbols occupy, in 2^-24, in the order in which a decoder takes them: an encoder needs them backwards.
// Kept in pieces: a vector that grows would for a moment take three times as much.
class alignas(CACHE_LINES) Symbols {
  public:
    struct Symbol {
        uint32_t start, freq;
    };

    void put(uint32_t start, uint32_t freq) {
        if (size_ % PIECE == 0) pieces_.emplace_back(new Symbol[PIECE]);
        pieces_.back()[size_ % PIECE] = {start, freq};
        size_++;
    }

    size_t size() const { return size_; }
    const Symbol& operator[](size_t i) const {
        assert(i < size_);
        return pieces_[i / PIECE][i % PIECE];
    }

  private:
    static constexpr size_t PIECE = 1 << 14;
    std::vector<std::unique_ptr<Symbol[]>> pieces_;
    size_t size_ = 0;
};

// A decoder's end of one stream.
struct alignas(CACHE_LINES) Reader {
    uint64_t state = LEAST_STATE;
    std::vector<uint32_t> words;
    size_t position = 0;
    bool lacks = false;  // no word was left where one could have been needed: what follows may be nothing
    bool ended = false;  // one was needed: what follows is nothing
    bool strict = false; // the stream is cut: one was needed as soon as one could have been

    uint32_t slot() const { return uint32_t(state & SLOT_MASK); }

    void take(uint32_t start, uint32_t freq) {
        assert(slot() >= start && slot() - start < freq);
        state = freq * (state >> PRECISION) + (state & SLOT_MASK) - start;
        if (state < STATE_LOW) {
            if (position < words.size())
                state = (state << 32) | words[position++];
            else
                lacks = true, ended = ended || strict || state < LEAST_STATE;
        }
    }
};

}  // namespace ddpm
