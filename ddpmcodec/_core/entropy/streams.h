// From symbols to a stream: a state, then the words in the order in which a decoder needs them.
#pragma once
#include <stdexcept>

#include "rans.h"

namespace ddpm {

struct Stream {
    uint64_t state;
    std::vector<std::vector<uint32_t>> words;  // by part: those that a decoder takes in it
};

// The stream of all symbols, cut where a decoder has all that it needs of the first `ends[k]` of them. check: 24 bits.
inline Stream packed(const Symbols& symbols, const std::vector<size_t>& ends, uint32_t check) {
    if (check >= CHECKS) throw std::invalid_argument("the check of a stream has 24 bits");
    std::vector<uint32_t> words;  // backwards
    std::vector<size_t> later(ends.size());  // words of the parts after
    uint64_t state = LEAST_STATE + check;
    for (size_t k = ends.size(); k-- > 0;) {
        later[k] = words.size();
        for (size_t i = ends[k]; i-- > (k ? ends[k - 1] : 0);) {
            const uint64_t start = symbols[i].start, freq = symbols[i].freq;
            if (!freq || start + freq > (uint64_t(1) << PRECISION)) throw std::logic_error("a symbol is no part of the whole");
            if (state >= freq << (63 - PRECISION)) {
                words.push_back(uint32_t(state));
                state >>= 32;
            }
            const uint64_t quotient = state / freq;
            state = (quotient << PRECISION) + (state - quotient * freq) + start;
        }
    }
    Stream stream{state, {}};
    size_t taken = 0;
    for (size_t k = 0; k < ends.size(); k++) {
        const size_t until = words.size() - later[k];
        stream.words.emplace_back(words.rbegin() + taken, words.rbegin() + until);
        taken = until;
    }
    return stream;
}

}  // namespace ddpm
