// An archive whose images are decoded one by one.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "archive.h"

namespace ddpm {

// Where an image is.
struct Member {
    size_t block, position;     // in the archive; in the block
    size_t run = 0, image = 0;  // of a block by the context model: in the block; in the run
};

// Any thread may use it.
class OpenArchive {
  public:
    using Pixels = std::shared_ptr<const std::vector<uint8_t>>;

    // Throws Error as `open_archive` does.
    explicit OpenArchive(std::shared_ptr<const Source> source);

    const Archive& archive() const { return archive_; }
    const std::vector<Member>& members() const { return members_; }  // in the order in which images were given
    const Block& block_of(const Member& member) const { return archive_.index.blocks[member.block]; }
    const Entry& entry_of(const Member& member) const { return block_of(member).entries[member.position]; }

    std::vector<uint8_t> bytes(ByteRange range) const { return source_->bytes(range.begin, range.end); }
    // The file of an image that is one, or as much of it as there is. Throws Error: CORRUPT if it is of an image of other size or mode,
    // and as `Container` does.
    std::shared_ptr<const Source> file_of(const Member& member) const;

    // The images of a member's run, [images, height, width, channels], or the alpha planes that it codes, if they were kept and are among
    // those that were used last; or null.
    Pixels kept(const Member& member, bool is_alpha) const;
    void keep(const Member& member, bool is_alpha, Pixels pixels) const;

  private:
    struct KeptRun {
        size_t block, run;
        bool is_alpha;
        Pixels pixels;
    };

    const std::shared_ptr<const Source> source_;
    const Archive archive_;
    std::vector<Member> members_;
    mutable std::mutex mutex_;
    mutable std::vector<KeptRun> kept_;  // the one that was used last comes last
};

}  // namespace ddpm
