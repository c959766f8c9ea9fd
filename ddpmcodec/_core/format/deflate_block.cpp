#include "deflate_block.h"

#include <algorithm>

#include "prefix_code.h"

namespace ddpm {

namespace {

constexpr int KIND_BITS = 3;  // whether a block is the last one, and its kind
constexpr int COUNT_BITS = 5 + 5 + 4, RUN_LENGTH_BITS = 3, LEAST_LENGTH_CODES = 4;
enum BlockKind { STORED, FIXED, SUITED };

int last_used(const uint8_t* lengths, int count, int least) {
    while (count > least && !lengths[count - 1]) count--;
    return count;
}

}  // namespace

void SymbolCounts::add(std::span<const Token> tokens, const uint8_t* data) {
    for (const Token& token : tokens) {
        if (token.distance) literals[END_OF_BLOCK + 1 + length_symbol(token.length)]++, distances[distance_symbol(token.distance)]++;
        else literals[*data]++;
        data += token.length;
    }
}

void SymbolCounts::add(const SymbolCounts& other) {
    for (int s = 0; s < LITERALS; s++) literals[s] += other.literals[s];
    for (int s = 0; s < DISTANCES; s++) distances[s] += other.distances[s];
}

BlockCode BlockCode::fixed() {
    BlockCode code;
    for (int s = 0; s < FIXED_LITERALS; s++) code.literals[s] = uint8_t(fixed_literal_bits(s));
    std::fill(std::begin(code.distances), std::end(code.distances), uint8_t(FIXED_DISTANCE_BITS));
    return code;
}

BlockCode BlockCode::suited(const SymbolCounts& counts) {
    BlockCode code;
    uint32_t literals[LITERALS];
    std::copy(std::begin(counts.literals), std::end(counts.literals), literals);
    literals[END_OF_BLOCK] = 1;
    set_code_lengths(literals, LONGEST_CODE, code.literals);
    set_code_lengths(counts.distances, LONGEST_CODE, code.distances);
    return code;
}

uint64_t BlockCode::bits(const SymbolCounts& counts) const {
    uint64_t bits = literals[END_OF_BLOCK];
    for (int s = 0; s < LITERALS; s++) bits += uint64_t(counts.literals[s]) * literals[s];
    for (int s = 0; s < LENGTHS; s++) bits += uint64_t(counts.literals[END_OF_BLOCK + 1 + s]) * LENGTH_BITS[s];
    for (int s = 0; s < DISTANCES; s++) bits += uint64_t(counts.distances[s]) * (distances[s] + DISTANCE_BITS[s]);
    return bits;
}

DeflateBlock::DeflateBlock(const SymbolCounts& counts, size_t bytes) : suited_(BlockCode::suited(counts)) {
    find_runs();
    suited_bits_ = KIND_BITS + COUNT_BITS + uint64_t(RUN_LENGTH_BITS * length_count_) + suited_.bits(counts);
    for (const Run& run : runs_) suited_bits_ += uint64_t(run_lengths_[run.symbol] + run_bits(run.symbol));
    fixed_bits_ = KIND_BITS + BlockCode::fixed().bits(counts);
    stored_bits_ = 8 * (bytes + STORED_HEAD * std::max<size_t>(1, (bytes + MOST_STORED - 1) / MOST_STORED));
}

uint64_t DeflateBlock::bits() const { return std::min({suited_bits_, fixed_bits_, stored_bits_}); }

void DeflateBlock::find_runs() {
    literal_count_ = last_used(suited_.literals, LITERALS, LITERALS_OF_COUNT), distance_count_ = last_used(suited_.distances, DISTANCES, 1);
    uint8_t lengths[LITERALS + DISTANCES];
    const uint8_t* end = std::copy_n(suited_.distances, distance_count_, std::copy_n(suited_.literals, literal_count_, lengths));
    uint32_t counts[LENGTH_CODES] = {};
    auto add = [&](int symbol, int more) { runs_.push_back({uint8_t(symbol), uint8_t(more)}), counts[symbol]++; };
    for (const uint8_t* at = lengths; at < end;) {
        const uint8_t length = *at;
        int left = int(std::find_if(at, end, [&](uint8_t other) { return other != length; }) - at);
        at += left;
        if (length) add(length, 0), left--;
        while (left >= LEAST_REPEAT) {
            const int symbol = length ? REPEAT : left < LEAST_MANY_ZEROS ? ZEROS : MANY_ZEROS, least = least_run(symbol);
            const int taken = std::min(left, least + (1 << run_bits(symbol)) - 1);
            add(symbol, taken - least);
            left -= taken;
        }
        for (; left; left--) add(length, 0);
    }
    set_code_lengths(counts, LONGEST_LENGTH_CODE, run_lengths_);
    while (length_count_ > LEAST_LENGTH_CODES && !run_lengths_[ORDER[length_count_ - 1]]) length_count_--;
}

void DeflateBlock::write(DeflateWriter& writer, std::span<const Token> tokens, Bytes data, bool is_last) const {
    if (stored_bits_ < std::min(suited_bits_, fixed_bits_)) return write_stored(writer, data, is_last);
    const bool is_fixed = fixed_bits_ <= suited_bits_;
    const BlockCode code = is_fixed ? BlockCode::fixed() : suited_;
    writer.bits(is_last | (is_fixed ? FIXED : SUITED) << 1, KIND_BITS);
    if (!is_fixed) write_suited_code(writer);
    uint16_t literals[FIXED_LITERALS], distances[FIXED_DISTANCES];
    set_code_words(code.literals, literals);
    set_code_words(code.distances, distances);
    auto literal = [&](int symbol) { writer.bits(literals[symbol], code.literals[symbol]); };
    const uint8_t* at = data.data();
    for (const Token& token : tokens) {
        if (token.distance) {
            const int length = length_symbol(token.length), distance = distance_symbol(token.distance);
            literal(END_OF_BLOCK + 1 + length);
            writer.bits(uint32_t(token.length - LENGTH[length]), LENGTH_BITS[length]);
            writer.bits(distances[distance], code.distances[distance]);
            writer.bits(uint32_t(token.distance - DISTANCE[distance]), DISTANCE_BITS[distance]);
        } else {
            literal(*at);
        }
        at += token.length;
    }
    literal(END_OF_BLOCK);
}

void DeflateBlock::write_suited_code(DeflateWriter& writer) const {
    writer.bits(uint32_t(literal_count_ - LITERALS_OF_COUNT), 5);
    writer.bits(uint32_t(distance_count_ - 1), 5);
    writer.bits(uint32_t(length_count_ - LEAST_LENGTH_CODES), 4);
    for (int k = 0; k < length_count_; k++) writer.bits(run_lengths_[ORDER[k]], RUN_LENGTH_BITS);
    uint16_t words[LENGTH_CODES];
    set_code_words(run_lengths_, words);
    for (const Run& run : runs_) {
        writer.bits(words[run.symbol], run_lengths_[run.symbol]);
        writer.bits(run.more, run_bits(run.symbol));
    }
}

void DeflateBlock::write_stored(DeflateWriter& writer, Bytes data, bool is_last) const {
    do {
        const size_t count = std::min(data.size(), MOST_STORED);
        writer.bits(is_last && count == data.size(), KIND_BITS);
        writer.align();
        writer.bits(uint32_t(count | (~count & 65535) << 16), 32);
        writer.bytes(data.first(count));
        data = data.subspan(count);
    } while (!data.empty());
}

}  // namespace ddpm
