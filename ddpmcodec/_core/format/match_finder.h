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

// Goes through data from the first byte to the last. Positions whose next four bytes have the same hash are linked; of three bytes, the last position
// is known. In a run of one byte, a hash is also that of the bytes which are left of it: otherwise all positions of runs would be linked, and what
// follows a run would not be found among them.
class MatchFinder {
  public:
    explicit MatchFinder(Bytes data)
        : data_(data), shift_(32 - std::clamp(int(std::bit_width(data.size())), LEAST_HASH_BITS, MOST_HASH_BITS)),
          last_of_three_(size_t(1) << (32 - shift_), NOWHERE), last_(last_of_three_.size(), NOWHERE),
          before_(std::min<size_t>(std::bit_ceil(data.size() + 1), FARTHEST_MATCH)) {}

    // Appends the matches at the next position, each longer and farther than the one before it, and of at most `most` bytes; then goes to the position
    // after it. Returns the longest length, or 0.
    int find(size_t most, std::vector<Match>& matches) {
        find_run();
        size_t longest = 0;
        if (most >= LEAST_MATCH) {
            const uint32_t near = is_in_run() ? uint32_t(position_ - 1) : last_of_three_[hash_of_three()];
            if (is_near(near) && are_equal(near, 0, LEAST_MATCH)) add(near, most, longest, matches);
        }
        if (most > std::max<size_t>(longest, LEAST_MATCH)) find_longer(most, longest, matches);
        skip();
        return int(longest);
    }

    void skip() {
        find_run();
        if (data_.size() - position_ > LEAST_MATCH) {
            if (!is_in_run()) last_of_three_[hash_of_three()] = uint32_t(position_);
            uint32_t& last = last_[hash_of_four()];
            before(uint32_t(position_)) = last;
            last = uint32_t(position_);
        }
        position_++;
    }

  private:
    static constexpr int LEAST_HASH_BITS = 8, MOST_HASH_BITS = 16;
    static constexpr int MOST_TRIED = 32;  // positions of one hash
    static constexpr size_t LONG_RUN = LONGEST_MATCH + 1;
    static constexpr uint32_t NOWHERE = UINT32_MAX, HASH_FACTOR = 0x9E3779B1, RUN_FACTOR = 0x85EBCA6B;

    // Positions are known by 32 bits. In data of more than 2^32 bytes one of them may be taken for another one; their bytes are compared in any case.
    uint32_t distance(uint32_t at) const { return uint32_t(position_) - at; }
    bool is_near(uint32_t at) const { return size_t(distance(at)) - 1 < std::min<size_t>(position_, FARTHEST_MATCH); }
    uint32_t& before(uint32_t at) { return before_[at & (before_.size() - 1)]; }

    void find_run() {
        if (position_ < run_end_) return;
        run_begin_ = position_;
        for (run_end_ = position_ + 1; run_end_ < data_.size() && data_[run_end_] == data_[position_];) run_end_++;
    }
    size_t left_of_run() const { return run_end_ - position_; }
    bool is_in_run() const { return position_ > run_begin_ && left_of_run() >= LEAST_MATCH; }

    uint32_t three_bytes() const { return uint32_t(data_[position_] | data_[position_ + 1] << 8 | data_[position_ + 2] << 16); }
    uint32_t hash_of_three() const { return (three_bytes() * HASH_FACTOR) >> shift_; }
    uint32_t hash_of_four() const {
        const uint32_t run = left_of_run() > LEAST_MATCH ? uint32_t(std::min(left_of_run(), LONG_RUN)) * RUN_FACTOR : 0;
        return ((three_bytes() | uint32_t(data_[position_ + 3]) << 24) * HASH_FACTOR + run) >> shift_;
    }

    const uint8_t* bytes_at(uint32_t at) const { return &data_[position_ - distance(at)]; }
    bool are_equal(uint32_t at, size_t from, size_t count) const { return std::memcmp(&data_[position_] + from, bytes_at(at) + from, count) == 0; }

    void find_longer(size_t most, size_t& longest, std::vector<Match>& matches) {
        uint32_t at = last_[hash_of_four()];
        for (int tried = 0; tried < MOST_TRIED && longest < most && is_near(at); tried++, at = before(at))
            if (are_equal(at, std::max<size_t>(longest, LEAST_MATCH) - LEAST_MATCH, LEAST_MATCH + 1)) add(at, most, longest, matches);
    }

    void add(uint32_t at, size_t most, size_t& longest, std::vector<Match>& matches) const {
        const uint8_t *here = &data_[position_], *there = bytes_at(at);
        size_t length = 0;
        for (uint64_t a, b; length + sizeof a <= most; length += sizeof a) {
            std::memcpy(&a, here + length, sizeof a), std::memcpy(&b, there + length, sizeof b);
            if (a != b) break;
        }
        while (length < most && here[length] == there[length]) length++;
        if (length <= std::max<size_t>(longest, LEAST_MATCH - 1)) return;
        matches.push_back({uint16_t(length), uint16_t(distance(at))});
        longest = length;
    }

    const Bytes data_;
    const int shift_;
    std::vector<uint32_t> last_of_three_, last_, before_;  // positions by hashes; before_: by the lower bits of the position after it
    size_t position_ = 0, run_begin_ = 0, run_end_ = 0;
};

}  // namespace ddpm
