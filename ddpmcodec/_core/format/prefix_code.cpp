#include "prefix_code.h"

#include <algorithm>

#include "deflate_tables.h"

namespace ddpm {

namespace {

constexpr int SYMBOL_BITS = 9;

constexpr int MOST_ITEMS = 2 * FIXED_LITERALS;

// Package-merge (Larmore and Hirschberg 1990): items of a length are the symbols and pairs of items of the length below, by weight. Sets which
// items are symbols.
int merge(std::span<const uint64_t> symbols, std::span<const uint64_t> below, uint64_t* items, bool* are_symbols) {
    int count = 0;
    size_t next = 0;
    auto add = [&](uint64_t weight, bool is_symbol) { items[count] = weight, are_symbols[count++] = is_symbol; };
    for (size_t k = 0; k + 1 < below.size(); k += 2) {
        const uint64_t pair = below[k] + below[k + 1];
        while (next < symbols.size() && symbols[next] >> SYMBOL_BITS <= pair) add(symbols[next++] >> SYMBOL_BITS, true);
        add(pair, false);
    }
    while (next < symbols.size()) add(symbols[next++] >> SYMBOL_BITS, true);
    return count;
}

}  // namespace

void set_code_lengths(std::span<const uint32_t> counts, int longest, uint8_t* lengths) {
    uint64_t symbols[FIXED_LITERALS];  // with their counts above them, so that they are ordered by both
    int used = 0;
    for (size_t s = 0; s < counts.size(); s++) {
        lengths[s] = 0;
        if (counts[s]) symbols[used++] = uint64_t(counts[s]) << SYMBOL_BITS | s;
    }
    auto length_of = [&](int k) -> uint8_t& { return lengths[symbols[k] & ((1 << SYMBOL_BITS) - 1)]; };
    if (used < 2) {
        if (used) length_of(0) = 1;
        return;
    }
    std::sort(symbols, symbols + used);
    uint64_t items[2][MOST_ITEMS];
    bool are_symbols[LONGEST_CODE][MOST_ITEMS];
    for (int level = 0, count = 0; level < longest; level++)
        count = merge({symbols, size_t(used)}, {items[level % 2], size_t(count)}, items[1 - level % 2], are_symbols[level]);
    for (int level = longest - 1, taken = 2 * used - 2; level >= 0; level--) {
        const int leaves = int(std::count(are_symbols[level], are_symbols[level] + taken, true));
        for (int k = 0; k < leaves; k++) length_of(k)++;
        taken = 2 * (taken - leaves);
    }
}

void set_code_words(std::span<const uint8_t> lengths, uint16_t* words) {
    uint16_t counts[LONGEST_CODE + 1] = {}, next[LONGEST_CODE + 1] = {};
    for (const uint8_t length : lengths) counts[length]++;
    for (int length = 2; length <= LONGEST_CODE; length++) next[length] = uint16_t((next[length - 1] + counts[length - 1]) << 1);
    for (size_t s = 0; s < lengths.size(); s++) {
        words[s] = 0;
        if (!lengths[s]) continue;
        const uint16_t word = next[lengths[s]]++;
        for (int bit = 0; bit < lengths[s]; bit++) words[s] = uint16_t(words[s] | (word >> bit & 1) << (lengths[s] - 1 - bit));
    }
}

}  // namespace ddpm
