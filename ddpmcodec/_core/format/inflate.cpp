#include "inflate.h"

#include <algorithm>
#include <iterator>

namespace ddpm {

namespace {

constexpr int LENGTHS = 29, DISTANCES = 30, END_OF_BLOCK = 256, LITERALS = 286;
constexpr uint16_t LENGTH[LENGTHS] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr uint8_t LENGTH_BITS[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr uint16_t DISTANCE[DISTANCES] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                          193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
constexpr uint8_t DISTANCE_BITS[DISTANCES] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
constexpr int LENGTH_CODES = 19;
constexpr uint8_t ORDER[LENGTH_CODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
constexpr int LONGEST = 15, MOST_SYMBOLS = 288;
constexpr int QUICK_BITS = 9;  // of a code that one look into a table finds
constexpr uint32_t PIECE = 1 << 15, WINDOW = 2 * PIECE;

enum class Step { GOOD, BAD, STOP };

// A prefix code: how many symbols have each length, and the symbols in the order of their codes.
struct Code {
    uint16_t counts[LONGEST + 1] = {}, symbols[MOST_SYMBOLS] = {};
    uint16_t quick[1 << QUICK_BITS] = {};  // by the next bits: symbol * 16 + length of the code; 0: it is longer, or there is none

    // Whether the lengths make a code; with one symbol, or none, it may have words to spare.
    bool make(const uint8_t* lengths, int count) {
        std::fill(std::begin(counts), std::end(counts), uint16_t(0));
        std::fill(std::begin(quick), std::end(quick), uint16_t(0));
        for (int s = 0; s < count; s++) counts[lengths[s]]++;
        counts[0] = 0;
        int left = 1, used = 0, first = 0;
        uint16_t start[LONGEST + 2] = {};
        int next_code[LONGEST + 1] = {};
        for (int length = 1; length <= LONGEST; length++) {
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
        if (holds_ < LONGEST) fill();
        const int quick = code.quick[held_ & ((1 << QUICK_BITS) - 1)];
        if (quick && (quick & 15) <= holds_) return value = quick >> 4, drop(quick & 15), Step::GOOD;
        int word = 0, first = 0, index = 0;
        for (int length = 1; length <= LONGEST; length++) {
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
        literal_count += 257, distance_count += 1;
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
            if (found < 16) {
                lengths[k++] = uint8_t(found);
                continue;
            }
            if (!bits(found == 16 ? 2 : found == 17 ? 3 : 7, value)) return Step::STOP;
            const uint32_t repeats = value + (found == 18 ? 11 : 3);
            if (k + repeats > all || (found == 16 && k == 0)) return Step::BAD;
            std::fill_n(lengths + k, repeats, found == 16 ? lengths[k - 1] : uint8_t(0));
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
        uint8_t lengths[MOST_SYMBOLS];
        for (int s = 0; s < MOST_SYMBOLS; s++) lengths[s] = uint8_t(s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8);
        literals.make(lengths, MOST_SYMBOLS);
        std::fill_n(lengths, DISTANCES + 2, uint8_t(5));
        distances.make(lengths, DISTANCES + 2);
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
