#include "jpeg_parser.h"

#include <optional>

#include "frame.h"
#include "scan_decoder.h"

namespace ddpm {

namespace {

constexpr uint8_t JPG = 0xC8, DAC = 0xCC, LAST_SOF = 0xCF, DNL = 0xDC, DHP = 0xDE, EXP = 0xDF;
constexpr int SOF_DIFFERENTIAL = 0xC5, SOF_ARITHMETIC = 0xC9, SAMPLE_PRECISION = 8;
constexpr std::string_view JFIF = "JFIF", ADOBE = "Adobe";
constexpr size_t ADOBE_TRANSFORM = 11;  // place in its segment
constexpr uint64_t MOST_BLOCKS_OF_BYTE = 8;

Error unsupported(const std::string& subject) { return {Fault::FORMAT, "JPEG files with " + subject + " are not supported"}; }
Error contradiction(const std::string& reason) { return {Fault::FORMAT, "the JPEG file contradicts itself: " + reason}; }

bool begins_with(const MarkerSegment& segment, std::string_view text) {
    return segment.data.size() > text.size() && std::equal(text.begin(), text.end(), segment.data.begin());
}

int big(ByteReader& reader) {
    const int high = reader.byte();
    return high << 8 | reader.byte();
}

class Parser {
  public:
    explicit Parser(Bytes file) : file_(file) {}

    ParsedFile parse() {
        if (file_.size() < 2 || file_[0] != 0xFF || file_[1] != SOI) throw Error(Fault::FORMAT, "not a JPEG file: the first marker is missing");
        for (position_ = 2; position_ < file_.size();) next();
        if (!order_) throw contradiction("there is no frame");
        for (size_t k = 0; k < image_.components.size(); k++)
            if (!has_steps_[k]) throw contradiction("a component has no scan");
        image_.colour = colour();
        fill_unused();
        return {std::move(image_), std::move(items_)};
    }

  private:
    int at(size_t offset) const { return position_ + offset < file_.size() ? file_[position_ + offset] : -1; }

    void next() {
        if (has_ended_ || at(0) != 0xFF || (at(1) < LEAST_MARKER && at(1) >= 0) || at(1) < 0) return loose();
        if (at(1) == 0xFF) return fill();
        marker(uint8_t(at(1)));
    }

    void loose() {
        size_t end = has_ended_ ? file_.size() : position_ + 1;
        while (end < file_.size() && !(file_[end] == 0xFF && end + 1 < file_.size() && file_[end + 1] >= LEAST_MARKER)) end++;
        items_.push_back(LooseBytes{{file_.begin() + ptrdiff_t(position_), file_.begin() + ptrdiff_t(end)}});
        position_ = end;
    }

    void fill() {
        uint64_t count = 0;
        for (; at(1) == 0xFF; position_++) count++;
        items_.push_back(FillBytes{count});
    }

    void marker(uint8_t code) {
        if (code == SOI || code == DNL || code == DHP || code == EXP) throw unsupported(code == SOI ? "several images" : code == DNL ? "DNL markers" : "a hierarchy");
        position_ += 2;
        if (code == EOI) {
            has_ended_ = true;
            items_.push_back(EndOfImage{});
            return;
        }
        if (is_bare(code)) return items_.push_back(MarkerSegment{code, {}});
        const size_t length = at(0) < 0 || at(1) < 0 ? 0 : size_t(at(0) << 8 | at(1));
        if (length < 2 || length > file_.size() - position_) throw Error(Fault::TRUNCATED, "a segment of the JPEG file ends early, at byte " + std::to_string(position_));
        ByteReader reader(file_.subspan(position_ + 2, length - 2), "a segment of the JPEG file");
        position_ += length;
        segment(code, reader);
        if (!reader.at_end()) throw contradiction("a segment is longer than its contents");
    }

