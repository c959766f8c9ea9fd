#include "batch.h"

#include "checksums.h"
#include "learning_rules.h"
#include "tile.h"

namespace ddpm {

namespace {

// Weights and colours learn where an image is alone, or all of them share a stream, and have pixels enough.
Layout layout_of(const Batch::Shape& shape, int threads) {
    const bool is_alone = shape.images == 1 || shape.shares_stream;
    const bool learns = is_alone && int64_t(shape.images) * shape.height * shape.width >= LEARNING_PIXELS;
    return {shape.images, shape.height, shape.width, shape.channels, shape.shares_stream ? 1 : shape.images, learns, threads, shape.repeats};
}

}  // namespace

Batch::Batch(const Model& model, int levels, const Shape& shape, int threads) : shape_(shape), pass_(model, levels, layout_of(shape, threads)) {}

void Batch::add(Bytes stream, int state_bytes, Bytes covered) {
    if (has_begun_ || streams() == pass_.pass().layout().streams) throw Error(Fault::ARGUMENT, "all streams of these images were added");
    starts_.push_back(parse_stream(stream, state_bytes));
    covered_.emplace_back(covered.begin(), covered.end());
}

bool Batch::advance(Clock::time_point deadline) {
    Pass& pass = pass_.pass();
    if (!has_begun_) {
        std::vector<uint64_t> states;
        std::vector<std::vector<uint32_t>> words;
        for (StreamStart& start : starts_) states.push_back(start.state), words.push_back(std::move(start.words));
        pass.decode(states, std::move(words), false, false);
        has_begun_ = true;
    }
    if (!pixels_.empty()) return true;
    if (!pass_.advance(pass.segments(), deadline)) return false;
    const size_t count = size_t(shape_.images) * size_t(shape_.height) * size_t(shape_.width);
    std::vector<uint8_t> known(count);
    pixels_.resize(count * size_t(shape_.channels));
    pass.pixels(pixels_.data(), known.data());
    return true;
}

std::vector<uint8_t> Batch::image(int stream) const {
    const Pass& pass = pass_.pass();
    if (!pass.is_exact() || pixels_.empty()) return {};
    const size_t size = pixels_.size() / size_t(streams());
    const Bytes samples = Bytes(pixels_).subspan(size * size_t(stream), size);
    const uint32_t check = crc32(samples, crc32(covered_[size_t(stream)])) % CHECKS;
    if (!have_ended_well(pass, check, stream, 1)) return {};
    return {samples.begin(), samples.end()};
}

}  // namespace ddpm
