#include "huffman.h"

#include <algorithm>
#include <numeric>

namespace ddpm {

namespace {

HuffmanTable make(const std::array<uint8_t, LONGEST_CODE>& counts, const char* symbols) {
    HuffmanTable table{counts, {}};
    const auto digit = [](char c) { return uint8_t(c < 'a' ? c - '0' : c - 'a' + 10); };
    for (; *symbols; symbols += 2) table.symbols.push_back(uint8_t(digit(symbols[0]) << 4 | digit(symbols[1])));
    return table;
}

// Calls take(symbol, code, length) for each code of a table.
template <class Take> void for_codes(const HuffmanTable& table, Take take) {
    int code = 0;
    size_t index = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1)
        for (int k = 0; k < table.counts[size_t(length - 1)]; k++) take(table.symbols[index++], code++, length);
}

constexpr int RESERVED = 256;  // takes the code of ones only, which no symbol has

// Lengths of codes by symbol, as Huffman's algorithm gives them. Of symbols as rare as each other, the last is taken first.
std::array<int, RESERVED + 1> code_lengths(const Histogram& histogram) {
    std::array<uint64_t, RESERVED + 1> counts{};
    std::ranges::copy(histogram, counts.begin());
    counts[RESERVED] = 1;
    std::array<int, RESERVED + 1> lengths{}, next;
    next.fill(-1);
    const auto rarest = [&](int other) {
        int found = -1;
        for (int k = 0; k <= RESERVED; k++)
            if (counts[size_t(k)] && k != other && (found < 0 || counts[size_t(k)] <= counts[size_t(found)])) found = k;
        return found;
    };
    const auto lengthen = [&](int k) {
        for (;; k = next[size_t(k)]) {
            lengths[size_t(k)]++;
            if (next[size_t(k)] < 0) return k;
        }
    };
    while (true) {
        const int first = rarest(-1), second = rarest(first);
        if (second < 0) return lengths;
        counts[size_t(first)] += counts[size_t(second)];
        counts[size_t(second)] = 0;
        next[size_t(lengthen(first))] = second;
        lengthen(second);
    }
}

// Shortens codes of more than 16 bits (T.81, figure K.3), and takes the reserved one away.
std::array<uint8_t, LONGEST_CODE> limited_counts(const std::array<int, RESERVED + 1>& lengths) {
    std::array<int, RESERVED + 1> counts{};
    for (const int length : lengths) counts[size_t(length)] += length > 0;
    for (size_t length = RESERVED; length > LONGEST_CODE; length--)
        while (counts[length] > 0) {
            size_t shorter = length - 2;
            while (!counts[shorter]) shorter--;
            counts[length] -= 2;
            counts[length - 1]++;
            counts[shorter + 1] += 2;
            counts[shorter]--;
        }
    size_t longest = LONGEST_CODE;
    while (longest > 0 && !counts[longest]) longest--;
    counts[longest]--;
    std::array<uint8_t, LONGEST_CODE> limited;
    for (size_t k = 0; k < LONGEST_CODE; k++) limited[k] = uint8_t(counts[k + 1]);
    return limited;
}

}  // namespace

void require_codes(const HuffmanTable& table) {
    int free = 1;
    for (const int count : table.counts) {
        free = 2 * free - count;
        if (free < 0) throw Error(Fault::FORMAT, "a Huffman table of the JPEG file has more codes than there are of their length");
    }
}

const HuffmanTable& standard_table(TableClass kind, bool is_chroma) {
    static const char* const DC_SYMBOLS = "000102030405060708090a0b";
    static const HuffmanTable tables[TABLE_CLASSES][2] = {
        {make({0, 1, 5, 1, 1, 1, 1, 1, 1}, DC_SYMBOLS), make({0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, DC_SYMBOLS)},
        {make({0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
              "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a4344454647"
              "48494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9"
              "bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"),
         make({0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119},
              "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748"
              "494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9ba"
              "c2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa")}};
    return tables[kind][is_chroma];
}

HuffmanTable optimal_table(const Histogram& histogram) {
    const auto lengths = code_lengths(histogram);
    HuffmanTable table{limited_counts(lengths), {}};
    for (int symbol = 0; symbol < RESERVED; symbol++)
        if (lengths[size_t(symbol)]) table.symbols.push_back(uint8_t(symbol));
    std::ranges::stable_sort(table.symbols, {}, [&](uint8_t symbol) { return lengths[symbol]; });
    return table;
}

HuffmanEncoder::HuffmanEncoder(const HuffmanTable& table) {
    for_codes(table, [&](uint8_t symbol, int code, int length) { codes_[symbol] = {uint16_t(code), uint8_t(length)}; });
}

HuffmanDecoder::HuffmanDecoder(const HuffmanTable& table) : table_(table) {
    for_codes(table, [&](uint8_t symbol, int code, int length) {
        if (length <= SHORT) std::fill_n(entries_.begin() + (code << (SHORT - length)), 1 << (SHORT - length), Entry{symbol, uint8_t(length)});
    });
    int code = 0, index = 0;
    for (size_t k = 0; k < LONGEST_CODE; k++) {
        first_code_[k] = code;
        first_index_[k] = index;
        code = (code + table.counts[k]) << 1;
        index += table.counts[k];
    }
}

int HuffmanDecoder::long_symbol(BitReader& bits) const {
    const int next = bits.peek(LONGEST_CODE);
    for (int length = 1; length <= LONGEST_CODE; length++) {
        const size_t k = size_t(length - 1);
        const int offset = (next >> (LONGEST_CODE - length)) - first_code_[k];
        if (offset < 0 || offset >= table_.counts[k]) continue;
        bits.skip(length);
        return table_.symbols[size_t(first_index_[k] + offset)];
    }
    throw Error(Fault::CORRUPT, "a scan of the JPEG file has bits that are no code");
}

}  // namespace ddpm
