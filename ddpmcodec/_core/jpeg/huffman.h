// Huffman tables of JPEG files (T.81, annexes C, F and K).
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "bits.h"

namespace ddpm {

enum TableClass : uint8_t { DC_TABLE, AC_TABLE, TABLE_CLASSES };
inline constexpr int TABLE_SLOTS = 4;  // of a class
inline constexpr int LONGEST_CODE = 16;

struct HuffmanTable {
    std::array<uint8_t, LONGEST_CODE> counts{};  // of codes, by length from 1 bit on
    std::vector<uint8_t> symbols;                // in the order of their codes

    bool operator==(const HuffmanTable&) const = default;
};

// Throws Error (FORMAT) if there are more codes than bits allow.
void require_codes(const HuffmanTable& table);

// Tables K.3 to K.6.
const HuffmanTable& standard_table(TableClass kind, bool is_chroma);

using Histogram = std::array<uint64_t, 256>;  // by symbol

// The table that encoders make of a scan's statistics (T.81, K.2; ties as in the software of the Independent JPEG Group).
HuffmanTable optimal_table(const Histogram& histogram);

class HuffmanEncoder {
  public:
    struct Code {
        uint16_t bits = 0;
        uint8_t length = 0;  // 0: the table has no code for the symbol
    };

    HuffmanEncoder() = default;
    explicit HuffmanEncoder(const HuffmanTable& table);
    Code code(int symbol) const { return codes_[size_t(symbol)]; }

  private:
    std::array<Code, 256> codes_{};
};

class HuffmanDecoder {
  public:
    explicit HuffmanDecoder(const HuffmanTable& table);

    // Throws Error (CORRUPT) for bits that are no code.
    int symbol(BitReader& bits) const {
        const Entry entry = entries_[size_t(bits.peek(SHORT))];
        if (!entry.length) return long_symbol(bits);
        bits.skip(entry.length);
        return entry.symbol;
    }

  private:
    static constexpr int SHORT = 9;  // bits of codes that are found at once
    struct Entry {
        uint8_t symbol = 0, length = 0;
    };

    int long_symbol(BitReader& bits) const;

    std::array<Entry, 1 << SHORT> entries_{};
    std::array<int, LONGEST_CODE> first_code_{}, first_index_{};
    HuffmanTable table_;
};

}  // namespace ddpm
