#include "inflate.h"

#include <algorithm>
#include <iterator>

#include "deflate_tables.h"

namespace ddpm {

namespace {

constexpr int QUICK_BITS = 9;  // of a code that one look into a table finds
constexpr uint32_t PIECE = 1 << 15, WINDOW = 2 * PIECE;

enum class Step { GOOD, BAD, STOP };

// A prefix code: how many symbols have each length, and the symbols in the order of their codes.
struct Code {
    uint16_t counts[LONGEST_CODE + 1] = {}, symbols[FIXED_LITERALS] = {};
    uint16_t quick[1 << QUICK_BITS] = {};  // by the next bits: symbol * 16 + length of the code; 0: it is longer, or there is none

    // Whether the lengths make a code; with one symbol, or none, it may have words to spare.
    bool make(const uint8_t* lengths, int count) {
        std::fill(std::begin(counts), std::end(counts), uint16_t(0));
        std::fill(std::begin(quick), std::end(quick), uint16_t(0));
        for (int s = 0; s < count; s++) counts[lengths[s]]++;
        counts[0] = 0;
        int left = 1, used = 0, first = 0;
        uint16_t start[LONGEST_CODE + 2] = {};
        int next_code[LONGEST_CODE + 1] = {};
        for (int length = 1; length <= LONGEST_CODE; length++) {
            left = 2 * left - counts[length];
            if (left < 0) return false;
            used += counts[length];
            start[length + 1] = uint16_t(start[length] + counts[length]);
            next_code[length] = first;
            first = (first + counts[length]) << 1;
        }
        for (int s = 0; s < count; s++) {
            const int length = lengths[s];
            if (!length) continue;
            symbols[start[length]++] = uint16_t(s);
            const int code = next_code[length]++;
            if (length > QUICK_BITS) continue;
            int reversed = 0;  // the first bit of a code comes first
            for (int bit = 0; bit < length; bit++) reversed |= (code >> bit & 1) << (length - 1 - bit);
            for (int k = reversed; k < 1 << QUICK_BITS; k += 1 << length) quick[k] = uint16_t(s * 16 + length);
        }
        return left == 0 || used <= 1;
    }
};

class Inflater {
  public:
    Inflater(Bytes data, uint64_t most, const std::function<void(Bytes)>& write) : data_(data), most_(most), write_(write), window_(WINDOW) {}

    Inflated run() {
        Step state = Step::GOOD;
        uint32_t is_last = 0;
        while (state == Step::GOOD && !is_last) state = bits(1, is_last) ? block() : Step::STOP;
        if (written_ % PIECE) write_(Bytes(window_).subspan(written_ / PIECE * PIECE % WINDOW, written_ % PIECE));
        const bool has_ended = state == Step::GOOD && at_ - size_t(holds_ / 8) == data_.size();
        return {written_, state != Step::BAD, has_ended};
    }

  private:
    void fill() {
        while (holds_ <= 56 && at_ < data_.size()) held_ |= uint64_t(data_[at_++]) << holds_, holds_ += 8;
    }

    bool bits(int count, uint32_t& value) {
        if (holds_ < count) fill();
        if (holds_ < count) return false;
        value = uint32_t(held_ & ((uint64_t(1) << count) - 1));
        drop(count);
        return true;
    }

    void drop(int count) { held_ >>= count, holds_ -= count; }

    // Codes of one length are consecutive numbers, whose first bit comes first.
    Step symbol(const Code& code, int& value) {
        if (holds_ < LONGEST_CODE) fill();
        const int quick = code.quick[held_ & ((1 << QUICK_BITS) - 1)];
        if (quick && (quick & 15) <= holds_) return value = quick >> 4, drop(quick & 15), Step::GOOD;
        int word = 0, first = 0, index = 0;
        for (int length = 1; length <= LONGEST_CODE; length++) {
            if (length > holds_) return Step::STOP;
            word |= int(held_ >> (length - 1) & 1);
            if (word - first < code.counts[length]) return value = code.symbols[index + word - first], drop(length), Step::GOOD;
            index += code.counts[length];
            first = (first + code.counts[length]) << 1;
            word <<= 1;
        }
        return Step::BAD;
    }

    bool put(uint8_t byte) {
        if (written_ == most_) return false;
        window_[written_++ % WINDOW] = byte;
        if (written_ % PIECE == 0) write_(Bytes(window_).subspan((written_ - PIECE) % WINDOW, PIECE));
        return true;
    }

    Step stored() {
        drop(holds_ % 8);  // the rest of a byte means nothing
        uint32_t length, complement, byte;
        if (!bits(16, length) || !bits(16, complement)) return Step::STOP;
        if ((length ^ 0xFFFF) != complement) return Step::BAD;
        while (length--)
            if (!bits(8, byte) || !put(uint8_t(byte))) return Step::STOP;
        return Step::GOOD;
    }

