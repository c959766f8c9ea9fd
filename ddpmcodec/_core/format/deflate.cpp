#include "deflate.h"

#include <algorithm>
#include <numeric>

#include "deflate_block.h"
#include "match_finder.h"

namespace ddpm {

namespace {

constexpr size_t REGION = 1 << 18;     // bytes whose matches are kept at a time
constexpr size_t PART = 1 << 10;       // tokens, of which blocks are made
constexpr int LONG_MATCH = 128;        // bytes: a match that is taken, and into which no other one is sought
constexpr int ROUNDS = 3;              // of finding tokens for a code, and a code for these

// Bits of literals and matches.
struct Costs {
    uint8_t literals[256], lengths[LONGEST_MATCH + 1], distances[DISTANCES];

    explicit Costs(const BlockCode& code) {
        auto or_long = [](int length, int none) { return uint8_t(length ? length : none); };
        for (int s = 0; s < 256; s++) literals[s] = or_long(code.literals[s], 13);
        for (int length = LEAST_MATCH; length <= LONGEST_MATCH; length++) {
            const int symbol = length_symbol(length);
            lengths[length] = uint8_t(or_long(code.literals[END_OF_BLOCK + 1 + symbol], 12) + LENGTH_BITS[symbol]);
        }
        for (int s = 0; s < DISTANCES; s++) distances[s] = uint8_t(or_long(code.distances[s], 9) + DISTANCE_BITS[s]);
    }
};

// A part of the data, and all matches in it.
class Region {
  public:
    Region(MatchFinder& finder, Bytes data) : data_(data), costs_(data.size() + 1), choices_(data.size()) {
        firsts_.reserve(data.size() + 1);
        for (size_t k = 0, skipped = 0; k < data.size(); k++) {
            firsts_.push_back(uint32_t(matches_.size()));
            if (skipped) {
                finder.skip(), skipped--;
                continue;
            }
            finder.find(std::min<size_t>(LONGEST_MATCH, data.size() - k), matches_);
            if (matches_.size() > firsts_.back() && matches_.back().length >= LONG_MATCH) skipped = matches_.back().length - 1;
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
    void choose(size_t k, size_t end, const Costs& costs) {
        uint32_t least = costs_[k + 1] + costs.literals[data_[k]];
        Token choice{1, 0};
        size_t length = LEAST_MATCH;
        for (uint32_t m = firsts_[k]; m < firsts_[k + 1]; m++) {
            const Match match = matches_[m];
            const uint32_t distance = costs.distances[distance_symbol(match.distance)];
            for (const size_t most = std::min<size_t>(match.length, end - k); length <= most; length++) {
                const uint32_t cost = costs_[k + length] + costs.lengths[length] + distance;
                if (cost < least) least = cost, choice = {uint16_t(length), match.distance};
            }
        }
        costs_[k] = least, choices_[k] = choice;
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
    uint64_t bits, merged = 0;  // merged: of this part and the next one as one block

    Part(const SymbolCounts& counts, size_t bytes) : counts(counts), bytes(bytes), bits(Block(counts, bytes).bits()) {}
    Part(const Part& part, const Part& next) : Part(sum(part.counts, next.counts), part.bytes + next.bytes) {}

    static SymbolCounts sum(SymbolCounts counts, const SymbolCounts& others) {
        counts.add(others);
        return counts;
    }
};

// How many bytes each block has: parts are merged while this saves bits, those first that save the most.
std::vector<size_t> block_sizes(std::span<const Token> tokens, Bytes data) {
    std::vector<Part> parts;
    size_t at = 0;
    for (size_t k = 0; k < tokens.size(); k += PART) {
        const std::span<const Token> some = tokens.subspan(k, std::min(PART, tokens.size() - k));
        size_t bytes = 0;
        for (const Token& token : some) bytes += token.length;
        parts.emplace_back(counts_of(some, &data[at]), bytes);
        at += bytes;
    }
    auto saved = [](const Part& part, const Part& next) { return int64_t(part.bits + next.bits) - int64_t(Part(part, next).bits); };
    std::vector<int64_t> gains;
    for (size_t k = 0; k + 1 < parts.size(); k++) gains.push_back(saved(parts[k], parts[k + 1]));
    while (!gains.empty()) {
        const auto best = std::max_element(gains.begin(), gains.end());
        if (*best < 0) break;
        const size_t k = size_t(best - gains.begin());
        parts[k] = Part(parts[k], parts[k + 1]);
        parts.erase(parts.begin() + ptrdiff_t(k) + 1);
        gains.erase(best);
        if (k) gains[k - 1] = saved(parts[k - 1], parts[k]);
        if (k < gains.size()) gains[k] = saved(parts[k], parts[k + 1]);
    }
    std::vector<size_t> sizes;
    for (const Part& part : parts) sizes.push_back(part.bytes);
    return sizes;
}

void write_block(BitWriter& writer, Region& region, size_t begin, size_t end, const Costs& costs, bool is_last) {
    const Bytes data = region.data().subspan(begin, end - begin);
    std::vector<Token> tokens = region.tokens(begin, end, costs);
    Block block(counts_of(tokens, data.data()), data.size());
    for (int round = 1; round < ROUNDS; round++) {
        std::vector<Token> others = region.tokens(begin, end, Costs(block.suited()));
        Block other(counts_of(others, data.data()), data.size());
        if (other.bits() >= block.bits()) break;
        tokens = std::move(others), block = other;
    }
    block.write(writer, tokens, data, is_last);
}

void write_region(BitWriter& writer, Region& region, bool is_last) {
    const Bytes data = region.data();
    const std::vector<Token> tokens = region.tokens(0, data.size(), Costs(BlockCode::fixed()));
    const std::vector<size_t> sizes = block_sizes(tokens, data);
    size_t at = 0;
    for (const size_t size : sizes) {
        write_block(writer, region, at, at + size, Costs(BlockCode::fixed()), is_last && at + size == data.size());
        at += size;
    }
}

}  // namespace

std::vector<uint8_t> deflated(Bytes data) {
    BitWriter writer;
    if (data.empty()) Block({}, 0).write(writer, {}, data, true);
    MatchFinder finder(data);
    for (size_t at = 0; at < data.size(); at += REGION) {
        const size_t size = std::min(REGION, data.size() - at);
        Region region(finder, data.subspan(at, size));
        write_region(writer, region, at + size == data.size());
    }
    return writer.take();
}

}  // namespace ddpm
