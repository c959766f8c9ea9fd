#include "block.h"

#include <algorithm>
#include <numeric>

#include "json.h"
#include "text.h"

namespace ddpm {

namespace {

using Numbers = std::vector<uint64_t>;

std::string number(uint64_t value) { return std::to_string(value); }

[[noreturn]] void contradict(const std::string& problem) {
    throw Error(Fault::FORMAT, "the header of a block contradicts itself (" + problem + "): the archive is damaged");
}

[[noreturn]] void refuse(const std::string& message) { throw Error(Fault::FORMAT, message); }

int64_t signed_of(uint64_t zigzag) { return zigzag % 2 ? -int64_t(zigzag / 2) - 1 : int64_t(zigzag / 2); }

bool has_section(Mode mode, BlockKind kind) { return kind == BlockKind::FILES || has_alpha(mode); }

// Reads a header column by column.
class BlockReader {
  public:
    explicit BlockReader(Bytes header) : reader_(header, "the header of a block") {}

    Block block() {
        block_.total = reader_.varint();
        const uint64_t kind = reader_.varint(), count = reader_.varint();
        if (kind >= BLOCK_KINDS) contradict("a block of kind " + number(kind));
        kind_ = BlockKind(kind);
        read_images(count);
        if (kind_ != BlockKind::FILES) read_coding();
        if (kind_ == BlockKind::CONTEXT) read_streams();
        if (kind_ == BlockKind::BITS_BACK) read_stack();
        read_names();
        if (kind_ != BlockKind::FILES) read_ids();
        if (!reader_.at_end()) contradict("bytes follow its end");
        return std::move(block_);
    }

  private:
    // So many numbers, each of at most `largest`. `most` bounds a claim, and a number takes a byte at least.
    Numbers column(uint64_t count, uint64_t most, uint64_t largest = UINT64_MAX) {
        if (count > most) contradict(number(count) + " numbers where " + number(most) + " are the most");
        reader_.require(size_t(count));
        Numbers numbers(static_cast<size_t>(count));
        for (uint64_t& value : numbers)
            if ((value = reader_.varint()) > largest) contradict("a number of " + number(value) + " where " + number(largest) + " is the largest");
        return numbers;
    }

    Numbers image_column(uint64_t largest = UINT64_MAX) { return column(block_.entries.size(), MAX_BLOCK_IMAGES, largest); }

    void read_images(uint64_t count) {
        const Numbers steps = column(count, MAX_BLOCK_IMAGES);
        block_.entries.resize(steps.size());
        int64_t position = -1;
        for (size_t k = 0; k < steps.size(); k++) {
            position += signed_of(steps[k]) + 1;
            if (position < 0 || uint64_t(position) >= std::min(block_.total, MAX_IMAGES))
                refuse("an archive of " + number(block_.total) + " images, and a block with others");
            block_.entries[k].number = uint32_t(position);
        }
        const Numbers modes = image_column(MODES - 1), widths = image_column(MAX_PIXELS), heights = image_column(MAX_PIXELS);
        for (size_t k = 0; k < modes.size(); k++) {
            Entry& entry = block_.entries[k];
            entry.mode = Mode(modes[k]), entry.width = uint32_t(widths[k]), entry.height = uint32_t(heights[k]);
        }
        for (Entry& entry : block_.entries)
            if (has_section(entry.mode, kind_)) entry.length = reader_.varint();
    }

