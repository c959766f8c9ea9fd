#include "inflate.h"

#include <algorithm>
#include <iterator>

namespace ddpm {

namespace {

constexpr int LENGTHS = 29, DISTANCES = 30, END_OF_BLOCK = 256;
constexpr uint16_t LENGTH[LENGTHS] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
constexpr uint8_t LENGTH_BITS[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
constexpr uint16_t DISTANCE[DISTANCES] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                          193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
constexpr uint8_t DISTANCE_BITS[DISTANCES] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
constexpr int LENGTH_CODES = 19;
constexpr uint8_t ORDER[LENGTH_CODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

}  // namespace

bool Inflater::Code::make(const uint8_t* lengths, int count) {
    std::fill(std::begin(counts), std::end(counts), 0);
    for (int s = 0; s < count; s++) counts[lengths[s]]++;
    counts[0] = 0;
    int left = 1, used = 0;
    uint16_t start[LONGEST + 2] = {};
    for (int length = 1; length <= LONGEST; length++) {
        left = 2 * left - counts[length];
        if (left < 0) return false;
        used += counts[length];
        start[length + 1] = uint16_t(start[length] + counts[length]);
    }
    for (int s = 0; s < count; s++)
        if (lengths[s]) symbols[start[lengths[s]]++] = uint16_t(s);
    return left == 0 || used <= 1;
}

bool Inflater::bits(int count, uint32_t& value) {
    while (holds_ < count) {
        if (at_ == size_) return false;
        held_ |= uint32_t(data_[at_++]) << holds_;
        holds_ += 8;
    }
    value = held_ & ((uint32_t(1) << count) - 1);
    held_ >>= count;
    holds_ -= count;
    return true;
}

// Codes of one length are consecutive numbers, whose first bit comes first.
Inflater::Found Inflater::symbol(const Code& code, int& value) {
    int word = 0, first = 0, index = 0;
    for (int length = 1; length <= LONGEST; length++) {
        uint32_t bit;
        if (!bits(1, bit)) return Found::STOP;
        word |= int(bit);
        if (word - first < code.counts[length]) return value = code.symbols[index + word - first], Found::GOOD;
        index += code.counts[length];
        first = (first + code.counts[length]) << 1;
        word <<= 1;
    }
    return Found::BAD;
}

Inflater::Found Inflater::stored() {
    held_ = 0, holds_ = 0;  // the rest of a byte means nothing
    uint32_t length, complement;
    if (!bits(16, length) || !bits(16, complement)) return Found::STOP;
    if ((length ^ 0xFFFF) != complement) return Found::BAD;
    const size_t some = std::min({size_t(length), size_ - at_, most_ - written_});
    std::copy_n(data_ + at_, some, out_ + written_);
    at_ += some, written_ += some;
    return some == length ? Found::GOOD : Found::STOP;
}

Inflater::Found Inflater::codes(Code& literals, Code& distances) {
    uint32_t literal_count, distance_count, length_count, bits_of_one;
    if (!bits(5, literal_count) || !bits(5, distance_count) || !bits(4, length_count)) return Found::STOP;
    literal_count += 257, distance_count += 1;
    if (literal_count > 286 || distance_count > DISTANCES) return Found::BAD;
    uint8_t lengths[286 + DISTANCES] = {};
    for (uint32_t k = 0; k < length_count + 4; k++) {
        if (!bits(3, bits_of_one)) return Found::STOP;
        lengths[ORDER[k]] = uint8_t(bits_of_one);
    }
    Code own;
    if (!own.make(lengths, LENGTH_CODES)) return Found::BAD;
    std::fill(std::begin(lengths), std::end(lengths), 0);
    for (uint32_t k = 0, all = literal_count + distance_count; k < all;) {
        int found;
        if (const Found state = symbol(own, found); state != Found::GOOD) return state;
        if (found < 16) {
            lengths[k++] = uint8_t(found);
            continue;
        }
        uint32_t more;
        if (!bits(found == 16 ? 2 : found == 17 ? 3 : 7, more)) return Found::STOP;
        const uint32_t repeats = more + (found == 18 ? 11 : 3);
        if (k + repeats > all || (found == 16 && k == 0)) return Found::BAD;
        std::fill_n(lengths + k, repeats, found == 16 ? lengths[k - 1] : uint8_t(0));
        k += repeats;
    }
    const bool fits = lengths[END_OF_BLOCK] && literals.make(lengths, int(literal_count)) && distances.make(lengths + literal_count, int(distance_count));
    return fits ? Found::GOOD : Found::BAD;
}

Inflater::Found Inflater::block(const Code& literals, const Code& distances) {
    for (;;) {
        int value;
        if (const Found state = symbol(literals, value); state != Found::GOOD) return state;
        if (value == END_OF_BLOCK) return Found::GOOD;
        if (value < END_OF_BLOCK) {
            if (written_ == most_) return Found::STOP;
            out_[written_++] = uint8_t(value);
            continue;
        }
        uint32_t more;
        if ((value -= END_OF_BLOCK + 1) >= LENGTHS) return Found::BAD;
        if (!bits(LENGTH_BITS[value], more)) return Found::STOP;
        const uint32_t length = LENGTH[value] + more;
        if (const Found state = symbol(distances, value); state != Found::GOOD) return state;
        if (value >= DISTANCES) return Found::BAD;
        if (!bits(DISTANCE_BITS[value], more)) return Found::STOP;
        const size_t distance = DISTANCE[value] + more;
        if (distance > written_) return Found::BAD;
        for (uint32_t k = 0; k < length; k++, written_++) {  // which may overlap what they repeat
            if (written_ == most_) return Found::STOP;
            out_[written_] = out_[written_ - distance];
        }
    }
}

Inflater::Found Inflater::next_block() {
    uint32_t kind;
    if (!bits(2, kind)) return Found::STOP;
    if (kind == 0) return stored();
    Code literals, distances;
    if (kind == 1) {
        uint8_t lengths[MOST_SYMBOLS];
        for (int s = 0; s < MOST_SYMBOLS; s++) lengths[s] = uint8_t(s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8);
        literals.make(lengths, MOST_SYMBOLS);
        std::fill_n(lengths, DISTANCES + 2, uint8_t(5));
        distances.make(lengths, DISTANCES + 2);
    } else if (kind == 2) {
        if (const Found state = codes(literals, distances); state != Found::GOOD) return state;
    } else {
        return Found::BAD;
    }
    return block(literals, distances);
}

bool Inflater::run() {
    uint32_t is_last = 0;
    while (!is_last) {
        if (!bits(1, is_last)) return true;
        if (const Found state = next_block(); state != Found::GOOD) return state == Found::STOP;
    }
    ended_ = true;
    return true;
}

}  // namespace ddpm
