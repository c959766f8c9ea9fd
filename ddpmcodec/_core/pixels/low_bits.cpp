#include "low_bits.h"

#include "bit_odds.h"
#include "checksums.h"
#include "environment.h"
#include "header.h"
#include "known_samples.h"
#include "least_squares.h"
#include "streams.h"

namespace ddpm {

namespace {

constexpr int STRIP = 16;                           // columns, whose predictors learn from the rows above
constexpr double STRIP_DECAYS[] = {0.96, 0.995}, IMAGE_DECAY = 0.9998;
constexpr int PREDICTORS = 3;                       // two learn from a strip, one from the whole tile
constexpr int SOURCES = PREDICTORS + 3;             // each gives log-odds of a bit
constexpr int BUCKETS = 24;                         // of errors nearby, two an octave
constexpr double LEAST_ERROR = 1.0 / 512, MOST_ERROR = 64;
constexpr double ERROR_TO_SCALE = 0.7213475204444817;  // of a logistic, from its mean absolute error: 1 / (2 log 2)
constexpr double ERROR_RATE = 0.01;
constexpr double FARTHEST = 32;                     // that a mean is from the interval of the high bits
constexpr double LEAST_FREQUENCY = 64;              // of a bit, in 2^-24
constexpr int REACH = 16;                           // low values outside of a node within which a prediction has a place of its own
constexpr size_t PLACES = 1024;                     // of predictions in all nodes

struct Place {
    int row, column;
};

// What a sample sees, less the sample to the left of it in the same channel.
constexpr Place OWN[] = {{-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-1, 2}, {-2, 1}, {-1, -2}, {0, 1}, {1, -1}, {1, 0}, {1, 1}};
constexpr Place CODED[] = {{0, 0}, {-1, 0}, {-1, 1}, {0, 1}, {1, 0}};  // of channels that are exact here
constexpr Place LATER[] = {{0, 0}, {-1, 0}, {0, 1}};                   // of other colours
constexpr int COLOURS_FIRST_GREEN[] = {1, 0, 2, 3}, IN_ORDER[] = {0, 1};

constexpr OddsMixer<SOURCES>::Odds FIRST_WEIGHTS = {0.3, 0.3, 0.3, 0.2, 0.1, 0.1};

// What is learned of one channel.
struct Channel {
    std::vector<LeastSquares> of_strips[2];
    LeastSquares of_image;
    std::array<std::array<double, BUCKETS>, PREDICTORS> errors;  // means, by errors nearby
    std::vector<OddsMixer<SOURCES>> mixers;                      // [bit, errors nearby]
    std::vector<BitOdds> by_high;                                // [high bits, node of the low bits]
    std::vector<BitOdds> by_place[2];                            // [errors nearby, place of a prediction]: the second one's, the left sample's

    Channel(size_t inputs, const SamplesShape& shape)
        : of_image(inputs, IMAGE_DECAY), mixers(size_t(shape.low_bits * BUCKETS), OddsMixer<SOURCES>(FIRST_WEIGHTS)), by_high(256 * 256) {
        for (size_t k = 0; k < 2; k++) {
            of_strips[k].assign(size_t((shape.width + STRIP - 1) / STRIP), LeastSquares(inputs, STRIP_DECAYS[k]));
            by_place[k].resize(BUCKETS * PLACES);
        }
        for (auto& means : errors)
            for (size_t b = 0; b < BUCKETS; b++) means[b] = LEAST_ERROR * double(1 << (b / 2)) * (b % 2 ? 1.5 : 1);
    }

    std::array<LeastSquares*, PREDICTORS> predictors(int x) {
        return {&of_strips[0][size_t(x / STRIP)], &of_strips[1][size_t(x / STRIP)], &of_image};
    }
};

// The end of an encoder, which knows each bit, and that of a decoder, which finds it. ones: the frequency of a one.
struct BitWriter {
    Symbols symbols;

    int code(uint32_t ones, int bit) {
        symbols.put(bit ? 0 : ones, bit ? ones : (uint32_t(1) << PRECISION) - ones);
        return bit;
    }
};

struct BitReader {
    Reader reader;

    int code(uint32_t ones, int) {
        const int bit = reader.slot() < ones;
        reader.take(bit ? 0 : ones, bit ? ones : (uint32_t(1) << PRECISION) - ones);
        return bit;
    }
};

// A distribution within what is left of the interval of the high bits: its edges in units of the scale, and softplus of them.
struct Interval {
    double low, high, at_low, at_high, middle, at_middle;

