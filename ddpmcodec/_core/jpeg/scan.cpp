#include "scan.h"

namespace ddpm {

namespace {

void require(bool condition, const char* requirement) {
    if (!condition) throw Error(Fault::FORMAT, std::string("a scan of the JPEG file is not supported: ") + requirement);
}

}  // namespace

void ScanOrder::require_sequential(const Scan& scan) const {
    require(!scan.first && scan.last == BLOCK_VALUES - 1 && !scan.high && !scan.low, "it must hold all coefficients, as the file is not progressive");
}

void ScanOrder::require_progressive(const Scan& scan) const {
    require(scan.last < BLOCK_VALUES && scan.first <= scan.last && (scan.first || !scan.last), "it must hold means or a range of other coefficients");
    require(!scan.first || scan.components.size() == 1, "coefficients besides means must be of one component");
    require(scan.low <= 13 && (!scan.high || scan.high == scan.low + 1), "it must add one bit to what is known");
}

void ScanOrder::add(const Scan& scan) {
    require(++scans_ <= MOST_SCANS, "there are too many of them");
    require(!scan.components.empty(), "it has no component");
    is_progressive_ ? require_progressive(scan) : require_sequential(scan);
    for (const ScanComponent& part : scan.components) {
        require(part.component < low_.size(), "its component is not in the frame");
        require(part.tables[DC_TABLE] < TABLE_SLOTS && part.tables[AC_TABLE] < TABLE_SLOTS, "there are four tables of a class");
        for (size_t rank = scan.first; rank <= scan.last; rank++) {
            int8_t& low = low_[part.component][rank];
            require(scan.high ? low == scan.high : low == NOT_CODED_YET, "its coefficients are those of a scan before it");
            low = int8_t(scan.low);
        }
    }
}

}  // namespace ddpm
