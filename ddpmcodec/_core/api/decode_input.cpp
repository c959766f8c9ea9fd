#include "decode_input.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace {

int read_file(void* file, uint64_t offset, void* buffer, size_t size) {
    return !seek(static_cast<std::FILE*>(file), offset) || std::fread(buffer, 1, size, static_cast<std::FILE*>(file)) != size;
}

// A name without characters that control a terminal.
std::string printable(const std::string& name) {
    std::string text;
    for (size_t k = 0; k < name.size(); k++) {
        const uint8_t byte = uint8_t(name[k]), next = k + 1 < name.size() ? uint8_t(name[k + 1]) : 0;
        const bool is_c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
        text += byte < 0x20 || byte == 0x7F || is_c1 ? '?' : name[k];
        k += is_c1;
    }
    return text;
}

ddpm_index index_of(const Archive& archive) {
    ddpm_index index{};
    index.struct_size = sizeof index;
    ddpm_archive_index(archive.get(), &index);
    return index;
}

void print_image(const Archive& archive, uint32_t image) {
    static constexpr const char* MODES[] = {"L", "RGB", "LA", "RGBA", "1"};
    ddpm_entry entry{};
    entry.struct_size = sizeof entry;
    ddpm_archive_entry(archive.get(), image, &entry);
    const std::string size = entry.coding == DDPM_CODED_ALONE ? std::to_string(entry.file_length) : "-";
    const std::string name = printable(ddpm_archive_name(archive.get(), image));
    std::printf("%6u x %-6u %-4s %9s %s\n", entry.width, entry.height, MODES[entry.mode], size.c_str(), name.c_str());
}

// Says what is wrong with an archive whose images can be listed all the same.
void report(const ddpm_index& index, const std::string& in) {
    if (index.images < index.total) std::fprintf(stderr, "ddpm-decode: %s: %u of %u images are lost\n", in.c_str(), index.total - index.images, index.total);
    if (index.is_damaged) std::fprintf(stderr, "ddpm-decode: %s: the index or the header of a block is damaged\n", in.c_str());
    if (index.missing) std::fprintf(stderr, "ddpm-decode: %s: %llu bytes are missing\n", in.c_str(), (unsigned long long)index.missing);
    if (index.following) std::fprintf(stderr, "ddpm-decode: %s: %llu bytes follow the end\n", in.c_str(), (unsigned long long)index.following);
}

}  // namespace

void check(const Decoder& decoder, ddpm_error error) {
    if (error) fail(code_of(error), ddpm_decoder_error(decoder.get(), nullptr));
}

Input::Input(const Options& options) : file_(options.files.in), size_(std::min(file_.size(), options.max_bytes.value_or(UINT64_MAX))) {}

void Input::give(const Decoder& decoder) {
    if (file_.has_positions()) return check(decoder, ddpm_decoder_set_reader(decoder.get(), size_, read_file, file_.stream()));
    file_.read_pieces(size_, [&](const uint8_t* data, size_t size) { check(decoder, ddpm_decoder_feed(decoder.get(), data, size)); });
    check(decoder, ddpm_decoder_finish(decoder.get()));
}

Archive Input::archive() {
    ddpm_archive* opened = nullptr;
    char message[1024];
    std::vector<uint8_t> data;
    if (!file_.has_positions()) file_.read_pieces(size_, [&](const uint8_t* piece, size_t size) { data.insert(data.end(), piece, piece + size); });
    const ddpm_error error = file_.has_positions() ? ddpm_archive_open_reader(&opened, size_, read_file, file_.stream(), message, sizeof message)
                                            : ddpm_archive_open(&opened, data.data(), data.size(), message, sizeof message);
    if (error) fail(code_of(error), message);
    return {opened, ddpm_archive_free};
}

void give_input(Input& input, const Decoder& decoder, const Options& options) {
    if (!options.member) return input.give(decoder);
    const Archive archive = input.archive();
    uint32_t image = 0;
    if (ddpm_archive_find(archive.get(), options.member->c_str(), &image)) fail(FAILED, "has no image '" + printable(*options.member) + "': --list names all");
    check(decoder, ddpm_decoder_set_member(decoder.get(), archive.get(), image));
}

void list_images(const Options& options) {
    Input input(options);
    const Archive archive = input.archive();
    const ddpm_index index = index_of(archive);
    for (uint32_t image = 0; image < index.images; image++) print_image(archive, image);
    report(index, options.files.in);
}
