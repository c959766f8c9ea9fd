// Fuzzes the reader of archives, and decoding their images by the functions for C.
#include "archive.h"
#include "ddpm.h"
#include "fuzz.h"
#include "handles.h"

using namespace ddpm;

namespace {

constexpr int MOST_IMAGES = 3;  // that are decoded of an archive

void check_range(const ByteRange& range, const Archive& archive) { fuzz::require(range.begin <= range.end && range.end <= archive.size); }

// Pixels that decoding an image takes: those of its run.
uint64_t pixels_of(const OpenArchive& archive, const Member& member) {
    const Block& block = archive.block_of(member);
    return archive.entry_of(member).pixels() * (block.kind() == BlockKind::CONTEXT ? block.runs[member.run].images : 1);
}

void check_block(const Archive& archive, size_t number) {
    const Parts parts = archive.parts(number);
    for (const auto* ranges : {&parts.values, &parts.sections, &parts.streams, &parts.alphas})
        for (const ByteRange& range : *ranges) check_range(range, archive);
    fuzz::require(parts.sections.size() == archive.index.blocks[number].entries.size());
}

// Sets the networks of the model that is here, whatever model the image names. Returns whether it has such networks.
bool set_networks(ddpm_decoder* decoder) {
    const Header& header = *decoder->decoder->header();
    try {
        decoder->decoder->set_networks(fuzz::model().networks(header.effort, header.levels));
        if (decoder->decoder->needs_alpha_networks()) decoder->decoder->set_alpha_networks(fuzz::model().networks(header.effort, 0));
        return true;
    } catch (const Error&) {
        return false;
    }
}

void decode(ddpm_decoder* decoder) {
    ddpm_event event;
    while ((event = ddpm_decoder_advance(decoder, DDPM_FOREVER)) != DDPM_DONE)
        if (event == DDPM_ERROR || (event == DDPM_NEED_MODEL && !set_networks(decoder))) return;
    ddpm_layout layout{};
    layout.struct_size = sizeof layout;
    fuzz::require(ddpm_decoder_layout(decoder, &layout) == DDPM_OK);
    std::vector<uint8_t> pixels(size_t(layout.size));
    fuzz::require(ddpm_decoder_pixels(decoder, pixels.data(), pixels.size(), 0) == DDPM_OK);
}

void decode_image(const ddpm_archive& archive, uint32_t image) {
    ddpm_entry entry{};
    entry.struct_size = sizeof entry;
    fuzz::require(ddpm_archive_entry(&archive, image, &entry) == DDPM_OK && ddpm_archive_name(&archive, image));
    std::vector<uint8_t> file(size_t(std::min<uint64_t>(entry.file_length, 1 << 16)));
    ddpm_archive_file(&archive, image, file.data(), file.size());
    ddpm_plan plan{};
    plan.struct_size = sizeof plan;
    plan.max_pixels = fuzz::MOST_PIXELS;
    plan.partial = image % 2, plan.scale = image % 3 ? 1 : 2;
    const std::unique_ptr<ddpm_decoder, decltype(&ddpm_decoder_free)> decoder(ddpm_decoder_new(), &ddpm_decoder_free);
    ddpm_decoder_set_plan(decoder.get(), &plan);
    if (ddpm_decoder_set_member(decoder.get(), &archive, image) == DDPM_OK) decode(decoder.get());
    ddpm_error kind = DDPM_OK;
    ddpm_decoder_error(decoder.get(), &kind);
    fuzz::require(kind != DDPM_ERROR_INTERNAL && kind != DDPM_ERROR_ARGUMENT);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const ddpm_archive opened{std::make_shared<const OpenArchive>(std::make_shared<MemorySource>(Bytes(data, size)))};
        const Archive& archive = opened.archive->archive();
        fuzz::require(archive.places.size() == archive.index.blocks.size());
        for (size_t block = 0; block < archive.places.size(); block++) check_block(archive, block);
        const std::vector<Member>& members = opened.archive->members();
        int left = MOST_IMAGES;
        for (uint32_t image = 0; image < members.size() && left > 0; image++)
            if (pixels_of(*opened.archive, members[image]) <= fuzz::MOST_PIXELS) decode_image(opened, image), left--;
        require_whole(archive);
    } catch (const Error& error) {
        fuzz::require(error.fault != Fault::ARGUMENT);
    }
    return 0;
}
