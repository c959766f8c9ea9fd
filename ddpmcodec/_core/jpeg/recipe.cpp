#include "recipe.h"

#include "checksums.h"
#include "jpeg_parser.h"
#include "jpeg_writer.h"
#include "frame.h"
#include "header.h"
#include "inflate.h"
#include "steps.h"
#include "usual_items.h"
#include "varints.h"

namespace ddpm {

namespace {

// Numbers of items, in the order of `Item`, whose last, a segment, has the number of its marker. Those of usual lists follow.
constexpr int FIRST_USUAL = 16;
constexpr uint8_t LONGEST = 4, GATHERS = 8, BREAKS = 16, ZERO_RUNS = 32, PADDING = 3;  // of exceptions

Error damaged(const std::string& subject, uint64_t value) { return {Fault::FORMAT, "the recipe of the JPEG file is damaged: " + subject + " is " + std::to_string(value)}; }

// --- writing

class RecipeWriter {
  public:
    explicit RecipeWriter(const Coefficients& image) : image_(image) {
        for (int k = 0; k < USUAL_LISTS; k++) usual_.push_back(usual_items(image, k));
    }

    std::vector<uint8_t> write(const std::vector<Item>& items) {
        for (size_t at = 0; at < items.size();) at += usual(items, at) ? taken_ : item(items[at]);
        return std::move(out_);
    }

  private:
    bool usual(const std::vector<Item>& items, size_t at) {
        for (size_t k = 0; k < usual_.size(); k++) {
            taken_ = usual_[k].size();
            if (taken_ > items.size() - at || !std::equal(usual_[k].begin(), usual_[k].end(), items.begin() + ptrdiff_t(at))) continue;
            byte(FIRST_USUAL + int(k));
            return true;
        }
        return false;
    }

    size_t item(const Item& item) {
        if (!std::holds_alternative<MarkerSegment>(item)) byte(int(item.index()));
        std::visit([this](const auto& value) { add(value); }, item);
        return 1;
    }

    void byte(int value) { out_.push_back(uint8_t(value)); }
    void number(uint64_t value) { write_varint(out_, value); }
    void data(const std::vector<uint8_t>& bytes) { number(bytes.size()), out_.insert(out_.end(), bytes.begin(), bytes.end()); }

    void add(const LooseBytes& loose) { data(loose.data); }
    void add(const FillBytes& fill) { number(fill.count); }
    void add(const EndOfImage&) {}
    void add(const RestartInterval& restart) { number(restart.mcus); }
    void add(const MarkerSegment& segment) {
        byte(segment.marker);
        if (!is_bare(segment.marker)) data(segment.data);
    }
    void add(const QuantisationTables& tables) {
        number(tables.tables.size());
        for (const auto& table : tables.tables) byte(table.slot), write_steps(out_, table.steps, image_.components);
    }
    void add(const HuffmanTables& tables) {
        number(tables.tables.size());
        for (const auto& table : tables.tables) {
            byte(int(table.source) << 4 | table.kind << 2 | table.slot);
            if (table.source != CodeSource::LISTED) continue;
            out_.insert(out_.end(), table.codes.counts.begin(), table.codes.counts.end());
            out_.insert(out_.end(), table.codes.symbols.begin(), table.codes.symbols.end());
        }
    }
    void add(const FrameHeader& header) {
        byte(header.marker), byte(header.only_factors);
        for (const auto& component : header.components) byte(component.id), byte(component.slot);
    }
    void add(const Scan& scan) {
        byte(int(scan.components.size()));
        for (const ScanComponent& part : scan.components) byte(part.component << 4 | part.tables[DC_TABLE] << 2 | part.tables[AC_TABLE]);
        byte(scan.first), byte(scan.last), byte(scan.high << 4 | scan.low);
        add(scan.exceptions);
    }
    void add(const ScanExceptions& found) {
        byte(int(found.padding) | (found.longest_run != LONGEST_RUN ? LONGEST : 0) | (found.gathers_all ? GATHERS : 0) | (found.breaks.empty() ? 0 : BREAKS) |
             (found.zero_runs.empty() ? 0 : ZERO_RUNS));
        if (found.padding == Padding::LISTED) data(found.padding_bits);
        if (found.longest_run != LONGEST_RUN) number(found.longest_run);
        uint32_t before = 0;
        if (!found.breaks.empty()) number(found.breaks.size());
        for (const uint32_t block : found.breaks) number(block - before), before = block;
        before = 0;
        if (!found.zero_runs.empty()) number(found.zero_runs.size());
        for (const ZeroRuns& runs : found.zero_runs) number(runs.block - before), byte(runs.count), before = runs.block;
    }

