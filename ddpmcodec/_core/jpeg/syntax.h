// A JPEG file as a list of what follows its first marker (T.81, annex B). Coefficients are kept elsewhere.
#pragma once
#include <variant>

#include "scan.h"

namespace ddpm {

inline constexpr uint8_t SOF_BASELINE = 0xC0, SOF_PROGRESSIVE = 0xC2, DHT = 0xC4, FIRST_RST = 0xD0, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DRI = 0xDD, APP0 = 0xE0, APP1 = 0xE1, APP2 = 0xE2,
                         APP14 = 0xEE;
inline constexpr uint8_t LEAST_MARKER = 0xC0;
inline constexpr int QUANTISATION_SLOTS = 4;

inline bool is_bare(uint8_t marker) { return marker >= FIRST_RST && marker <= EOI; }  // without a length

// Bytes outside of markers, or after the end.
struct LooseBytes {
    std::vector<uint8_t> data;
    bool operator==(const LooseBytes&) const = default;
};

// Further bytes of ones before a marker.
struct FillBytes {
    uint64_t count;
    bool operator==(const FillBytes&) const = default;
};

// A marker that does not matter to the coefficients.
struct MarkerSegment {
    uint8_t marker;
    std::vector<uint8_t> data;  // after the length
    bool operator==(const MarkerSegment&) const = default;
};

struct QuantisationTables {
    struct Table {
        uint8_t slot;  // and 16 if steps have two bytes
        Steps steps;
        bool operator==(const Table&) const = default;
    };
    std::vector<Table> tables;
    bool operator==(const QuantisationTables&) const = default;
};

// OPTIMAL: of the scans that use the table.
enum class CodeSource : uint8_t { LISTED, STANDARD_LUMA, STANDARD_CHROMA, OPTIMAL };

struct HuffmanTables {
    struct Table {
        TableClass kind;
        uint8_t slot;
        CodeSource source;
        HuffmanTable codes;  // if they are listed
        bool operator==(const Table&) const = default;
    };
    std::vector<Table> tables;
    bool operator==(const HuffmanTables&) const = default;
};

struct FrameHeader {
    struct Component {
        uint8_t id, slot;  // of quantisation
        bool operator==(const Component&) const = default;
    };
    uint8_t marker;
    std::vector<Component> components;
    uint8_t only_factors = 0x11;  // of a single component, to which they mean nothing
    bool operator==(const FrameHeader&) const = default;
    bool is_progressive() const { return marker == SOF_PROGRESSIVE; }
};

struct RestartInterval {
    uint16_t mcus;
    bool operator==(const RestartInterval&) const = default;
};

struct EndOfImage {
    bool operator==(const EndOfImage&) const = default;
};

using Item = std::variant<LooseBytes, FillBytes, EndOfImage, RestartInterval, QuantisationTables, HuffmanTables, FrameHeader, Scan, MarkerSegment>;

}  // namespace ddpm
