// Fuzzes what files, archives and models are made of, each by itself. The first byte chooses what the rest is.
#include "block_search.h"
#include "chunks.h"
#include "deflate.h"
#include "fuzz.h"
#include "inflate.h"
#include "json.h"
#include "sections.h"
#include "text.h"

using namespace ddpm;

namespace {

constexpr uint64_t MOST_BYTES = 1 << 20;  // that are inflated

void read_stream(fuzz::Choices choices) { parse_stream(choices.rest(), LEAST_STATE_BYTES + choices.byte() % STATE_SIZES); }

void read_chunk(fuzz::Choices choices) {
    const uint8_t flags = choices.byte(), missing = choices.byte();
    parse_chunk(choices.rest(), choices.rest().size() + missing, flags & 1, flags / 2 % 4 + 1);
}

void read_alpha(fuzz::Choices choices) {
    const bool is_cut = choices.byte() & 1;
    const int width = choices.byte() + 1, height = choices.byte() + 1;
    const PixelBox part{choices.byte() % width, choices.byte() % height, width, height};
    fuzz::require(parse_alpha(choices.rest(), is_cut, width, height, part).plane.size() == part.pixels());
}

void read_deflate(fuzz::Choices choices) {
    const uint64_t most = choices.word() % MOST_BYTES;
    uint64_t written = 0;
    const Inflated end = inflate(choices.rest(), most, [&](Bytes piece) { written += piece.size(); });
    fuzz::require(end.size == written && written <= most);
}

// The last byte is repeated, so that there are long runs.
void write_deflate(fuzz::Choices choices) {
    const size_t repeats = choices.word() % (1 << 16);
    std::vector<uint8_t> content(choices.rest().begin(), choices.rest().end());
    if (!content.empty()) content.insert(content.end(), repeats, content.back());
    fuzz::require(inflated(deflated(content), content.size(), "what was deflated") == content);
}

void read_text(fuzz::Choices choices) {
    const std::string text(choices.rest().begin(), choices.rest().end());
    if (is_utf8(text)) letters_of(text);
    parse_json(text);
}

void find(fuzz::Choices choices) {
    const MemorySource source(choices.rest());
    for (const FoundBlock& found : find_blocks(source)) fuzz::require(found.body <= source.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::Choices choices({data, size});
    try {
        switch (choices.byte() % 9) {
            case 0: read_stream(choices); break;
            case 1: read_chunk(choices); break;
            case 2: read_alpha(choices); break;
            case 3: parse_metadata(choices.rest()); break;
            case 4: read_deflate(choices); break;
            case 5: read_text(choices); break;
            case 6: parse_block(choices.rest()); break;
            case 7: find(choices); break;
            case 8: write_deflate(choices); break;
        }
    } catch (const Error& error) {
        fuzz::require(error.fault != Fault::ARGUMENT && error.fault != Fault::MODEL);
    }
    return 0;
}