    Step codes(Code& literals, Code& distances) {
        uint32_t literal_count, distance_count, length_count, value;
        if (!bits(5, literal_count) || !bits(5, distance_count) || !bits(4, length_count)) return Step::STOP;
        literal_count += LITERALS_OF_COUNT, distance_count += 1;
        if (literal_count > LITERALS || distance_count > DISTANCES) return Step::BAD;
        uint8_t lengths[LITERALS + DISTANCES] = {};
        for (uint32_t k = 0; k < length_count + 4; k++) {
            if (!bits(3, value)) return Step::STOP;
            lengths[ORDER[k]] = uint8_t(value);
        }
        Code code;
        if (!code.make(lengths, LENGTH_CODES)) return Step::BAD;
        std::fill(std::begin(lengths), std::end(lengths), uint8_t(0));
        for (uint32_t k = 0, all = literal_count + distance_count; k < all;) {
            int found;
            if (const Step state = symbol(code, found); state != Step::GOOD) return state;
            if (found < REPEAT) {
                lengths[k++] = uint8_t(found);
                continue;
            }
            if (!bits(run_bits(found), value)) return Step::STOP;
            const uint32_t repeats = value + uint32_t(least_run(found));
            if (k + repeats > all || (found == REPEAT && k == 0)) return Step::BAD;
            std::fill_n(lengths + k, repeats, found == REPEAT ? lengths[k - 1] : uint8_t(0));
            k += repeats;
        }
        const bool fits = lengths[END_OF_BLOCK] && literals.make(lengths, int(literal_count)) && distances.make(lengths + literal_count, int(distance_count));
        return fits ? Step::GOOD : Step::BAD;
    }

    Step symbols(const Code& literals, const Code& distances) {
        for (;;) {
            int value;
            if (const Step state = symbol(literals, value); state != Step::GOOD) return state;
            if (value == END_OF_BLOCK) return Step::GOOD;
            if (value < END_OF_BLOCK) {
                if (!put(uint8_t(value))) return Step::STOP;
                continue;
            }
            uint32_t more;
            if ((value -= END_OF_BLOCK + 1) >= LENGTHS) return Step::BAD;
            if (!bits(LENGTH_BITS[value], more)) return Step::STOP;
            const uint32_t length = LENGTH[value] + more;
            if (const Step state = symbol(distances, value); state != Step::GOOD) return state;
            if (value >= DISTANCES) return Step::BAD;
            if (!bits(DISTANCE_BITS[value], more)) return Step::STOP;
            const uint32_t distance = DISTANCE[value] + more;
            if (distance > written_) return Step::BAD;
            for (uint32_t k = 0; k < length; k++)  // which may overlap what they repeat
                if (!put(window_[(written_ - distance) % WINDOW])) return Step::STOP;
        }
    }

    Step block() {
        uint32_t kind;
        if (!bits(2, kind)) return Step::STOP;
        if (kind == 0) return stored();
        if (kind == 3) return Step::BAD;
        Code literals, distances;
        if (kind == 2) {
            if (const Step state = codes(literals, distances); state != Step::GOOD) return state;
            return symbols(literals, distances);
        }
        uint8_t lengths[FIXED_LITERALS];
        for (int s = 0; s < FIXED_LITERALS; s++) lengths[s] = uint8_t(fixed_literal_bits(s));
        literals.make(lengths, FIXED_LITERALS);
        std::fill_n(lengths, FIXED_DISTANCES, uint8_t(FIXED_DISTANCE_BITS));
        distances.make(lengths, FIXED_DISTANCES);
        return symbols(literals, distances);
    }

    const Bytes data_;
    const uint64_t most_;
    const std::function<void(Bytes)>& write_;
    std::vector<uint8_t> window_;
    size_t at_ = 0;
    uint64_t written_ = 0, held_ = 0;  // held: bits that were read and not used, the next one lowest
    int holds_ = 0;
};

}  // namespace

Inflated inflate(Bytes data, uint64_t most, const std::function<void(Bytes)>& write) { return Inflater(data, most, write).run(); }

std::vector<uint8_t> inflated(Bytes data, uint64_t most, const std::string& name) {
    std::vector<uint8_t> content;
    const Inflated end = inflate(data, most, [&](Bytes piece) { content.insert(content.end(), piece.begin(), piece.end()); });
    if (!end.is_sound) throw Error(Fault::CORRUPT, name + " does not inflate: the data is damaged");
    if (!end.ended) throw Error(Fault::FORMAT, name + " holds more than " + std::to_string(most) + " bytes, ends early, or bytes follow its end");
    return content;
}

}  // namespace ddpm
