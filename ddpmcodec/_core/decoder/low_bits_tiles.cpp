#include "low_bits_tiles.h"

#include "low_bits.h"
#include "plan.h"

namespace ddpm {

LowBitsTiles::LowBitsTiles(const Container& container, const PixelBox& region, const std::vector<int>& tiles)
    : container_(container), covered_(covered_by(tiles, container.header())), channels_(container.header().channels() + has_alpha(container.header().mode)),
      tiles_(int(tiles.size())), low_(region, channels_) {
    const std::vector<uint8_t> middle(size_t(channels_), uint8_t(1 << (container.header().low_bits() - 1)));
    low_.fill(middle.data());
}

void LowBitsTiles::read() {
    const Header& header = container_.header();
    const ByteRange section = *header.section(LOW_BITS);
    if (!streams_.empty() || !container_.has(section)) return;
    const uint64_t most = uint64_t(header.tile_count()) * MAX_VARINT_BYTES + CRC16_BYTES;
    std::vector<ByteRange> streams = parse_low_bits_index(container_.bytes({section.begin, std::min(section.end, section.begin + most)}), section.size(), header.tile_count());
    for (ByteRange& stream : streams) stream.begin += section.begin, stream.end += section.begin;
    streams_ = std::move(streams);
}

std::vector<uint8_t> LowBitsTiles::high_bits_of(const Tile& tile) const {
    if (alpha_.empty()) return tile.pixels();
    const PixelBox& box = tile.box();
    const size_t colours = size_t(channels_) - 1;
    std::vector<uint8_t> high;
    for (int y = 0; y < box.height(); y++)
        for (int x = 0; x < box.width(); x++) {
            const uint8_t* colour = &tile.pixels()[(size_t(y) * size_t(box.width()) + size_t(x)) * colours];
            high.insert(high.end(), colour, colour + colours);
            high.push_back(alpha_[size_t(box.top - covered_.top + y) * size_t(covered_.width()) + size_t(box.left - covered_.left + x)]);
        }
    return high;
}

void LowBitsTiles::place(const Tile& tile) {
    if (streams_.empty() || tile.pixels().empty()) return;
    const PixelBox& box = tile.box();
    try {
        const std::vector<uint8_t> stream = container_.bytes(streams_[size_t(tile.number())]);
        low_.place(box, decode_low_bits({box.height(), box.width(), channels_, container_.header().low_bits()}, high_bits_of(tile), stream));
        placed_++;
    } catch (const Error&) {
        is_damaged_ = true;
    }
}

void LowBitsTiles::complete(Picture& picture) const { make_samples(picture, container_.header(), low_.pixels()); }

void make_samples(Picture& picture, const Header& header, const std::vector<uint8_t>& low) {
    const size_t colours = size_t(header.channels()), channels = colours + !picture.alpha.empty(), pixels = picture.colour.size() / colours;
    picture.samples.resize(pixels * channels);
    const int unknown = (1 << header.low_bits()) >> 1;
    for (size_t at = 0; at < picture.samples.size(); at++) {
        const size_t pixel = at / channels, channel = at % channels;
        const int high = channel < colours ? picture.colour[pixel * colours + channel] : picture.alpha[pixel];
        picture.samples[at] = header.sample_of(high << header.low_bits() | (low.empty() ? unknown : low[at]));
    }
}

}  // namespace ddpm
