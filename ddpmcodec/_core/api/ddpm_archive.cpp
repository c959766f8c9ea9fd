// The C face of archives. ddpm.h states what callers may rely on.
#include "ddpm.h"

#include "handles.h"
#include "member_decoder.h"

using namespace ddpm;

namespace {

// Bytes that the library copied.
class OwnedSource : public MemorySource {
  public:
    explicit OwnedSource(std::vector<uint8_t> data) : MemorySource(data), data_(std::move(data)) {}

  private:
    const std::vector<uint8_t> data_;
};

// Calls work with an archive. What it throws is known by its kind alone, as any thread may call.
template <class Work> ddpm_error asked(const ddpm_archive* archive, Work work) noexcept {
    return attempt([](ddpm_error, const char*) {}, [&] {
        require(archive, "the archive is NULL");
        work(*archive->archive);
    });
}

const Member& member_of(const OpenArchive& archive, uint32_t image) {
    const size_t count = archive.members().size();
    require(image < count, "the archive has " + std::to_string(count) + " images, and no number " + std::to_string(image));
    return archive.members()[image];
}

ddpm_coding coding_of(const OpenArchive& archive, const Member& member) {
    switch (archive.block_of(member).kind()) {
        case BlockKind::FILES: return DDPM_CODED_ALONE;
        case BlockKind::CONTEXT: return DDPM_CODED_TOGETHER;
        case BlockKind::BITS_BACK: break;
    }
    return DDPM_CODED_BY_BITS_BACK;
}

ddpm_entry entry_of(const OpenArchive& archive, const Member& member) {
    const Entry& entry = archive.entry_of(member);
    ddpm_entry result{};
    result.width = entry.width, result.height = entry.height;
    result.mode = uint32_t(entry.mode);
    result.channels = channels_with_alpha(entry.mode);
    result.has_alpha = has_alpha(entry.mode);
    result.coding = uint32_t(coding_of(archive, member));
    result.file_length = result.coding == DDPM_CODED_ALONE ? entry.length : 0;
    return result;
}

ddpm_index index_of(const OpenArchive& archive) {
    const Archive& opened = archive.archive();
    ddpm_index index{};
    index.images = uint32_t(archive.members().size());
    index.total = uint32_t(opened.index.total());
    index.is_damaged = opened.damage || !std::ranges::all_of(opened.places, &BlockPlace::is_intact);
    index.missing = opened.missing(), index.following = opened.following();
    return index;
}

// A file is decoded as every other one; an image of a run by the decoder of its run.
void set_member(ddpm_decoder& decoder, const std::shared_ptr<const OpenArchive>& archive, const Member& member) {
    switch (coding_of(*archive, member)) {
        case DDPM_CODED_ALONE: {
            auto file = archive->file_of(member);
            decoder.begun().open(std::move(file));
            break;
        }
        case DDPM_CODED_TOGETHER: decoder.decoder = std::make_unique<MemberDecoder>(archive, member, decoder.plan); break;
        case DDPM_CODED_BY_BITS_BACK:
            throw Error(Fault::MODEL, "the image was coded by bits back, by a model that this library does not compute: extract it with ddpmcodec");
    }
}

template <class Open> ddpm_error opened(ddpm_archive** archive, char* message, size_t message_size, Open source) {
    return loading(message, message_size, [&] {
        require(archive, "there is nowhere to put the archive: its pointer is NULL");
        *archive = nullptr;
        *archive = new ddpm_archive{std::make_shared<const OpenArchive>(source())};
    });
}

}  // namespace

// --- what ddpm.h declares

ddpm_error ddpm_archive_open(ddpm_archive** archive, const void* data, size_t size, char* message, size_t message_size) {
    return opened(archive, message, message_size, [&] {
        require(data || !size, "the data is NULL");
        const uint8_t* bytes = static_cast<const uint8_t*>(data);
        return std::make_shared<OwnedSource>(std::vector<uint8_t>(bytes, bytes + size));
    });
}

ddpm_error ddpm_archive_open_reader(ddpm_archive** archive, uint64_t size, ddpm_read read, void* user, char* message, size_t message_size) {
    return opened(archive, message, message_size, [&] { return std::make_shared<CallbackSource>(size, read, user); });
}

void ddpm_archive_free(ddpm_archive* archive) { delete archive; }

ddpm_error ddpm_archive_index(const ddpm_archive* archive, ddpm_index* index) {
    return asked(archive, [&](const OpenArchive& opened) { fill(index, index_of(opened)); });
}

ddpm_error ddpm_archive_entry(const ddpm_archive* archive, uint32_t image, ddpm_entry* entry) {
    return asked(archive, [&](const OpenArchive& opened) { fill(entry, entry_of(opened, member_of(opened, image))); });
}

const char* ddpm_archive_name(const ddpm_archive* archive, uint32_t image) {
    if (!archive || image >= archive->archive->members().size()) return nullptr;
    return archive->archive->entry_of(archive->archive->members()[image]).name.c_str();
}

ddpm_error ddpm_archive_find(const ddpm_archive* archive, const char* name, uint32_t* image) {
    return asked(archive, [&](const OpenArchive& opened) {
        require(name && image, "a pointer is NULL");
        const auto name_of = [&](const Member& member) -> std::string_view { return opened.entry_of(member).name; };
        const auto found = std::ranges::find(opened.members(), std::string_view(name), name_of);
        require(found != opened.members().end(), "no image has this name");
        *image = uint32_t(found - opened.members().begin());
    });
}

ddpm_error ddpm_archive_file(const ddpm_archive* archive, uint32_t image, void* data, size_t size) {
    return asked(archive, [&](const OpenArchive& opened) {
        const Member& member = member_of(opened, image);
        require(coding_of(opened, member) == DDPM_CODED_ALONE, "the image is coded together with others, and has no file");
        const uint64_t length = opened.entry_of(member).length;
        require(data && size >= length, "the buffer is NULL or too small");
        const std::vector<uint8_t> file = opened.bytes(opened.archive().parts(member.block).sections[member.position]);
        if (file.size() < length) throw Error(Fault::TRUNCATED, "the archive ends inside the file");
        std::ranges::copy(file, static_cast<uint8_t*>(data));
    });
}

ddpm_error ddpm_decoder_set_member(ddpm_decoder* decoder, const ddpm_archive* archive, uint32_t image) {
    return guarded(decoder, [&] {
        require(archive, "the archive is NULL");
        require(!decoder->decoder, "the decoder already has bytes: make a new one");
        set_member(*decoder, archive->archive, member_of(*archive->archive, image));
    });
}
