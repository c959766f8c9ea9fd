#include "exif.h"

#include <optional>

#include "header.h"
#include "syntax.h"

namespace ddpm {

namespace {

constexpr uint8_t START[] = {'E', 'x', 'i', 'f', 0, 0};
constexpr int ORIENTATION_TAG = 0x112;
constexpr size_t ENTRY_BYTES = 12, INLINE_BYTES = 4;

// Types of values (TIFF 6.0, and two that came later), and their bytes; 0: there is no such type.
constexpr uint8_t TYPE_BYTES[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
constexpr bool is_whole_number(int type) { return type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13 || type == 16; }

bool begins_with(Bytes data, Bytes start) { return data.size() >= start.size() && std::ranges::equal(data.first(start.size()), start); }

// A TIFF structure. Offsets beyond its end are noticed before they are used.
class Tiff {
  public:
    // Of which the first eight bytes are there.
    explicit Tiff(Bytes data) : data_(data), is_big_(data[0] == 'M') {}

    bool is_sound() const {
        const bool has_order = (data_[0] == 'M' && data_[1] == 'M') || (data_[0] == 'I' && data_[1] == 'I');
        return has_order && (number(data_.subspan(2, 2)) == 42 || number(data_.subspan(2, 2)) == 42 << 8);  // some write the other order there
    }

    // The value of the first entry with this tag whose value is there.
    std::optional<uint64_t> value_of(int tag) const {
        uint64_t at = number(data_.subspan(4, 4));
        if (!has(at, 2)) return {};
        const uint64_t entries = number(part(at, 2));
        at += 2;
        for (uint64_t k = 0; k < entries && has(at, ENTRY_BYTES); k++, at += ENTRY_BYTES) {
            if (number(part(at, 2)) != uint64_t(tag)) continue;
            const uint64_t type = number(part(at + 2, 2)), count = number(part(at + 4, 4));
            if (type >= std::size(TYPE_BYTES) || !TYPE_BYTES[type] || !count) continue;
            const uint64_t place = count * TYPE_BYTES[type] > INLINE_BYTES ? number(part(at + 8, 4)) : at + 8;
            if (!has(place, count * TYPE_BYTES[type])) continue;
            return is_whole_number(int(type)) ? number(part(place, TYPE_BYTES[type])) : 0;
        }
        return {};
    }

  private:
    bool has(uint64_t at, uint64_t size) const { return at <= data_.size() && size <= data_.size() - at; }
    Bytes part(uint64_t at, uint64_t size) const { return data_.subspan(size_t(at), size_t(size)); }
    uint64_t number(Bytes bytes) const {
        uint64_t value = 0;
        for (size_t k = 0; k < bytes.size(); k++) value = value << 8 | bytes[is_big_ ? k : bytes.size() - 1 - k];
        return value;
    }

    const Bytes data_;
    const bool is_big_;
};

}  // namespace

int orientation_of(Bytes exif) {
    for (int k = 0; k < 2 && begins_with(exif, START); k++) exif = exif.subspan(std::size(START));  // some write it twice
    if (exif.size() < 8) return UPRIGHT;
    const Tiff tiff(exif);
    const uint64_t value = tiff.is_sound() ? tiff.value_of(ORIENTATION_TAG).value_or(UPRIGHT) : UPRIGHT;
    return value >= UPRIGHT && value <= MAX_ORIENTATION ? int(value) : UPRIGHT;
}

std::vector<uint8_t> exif_of_jpeg(Bytes file) {
    std::vector<uint8_t> exif;
    for (size_t at = 2; at + 4 <= file.size();) {
        const uint8_t marker = file[at + 1];
        if (file[at] != 0xFF || marker < LEAST_MARKER || marker == 0xFF) {
            at++;  // fill bytes, and what does not belong there
            continue;
        }
        at += 2;
        if (is_bare(marker)) continue;
        const size_t length = size_t(file[at]) << 8 | file[at + 1];
        if (marker == SOS || length < 2 || length > file.size() - at) break;
        const Bytes data = file.subspan(at + 2, length - 2);
        if (marker == APP1 && begins_with(data, START)) exif.insert(exif.end(), data.begin() + (exif.empty() ? 0 : std::ptrdiff_t(std::size(START))), data.end());
        at += length;
    }
    return exif;
}

}  // namespace ddpm