    void read_coding() {
        const Numbers icc = image_column(MAX_BLOCK_VALUES), exif = image_column(MAX_BLOCK_VALUES);
        for (size_t k = 0; k < icc.size(); k++) block_.entries[k].icc = uint16_t(icc[k]), block_.entries[k].exif = uint16_t(exif[k]);
        block_.value_lengths = column(reader_.varint(), MAX_BLOCK_VALUES);
        const uint64_t setting = reader_.varint(), levels = reader_.varint(), model = reader_.varint();
        const uint64_t effort = setting % REPEATS_UNIT, repeats = setting / REPEATS_UNIT;
        if (repeats > (kind_ == BlockKind::CONTEXT ? 3 : 0)) refuse("a block has repeats of an unknown kind");
        if (effort > MAX_EFFORT) refuse("a block of effort " + number(effort) + " (" + number(MIN_EFFORT) + " to " + number(MAX_EFFORT) + " are possible)");
        require_levels(levels);
        if (model > MAX_MODEL_NUMBER) refuse("a model of number " + number(model) + " (at most " + number(MAX_MODEL_NUMBER) + " is possible)");
        block_.coding = BlockCoding{int(effort), int(levels), int(model), {}, {}, {}, {}, bool(repeats & 1), bool(repeats & 2)};
        for (const uint64_t images : column(reader_.varint(), block_.entries.size(), block_.entries.size())) {
            block_.runs.emplace_back();
            block_.runs.back().images = uint16_t(images);
        }
    }

    // Words and size of the state of each stream in one number: of all runs, then of those that code alpha.
    void read_streams() {
        for (Run& run : block_.runs) read_stream(run.words, run.state_bytes);
        size_t position = 0;
        for (Run& run : block_.runs) {
            const size_t end = std::min(position + run.images, block_.entries.size());
            for (; position < end; position++) run.alpha_images += block_.entries[position].is_alpha_in_run();
            if (run.alpha_images) read_stream(run.alpha_words, run.alpha_state_bytes);
        }
    }

    void read_stream(uint64_t& words, uint8_t& state_bytes) {
        const uint64_t size = reader_.varint();
        words = size / STATE_SIZES;
        state_bytes = uint8_t(LEAST_STATE_BYTES + int(size % STATE_SIZES));
    }

    void read_stack() {
        block_.words = reader_.varint();
        const Numbers initial = column(block_.runs.size(), MAX_BLOCK_IMAGES, 1);
        for (size_t k = 0; k < initial.size(); k++) block_.runs[k].initial = initial[k];
        int64_t step = 0, level = 0;
        for (const uint64_t second : column(reader_.varint(), MAX_LATENT_LEVELS)) {
            step += signed_of(second);
            if (step <= 0 || step > MAX_LATENT_LEVEL - level) refuse("the noise levels do not increase, or are too large");
            block_.coding->latent_levels.push_back(int32_t(level += step));
        }
        if (!level) contradict("bits back without noise levels");
        profile_length_ = reader_.varint();
        if (profile_length_ > MAX_PROFILE) contradict("a profile of " + number(profile_length_) + " bytes where " + number(MAX_PROFILE) + " are the most");
    }

    // Names are front coded: a few bytes may claim as many as they like.
    void read_names() {
        std::string before;
        for (Entry& entry : block_.entries) {
            const uint64_t shared = reader_.varint(), rest = reader_.varint();
            if (shared > before.size()) contradict("a name shares more than there is");
            if (shared + rest > MAX_NAME) contradict("a name of " + number(shared + rest) + " bytes where " + number(MAX_NAME) + " are the most");
            const Bytes bytes = reader_.take(size_t(rest));
            before.resize(size_t(shared));
            before.append(bytes.begin(), bytes.end());
            if (!is_utf8(before)) contradict("a name that is not UTF-8");
            entry.name = before;
        }
    }

    void read_ids() {
        BlockCoding& coding = *block_.coding;
        if (!coding.model_number) coding.model_id = take_id();
        if (kind_ != BlockKind::BITS_BACK) return;
        for (Run& run : block_.runs) run.check = uint32_t(reader_.integer(CRC32_BYTES));
        coding.latent_id = take_id();
        const Bytes profile = reader_.take(size_t(profile_length_));
        coding.profile.assign(profile.begin(), profile.end());
        if (!coding.profile.empty()) check_profile(coding.profile);
    }

    ShortId take_id() {
        ShortId id;
        std::copy_n(reader_.take(id.size()).begin(), id.size(), id.begin());
        return id;
    }

    static void check_profile(const std::string& profile) {
        const Json json = parse_json(profile);
        const JsonObject* members = json.object();
        if (!members || !std::ranges::all_of(*members, [](const auto& member) { return member.second.integer() || member.second.text(); }))
            contradict("a profile that is none");
    }

