#include "jpeg_writer.h"

#include <optional>

#include "scan_encoder.h"
#include "varints.h"

namespace ddpm {

namespace {

using Table = HuffmanTables::Table;

Error impossible(const std::string& reason) { return {Fault::CORRUPT, "the recipe of the JPEG file is damaged: " + reason}; }

// Tables that are in use.
template <class Value> using Slots = std::array<std::array<Value, TABLE_SLOTS>, TABLE_CLASSES>;

struct Counter : ScanSink {
    Slots<Histogram> counts{};

    void symbol(TableClass kind, int slot, int symbol) override { counts[kind][size_t(slot)][size_t(symbol)]++; }
    void bits(uint32_t, int) override {}
    void align() override {}
    void restart(int) override {}
};

// Calls each(item, state) for what the scans depend on.
struct ScanState {
    int interval = 0;
    std::optional<ScanOrder> order;
    bool is_progressive = false;

    void follow(const Item& item, size_t components) {
        if (const auto* restart = std::get_if<RestartInterval>(&item)) interval = restart->mcus;
        if (const auto* scan = std::get_if<Scan>(&item)) {
            if (!order) throw impossible("a scan precedes the frame");
            order->add(*scan);
        }
        const auto* header = std::get_if<FrameHeader>(&item);
        if (!header) return;
        if (order || header->components.size() != components) throw impossible("it has another frame");
        is_progressive = header->is_progressive();
        order.emplace(components, is_progressive);
    }
};

// Gives the tables that are to be optimal their codes.
class Optimizer {
  public:
    explicit Optimizer(const Coefficients& image) : image_(image) {}

    void run(std::vector<Item>& items) {
        ScanState state;
        for (Item& item : items) {
            state.follow(item, image_.components.size());
            if (auto* tables = std::get_if<HuffmanTables>(&item)) add(*tables);
            if (const auto* scan = std::get_if<Scan>(&item)) count(*scan, state);
        }
        for (auto& [table, histogram] : histograms_) table->codes = optimal_table(histogram);
    }

  private:
    static constexpr size_t NONE = size_t(-1);

    void add(HuffmanTables& tables) {
        for (Table& table : tables.tables) {
            const bool is_optimal = table.source == CodeSource::OPTIMAL;
            current_[table.kind][table.slot] = is_optimal ? histograms_.size() : NONE;
            if (is_optimal) histograms_.push_back({&table, {}});
        }
    }

    bool needs(const Scan& scan) const {
        for (const ScanComponent& part : scan.components)
            for (const TableClass kind : {DC_TABLE, AC_TABLE})
                if (scan.uses(kind) && current_[kind][part.tables[kind]] != NONE) return true;
        return false;
    }

    void count(const Scan& scan, const ScanState& state) {
        if (!needs(scan)) return;
        Counter counter;
        encode_scan(image_, scan, state.is_progressive, state.interval, counter);
        for (size_t kind = 0; kind < TABLE_CLASSES; kind++)
            for (size_t slot = 0; slot < TABLE_SLOTS; slot++)
                if (current_[kind][slot] != NONE)
                    for (size_t symbol = 0; symbol < 256; symbol++) histograms_[current_[kind][slot]].second[symbol] += counter.counts[kind][slot][symbol];
    }

    const Coefficients& image_;
    std::vector<std::pair<Table*, Histogram>> histograms_;
    Slots<size_t> current_ = {{{NONE, NONE, NONE, NONE}, {NONE, NONE, NONE, NONE}}};
};

const HuffmanTable& codes_of(const Table& table) {
    if (table.source == CodeSource::STANDARD_LUMA || table.source == CodeSource::STANDARD_CHROMA) return standard_table(table.kind, table.source == CodeSource::STANDARD_CHROMA);
    return table.codes;
}

class Writer : ScanSink {
  public:
    Writer(const Coefficients& image, uint64_t most) : image_(image), most_(most) { marker(SOI); }

    std::vector<uint8_t> write(const std::vector<Item>& items) {
        for (const Item& item : items) {
            state_.follow(item, image_.components.size());
            std::visit([this](const auto& value) { add(value); }, item);
        }
        return std::move(out_);
    }

  private:
    void require(size_t count) const {
        if (count > most_ - out_.size()) throw impossible("the file is longer than the " + std::to_string(most_) + " bytes that it states");
    }
    void byte(int value) { require(1), out_.push_back(uint8_t(value)); }
    void bytes(Bytes data) { require(data.size()), out_.insert(out_.end(), data.begin(), data.end()); }
    void big(size_t value) { byte(int(value >> 8 & 255)), byte(int(value & 255)); }
    void marker(uint8_t code) { byte(0xFF), byte(code); }

    void segment(uint8_t code, Bytes data) {
        if (data.size() + 2 > UINT16_MAX) throw impossible("a segment has " + std::to_string(data.size()) + " bytes");
        marker(code), big(data.size() + 2), bytes(data);
    }

