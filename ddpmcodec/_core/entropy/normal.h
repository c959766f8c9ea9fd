// The discretised normal on integers ("cells") in slots of 2^-26, on the stack of bits back: ddpmcodec/paper/ans.py says
// which slots a cell has, what escapes are, and why no operation of the IEEE arithmetic below may change.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "normal_table.h"
#include "stack.h"

namespace ddpm {

inline constexpr int NORMAL_PRECISION = 26;
inline constexpr int64_t NORMAL_SLOTS = int64_t(1) << NORMAL_PRECISION;
inline constexpr double NORMAL_STEPS = 256, NORMAL_LAST = 6;  // of the table: in one standard deviation; deviations
inline constexpr double NORMAL_WHOLE = double(int64_t(1) << 50);  // the integer that stands for probability one
inline constexpr double NORMAL_END = 1536 - 0x1p-42;  // the last double before the table's end
inline constexpr double LEAST_DEVIATION = 0x1p-10, DEVIATIONS_END = 0x1p32, MOST_MEAN = 0x1p48;
inline constexpr int64_t SYMBOLS_END = int64_t(1) << 60;        // either sign; beyond all that a pop can give
inline constexpr int64_t DISTANCES_END = 2 * NORMAL_SLOTS;      // of escapes
inline constexpr int COARSE_EXPONENT = 6;                       // cells are merged until a deviation is below 2^7 of them
inline constexpr size_t NORMAL_PUSHES = 4;                      // of one symbol, at most

inline int64_t bits_of(double x) {
    int64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// floor(log2(x)) of a positive normal number.
inline int exponent_of(double x) { return int(bits_of(x) >> 52) - 1023; }

// Table steps from the mean where the tail has mass (1/2 + q) / 2^26: entry 64 e + m serves q from (1 + m/64) 2^e on. Only where a
// search begins depends on it, not what it finds.
struct NormalGuide {
    static constexpr int FINE = 64;
    uint16_t steps[FINE * (NORMAL_PRECISION - 1)];

    NormalGuide() {
        for (int i = 0; i < FINE * (NORMAL_PRECISION - 1); i++) {
            const double middle = (1 + (i % FINE + 0.5) / FINE) * double(int64_t(1) << (i / FINE));
            const double mass = (0.5 - (0.5 + std::floor(middle)) / double(NORMAL_SLOTS)) * NORMAL_WHOLE;
            steps[i] = uint16_t(std::lower_bound(std::begin(NORMAL), std::end(NORMAL), mass) - std::begin(NORMAL));
        }
    }

    double at(int64_t tail) const { return steps[(bits_of(double(tail)) >> 46) - 1023 * FINE]; }
};

struct Normal {
    double centre, deviation;  // mean plus 1/2
    double rate, room;         // table steps a cell; slots to share out, over the table's whole
    int shift;                 // coarse cells are 2^shift
    int64_t lo, hi;            // the first and the last coarse cell

    struct Cell {
        int64_t k, start, end;
    };

    // A NaN is not valid.
    static bool is_valid(double mean, double deviation) {
        return std::abs(mean) <= MOST_MEAN && 0 < deviation && deviation < DEVIATIONS_END;
    }

    Normal(double mean, double given) : centre(mean + 0.5), deviation(std::max(given, LEAST_DEVIATION)) {
        rate = NORMAL_STEPS / deviation;
        shift = std::max(exponent_of(deviation) - COARSE_EXPONENT, 0);
        lo = int64_t(std::floor(centre - NORMAL_LAST * deviation)) >> shift;
        hi = int64_t(std::floor(centre + NORMAL_LAST * deviation)) >> shift;
        room = double(NORMAL_SLOTS - 3 - (hi - lo)) / NORMAL_WHOLE;
    }

    int64_t width() const { return int64_t(1) << shift; }

    // Of a coarse cell, lo <= k <= hi + 1.
    int64_t start(int64_t k) const {
        if (k <= lo) return 1;
        if (k > hi) return NORMAL_SLOTS - 1;
        const double t = (double(k * width()) - centre) * rate;
        const double distance = std::min(std::abs(t), NORMAL_END);
        const int64_t step = int64_t(distance);
        const double half = NORMAL[step] + (NORMAL[step + 1] - NORMAL[step]) * (distance - double(step));
        return 1 + (k - lo) + int64_t((NORMAL_WHOLE / 2 + std::copysign(half, t)) * room);
    }

    // The coarse cell with start(k) <= slot < start(k + 1), of a slot that is no escape.
    Cell find(int64_t slot) const {
        static const NormalGuide guide;
        const double away = guide.at(std::min(slot, NORMAL_SLOTS - 1 - slot)) / NORMAL_STEPS * deviation;
        const double estimate = centre + (2 * slot < NORMAL_SLOTS ? -away : away);
        const int64_t k = std::min(std::max(int64_t(std::floor(estimate)) >> shift, lo), hi);
        Cell cell{k, start(k), start(k + 1)};
        while (slot < cell.start) cell = {cell.k - 1, start(cell.k - 1), cell.start};
        while (slot >= cell.end) cell = {cell.k + 1, cell.end, start(cell.k + 2)};
        return cell;
    }
};

// `count` bits of equal probability, 0 to 26.
inline Interval bits_interval(uint64_t value, int count) {
    const int rest = NORMAL_PRECISION - count;
    return {value << rest, uint64_t(1) << rest};
}

// The length of an escape's distance, 0 to 26: slots that begin with so many ones.
inline Interval length_interval(int length) {
    return {uint64_t(NORMAL_SLOTS - (NORMAL_SLOTS >> length)), uint64_t(std::max(NORMAL_SLOTS >> (length + 1), int64_t(1)))};
}

inline int length_at(uint64_t slot) {
    const int64_t rest = NORMAL_SLOTS - 1 - int64_t(slot);
    return rest > 0 ? NORMAL_PRECISION - 1 - exponent_of(double(rest)) : NORMAL_PRECISION;
}

inline bool pop_bits(Stack& stack, int count, int64_t& value) {
    const uint64_t top = stack.peek(NORMAL_PRECISION) >> (NORMAL_PRECISION - count);
    value = int64_t(top);
    return stack.pop(bits_interval(top, count), NORMAL_PRECISION);
}

inline void push_escape(Stack& stack, int64_t distance, bool above) {
    const int length = exponent_of(double(distance));
    stack.push(bits_interval(uint64_t(distance) - (uint64_t(1) << length), length), NORMAL_PRECISION);
    stack.push(length_interval(length), NORMAL_PRECISION);
    stack.push({above ? uint64_t(NORMAL_SLOTS - 1) : 0, 1}, NORMAL_PRECISION);
}

inline bool pop_escape(Stack& stack, int64_t& distance) {
    if (!stack.pop({stack.peek(NORMAL_PRECISION), 1}, NORMAL_PRECISION)) return false;
    const int length = length_at(stack.peek(NORMAL_PRECISION));
    if (!stack.pop(length_interval(length), NORMAL_PRECISION) || !pop_bits(stack, length, distance)) return false;
    distance += int64_t(1) << length;
    return true;
}

// False, and the stack as it was, where the symbol is too far from the mean. words has room for NORMAL_PUSHES more.
inline bool push_normal(Stack& stack, int64_t symbol, const Normal& normal) {
    if (symbol <= -SYMBOLS_END || symbol >= SYMBOLS_END) return false;
    const int64_t k = symbol >> normal.shift, distance = std::max(normal.lo - k, k - normal.hi);
    if (distance >= DISTANCES_END) return false;
    if (normal.shift)
        stack.push(bits_interval(uint64_t(symbol - k * normal.width()), normal.shift), NORMAL_PRECISION);
    if (distance > 0) {
        push_escape(stack, distance, k > normal.hi);
    } else {
        const int64_t start = normal.start(k);
        stack.push({uint64_t(start), uint64_t(normal.start(k + 1) - start)}, NORMAL_PRECISION);
    }
    return true;
}

// False where the stack runs out.
inline bool pop_normal(Stack& stack, int64_t& symbol, const Normal& normal) {
    const int64_t slot = int64_t(stack.peek(NORMAL_PRECISION));
    int64_t distance, low = 0;
    if (0 < slot && slot < NORMAL_SLOTS - 1) {
        const Normal::Cell cell = normal.find(slot);
        symbol = cell.k;
        if (!stack.pop({uint64_t(cell.start), uint64_t(cell.end - cell.start)}, NORMAL_PRECISION)) return false;
    } else {
        if (!pop_escape(stack, distance)) return false;
        symbol = slot ? normal.hi + distance : normal.lo - distance;
    }
    if (normal.shift && !pop_bits(stack, normal.shift, low)) return false;
    symbol = symbol * normal.width() + low;
    return true;
}

}  // namespace ddpm
