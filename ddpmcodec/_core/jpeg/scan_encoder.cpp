#include "scan_encoder.h"

#include <bit>
#include <cstdlib>

namespace ddpm {

namespace {

constexpr int ZERO_RUN = 0xF0, END_OF_BLOCK = 0, RUN = 16;

int size_of(int magnitude) { return int(std::bit_width(unsigned(magnitude))); }

class Encoder {
  public:
    Encoder(const Coefficients& image, const Scan& scan, bool is_progressive, ScanSink& sink)
        : image_(image), scan_(scan), exceptions_(scan.exceptions), is_progressive_(is_progressive), sink_(sink) {}

    void run(int interval) {
        visit_blocks(image_, scan_, interval, [this](uint32_t index, int place, int column, int row) { block(index, place, column, row); },
                     [this](int number) { end_interval(), sink_.restart(number); });
        end_interval();
    }

  private:
    void block(uint32_t index, int place, int column, int row) {
        const ScanComponent& part = scan_.components[size_t(place)];
        slot_ = part.tables[AC_TABLE];
        const int16_t* const values = image_.components[part.component].block(column, row);
        if (!scan_.first) mean(values[0], part.tables[DC_TABLE], predicted_[place]);
        if (!scan_.last) return;
        int extra = 0;
        if (next_zeros_ < exceptions_.zero_runs.size() && exceptions_.zero_runs[next_zeros_].block == index)
            extra = exceptions_.zero_runs[next_zeros_++].count;
        if (next_break_ < exceptions_.breaks.size() && exceptions_.breaks[next_break_] == index) end_run(), next_break_++;
        if (!is_progressive_) return rest(values, 1, extra), flush_block();
        scan_.high ? refine(values, extra) : rest(values, scan_.first, extra);
        if (run_ >= exceptions_.longest_run || (!exceptions_.gathers_all && gathered_.size() > size_t(MOST_CORRECTIONS))) end_run();
    }

    void mean(int value, int slot, int& predicted) {
        const int shifted = value >> scan_.low;
        if (scan_.high) return sink_.bits(uint32_t(shifted & 1), 1);
        const int difference = shifted - predicted, size = size_of(std::abs(difference));
        predicted = shifted;
        sink_.symbol(DC_TABLE, slot, size);
        sink_.bits(uint32_t(difference < 0 ? difference - 1 : difference), size);
    }

    int magnitude(int value) const { return std::abs(value) >> scan_.low; }

    // Coefficients that no scan has coded before.
    void rest(const int16_t* values, int first, int extra) {
        int zeros = 0;
        for (int rank = first; rank <= scan_.last; rank++) {
            const int size = size_of(magnitude(values[rank]));
            if (!size) { zeros++; continue; }
            end_run();
            for (; zeros >= RUN; zeros -= RUN) symbol(ZERO_RUN);
            symbol(zeros << 4 | size);
            sink_.bits(uint32_t(values[rank] < 0 ? ~magnitude(values[rank]) : magnitude(values[rank])), size);
            zeros = 0;
        }
        for (; extra > 0 && zeros > RUN; extra--, zeros -= RUN) end_run(), symbol(ZERO_RUN);
        run_ += zeros > 0;
    }

    // One more bit of coefficients that are not zero, and those that become nonzero by it.
    void refine(const int16_t* values, int extra) {
        const int last_new = last_of_one(values);
        int zeros = 0;
        const auto send_zero_runs = [&](int rank) {
            for (; zeros >= RUN && (rank <= last_new || extra-- > 0); zeros -= RUN) end_run(), symbol(ZERO_RUN), send_bits(own_);
        };
        for (int rank = scan_.first; rank <= scan_.last; rank++) {
            const int value = magnitude(values[rank]);
            if (!value) { zeros++; continue; }
            send_zero_runs(rank);
            if (value > 1) { own_.push_back(uint8_t(value & 1)); continue; }
            end_run();
            symbol(zeros << 4 | 1);
            sink_.bits(values[rank] > 0, 1);
            send_bits(own_);
            zeros = 0;
        }
        send_zero_runs(BLOCK_VALUES);
        run_ += zeros > 0 || !own_.empty();
        gathered_.insert(gathered_.end(), own_.begin(), own_.end());
        own_.clear();
    }

    int last_of_one(const int16_t* values) const {
        int rank = scan_.last;
        while (rank >= scan_.first && magnitude(values[rank]) != 1) rank--;
        return rank;
    }

    void symbol(int code) { sink_.symbol(AC_TABLE, slot_, code); }
    void send_bits(std::vector<uint8_t>& bits) {
        for (const uint8_t bit : bits) sink_.bits(bit, 1);
        bits.clear();
    }

    void flush_block() {
        if (run_) symbol(END_OF_BLOCK);
        run_ = 0;
    }

    // Writes the run of blocks whose rest is zero, and the corrections in them.
    void end_run() {
        if (!run_) return;
        const int size = size_of(run_) - 1;
        symbol(size << 4);
        sink_.bits(uint32_t(run_), size);
        run_ = 0;
        send_bits(gathered_);
    }

    void end_interval() {
        end_run();
        sink_.align();
        std::fill_n(predicted_, MOST_JPEG_COMPONENTS, 0);
    }

    const Coefficients& image_;
    const Scan& scan_;
    const ScanExceptions& exceptions_;
    const bool is_progressive_;
    ScanSink& sink_;
    int slot_ = 0, run_ = 0;
    int predicted_[MOST_JPEG_COMPONENTS] = {};
    size_t next_zeros_ = 0, next_break_ = 0;
    std::vector<uint8_t> own_, gathered_;  // corrections of this block, and of the run before it
};

}  // namespace

void encode_scan(const Coefficients& image, const Scan& scan, bool is_progressive, int interval, ScanSink& sink) {
    Encoder(image, scan, is_progressive, sink).run(interval);
}

}  // namespace ddpm
