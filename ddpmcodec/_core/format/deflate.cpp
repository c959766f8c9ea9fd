#include "deflate.h"

#include <algorithm>

namespace ddpm {

std::vector<uint8_t> deflated(Bytes data) {
    ByteWriter writer;
    size_t start = 0;
    do {
        const size_t count = std::min(data.size() - start, size_t(65535));
        writer.byte(start + count == data.size());
        writer.integer(count, 2);
        writer.integer(~count & 65535, 2);
        writer.bytes(data.subspan(start, count));
        start += count;
    } while (start < data.size());
    return writer.take();
}

}  // namespace ddpm
