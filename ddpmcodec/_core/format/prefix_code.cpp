#include "prefix_code.h"

#include <algorithm>

#include "deflate_tables.h"

namespace ddpm {

namespace {

constexpr int SYMBOL_BITS = 9;

constexpr int MOST_ITEMS = 2 * FIXED_LITERALS;

// A symbol that occurs: its count above its number, so that they are ordered by both.
using Counted = uint64_t;

uint64_t weight(Counted symbol) { return symbol >> SYMBOL_BITS; }

// Sets the lengths of Huffman's code for symbols in order. Returns the longest one.
int set_depths(std::span<const Counted> symbols, int* depths) {
    const int used = int(symbols.size()), root = 2 * used - 2;
    uint64_t weights[MOST_ITEMS];
    int parents[MOST_ITEMS];
    std::ranges::transform(symbols, weights, weight);
    for (int next = used, leaf = 0, node = used; next <= root; next++) {
        auto lightest = [&] { return leaf < used && (node == next || weights[leaf] <= weights[node]) ? leaf++ : node++; };
        const int a = lightest(), b = lightest();
        weights[next] = weights[a] + weights[b];
        parents[a] = parents[b] = next;
    }
    int by_node[MOST_ITEMS];
    by_node[root] = 0;
    for (int k = root - 1; k >= 0; k--) by_node[k] = by_node[parents[k]] + 1;
    std::copy_n(by_node, used, depths);
    return depths[0];
}

// Items of a length are the symbols, and pairs of items of the length below, by weight. Returns how many there are.
int merge(std::span<const Counted> symbols, std::span<const uint64_t> below, uint64_t* items, bool* are_symbols) {
    int count = 0;
    size_t next = 0;
    auto add = [&](uint64_t item, bool is_symbol) { items[count] = item, are_symbols[count++] = is_symbol; };
    for (size_t k = 0; k + 1 < below.size(); k += 2) {
        const uint64_t pair = below[k] + below[k + 1];
        while (next < symbols.size() && weight(symbols[next]) <= pair) add(weight(symbols[next++]), true);
        add(pair, false);
    }
    while (next < symbols.size()) add(weight(symbols[next++]), true);
    return count;
}

// The same under a limit, by package-merge (Larmore and Hirschberg 1990).
void set_limited_depths(std::span<const Counted> symbols, int longest, int* depths) {
    uint64_t items[2][MOST_ITEMS];
    bool are_symbols[LONGEST_CODE][MOST_ITEMS];
    for (int level = 0, count = 0; level < longest; level++)
        count = merge(symbols, {items[level % 2], size_t(count)}, items[1 - level % 2], are_symbols[level]);
    std::fill_n(depths, symbols.size(), 0);
    for (int level = longest - 1, taken = 2 * int(symbols.size()) - 2; level >= 0; level--) {
        const int leaves = int(std::count(are_symbols[level], are_symbols[level] + taken, true));
        for (int k = 0; k < leaves; k++) depths[k]++;
        taken = 2 * (taken - leaves);
    }
}

}  // namespace

void set_code_lengths(std::span<const uint32_t> counts, int longest, uint8_t* lengths) {
    Counted symbols[FIXED_LITERALS];
    int depths[FIXED_LITERALS] = {1}, used = 0;
    for (size_t s = 0; s < counts.size(); s++) {
        lengths[s] = 0;
        if (counts[s]) symbols[used++] = uint64_t(counts[s]) << SYMBOL_BITS | s;
    }
    std::sort(symbols, symbols + used);
    const std::span<const Counted> sorted(symbols, size_t(used));
    if (used > 1 && set_depths(sorted, depths) > longest) set_limited_depths(sorted, longest, depths);
    for (int k = 0; k < used; k++) lengths[symbols[k] & ((1 << SYMBOL_BITS) - 1)] = uint8_t(depths[k]);
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
