// Raw deflate (RFC 1951), decoded as far as the data go, and into no more memory than is given: alpha planes of prefixes
// have their upper rows, and a section that claims to be small is.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ddpm {

class Inflater {
  public:
    Inflater(const uint8_t* data, size_t size, uint8_t* out, size_t most) : data_(data), size_(size), out_(out), most_(most) {}

    // False for what no deflate stream has. True where the stream ended, or the data, or the room.
    bool run();
    size_t written() const { return written_; }
    // The stream ended, and nothing follows it.
    bool has_ended() const { return ended_ && at_ == size_; }

  private:
    static constexpr int LONGEST = 15, MOST_SYMBOLS = 288;

    // A prefix code: how many symbols have each length, and the symbols in the order of their codes.
    struct Code {
        uint16_t counts[LONGEST + 1] = {}, symbols[MOST_SYMBOLS] = {};
        // Whether the lengths make a code; with one symbol, or none, it may have words to spare.
        bool make(const uint8_t* lengths, int count);
    };

    enum class Found { GOOD, BAD, STOP };

    bool bits(int count, uint32_t& value);
    Found symbol(const Code& code, int& value);
    Found stored();
    Found codes(Code& literals, Code& distances);
    Found block(const Code& literals, const Code& distances);
    Found next_block();

    const uint8_t* data_;
    const size_t size_;
    uint8_t* out_;
    const size_t most_;
    size_t at_ = 0, written_ = 0;
    uint32_t held_ = 0;  // bits that were read and not used, the next one lowest
    int holds_ = 0;
    bool ended_ = false;
};

}  // namespace ddpm
