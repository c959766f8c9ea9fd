#include "alpha_tiles.h"

#include <algorithm>

#include "plan.h"

namespace ddpm {

namespace {

ByteRange section_of(const Container& image) {
    const ByteRange all = *image.header().section(ALPHA);
    return {all.begin, std::min(all.end, image.size())};
}

std::vector<uint8_t> head_of(const Container& image) {
    const uint64_t begin = section_of(image).begin;
    return head_of_alpha(image.header(), image.bytes({begin, begin + 1}).at(0));
}

}  // namespace

void AlphaTiles::File::read(uint64_t offset, std::span<uint8_t> out) const {
    const size_t begin = size_t(std::min(offset, uint64_t(head_.size()))), count = std::min(out.size(), head_.size() - begin);
    std::copy_n(head_.begin() + std::ptrdiff_t(begin), count, out.begin());
    if (count < out.size()) rest_.read(offset + count - head_.size(), out.subspan(count));
}

AlphaTiles::AlphaTiles(const std::shared_ptr<const Source>& file, const Container& image, const PixelBox& box)
    : is_cut_(!image.has(*image.header().section(ALPHA))), file_(head_of(image), file, {section_of(image).begin + 1, section_of(image).end}), container_(file_),
      tiles_needed_(tiles_of(box, container_.header())), canvas_(box, 1) {
    container_.update(true);
    if (container_.following() || (container_.missing() && !is_cut_))
        throw Error(Fault::CORRUPT, "the alpha section has another length than its plane: the data is damaged");
    canvas_.fill(&OPAQUE);
    const Header& header = container_.header();
    for (const int number : tiles_needed_) tiles_.add(number, header.tile(number), header.segments());
    tiles_.begin_round(header.segments(), true);
}

bool AlphaTiles::advance(const Model& model, Clock::time_point deadline, int threads) {
    return tiles_.advance({container_, model, true, false, false, [this](const Tile& tile, int) { place(tile); }}, deadline, threads);
}

// Places the exact pixels of a tile that is cut.
void AlphaTiles::place(const Tile& tile) {
    if (!tile.pixels().empty()) return canvas_.place(tile.box(), tile.pixels());
    if (!tile.pass() || !tile.result().is_cut) return;
    std::vector<uint8_t> pixels(size_t(tile.box().pixels()), OPAQUE), known(pixels.size());
    tile.pass()->pixels(pixels.data(), known.data());
    canvas_.place(tile.box(), pixels);
}

Alpha AlphaTiles::alpha() const {
    bool is_whole = true, is_damaged = false;
    for (const std::unique_ptr<Tile>& tile : tiles_.tiles()) {
        is_whole = is_whole && tile->result().is_exact;
        is_damaged = is_damaged || tile->result().is_damaged;
    }
    if (is_damaged || !(is_whole || is_cut_))
        throw Error(Fault::CHECKSUM, "the alpha section decodes to other pixels than were encoded: the data is damaged");
    return {canvas_.pixels(), true, is_whole};
}

void AlphaTiles::require_sound() const {
    const Header& header = container_.header();
    if (header.is_tiled) return container_.require_undamaged(tiles_needed_);
    parse_stream(container_.bytes(header.payload()), header.state_bytes);
}

}  // namespace ddpm
