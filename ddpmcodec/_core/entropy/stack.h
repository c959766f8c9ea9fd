// The rANS stack of bits back: what is pushed last is popped first, and a coder does both. rans.h has the streams of files.
//
//     push  s -> (s div f) 2^p + (s mod f) + b        pop  s -> f (s div 2^p) + (s mod 2^p) - b
//
// Between symbols 2^31 <= s < 2^63, and one word at most moves a symbol: ddpmcodec/paper/ans.py shows it. So pops undo
// pushes and pushes undo pops, whatever is on the stack.
#pragma once
#include "rans.h"

namespace ddpm {

// In 2^-p. freq is not 0, and start + freq <= 2^p.
struct Interval {
    uint64_t start, freq;
};

struct Stack {
    uint64_t head;
    uint32_t* words;  // the first `size` of them in use, the top last
    size_t size;

    // The bits that say which symbol is on top.
    uint64_t peek(int precision) const { return head & ((uint64_t(1) << precision) - 1); }

    // words has room for one more.
    void push(Interval symbol, int precision) {
        if (head >= symbol.freq << (63 - precision)) {
            words[size++] = uint32_t(head);
            head >>= 32;
        }
        const uint64_t quotient = head / symbol.freq;
        head = (quotient << precision) + (head - quotient * symbol.freq) + symbol.start;
    }

    // Takes off the symbol in whose interval the bits of `peek` are. False where a word is needed and there is none: what is left
    // is nothing then.
    bool pop(Interval symbol, int precision) {
        head = symbol.freq * (head >> precision) + peek(precision) - symbol.start;
        if (head >= STATE_LOW) return true;
        if (size == 0) return false;
        head = head << 32 | words[--size];
        return true;
    }
};

}  // namespace ddpm