    void add(const LooseBytes& loose) { bytes(loose.data); }
    void add(const FillBytes& fill) { require(size_t(fill.count)), out_.insert(out_.end(), size_t(fill.count), 0xFF); }
    void add(const EndOfImage&) { marker(EOI); }
    void add(const RestartInterval& restart) { segment(DRI, std::array{uint8_t(restart.mcus >> 8), uint8_t(restart.mcus & 255)}); }
    void add(const MarkerSegment& found) { is_bare(found.marker) ? marker(found.marker) : segment(found.marker, found.data); }

    void add(const QuantisationTables& found) {
        std::vector<uint8_t> data;
        for (const auto& table : found.tables) {
            data.push_back(table.slot);
            for (const uint16_t step : table.steps) table.slot >> 4 ? write_big(data, step) : data.push_back(uint8_t(step));
        }
        segment(DQT, data);
    }

    void add(const HuffmanTables& found) {
        std::vector<uint8_t> data;
        for (const Table& table : found.tables) {
            const HuffmanTable& codes = codes_of(table);
            data.push_back(uint8_t(table.kind << 4 | table.slot));
            data.insert(data.end(), codes.counts.begin(), codes.counts.end());
            data.insert(data.end(), codes.symbols.begin(), codes.symbols.end());
            encoders_[table.kind][table.slot] = HuffmanEncoder(codes);
        }
        segment(DHT, data);
    }

    void add(const FrameHeader& header) {
        header_ = header;
        std::vector<uint8_t> data{8};
        write_big(data, image_.height), write_big(data, image_.width);
        data.push_back(uint8_t(header.components.size()));
        for (size_t k = 0; k < header.components.size(); k++) {
            const JpegComponent& component = image_.components[k];
            const int factors = image_.components.size() == 1 ? header.only_factors : component.horizontal << 4 | component.vertical;
            data.insert(data.end(), {header.components[k].id, uint8_t(factors), header.components[k].slot});
        }
        segment(header.marker, data);
    }

    void add(const Scan& scan) {
        std::vector<uint8_t> data{uint8_t(scan.components.size())};
        for (const ScanComponent& part : scan.components)
            data.insert(data.end(), {header_.components[part.component].id, uint8_t(part.tables[DC_TABLE] << 4 | part.tables[AC_TABLE])});
        data.insert(data.end(), {scan.first, scan.last, uint8_t(scan.high << 4 | scan.low)});
        segment(SOS, data);
        writer_.emplace(out_, most_);
        padding_ = &scan.exceptions;
        next_padding_ = 0;
        encode_scan(image_, scan, state_.is_progressive, state_.interval, *this);
        if (next_padding_ != scan.exceptions.padding_bits.size()) throw impossible("it has padding for no byte");
    }

    // --- of a scan

    void symbol(TableClass kind, int slot, int symbol) override {
        const HuffmanEncoder::Code code = encoders_[kind][size_t(slot)].code(symbol);
        if (!code.length) throw impossible("a Huffman table lacks a code");
        writer_->bits(code.bits, code.length);
    }
    void bits(uint32_t value, int count) override { writer_->bits(value, count); }
    void align() override {
        for (int left = writer_->missing(); left > 0; left--) writer_->bits(padding(), 1);
    }
    void restart(int number) override { marker(uint8_t(FIRST_RST + number)); }

    uint32_t padding() {
        if (padding_->padding != Padding::LISTED) return padding_->padding == Padding::ONES;
        if (next_padding_ == padding_->padding_bits.size()) throw impossible("it lacks padding");
        return padding_->padding_bits[next_padding_++];
    }

    const Coefficients& image_;
    const uint64_t most_;
    ScanState state_;
    std::vector<uint8_t> out_;
    Slots<HuffmanEncoder> encoders_;
    FrameHeader header_{};
    std::optional<BitWriter> writer_;
    const ScanExceptions* padding_ = nullptr;
    size_t next_padding_ = 0;
};

}  // namespace

std::vector<uint8_t> write_file(const Coefficients& image, std::vector<Item> items, uint64_t most) {
    Optimizer(image).run(items);
    return Writer(image, most).write(items);
}

void shorten_tables(const Coefficients& image, std::vector<Item>& items) {
    std::vector<Item> optimal = items;
    for (Item& item : optimal)
        if (auto* tables = std::get_if<HuffmanTables>(&item))
            for (Table& table : tables->tables) table.source = CodeSource::OPTIMAL;
    Optimizer(image).run(optimal);
    for (size_t k = 0; k < items.size(); k++) {
        auto* tables = std::get_if<HuffmanTables>(&items[k]);
        for (size_t i = 0; tables && i < tables->tables.size(); i++) {
            Table& table = tables->tables[i];
            for (const auto source : {CodeSource::STANDARD_LUMA, CodeSource::STANDARD_CHROMA, CodeSource::OPTIMAL}) {
                const Table& other = std::get<HuffmanTables>(optimal[k]).tables[i];
                const HuffmanTable& codes = source == CodeSource::OPTIMAL ? other.codes : standard_table(table.kind, source == CodeSource::STANDARD_CHROMA);
                if (table.source == CodeSource::LISTED && table.codes == codes) table.source = source, table.codes = {};
            }
        }
    }
}

}  // namespace ddpm