    void segment(uint8_t code, ByteReader& reader) {
        if (code == DHT) return huffman(reader);
        if (code == DQT) return quantisation(reader);
        if (code == SOS) return scan(reader);
        if (code == DRI) return restart_interval(reader);
        if (code <= LAST_SOF && code != JPG && code != DAC) return frame(code, reader);
        const Bytes data = reader.take(reader.left());
        items_.push_back(MarkerSegment{code, {data.begin(), data.end()}});
    }

    void restart_interval(ByteReader& reader) {
        interval_ = big(reader);
        items_.push_back(RestartInterval{uint16_t(interval_)});
    }

    void quantisation(ByteReader& reader) {
        QuantisationTables found;
        while (!reader.at_end()) {
            const int first = reader.byte(), slot = first & 15;
            if (first >> 4 > 1 || slot >= QUANTISATION_SLOTS) throw contradiction("a quantisation table has the number " + std::to_string(first));
            Steps steps;
            for (uint16_t& step : steps) {
                step = uint16_t(first >> 4 ? big(reader) : reader.byte());
                if (!step) throw contradiction("a quantisation step is 0");
            }
            found.tables.push_back({uint8_t(first), steps});
            steps_[size_t(slot)] = steps;
        }
        items_.push_back(std::move(found));
    }

    void huffman(ByteReader& reader) {
        HuffmanTables found;
        while (!reader.at_end()) {
            const int first = reader.byte(), slot = first & 15;
            if (first >> 4 > 1 || slot >= TABLE_SLOTS) throw contradiction("a Huffman table has the number " + std::to_string(first));
            HuffmanTable table;
            size_t count = 0;
            for (uint8_t& codes : table.counts) count += codes = reader.byte();
            const Bytes symbols = reader.take(count);
            table.symbols.assign(symbols.begin(), symbols.end());
            require_codes(table);
            const TableClass kind = TableClass(first >> 4);
            decoders_[kind][size_t(slot)] = std::make_shared<HuffmanDecoder>(table);
            found.tables.push_back({kind, uint8_t(slot), CodeSource::LISTED, std::move(table)});
        }
        items_.push_back(std::move(found));
    }

    void frame(uint8_t code, ByteReader& reader) {
        if (code >= SOF_ARITHMETIC) throw unsupported("arithmetic coding");
        if (code > SOF_PROGRESSIVE) throw unsupported(code >= SOF_DIFFERENTIAL ? "a hierarchy" : "lossless coding");
        if (order_) throw unsupported("several frames");
        if (const int bits = reader.byte(); bits != SAMPLE_PRECISION) throw unsupported(std::to_string(bits) + " bits a sample");
        image_.height = big(reader);
        image_.width = big(reader);
        const int count = reader.byte();
        if (count != 1 && count != 3 && count != 4) throw unsupported(std::to_string(count) + " components");
        header_ = {code, {}};
        for (int k = 0; k < count; k++) component(reader);
        if (count == 1) header_.only_factors = uint8_t(image_.components[0].horizontal << 4 | image_.components[0].vertical);
        require_layout(image_);
        if (count == 1) image_.components[0].horizontal = image_.components[0].vertical = 1;
        allocate();
        order_.emplace(image_.components.size(), header_.is_progressive());
        items_.push_back(header_);
    }

    void component(ByteReader& reader) {
        const uint8_t id = reader.byte(), factors = reader.byte(), slot = reader.byte();
        if (slot >= QUANTISATION_SLOTS) throw contradiction("a component has the quantisation table " + std::to_string(slot));
        header_.components.push_back({id, slot});
        image_.components.push_back({factors >> 4, factors & 15, 0, 0, {}, {}});
    }

    // A coded block has a bit or more.
    void allocate() {
        image_.lay_out();
        uint64_t blocks = 0;
        for (const JpegComponent& component : image_.components) blocks += component.blocks();
        if (blocks > MOST_BLOCKS_OF_BYTE * file_.size()) throw Error(Fault::TRUNCATED, "the JPEG file ends early: its " + std::to_string(blocks) + " blocks cannot fit into " + std::to_string(file_.size()) + " bytes");
        image_.clear();
    }

