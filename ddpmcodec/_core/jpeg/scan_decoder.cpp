#include "scan_decoder.h"

#include <cstdlib>

namespace ddpm {

namespace {

constexpr int LONG_ZERO_RUN = 15, LONGEST_MEAN = 11, LONGEST_VALUE = 10;  // zeros before a coefficient, bits of differences and values
constexpr int FIRST_RESTART = 0xD0;

Error damaged(const std::string& reason) { return {Fault::CORRUPT, "a scan of the JPEG file is damaged: " + reason}; }

// Bits of a value, whose sign is the opposite of the first (T.81, F.12).
int extended(int bits, int size) { return size && bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits; }

// Finds how runs of blocks differ from those that an encoder writes by default.
class RunExceptions {
  public:
    // A run begins with the first code of a block.
    void begin(uint32_t block, bool is_first_code) {
        if (is_first_code && can_go_on_) ended_.push_back({block, length_, corrections_});
        can_go_on_ = false;
        corrections_ = 0;
    }
    void end(int length) {
        length_ = uint16_t(length);
        can_go_on_ = true;
        longest_ = std::max(longest_, length_);
    }
    void add_correction() { corrections_++; }
    void end_block(bool is_in_run) { overflows_ |= is_in_run && corrections_ > MOST_CORRECTIONS; }
    void other_code() { can_go_on_ = false; }

    void write(ScanExceptions& exceptions) const {
        exceptions.gathers_all = overflows_;
        const auto by_default = breaks(LONGEST_RUN, overflows_), shorter = breaks(longest_, overflows_);
        if (longest_ && shorter.size() < by_default.size()) exceptions.longest_run = longest_;
        exceptions.breaks = shorter.size() < by_default.size() ? shorter : by_default;
    }

  private:
    struct Ended {
        uint32_t next;  // block
        uint16_t length;
        int corrections;
    };

    std::vector<uint32_t> breaks(int longest, bool gathers_all) const {
        std::vector<uint32_t> found;
        for (const Ended& run : ended_)
            if (run.length != longest && (gathers_all || run.corrections <= MOST_CORRECTIONS)) found.push_back(run.next);
        return found;
    }

    std::vector<Ended> ended_;
    uint16_t length_ = 0, longest_ = 0;
    int corrections_ = 0;
    bool can_go_on_ = false, overflows_ = false;
};

class Decoder {
  public:
    Decoder(Bytes data, size_t position, Coefficients& image, Scan& scan, bool is_progressive, const Decoders& tables)
        : image_(image), scan_(scan), is_progressive_(is_progressive), tables_(tables), reader_(data, position) {}

    size_t run(int interval) {
        visit_blocks(image_, scan_, interval, [this](uint32_t index, int place, int column, int row) { block(index, place, column, row); },
                     [this](int number) { restart(number); });
        end_interval();
        runs_.write(scan_.exceptions);
        set_padding();
        return reader_.position();
    }

  private:
    const HuffmanDecoder& table(TableClass kind, int place) const { return *tables_[kind][scan_.components[size_t(place)].tables[kind]]; }

    void block(uint32_t index, int place, int column, int row) {
        int16_t* const values = image_.components[scan_.components[size_t(place)].component].block(column, row);
        index_ = index;
        if (!scan_.first) mean(values[0], place);
        if (!scan_.last) return;
        int rank = std::max<int>(scan_.first, 1);
        if (!left_) rank = scan_.high ? refine(values, table(AC_TABLE, place)) : rest(values, rank, table(AC_TABLE, place));
        if (!left_) return;
        if (scan_.high) correct(values, rank);
        runs_.end_block(left_ > 1);
        if (!--left_) runs_.end(length_);
    }

    void mean(int16_t& value, int place) {
        if (scan_.high) {
            value = int16_t(value | reader_.bits(1) << scan_.low);
            return;
        }
        const int size = table(DC_TABLE, place).symbol(reader_);
        if (size > LONGEST_MEAN) throw damaged("a mean differs from the one before it by " + std::to_string(size) + " bits");
        int& predicted = predicted_[place];
        predicted += extended(reader_.bits(size), size);
        if (std::abs(predicted * (1 << scan_.low)) > MOST_DC) throw damaged("a mean is " + std::to_string(predicted));
        value = int16_t(predicted * (1 << scan_.low));
    }