    const Coefficients& image_;
    std::vector<std::vector<Item>> usual_;
    std::vector<uint8_t> out_;
    size_t taken_ = 0;
};

// --- reading

class RecipeReader {
  public:
    // most: items.
    RecipeReader(const Coefficients& image, Bytes data, uint64_t most) : image_(image), most_(most), reader_(data, "the recipe of the JPEG file") {}

    std::vector<Item> read() {
        while (!reader_.at_end()) {
            item(reader_.byte());
            if (items_.size() > most_) throw damaged("the number of its items", items_.size());
        }
        return std::move(items_);
    }

  private:
    void item(int number) {
        if (number >= LEAST_MARKER) return items_.push_back(segment(uint8_t(number)));
        if (number >= FIRST_USUAL && number < FIRST_USUAL + USUAL_LISTS) {
            const std::vector<Item> usual = usual_items(image_, number - FIRST_USUAL);
            items_.insert(items_.end(), usual.begin(), usual.end());
            return;
        }
        switch (number) {
            case 0: return items_.push_back(LooseBytes{data()});
            case 1: return items_.push_back(FillBytes{reader_.varint()});
            case 2: return items_.push_back(EndOfImage{});
            case 3: return items_.push_back(RestartInterval{uint16_t(limited("a restart interval", UINT16_MAX))});
            case 4: return items_.push_back(quantisation());
            case 5: return items_.push_back(huffman());
            case 6: return items_.push_back(header());
            case 7: return items_.push_back(scan());
            default: throw damaged("the number of an item", uint64_t(number));
        }
    }

    uint64_t limited(const char* subject, uint64_t most) {
        const uint64_t value = reader_.varint();
        if (value > most) throw damaged(subject, value);
        return value;
    }
    std::vector<uint8_t> data() {
        const Bytes taken = reader_.take(size_t(reader_.varint()));
        return {taken.begin(), taken.end()};
    }
    MarkerSegment segment(uint8_t marker) {
        if (marker == 0xFF) throw damaged("a marker", marker);
        return {marker, is_bare(marker) ? std::vector<uint8_t>{} : data()};
    }

    QuantisationTables quantisation() {
        QuantisationTables tables;
        for (uint64_t left = reader_.varint(); left > 0; left--) {
            const uint8_t slot = reader_.byte();
            tables.tables.push_back({slot, read_steps(reader_, image_.components)});
        }
        return tables;
    }

    HuffmanTables huffman() {
        HuffmanTables tables;
        for (uint64_t left = reader_.varint(); left > 0; left--) {
            const uint8_t first = reader_.byte();
            if (first >> 4 > int(CodeSource::OPTIMAL) || (first >> 2 & 3) >= TABLE_CLASSES) throw damaged("the kind of a Huffman table", first);
            tables.tables.push_back({TableClass(first >> 2 & 3), uint8_t(first & 3), CodeSource(first >> 4), {}});
            if (tables.tables.back().source == CodeSource::LISTED) tables.tables.back().codes = codes();
        }
        return tables;
    }

    HuffmanTable codes() {
        HuffmanTable table;
        size_t count = 0;
        for (uint8_t& codes : table.counts) count += codes = reader_.byte();
        const Bytes symbols = reader_.take(count);
        table.symbols.assign(symbols.begin(), symbols.end());
        require_codes(table);
        return table;
    }

    FrameHeader header() {
        const uint8_t marker = reader_.byte(), factors = reader_.byte();
        if (marker < SOF_BASELINE || marker > SOF_PROGRESSIVE) throw damaged("the marker of a frame", marker);
        FrameHeader header{marker, {}, factors};
        for (size_t k = 0; k < image_.components.size(); k++) {
            const uint8_t id = reader_.byte();
            header.components.push_back({id, reader_.byte()});
        }
        return header;
    }

    Scan scan() {
        Scan scan;
        for (int left = reader_.byte(); left > 0; left--) {
            const uint8_t part = reader_.byte();
            scan.components.push_back({uint8_t(part >> 4), {uint8_t(part >> 2 & 3), uint8_t(part & 3)}});
        }
        scan.first = reader_.byte(), scan.last = reader_.byte();
        const uint8_t bits = reader_.byte();
        scan.high = bits >> 4, scan.low = bits & 15;
        scan.exceptions = exceptions();
        return scan;
    }

