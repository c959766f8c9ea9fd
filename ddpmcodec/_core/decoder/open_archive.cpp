#include "open_archive.h"

#include <algorithm>

#include "container.h"

namespace ddpm {

namespace {

constexpr size_t KEPT_RUNS = 16;  // colours of a run take 400 kB at most, its alpha planes a third

void add_members(std::vector<Member>& members, const Block& block, size_t number) {
    if (block.kind() != BlockKind::CONTEXT) {
        for (size_t position = 0; position < block.entries.size(); position++) members.push_back({number, position});
        return;
    }
    size_t position = 0;
    for (size_t run = 0; run < block.runs.size(); run++)
        for (size_t image = 0; image < block.runs[run].images; image++) members.push_back({number, position++, run, image});
}

}  // namespace

OpenArchive::OpenArchive(std::shared_ptr<const Source> source) : source_(std::move(source)), archive_(open_archive(*source_)) {
    for (size_t number = 0; number < archive_.index.blocks.size(); number++) add_members(members_, archive_.index.blocks[number], number);
    std::ranges::sort(members_, {}, [this](const Member& member) { return entry_of(member).number; });
}

std::shared_ptr<const Source> OpenArchive::file_of(const Member& member) const {
    const Entry& entry = entry_of(member);
    auto file = std::make_shared<PartSource>(source_, archive_.parts(member.block).sections[member.position]);
    const Container container(*file);
    const Header& header = container.header();
    if (header.mode != entry.mode || uint32_t(header.width) != entry.width || uint32_t(header.height) != entry.height)
        throw Error(Fault::CORRUPT, entry.name + " is another image than the archive says: the data is damaged");
    return file;
}

OpenArchive::Pixels OpenArchive::kept(const Member& member, bool is_alpha) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto is_wanted = [&](const KeptRun& run) { return run.block == member.block && run.run == member.run && run.is_alpha == is_alpha; };
    const auto found = std::ranges::find_if(kept_, is_wanted);
    if (found == kept_.end()) return nullptr;
    std::rotate(found, found + 1, kept_.end());
    return kept_.back().pixels;
}

void OpenArchive::keep(const Member& member, bool is_alpha, Pixels pixels) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() == KEPT_RUNS) kept_.erase(kept_.begin());
    kept_.push_back({member.block, member.run, is_alpha, std::move(pixels)});
}

}  // namespace ddpm
