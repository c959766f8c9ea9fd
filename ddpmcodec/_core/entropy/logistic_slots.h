// A truncated logistic in slots of 2^-24, on the stack of bits back (mixture.h has those of files): with W = hi - lo + 1,
//
//     cum(x) = floor(before(x) (2^24 - W) / total) + (x - lo),    lo <= x <= hi + 1
//
// rises by at least 1 from each integer to the next, from 0 to 2^24. Bounds, for W <= 2^16: ddpmcodec/paper/ans.py.
#pragma once
#include "logistic.h"
#include "stack.h"

namespace ddpm {

inline constexpr int64_t MOST_SLOTTED = int64_t(1) << 16;  // integers in a range

struct LogisticSlots {
    int64_t lo, hi, room;
    TruncatedLogistic part;

    LogisticSlots(int64_t lo, int64_t hi, int64_t mean, int scale)
        : lo(lo), hi(hi), room((int64_t(1) << PRECISION) - (hi - lo + 1)), part(lo, hi, mean, scale) {}

    int64_t cumulative(int64_t x) const { return part.before(x) * room / part.total + (x - lo); }

    // Of the integers first..last.
    Interval interval(int64_t first, int64_t last) const {
        const int64_t start = cumulative(first);
        return {uint64_t(start), uint64_t(cumulative(last + 1) - start)};
    }

    // The integer x with cum(x) <= slot < cum(x + 1), found without divisions.
    int64_t find(int64_t slot) const {
        return last_that_starts(part.quantile(slot), lo, hi, [&](int64_t x) {
            return part.before(x) * room < (slot - (x - lo) + 1) * part.total;
        });
    }
};

}  // namespace ddpm