    ScanExceptions exceptions() {
        ScanExceptions found;
        const uint8_t flags = reader_.byte();
        if (flags >= 2 * ZERO_RUNS || (flags & PADDING) > int(Padding::LISTED)) throw damaged("what is unusual in a scan", flags);
        found.padding = Padding(flags & PADDING);
        found.gathers_all = flags & GATHERS;
        if (found.padding == Padding::LISTED) found.padding_bits = data();
        if (flags & LONGEST) found.longest_run = uint16_t(limited("the longest run", LONGEST_RUN));
        uint32_t block = 0;
        for (uint64_t left = flags & BREAKS ? reader_.varint() : 0; left > 0; left--) found.breaks.push_back(block = next(block));
        block = 0;
        for (uint64_t left = flags & ZERO_RUNS ? reader_.varint() : 0; left > 0; left--) {
            block = next(block);
            found.zero_runs.push_back({block, reader_.byte()});
        }
        return found;
    }
    uint32_t next(uint32_t block) { return block + uint32_t(limited("the distance of blocks", UINT32_MAX - block)); }

    const Coefficients& image_;
    const uint64_t most_;
    ByteReader reader_;
    std::vector<Item> items_;
};

struct Recipe {
    uint64_t size;  // of the file, bytes
    uint32_t check;
    std::vector<Item> items;
};

Recipe parse_recipe(const Coefficients& image, Bytes recipe) {
    ByteReader reader(recipe, "the recipe of the JPEG file");
    const uint64_t first = reader.varint(), size = first / 2;
    if (size > MAX_JPEG_BYTES) throw damaged("the length of the file", size);
    const uint32_t check = uint32_t(reader.integer(CRC32_BYTES));
    const Bytes rest = reader.take(reader.left());
    std::vector<uint8_t> body;
    if (first % 2) body = inflated(rest, 2 * size + BLOCK_VALUES, "the recipe of the JPEG file");
    return {size, check, RecipeReader(image, first % 2 ? Bytes(body) : rest, size).read()};
}

// EXIF and XMP, and ICC profiles.
bool is_metadata(const Item& item) {
    static constexpr std::string_view ICC = "ICC_PROFILE";
    const MarkerSegment* segment = std::get_if<MarkerSegment>(&item);
    if (!segment) return false;
    const bool is_icc = segment->data.size() > ICC.size() && std::equal(ICC.begin(), ICC.end(), segment->data.begin());
    return segment->marker == APP1 || (segment->marker == APP2 && is_icc);
}

int16_t clipped(int16_t value, int most) { return int16_t(std::clamp<int>(value, -most, most)); }

}  // namespace

ParsedJpeg parse_jpeg(Bytes file) {
    if (file.size() > MAX_JPEG_BYTES) throw Error(Fault::FORMAT, "JPEG files of more than " + std::to_string(MAX_JPEG_BYTES) + " bytes are not supported");
    ParsedFile parsed = parse_file(file);
    shorten_tables(parsed.image, parsed.items);
    ParsedJpeg out{std::move(parsed.image), {}, {}};
    out.frame = write_frame(out.image);
    write_varint(out.recipe, 2 * file.size());
    const uint32_t check = crc32(file);
    for (int shift = 0; shift < 32; shift += 8) out.recipe.push_back(uint8_t(check >> shift));
    const std::vector<uint8_t> body = RecipeWriter(out.image).write(parsed.items);
    out.recipe.insert(out.recipe.end(), body.begin(), body.end());
    const std::vector<uint8_t> rebuilt = rebuild_jpeg(out.image, out.recipe);
    if (!std::ranges::equal(rebuilt, file)) throw Error(Fault::FORMAT, "the JPEG file cannot be rebuilt: no encoder is known that writes it so");
    return out;
}

std::vector<uint8_t> rebuild_jpeg(const Coefficients& image, Bytes recipe) {
    const Recipe parsed = parse_recipe(image, recipe);
    std::vector<uint8_t> file = write_file(image, parsed.items, parsed.size);
    if (file.size() != parsed.size || !holds(crc32(file), parsed.check)) throw Error(Fault::CHECKSUM, "the rebuilt JPEG file is not the one that was encoded");
    return file;
}

std::vector<uint8_t> write_preview_jpeg(const Coefficients& image, Bytes recipe) {
    Coefficients clipped_image = image;
    for (JpegComponent& component : clipped_image.components)
        for (size_t k = 0; k < component.values.size(); k++) component.values[k] = clipped(component.values[k], k % BLOCK_VALUES ? MOST_AC : MOST_DC / 2);
    std::vector<Item> items = baseline_items(clipped_image);
    if (!recipe.empty()) {
        std::vector<Item> metadata = parse_recipe(image, recipe).items;
        std::erase_if(metadata, [](const Item& item) { return !is_metadata(item); });
        const auto place = std::ranges::find_if(items, [](const Item& item) { return !std::holds_alternative<MarkerSegment>(item); });
        items.insert(place, metadata.begin(), metadata.end());
    }
    return write_file(clipped_image, items, MAX_JPEG_BYTES);
}

}  // namespace ddpm
