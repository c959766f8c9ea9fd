#include "file_writer.h"

#include "checksums.h"
#include "header_writer.h"

namespace ddpm {

std::vector<uint8_t> set_chunks(Header& header, const std::vector<std::vector<uint8_t>>& chunks) {
    std::vector<uint8_t> payload;
    for (const std::vector<uint8_t>& chunk : chunks) {
        header.chunks.push_back({chunk.size(), crc16(chunk)});
        payload.insert(payload.end(), chunk.begin(), chunk.end());
    }
    header.payload_length = payload.size();
    return payload;
}

std::vector<uint8_t> assembled(Header& header, const std::vector<std::vector<uint8_t>>& sections, Bytes payload) {
    for (size_t k = 0; k < sections.size(); k++) header.sections[k].length = sections[k].size();
    std::vector<uint8_t> file = write_header(header);
    auto append = [&](Bytes bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); };
    auto append_sections = [&](bool are_after) {
        for (size_t k = 0; k < sections.size(); k++)
            if (header.sections[k].is_after() == are_after) append(sections[k]);
    };
    append_sections(false);
    append(payload);
    append_sections(true);
    return file;
}

}  // namespace ddpm