    // Begins a run of blocks whose rest is zero, or ends one block.
    void begin_run(int size, bool is_first_code, int zero_runs) {
        if (size && !is_progressive_) throw damaged("a run of blocks is in a file that is not progressive");
        length_ = left_ = (1 << size) + reader_.bits(size);
        if (is_progressive_) runs_.begin(index_, is_first_code);
        if (zero_runs) scan_.exceptions.zero_runs.push_back({index_, uint8_t(zero_runs)});
    }

    // Coefficients that no scan has coded before.
    int rest(int16_t* values, int first, const HuffmanDecoder& table) {
        int zero_runs = 0;
        for (int rank = first; rank <= scan_.last; rank++) {
            const int symbol = table.symbol(reader_), zeros = symbol >> 4, size = symbol & 15;
            if (!size && zeros < LONG_ZERO_RUN) {
                begin_run(zeros, rank == first, zero_runs);
                return rank;
            }
            runs_.other_code();
            rank += zeros;
            if (rank > scan_.last || (!size && rank == scan_.last)) throw damaged("a block has too many coefficients");
            zero_runs = size ? 0 : zero_runs + 1;
            if (size) values[rank] = value(size);
        }
        return BLOCK_VALUES;
    }

    int16_t value(int size) {
        if (size > LONGEST_VALUE) throw damaged("a coefficient has " + std::to_string(size) + " bits");
        const int value = extended(reader_.bits(size), size) * (1 << scan_.low);
        if (std::abs(value) > MOST_AC) throw damaged("a coefficient is " + std::to_string(value));
        return int16_t(value);
    }

    int refine(int16_t* values, const HuffmanDecoder& table) {
        int zero_runs = 0;
        for (int rank = scan_.first; rank <= scan_.last; rank++) {
            const int symbol = table.symbol(reader_), size = symbol & 15;
            int zeros = symbol >> 4, value = 0;
            if (!size && zeros < LONG_ZERO_RUN) {
                begin_run(zeros, rank == scan_.first, zero_runs);
                return rank;
            }
            runs_.other_code();
            if (size > 1) throw damaged("a coefficient of more than one bit follows others");
            if (size) value = (reader_.bits(1) ? 1 : -1) * (1 << scan_.low);
            for (; rank <= scan_.last; rank++)
                if (values[rank]) correct(values[rank]);
                else if (--zeros < 0) break;
            if (rank > scan_.last || (!size && rank == scan_.last)) throw damaged("a block has too many coefficients");
            zero_runs = size ? 0 : zero_runs + 1;
            values[rank] = int16_t(value);
        }
        return BLOCK_VALUES;
    }

    void correct(int16_t* values, int rank) {
        for (; rank <= scan_.last; rank++)
            if (values[rank]) correct(values[rank]), runs_.add_correction();
    }

    void correct(int16_t& value) {
        if (reader_.bits(1)) value = int16_t(value + (value < 0 ? -1 : 1) * (1 << scan_.low));
    }

    void restart(int number) {
        end_interval();
        if (!reader_.take_marker(FIRST_RESTART + number)) throw damaged("restart " + std::to_string(number) + " is missing");
        std::fill_n(predicted_, MOST_JPEG_COMPONENTS, 0);
        runs_.other_code();
    }

    void end_interval() {
        if (left_) throw damaged("a run of blocks does not end");
        const BitReader::Padding padding = reader_.align();
        for (int k = padding.count; k-- > 0;) padding_.push_back(padding.bits >> k & 1);
    }

    void set_padding() {
        const auto ones = std::ranges::count(padding_, 1);
        if (ones == std::ssize(padding_)) return;
        scan_.exceptions.padding = ones ? Padding::LISTED : Padding::ZEROS;
        if (ones) scan_.exceptions.padding_bits = padding_;
    }

    Coefficients& image_;
    Scan& scan_;
    const bool is_progressive_;
    const Decoders& tables_;
    BitReader reader_;
    RunExceptions runs_;
    uint32_t index_ = 0;
    int left_ = 0, length_ = 0;  // blocks of a run: from this one on, and all
    int predicted_[MOST_JPEG_COMPONENTS] = {};
    std::vector<uint8_t> padding_;
};

}  // namespace

size_t decode_scan(Bytes data, size_t position, Coefficients& image, Scan& scan, bool is_progressive, int interval, const Decoders& tables) {
    for (const ScanComponent& part : scan.components)
        for (const TableClass kind : {DC_TABLE, AC_TABLE})
            if (scan.uses(kind) && !tables[kind][part.tables[kind]]) throw Error(Fault::FORMAT, "a scan of the JPEG file needs a Huffman table that no marker defines");
    return Decoder(data, position, image, scan, is_progressive, tables).run(interval);
}

}  // namespace ddpm
