// Coding of flags, of values and of the cells of noise levels.
#pragma once
#include "mixture.h"
#include "pyramid.h"

namespace ddpm {

// The end of a stream that positions are coded with: an encoder's symbols, or a decoder's reader.
struct Coder {
    Symbols* const symbols;
    Reader* const reader;
    uint32_t* const measured = nullptr;  // by channel: only measures how long intervals are, 2^-24

    Coder(Symbols* symbols, Reader* reader) : symbols(symbols), reader(reader) {}
    explicit Coder(uint32_t* measured) : symbols(nullptr), reader(nullptr), measured(measured) {}

    bool has_ended() const { return reader && reader->ended; }

    // Codes whether something is so; probability: 2^-16.
    bool code_flag(int probability, bool is_so) const {
        const uint32_t end = uint32_t(probability) << (PRECISION - 16), whole = uint32_t(1) << PRECISION;
        if (reader) is_so = reader->slot() < end;
        put(is_so ? 0 : end, is_so ? end : whole - end);
        return is_so;
    }

    // Codes an interval, unless it is everything.
    void put(uint32_t start, uint32_t freq) const {
        if (reader) reader->take(start, freq);
        if (symbols) symbols->put(start, freq);
    }

    // Codes an exact channel by a distribution of weighed values, or of what is left; returns its value.
    template <class Distribution> int64_t code(const Distribution& distribution, int64_t value) const {
        if (reader) value = distribution.find(reader->slot());
        uint32_t start, freq;
        distribution.interval(value, start, freq);
        if (measured) *measured = freq;
        put(start, freq);
        return value;
    }

    // Codes an encoder's `value`, or finds a decoder's. Returns the range that is known then, and its masses. width: of cells.
    Range code(const Mixture& mixture, int value, Range known, int64_t width, Masses& masses) const {
        const bool exact = width == int64_t(1) << CELL_BITS;
        if (reader && !exact) {  // most values are in the dead zone, which need not be searched for
            const Range dead = cell_of(0, known, width);
            if (dead.lo <= dead.hi && code_if_read(mixture, dead, known, masses)) return dead;
        }
        if (reader) value = int(mixture.find(reader->slot()));
        const Range range = exact ? Range{value, value} : cell_of(value, known, width);
        code_if_read(mixture, range, known, masses);
        return range;
    }

  private:
    // Codes a range, where an encoder has it or a decoder reads it.
    bool code_if_read(const Mixture& mixture, Range range, Range known, Masses& masses) const {
        uint32_t start, freq;
        mixture.masses(range.lo, range.hi, masses);
        if (range.lo == known.lo && range.hi == known.hi) return true;
        mixture.interval(masses, range.lo, range.hi, start, freq);
        if (measured) *measured = freq;
        if (reader && reader->slot() - start >= freq) return false;
        put(start, freq);
        return true;
    }
};

}  // namespace ddpm