    double halve(const LogisticCurves& curves) {
        middle = (low + high) * 0.5, at_middle = curves.softplus(middle);
        return std::clamp(middle - low + at_low - at_high, -MOST_ODDS, MOST_ODDS);
    }
    void keep(int upper) {
        if (upper) low = middle, at_low = at_middle;
        else high = middle, at_high = at_middle;
    }
};

template <class Coder> class LowBitsPass {
  public:
    LowBitsPass(const SamplesShape& shape, std::span<const uint8_t> high, Coder& coder)
        : shape_(shape), colours_(shape.channels < 3 ? 1 : 3), high_(high), coder_(coder), order_(colours_ == 3 ? COLOURS_FIRST_GREEN : IN_ORDER),
          samples_(shape, high), errors_(PREDICTORS * 2 * size_t(shape.width + 2) * size_t(shape.channels)) {
        for (int k = 0; k < shape.channels; k++) {
            const int later = std::max(colours_ - k - 1, 0);
            channels_.emplace_back(std::size(OWN) + size_t(k) * std::size(CODED) + size_t(later) * std::size(LATER), shape);
        }
    }

    // low: an encoder's are coded, a decoder's are overwritten.
    void run(std::span<uint8_t> low) {
        for (int y = 0; y < shape_.height; y++)
            for (int x = 0; x < shape_.width; x++)
                for (int k = 0; k < shape_.channels; k++) {
                    const size_t at = (size_t(y) * size_t(shape_.width) + size_t(x)) * size_t(shape_.channels) + size_t(order_[k]);
                    low[at] = uint8_t(code_sample(y, x, k, high_[at], low[at]));
                }
    }

  private:
    double& error(size_t p, int y, int x, int k) {
        return errors_[((p * 2 + size_t(y & 1)) * size_t(shape_.width + 2) + size_t(x + 1)) * size_t(shape_.channels) + size_t(k)];
    }

    void gather(int y, int x, int k) {
        size_t i = 0;
        auto add = [&](int channel, std::span<const Place> places) {
            const double left = samples_.value(y, x - 1, channel);
            for (const Place& place : places) inputs_[i++] = samples_.value(y + place.row, x + place.column, channel) - left;
        };
        add(order_[k], OWN);
        for (int coded = 0; coded < k; coded++) add(order_[coded], CODED);
        for (int later = k + 1; later < colours_; later++) add(order_[later], LATER);
    }

    // By the logarithm of the errors of a predictor nearby.
    size_t bucket(size_t p, int y, int x, int k) {
        double sum = 2 * error(p, y, x - 1, k) + 2 * error(p, y - 1, x, k) + error(p, y - 1, x - 1, k) + error(p, y - 1, x + 1, k);
        if (k) sum = 0.5 * sum + 3 * error(p, y, x, k - 1);
        const double mean = std::clamp(sum / 6, LEAST_ERROR, MOST_ERROR) / LEAST_ERROR;
        const uint64_t bits = std::bit_cast<uint64_t>(mean);
        return std::min(size_t(2 * ((bits >> 52) - 1023) + ((bits >> 51) & 1)), size_t(BUCKETS - 1));
    }

    int code_sample(int y, int x, int k, int high, int known) {
        Channel& channel = channels_[size_t(k)];
        gather(y, x, k);
        const std::array<LeastSquares*, PREDICTORS> predictors = channel.predictors(x);
        const double left = samples_.value(y, x - 1, order_[k]), unit = double(1 << shape_.low_bits);
        std::array<double, PREDICTORS> means;
        std::array<size_t, PREDICTORS> buckets;
        for (size_t p = 0; p < PREDICTORS; p++) {
            means[p] = std::clamp(left + predictors[p]->predict(inputs_), high - FARTHEST, high + 1 + FARTHEST);
            buckets[p] = bucket(p, y, x, k);
            const double scale = ERROR_TO_SCALE * channel.errors[p][buckets[p]];
            const double low_edge = (high - means[p]) / scale, high_edge = (high + 1 - means[p]) / scale;
            intervals_[p] = {low_edge, high_edge, curves_.softplus(low_edge), curves_.softplus(high_edge), 0, 0};
        }
        const int predicted[] = {rounded_down((means[1] - high) * unit), rounded_down((left - high) * unit)};
        const int low = code_bits(channel, high, known, buckets[1], predicted);
        const double exact = high + (low + 0.5) / unit;
        for (size_t p = 0; p < PREDICTORS; p++) {
            const double off = std::abs(exact - means[p]);
            double& mean = channel.errors[p][buckets[p]];
            mean += (std::max(off, LEAST_ERROR / 4) - mean) * ERROR_RATE;
            error(p, y, x, k) = off;
            predictors[p]->learn(inputs_, exact - left);
        }
        samples_.at(y, x, order_[k]) = float(exact);
        return low;
    }

    static int rounded_down(double value) { return int(value + 65536) - 65536; }

    int code_bits(Channel& channel, int high, int known, size_t bucket, const int (&predicted)[2]) {
        int found = 0;
        for (int b = 0; b < shape_.low_bits; b++) {
            OddsMixer<SOURCES>::Odds odds;
            for (size_t p = 0; p < PREDICTORS; p++) odds[p] = intervals_[p].halve(curves_);
            const int rest = shape_.low_bits - b;
            BitOdds* learned[3] = {&channel.by_high[size_t(high) * 256 + size_t((1 << b) - 1 + found)]};
            for (size_t n = 0; n < 2; n++) {
                const int place = std::clamp(predicted[n] - (found << rest), -REACH, (1 << rest) + REACH - 1) + REACH;
                learned[n + 1] = &channel.by_place[n][bucket * PLACES + size_t((1 << rest) + 2 * REACH * rest + place)];
            }
            for (size_t n = 0; n < 3; n++) odds[PREDICTORS + n] = learned[n]->odds();
            OddsMixer<SOURCES>& mixer = channel.mixers[size_t(b) * BUCKETS + bucket];
            const double one = curves_.logistic(mixer.mixed(odds));
            const uint32_t ones = uint32_t(LEAST_FREQUENCY + one * (double(1 << PRECISION) - 2 * LEAST_FREQUENCY));
            const int bit = coder_.code(ones, (known >> (rest - 1)) & 1);
            mixer.learn(odds, bit - one);
            for (BitOdds* of_situation : learned) of_situation->learn(bit, curves_);
            for (Interval& interval : intervals_) interval.keep(bit);
            found = 2 * found + bit;
        }
        return found;
    }

    const SamplesShape shape_;
    const int colours_;
    const std::span<const uint8_t> high_;
    Coder& coder_;
    const int* const order_;
    const LogisticCurves& curves_ = LogisticCurves::get();
    KnownSamples samples_;
    std::vector<Channel> channels_;
    std::vector<double> errors_;  // absolute: [predictor, this row and the one above, width and margins, channel]
    LeastSquares::Inputs inputs_{};
    std::array<Interval, PREDICTORS> intervals_{};
};

uint32_t check_of(Bytes low) { return crc32(low) % CHECKS; }

}  // namespace

std::vector<uint8_t> encode_low_bits(const SamplesShape& shape, std::span<const uint8_t> high, std::span<const uint8_t> low) {
    const IeeeArithmetic arithmetic;
    BitWriter writer;
    std::vector<uint8_t> samples(low.begin(), low.end());
    LowBitsPass<BitWriter>(shape, high, writer).run(samples);
    const Stream stream = packed(writer.symbols, {writer.symbols.size()}, check_of(low));
    std::vector<uint8_t> bytes{0};
    for (uint64_t state = stream.state; state; state >>= 8) bytes.push_back(uint8_t(state)), bytes[0]++;
    for (const uint32_t word : stream.words[0])
        for (int shift = 0; shift < 32; shift += 8) bytes.push_back(uint8_t(word >> shift));
    return bytes;
}

std::vector<uint8_t> decode_low_bits(const SamplesShape& shape, std::span<const uint8_t> high, Bytes stream) {
    const IeeeArithmetic arithmetic;
    ByteReader bytes(stream, "low bits");
    BitReader bits;
    const int state_bytes = bytes.byte();
    if (state_bytes < LEAST_STATE_BYTES || state_bytes > MOST_STATE_BYTES) throw Error(Fault::CORRUPT, "low bits begin with no state: the data is damaged");
    bits.reader.state = bytes.integer(state_bytes);
    if (bits.reader.state < LEAST_STATE || bits.reader.state >> 63 || (state_bytes > LEAST_STATE_BYTES && !(bits.reader.state >> (8 * (state_bytes - 1)))) || bytes.left() % WORD_BYTES) throw Error(Fault::CORRUPT, "low bits are no stream: the data is damaged");
    while (bytes.left()) bits.reader.words.push_back(uint32_t(bytes.integer(WORD_BYTES)));
    std::vector<uint8_t> low(shape.samples());
    LowBitsPass<BitReader>(shape, high, bits).run(low);
    if (bits.reader.position < bits.reader.words.size() || !holds(uint32_t(bits.reader.state - LEAST_STATE), check_of(low)) || bits.reader.state >> 25)
        throw Error(Fault::CHECKSUM, "low bits decode to other samples than were encoded: the data is damaged");
    return low;
}

}  // namespace ddpm
