// Scans of a JPEG file: which coefficients they hold, in which order, and how they differ from those that most encoders write.
#pragma once
#include "coefficients.h"
#include "huffman.h"

namespace ddpm {

inline constexpr int MOST_SCANS = 1000;     // of a file
inline constexpr int LONGEST_RUN = 0x7FFF;  // blocks of a run whose rest is zero
inline constexpr int MOST_CORRECTIONS = 937;  // bits that encoders gather before they end such a run

struct ScanComponent {
    uint8_t component, tables[TABLE_CLASSES];  // number in the frame; slots

    bool operator==(const ScanComponent&) const = default;
};

// Codes of runs of 16 zeros at the end of a block, where none is needed.
struct ZeroRuns {
    uint32_t block;
    uint8_t count;

    bool operator==(const ZeroRuns&) const = default;
};

enum class Padding : uint8_t { ONES, ZEROS, LISTED };

// How a scan differs from the one that `encode_scan` writes by default. Blocks count from 0, in the order of the scan.
struct ScanExceptions {
    Padding padding = Padding::ONES;
    std::vector<uint8_t> padding_bits;     // one a byte, if they are listed
    uint16_t longest_run = LONGEST_RUN;    // blocks
    bool gathers_all = false;              // corrections end no run
    std::vector<uint32_t> breaks;          // blocks before which a run ends that could go on
    std::vector<ZeroRuns> zero_runs;

    bool operator==(const ScanExceptions&) const = default;
};

struct Scan {
    std::vector<ScanComponent> components;
    uint8_t first = 0, last = BLOCK_VALUES - 1;  // ranks
    uint8_t high = 0, low = 0;                   // bits that scans before this one have left, and that this one leaves
    ScanExceptions exceptions;

    bool operator==(const Scan&) const = default;
    bool uses(TableClass kind) const { return kind == DC_TABLE ? !first && !high : last > 0; }
};

// Checks that scans code each bit of a coefficient once. Throws Error (FORMAT).
class ScanOrder {
  public:
    ScanOrder(size_t components, bool is_progressive) : low_(components), is_progressive_(is_progressive) {
        for (auto& low : low_) low.fill(NOT_CODED_YET);
    }
    void add(const Scan& scan);

  private:
    static constexpr int8_t NOT_CODED_YET = -1;

    void require_sequential(const Scan& scan) const;
    void require_progressive(const Scan& scan) const;

    std::vector<std::array<int8_t, BLOCK_VALUES>> low_;
    const bool is_progressive_;
    int scans_ = 0;
};

// Calls block(index, place, column, row) for each block of a scan, and restart(number) between intervals. place: of the component in the scan.
template <class Block, class Restart>
void visit_blocks(const Coefficients& image, const Scan& scan, int interval, Block block, Restart restart) {
    uint32_t index = 0;
    int mcus = 0, restarts = 0;
    const auto begin_mcu = [&] {
        if (interval && mcus == interval) restart(restarts++ % 8), mcus = 0;
        mcus++;
    };
    if (scan.components.size() == 1) {
        const JpegComponent& component = image.components[scan.components[0].component];
        for (int row = 0; row < image.used_rows(component); row++)
            for (int column = 0; column < image.used_columns(component); column++) begin_mcu(), block(index++, 0, column, row);
        return;
    }
    for (int y = 0; y < image.mcu_rows(); y++)
        for (int x = 0; x < image.mcu_columns(); x++) {
            begin_mcu();
            for (size_t place = 0; place < scan.components.size(); place++) {
                const JpegComponent& component = image.components[scan.components[place].component];
                for (int v = 0; v < component.vertical; v++)
                    for (int h = 0; h < component.horizontal; h++)
                        block(index++, int(place), x * component.horizontal + h, y * component.vertical + v);
            }
        }
}

}  // namespace ddpm
