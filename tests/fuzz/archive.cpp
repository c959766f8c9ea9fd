// Fuzzes the reader of archives, and the decoder of their runs.
#include "archive.h"
#include "batch.h"
#include "fuzz.h"
#include "sections.h"

using namespace ddpm;

namespace {

constexpr int MOST_RUNS = 2;  // that are decoded of an archive

void check_range(const ByteRange& range, const Archive& archive) { fuzz::require(range.begin <= range.end && range.end <= archive.size); }

void decode_run(const Source& source, const BlockCoding& coding, const Run& run, const Entry& first, ByteRange stream) {
    if (first.pixels() * run.images > fuzz::MOST_PIXELS) return;
    const Model model = model_of(fuzz::model().networks(coding.effort, coding.levels), coding.levels);
    Batch batch(model, coding.levels, {run.images, int(first.height), int(first.width), first.channels(), true}, 1);
    batch.add(source.bytes(stream.begin, stream.end), run.state_bytes, {});
    while (!batch.advance(Clock::time_point::max())) {}
    batch.image(0);
}

void decode_runs(const Source& source, const Block& block, const Parts& parts, int& left) {
    size_t image = 0;
    for (size_t run = 0; run < block.runs.size() && left-- > 0; image += block.runs[run++].images) try {
            decode_run(source, *block.coding, block.runs[run], block.entries.at(image), parts.streams.at(run));
        } catch (const Error&) {
        }
}

void read_block(const Source& source, const Archive& archive, size_t number, int& runs_left) {
    const Block& block = archive.index.blocks[number];
    const Parts parts = archive.parts(number);
    for (const auto* ranges : {&parts.values, &parts.sections, &parts.streams})
        for (const ByteRange& range : *ranges) check_range(range, archive);
    fuzz::require(parts.sections.size() == block.entries.size());
    if (block.kind() == BlockKind::CONTEXT) decode_runs(source, block, parts, runs_left);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const MemorySource source({data, size});
    try {
        const Archive archive = open_archive(source);
        fuzz::require(archive.places.size() == archive.index.blocks.size());
        archive.index.total();
        int runs_left = MOST_RUNS;
        for (size_t block = 0; block < archive.places.size(); block++) read_block(source, archive, block, runs_left);
        require_whole(archive);
    } catch (const Error& error) {
        fuzz::require(error.fault != Fault::ARGUMENT);
    }
    return 0;
}