    ByteReader reader_;
    Block block_;
    BlockKind kind_ = BlockKind::FILES;
    uint64_t profile_length_ = 0;
};

// --- what a decoder relies on

template <class Value, class Member> bool are_distinct(const std::vector<Entry>& entries, Member member) {
    std::vector<Value> values;
    for (const Entry& entry : entries) values.push_back(entry.*member);
    std::ranges::sort(values);
    return std::ranges::adjacent_find(values) == values.end();
}

void check_entries(const Block& block) {
    if (block.entries.empty()) refuse("a block of 0 images (1 to " + number(MAX_BLOCK_IMAGES) + " are possible)");
    if (block.total > MAX_IMAGES) refuse("an archive of " + number(block.total) + " images (at most " + number(MAX_IMAGES) + " are possible)");
    if (!are_distinct<uint32_t>(block.entries, &Entry::number) || !are_distinct<std::string_view>(block.entries, &Entry::name))
        refuse("two images of a block have one name or one place");
    const uint64_t most = block.coding ? MAX_STACKED_PIXELS : MAX_PIXELS;
    for (const Entry& entry : block.entries) {
        if (!entry.pixels() || entry.pixels() > most)
            refuse(entry.name + " is " + number(entry.width) + " x " + number(entry.height) + " pixels (1 to " + number(most) + " are possible)");
        if (std::max(entry.icc, entry.exif) > block.value_lengths.size()) refuse(entry.name + " refers to metadata that is not there");
    }
}

void check_run(const Run& run, const Entry* images, bool is_stacked) {
    uint64_t pixels = 0;
    bool is_one_size = run.images > 0;
    for (const Entry* image = images; image < images + run.images; image++) {
        pixels += image->pixels();
        is_one_size = is_one_size && image->width == images->width && image->height == images->height && image->channels() == images->channels();
    }
    if (!is_one_size || pixels > MAX_RUN_PIXELS || (run.initial && run.images > 1))
        refuse("a run of " + number(run.images) + " images and " + number(pixels) + " pixels, or of several sizes, in a block");
    if (is_stacked && images->channels() == 1) refuse("a grey image in a block by bits back, whose images are all in colour");
}

void check_runs(const Block& block) {
    uint64_t images = 0;
    for (const Run& run : block.runs) images += run.images;
    if (images != block.entries.size()) refuse("runs of " + number(images) + " of " + number(block.entries.size()) + " images");
    const Entry* first = block.entries.data();
    for (const Run& run : block.runs) {
        check_run(run, first, block.kind() == BlockKind::BITS_BACK);
        first += run.images;
    }
}

}  // namespace

BlockKind Block::kind() const {
    return !coding ? BlockKind::FILES : coding->latent_levels.empty() ? BlockKind::CONTEXT : BlockKind::BITS_BACK;
}

std::vector<uint64_t> Block::stream_lengths() const {
    if (kind() == BlockKind::BITS_BACK) return {WORD_BYTES * words};
    std::vector<uint64_t> lengths;
    for (const Run& run : runs) lengths.push_back(run.length());
    return lengths;
}

std::vector<uint64_t> Block::alpha_lengths() const {
    std::vector<uint64_t> lengths;
    for (const Run& run : runs) lengths.push_back(run.alpha_length());
    return lengths;
}

uint64_t Block::body_length() const {
    uint64_t length = 0;
    for (const std::vector<uint64_t>& lengths : {value_lengths, stream_lengths(), alpha_lengths()}) length = std::accumulate(lengths.begin(), lengths.end(), length);
    for (const Entry& entry : entries) length += entry.length;
    return length;
}

Block parse_block(Bytes header) {
    try {
        Block block = BlockReader(header).block();
        check_entries(block);
        if (block.coding) check_runs(block);
        return block;
    } catch (const Error& error) {
        if (error.fault == Fault::TRUNCATED) contradict(error.what());  // of a header that is all there
        throw;
    }
}

}  // namespace ddpm
