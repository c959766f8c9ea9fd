#include "deflate.h"

#include <algorithm>
#include <numeric>

#include "deflate_block.h"
#include "match_finder.h"

namespace ddpm {

namespace {

constexpr size_t REGION = 4 * MOST_STORED;  // bytes whose matches are kept at a time
constexpr size_t PART = 1 << 10;            // tokens; blocks are made of such parts
constexpr int LONG_MATCH = 64;              // bytes: inside of such a match no other one is sought
constexpr int ROUNDS = 2;                   // of finding tokens for a code, and a code for these

// Bits of literals and matches by a code. Symbols that it lacks are dear.
struct Costs {
    static constexpr int DEAR_LITERAL = 13, DEAR_LENGTH = 12, DEAR_DISTANCE = 9;

    uint8_t literals[END_OF_BLOCK], lengths[LONGEST_MATCH + 1], distances[DISTANCES];

    explicit Costs(const BlockCode& code) {
        auto or_dear = [](int length, int dear) { return length ? length : dear; };
        for (int s = 0; s < END_OF_BLOCK; s++) literals[s] = uint8_t(or_dear(code.literals[s], DEAR_LITERAL));
        for (int length = LEAST_MATCH; length <= LONGEST_MATCH; length++) {
            const int symbol = length_symbol(length);
            lengths[length] = uint8_t(or_dear(code.literals[END_OF_BLOCK + 1 + symbol], DEAR_LENGTH) + LENGTH_BITS[symbol]);
        }
        for (int s = 0; s < DISTANCES; s++) distances[s] = uint8_t(or_dear(code.distances[s], DEAR_DISTANCE) + DISTANCE_BITS[s]);
    }
};

// Some of the data, and the matches in them.
class Region {
  public:
    // Takes the next data from the finder.
    Region(MatchFinder& finder, Bytes data) : data_(data), costs_(data.size() + 1), choices_(data.size()) {
        firsts_.reserve(data.size() + 1);
        size_t skipped = 0;
        for (size_t k = 0; k < data.size(); k++) {
            firsts_.push_back(uint32_t(matches_.size()));
            if (skipped) {
                finder.skip(), skipped--;
            } else {
                const int longest = finder.find(std::min<size_t>(LONGEST_MATCH, data.size() - k), matches_);
                if (longest >= LONG_MATCH) skipped = size_t(longest) - 1;
            }
        }
        firsts_.push_back(uint32_t(matches_.size()));
    }

    // The tokens of the fewest bits for the bytes from `begin` to `end`.
    std::vector<Token> tokens(size_t begin, size_t end, const Costs& costs) {
        costs_[end] = 0;
        for (size_t k = end; k-- > begin;) choose(k, end, costs);
        std::vector<Token> tokens;
        for (size_t k = begin; k < end; k += choices_[k].length) tokens.push_back(choices_[k]);
        return tokens;
    }

    Bytes data() const { return data_; }

  private:
    // What begins the cheapest way to the end. It is the least of numbers, as branches would be mispredicted: of the cost, and below it the token.
    void choose(size_t k, size_t end, const Costs& costs) {
        auto priced = [](uint32_t cost, size_t length, uint32_t distance) { return uint64_t(cost) << 32 | uint32_t(length) << 16 | distance; };
        const uint32_t* after = &costs_[k];
        uint64_t best = priced(after[1] + costs.literals[data_[k]], 1, 0);
        size_t length = LEAST_MATCH;
        for (uint32_t m = firsts_[k]; m < firsts_[k + 1]; m++) {
            const Match match = matches_[m];
            const uint32_t distance = costs.distances[distance_symbol(match.distance)];
            for (const size_t most = std::min<size_t>(match.length, end - k); length <= most; length++)
                best = std::min(best, priced(after[length] + costs.lengths[length] + distance, length, match.distance));
        }
        costs_[k] = uint32_t(best >> 32), choices_[k] = {uint16_t(best >> 16), uint16_t(best)};
    }

    const Bytes data_;
    std::vector<Match> matches_;
    std::vector<uint32_t> firsts_;  // of the matches at each position
    std::vector<uint32_t> costs_;   // from a position to the end
    std::vector<Token> choices_;
};

SymbolCounts counts_of(std::span<const Token> tokens, const uint8_t* data) {
    SymbolCounts counts;
    counts.add(tokens, data);
    return counts;
}

// Tokens beside each other that may become a block.
struct Part {
    SymbolCounts counts;
    size_t bytes;
    uint64_t bits;

