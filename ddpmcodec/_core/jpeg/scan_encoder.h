// Coefficients to the symbols and bits of a scan (T.81, annexes F and G).
#pragma once
#include "scan.h"

namespace ddpm {

// Takes what a scan is made of.
struct ScanSink {
    virtual ~ScanSink() = default;

    virtual void symbol(TableClass kind, int slot, int symbol) = 0;
    virtual void bits(uint32_t value, int count) = 0;  // at most 16
    virtual void align() = 0;                          // to a byte, at the end and before each restart
    virtual void restart(int number) = 0;
};

// interval: MCUs from one restart to the next; 0: there are none. The scan must be one of those that `ScanOrder` accepts.
void encode_scan(const Coefficients& image, const Scan& scan, bool is_progressive, int interval, ScanSink& sink);

}  // namespace ddpm