    void scan(ByteReader& reader) {
        if (!order_) throw contradiction("a scan precedes the frame");
        Scan found;
        for (int left = reader.byte(); left > 0; left--) {
            const uint8_t id = reader.byte(), tables = reader.byte();
            const auto place = std::ranges::find(header_.components, id, &FrameHeader::Component::id);
            found.components.push_back({uint8_t(place - header_.components.begin()), {uint8_t(tables >> 4), uint8_t(tables & 15)}});
        }
        found.first = reader.byte();
        found.last = reader.byte();
        const uint8_t bits = reader.byte();
        found.high = bits >> 4;
        found.low = bits & 15;
        order_->add(found);
        for (const ScanComponent& part : found.components) set_steps(part.component);
        position_ = decode_scan(file_, position_, image_, found, header_.is_progressive(), interval_, decoders_);
        items_.push_back(std::move(found));
    }

    void set_steps(size_t component) {
        const auto& steps = steps_[header_.components[component].slot];
        if (!steps) throw contradiction("a scan needs a quantisation table that no marker defines");
        if (has_steps_[component] && image_.components[component].steps != *steps) throw unsupported("quantisation tables that change between scans");
        image_.components[component].steps = *steps;
        has_steps_[component] = true;
    }

    // As most decoders judge.
    JpegColour colour() const {
        bool is_jfif = false;
        int transform = -1;
        for (const Item& item : items_)
            if (const MarkerSegment* segment = std::get_if<MarkerSegment>(&item)) {
                is_jfif |= segment->marker == APP0 && begins_with(*segment, JFIF);
                if (segment->marker == APP14 && segment->data.size() > ADOBE_TRANSFORM && begins_with(*segment, ADOBE)) transform = segment->data[ADOBE_TRANSFORM];
            }
        if (image_.components.size() == 1) return JpegColour::GREY;
        if (image_.components.size() == 4) return transform < 0 ? JpegColour::CMYK : transform ? JpegColour::YCCK : JpegColour::ADOBE_CMYK;
        const auto& parts = header_.components;
        const bool is_named_rgb = parts[0].id == 'R' && parts[1].id == 'G' && parts[2].id == 'B';
        const bool is_rgb = !is_jfif && (transform >= 0 ? transform == 0 : is_named_rgb);
        return is_rgb ? JpegColour::RGB : JpegColour::YCBCR;
    }

    // Blocks without pixels that no scan held: they cost least if they have the means of those before them.
    void fill_unused() {
        for (JpegComponent& component : image_.components) {
            if (is_interleaved(component)) continue;
            const int columns = image_.used_columns(component), rows = image_.used_rows(component);
            for (int row = 0; row < component.rows; row++)
                for (int column = row < rows ? columns : 0; column < component.columns; column++)
                    component.block(column, row)[0] = row < rows ? component.block(column - 1, row)[0] : component.block(column, row - 1)[0];
        }
    }

    bool is_interleaved(const JpegComponent& component) const {
        const auto number = size_t(&component - image_.components.data());
        return std::ranges::any_of(items_, [&](const Item& item) {
            const Scan* scan = std::get_if<Scan>(&item);
            return scan && scan->components.size() > 1 && std::ranges::count(scan->components, number, &ScanComponent::component);
        });
    }

    const Bytes file_;
    size_t position_ = 0;
    Coefficients image_;
    std::vector<Item> items_;
    FrameHeader header_{};
    std::optional<ScanOrder> order_;
    std::optional<Steps> steps_[QUANTISATION_SLOTS];
    bool has_steps_[MOST_JPEG_COMPONENTS] = {};
    Decoders decoders_;
    int interval_ = 0;
    bool has_ended_ = false;
};

}  // namespace

ParsedFile parse_file(Bytes file) { return Parser(file).parse(); }

}  // namespace ddpm