    Part(const SymbolCounts& counts, size_t bytes) : counts(counts), bytes(bytes), bits(DeflateBlock(counts, bytes).bits()) {}
};

// Two parts that follow each other, as one.
struct Merger {
    Part part;
    int64_t saved;  // bits

    Merger(const Part& a, const Part& b) : part(sum(a.counts, b.counts), a.bytes + b.bytes), saved(int64_t(a.bits + b.bits - part.bits)) {}

    static SymbolCounts sum(SymbolCounts counts, const SymbolCounts& others) {
        counts.add(others);
        return counts;
    }
};

std::vector<Part> cut(std::span<const Token> tokens, const uint8_t* data) {
    std::vector<Part> parts;
    for (; !tokens.empty(); tokens = tokens.subspan(std::min(PART, tokens.size()))) {
        const std::span<const Token> some = tokens.first(std::min(PART, tokens.size()));
        const size_t bytes = std::accumulate(some.begin(), some.end(), size_t(0), [](size_t sum, const Token& token) { return sum + token.length; });
        parts.emplace_back(counts_of(some, data), bytes);
        data += bytes;
    }
    return parts;
}

// How many bytes each block has: parts are merged while this saves bits, those first that save the most.
std::vector<size_t> block_sizes(std::span<const Token> tokens, Bytes data) {
    std::vector<Part> parts = cut(tokens, data.data());
    std::vector<Merger> mergers;
    for (size_t k = 0; k + 1 < parts.size(); k++) mergers.emplace_back(parts[k], parts[k + 1]);
    while (!mergers.empty()) {
        const auto best = std::ranges::max_element(mergers, {}, &Merger::saved);
        if (best->saved < 0) break;
        const size_t k = size_t(best - mergers.begin());
        parts[k] = best->part;
        parts.erase(parts.begin() + ptrdiff_t(k) + 1);
        mergers.erase(best);
        if (k) mergers[k - 1] = Merger(parts[k - 1], parts[k]);
        if (k < mergers.size()) mergers[k] = Merger(parts[k], parts[k + 1]);
    }
    std::vector<size_t> sizes;
    for (const Part& part : parts) sizes.push_back(part.bytes);
    return sizes;
}

// tokens: of a block of these data, which begin `begin` bytes after the region; better ones are sought.
void write_block(DeflateWriter& writer, Region& region, size_t begin, std::vector<Token> tokens, Bytes data, bool is_last) {
    DeflateBlock block(counts_of(tokens, data.data()), data.size());
    for (int round = 0; round < ROUNDS; round++) {
        std::vector<Token> others = region.tokens(begin, begin + data.size(), Costs(block.suited()));
        DeflateBlock other(counts_of(others, data.data()), data.size());
        if (other.bits() >= block.bits()) break;
        tokens = std::move(others), block = other;
    }
    block.write(writer, tokens, data, is_last);
}

void write_region(DeflateWriter& writer, Region& region, bool is_last) {
    const Bytes data = region.data();
    const std::vector<Token> tokens = region.tokens(0, data.size(), Costs(BlockCode::fixed()));
    auto first = tokens.begin();
    size_t begin = 0;
    for (const size_t size : block_sizes(tokens, data)) {
        size_t end = begin;
        const auto last = std::find_if(first, tokens.end(), [&](const Token& token) { return (end += token.length) == begin + size; }) + 1;
        write_block(writer, region, begin, {first, last}, data.subspan(begin, size), is_last && end == data.size());
        first = last, begin = end;
    }
}

}  // namespace

std::vector<uint8_t> deflated(Bytes data) {
    DeflateWriter writer;
    if (data.empty()) DeflateBlock({}, 0).write(writer, {}, data, true);
    MatchFinder finder(data);
    for (size_t at = 0; at < data.size(); at += REGION) {
        const size_t size = std::min(REGION, data.size() - at);
        Region region(finder, data.subspan(at, size));
        write_region(writer, region, at + size == data.size());
    }
    return writer.take();
}

}  // namespace ddpm
