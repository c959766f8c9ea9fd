// Earlier bytes that the next ones repeat.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "bytes.h"
#include "deflate_tables.h"

namespace ddpm {

struct Match {
    uint16_t length, distance;
};

// Goes through data from the first byte to the last. Positions whose next four bytes have the same hash are linked; of three bytes, the last one is
// known.
class MatchFinder {
  public:
    explicit MatchFinder(Bytes data)
        : data_(data), shift_(32 - std::clamp(int(std::bit_width(data.size())), LEAST_HASH_BITS, MOST_HASH_BITS)),
          last_of_three_(size_t(1) << (32 - shift_), NOWHERE), last_(last_of_three_.size(), NOWHERE), before_(FARTHEST_MATCH) {}

    // Appends the matches at the next position, each longer and farther than the one before it, and of at most `most` bytes. Goes on to the position after it.
    void find(size_t most, std::vector<Match>& matches) {
        if (most >= LEAST_MATCH) {
            size_t longest = LEAST_MATCH - 1;
            take(last_of_three_[hash(3)], most, longest, matches);
            uint32_t at = most > LEAST_MATCH ? last_[hash(4)] : NOWHERE;
            for (int k = 0; k < MOST_TRIED && longest < most && is_near(at); k++, at = before_[at % FARTHEST_MATCH]) take(at, most, longest, matches);
        }
        skip();
    }

    void skip() {
        if (data_.size() - position_ >= 4) {
            last_of_three_[hash(3)] = uint32_t(position_);
            uint32_t& last = last_[hash(4)];
            before_[position_ % FARTHEST_MATCH] = last;
            last = uint32_t(position_);
        }
        position_++;
    }

  private:
    static constexpr int LEAST_HASH_BITS = 8, MOST_HASH_BITS = 16;
    static constexpr int MOST_TRIED = 256;
    static constexpr uint32_t NOWHERE = UINT32_MAX;

    uint32_t distance(uint32_t at) const { return uint32_t(position_) - at; }
    // Positions are known by their lower 32 bits: one that is 2^32 bytes farther has other bytes, which cannot be mistaken, as bytes are compared.
    bool is_near(uint32_t at) const { return size_t(distance(at)) - 1 < std::min<size_t>(position_, FARTHEST_MATCH); }

    uint32_t hash(int count) const {
        uint32_t bytes = 0;
        for (int k = 0; k < count; k++) bytes |= uint32_t(data_[position_ + size_t(k)]) << (8 * k);
        return (bytes * 0x9E3779B1u) >> shift_;
    }

    void take(uint32_t at, size_t most, size_t& longest, std::vector<Match>& matches) const {
        if (!is_near(at) || longest >= most) return;
        const uint8_t *here = &data_[position_], *there = here - distance(at);
        if (here[longest] != there[longest] || here[longest - 1] != there[longest - 1]) return;
        size_t length = 0;
        for (uint64_t a, b; length + 8 <= most; length += 8) {
            std::memcpy(&a, here + length, 8), std::memcpy(&b, there + length, 8);
            if (a != b) break;
        }
        while (length < most && here[length] == there[length]) length++;
        if (length <= longest) return;
        matches.push_back({uint16_t(length), uint16_t(distance(at))});
        longest = length;
    }

    const Bytes data_;
    const int shift_;
    std::vector<uint32_t> last_of_three_, last_, before_;
    size_t position_ = 0;
};

}  // namespace ddpm
