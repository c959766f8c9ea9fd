#include "indexed.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "checksums.h"
#include "repeats.h"
#include "streams.h"

namespace ddpm {

namespace {

using Colour = uint32_t;

// ---- counts of zeros and ones in a context

constexpr int LEVELS_OF_COUNT = 9;
constexpr uint8_t COUNT_LEVELS[] = {0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6};
inline int level_of(int count) { return count < 16 ? COUNT_LEVELS[count] : count < 48 ? 7 : 8; }
constexpr int COUNT_OF_LEVEL[] = {0, 1, 2, 3, 4, 6, 11, 28, 80};

struct Counts {
    uint16_t tag = 0;
    uint8_t zeros = 0, ones = 0;

    int state() const { return level_of(zeros) * LEVELS_OF_COUNT + level_of(ones); }
    void learn(int bit) {
        uint8_t& same = bit ? ones : zeros;
        uint8_t& other = bit ? zeros : ones;
        if (same < 255) same++;
        if (other > 2) other = uint8_t(1 + other / 2);
    }
};

#ifndef PTUNE
#define PTUNE
#endif
constexpr int CONTEXTS = 22;
constexpr int INPUTS = CONTEXTS + 1;
#ifndef RATEMOST
#define RATEMOST 255
#endif
#ifndef PACE
#define PACE 10
#endif
#ifndef W0
#define W0 18000
#endif
#ifndef DELTA
#define DELTA 40
#endif

inline uint32_t mixed_hash(uint32_t hash, uint32_t value) {
    hash = (hash ^ (value + 1)) * 0x9E3779B1u;
    return hash ^ hash >> 15;
}

class IndexPass {
  public:
    IndexPass(const IndexedPicture& picture, Symbols& symbols) : picture_(picture), symbols_(symbols) {
        const size_t pixels = size_t(picture.height) * size_t(picture.width);
        bits_ = 10;
        while (bits_ < 18 && (size_t(1) << bits_) < 2 * pixels) bits_++;
        for (auto& table : tables_) table.resize(size_t(1) << bits_);
        for (int c = 0; c < CONTEXTS; c++)
            for (int z = 0; z < LEVELS_OF_COUNT; z++)
                for (int o = 0; o < LEVELS_OF_COUNT; o++) {
                    const int64_t zeros = COUNT_OF_LEVEL[z] * 100 + DELTA, ones = COUNT_OF_LEVEL[o] * 100 + DELTA;
                    Rate& rate = rates_[c][z * LEVELS_OF_COUNT + o];
                    rate.share = uint32_t((ones << 22) / (zeros + ones));
                    rate.cases = 6;
                }
        for (auto& set : weights_)
            for (auto& weights : set) weights.fill(W0);
        margin_ = 16;
        stride_ = picture.width + 2 * margin_;
        values_.assign(size_t(stride_) * size_t(picture.height + margin_), uint16_t(picture.colours()));
        for (size_t i = 0; i < picture.colours(); i++) {
            for (int ch = 0; ch < 4; ch++) sample_[ch][i] = ch < picture.channels ? picture.palette[i * size_t(picture.channels) + size_t(ch)] : 255;
        }
        for (int ch = 0; ch < 4; ch++) sample_[ch][picture.colours()] = 0;
    }

    void run() {
        code_palette();
        for (int y = 0; y < picture_.height; y++)
            for (int x = 0; x < picture_.width; x++) code_pixel(y, x, picture_.indices[size_t(y) * size_t(picture_.width) + size_t(x)]);
    }

  private:
    int put(int probability, int bit) {  // probability of a one, 2^-16
        const uint32_t ones = std::clamp<uint32_t>(uint32_t(probability) << 8, 1 << 6, (1u << 24) - (1 << 6));
        symbols_.put(bit ? 0 : ones, bit ? ones : (1u << 24) - ones);
        return bit;
    }

    int put(Rate& rate, int bit) {
        put(std::clamp(int(rate.share >> 6), 64, 65536 - 64), bit);
        rate.learn(bit, 30);
        return bit;
    }

    void code_palette() {
        const size_t count = picture_.colours();
        for (int b = 8; b-- > 0;) put(32768, int(count - 1) >> b & 1);
        const int channels = picture_.channels;
        for (size_t i = 0; i < count; i++) {
            int state = 0;
            for (int k = 0; k < channels; k++) {
                const int ch = channel_at(k), value = picture_.palette[i * size_t(channels) + size_t(ch)];
                const int before = i ? picture_.palette[(i - 1) * size_t(channels) + size_t(ch)] : 255;
                const int same = value == before;
                put(same_[k][state], same);
                state = 2 * state + same;
                if (same) continue;
                if (k > (channels % 2 == 0) ) {
                    const int other = picture_.palette[i * size_t(channels) + size_t(channel_at(k - 1))];
                    if (other != before) {
                        const int grey = value == other;
                        put(grey_[k], grey);
                        if (grey) continue;
                    }
                }
                for (int b = 8, node = 1; b-- > 0;) {
                    const int bit = value >> b & 1;
                    put(nodes_[k][node], bit);
                    node = 2 * node + bit;
                }
            }
        }
    }

    // alpha, green, red, blue
    int channel_at(int k) const {
        const int channels = picture_.channels;
        if (channels == 1) return 0;
        if (channels == 2) return 1 - k;
        if (channels == 3) return k == 0 ? 1 : k == 1 ? 0 : 2;
        return k == 0 ? 3 : k == 1 ? 1 : k == 2 ? 0 : 2;
    }

    uint16_t at(int y, int x) const { return values_[size_t(y + margin_) * size_t(stride_) + size_t(x + margin_)]; }

    void gather(int y, int x) {
        auto hash_of = [&](int c, std::initializer_list<int> values) {
            uint32_t h = uint32_t(c) * 0x85EBCA6Bu;
            for (int v : values) h = mixed_hash(h, uint32_t(v));
            hashes_[c] = h;
        };
        const int w = at(y, x - 1), n = at(y - 1, x), nw = at(y - 1, x - 1), ne = at(y - 1, x + 1), ww = at(y, x - 2), nn = at(y - 2, x);
        int c = 0;
        hash_of(c++, {});
        hash_of(c++, {w});
        hash_of(c++, {n});
        hash_of(c++, {w, n});
        hash_of(c++, {w, n, nw});
        hash_of(c++, {w, n, nw, ne});
        hash_of(c++, {w, n, nw, ne, ww, nn});
        for (int count : {11, 23}) {
            uint32_t h = uint32_t(count) * 0x85EBCA6Bu;
            for (int k = 0; k < count; k++) h = mixed_hash(h, at(y + REPEAT_OFFSETS[k].dy, x + REPEAT_OFFSETS[k].dx));
            hashes_[c++] = h;
        }
        hash_of(c++, {w, ww, at(y, x - 3), at(y, x - 4)});
        hash_of(c++, {n, ne, at(y - 1, x + 2)});
        hash_of(c++, {x & 1, y & 1, at(y, x - 2), at(y - 2, x)});
        hash_of(c++, {x & 3, y & 3, at(y, x - 4), at(y - 4, x)});
        hash_of(c++, {x & 7, y & 7, at(y, x - 8), at(y - 8, x)});
        hash_of(c++, {at(y, x - 16), at(y - 16, x), x & 15});
        hash_of(c++, {x & 3, y & 3, at(y, x - 4), at(y - 4, x), w, n});
        hash_of(c++, {x & 7, y & 7, w, n});
        hash_of(c++, {x & 7, y & 7, at(y, x - 8), at(y - 8, x), w, n});
        // by samples: green, red, blue
        const int channels = picture_.channels < 3 ? 1 : 3;
        int g = channels == 3 ? 1 : 0;
        auto s = [&](int ch, int index) { return int(sample_[ch][index]); };
        hash_of(c++, {s(g, w), s(g, n), std::clamp(s(g, w) + s(g, n) - s(g, nw), 0, 255)});
        int sum = 0;
        for (int k = 0; k < 10; k++) sum += s(g, at(y + REPEAT_OFFSETS[k].dy, x + REPEAT_OFFSETS[k].dx));
        hash_of(c++, {sum / 80, s(g, w) / 16, s(g, n) / 16});
        int last = channels == 3 ? 2 : 0, mid = 0;
        hash_of(c++, {x & 3, y & 3, s(last, w), s(last, n), s(last, at(y, x - 4)), s(last, at(y - 4, x))});
        hash_of(c++, {x & 3, y & 3, s(mid, w), s(mid, n), s(mid, at(y, x - 4)), s(mid, at(y - 4, x))});
        static_assert(CONTEXTS == 22);
    }

    // salt: of the decision
    int decide(uint32_t salt, int set, int bit) {
        Counts* slots[CONTEXTS];
        int inputs[INPUTS], states[CONTEXTS], confident = 0;
        for (int c = 0; c < CONTEXTS; c++) {
            const uint32_t h = mixed_hash(hashes_[c], salt) * 0x85EBCA6Bu;
            Counts& slot = tables_[c][h >> (32 - bits_)];
            const uint16_t tag = uint16_t(h) | 1;
            if (slot.tag != tag) slot = {tag, 0, 0};
            slots[c] = &slot;
            states[c] = slot.state();
            if (!states[c]) inputs[c] = 0;
            else inputs[c] = rates_[c][states[c]].odds();
            if (c >= 3 && c <= 8 && states[c]) confident = c - 2;
        }
        inputs[CONTEXTS] = ODDS_UNIT;
        const int sets[2] = {set, confident};
        int odds[2];
        for (int m = 0; m < 2; m++) {
            int64_t total = 0;
            for (int i = 0; i < INPUTS; i++) total += int64_t(inputs[i]) * weights_[m][sets[m]][i];
            odds[m] = int(std::clamp<int64_t>(total >> 16, -MOST_ODDS, MOST_ODDS));
        }
        const int p = std::clamp(squash((odds[0] + odds[1]) >> 1), 1, 65535);
        put(p, bit);
        for (int c = 0; c < CONTEXTS; c++) {
            if (states[c]) rates_[c][states[c]].learn(bit, RATEMOST);
            slots[c]->learn(bit);
        }
        for (int m = 0; m < 2; m++) {
            const int64_t error = (int64_t(bit) << 16) - squash(odds[m]);
            auto& weights = weights_[m][sets[m]];
            for (int i = 0; i < INPUTS; i++) weights[i] += int32_t((inputs[i] * error * PACE + (1 << 19)) >> 20);
        }
        return bit;
    }

    void code_pixel(int y, int x, int value) {
        const int count = int(picture_.colours());
        if (count == 1) return;
        gather(y, x);
        // candidates
        int tried[2], tries = 0;
        uint32_t& follow = follow_[hashes_[6] >> 16];
        const int w = at(y, x - 1), n = at(y - 1, x);
        int candidates[3] = {follow ? int(follow - 1) : count, w, n};
        bool found = false;
        for (int k = 0; k < 3 && tries < 2 && !found; k++) {
            const int candidate = candidates[k];
            if (candidate >= count || (tries && tried[0] == candidate)) continue;
            if (tries + 1 == count) break;
            tried[tries++] = candidate;
            found = decide(uint32_t(candidate) + 1000, tries - 1, value == candidate);
        }
        if (!found) {
            int low = 0, high = count, depth = 0;
            while (high - low > 1) {
                const int middle = (low + high) / 2;
                int lower = middle - low, upper = high - middle;
                for (int t = 0; t < tries; t++) tried[t] < low || tried[t] >= high ? 0 : tried[t] < middle ? lower-- : upper--;
                const int bit = value >= middle;
                if (lower && upper) decide(uint32_t(middle * 300 + low), std::min(2 + depth, 10), bit);
                (bit ? low : high) = middle;
                depth++;
            }
        }
        follow = uint32_t(value + 1);
        values_[size_t(y + margin_) * size_t(stride_) + size_t(x + margin_)] = uint16_t(value);
    }

    const IndexedPicture& picture_;
    Symbols& symbols_;
    int bits_, margin_, stride_;
    std::vector<uint16_t> values_;
    std::array<std::array<uint8_t, 257>, 4> sample_;
    std::array<std::vector<Counts>, CONTEXTS> tables_;
    std::array<std::array<Rate, LEVELS_OF_COUNT * LEVELS_OF_COUNT>, CONTEXTS> rates_;
    std::array<uint32_t, CONTEXTS> hashes_;
    std::array<std::array<std::array<int32_t, INPUTS>, 16>, 2> weights_;
    std::vector<uint32_t> follow_ = std::vector<uint32_t>(1 << 16);
    Rate same_[4][16], grey_[4], nodes_[4][256];
};

}  // namespace

std::optional<IndexedPicture> indexed(Bytes pixels, int height, int width, int channels) {
    const int order1[] = {0}, order2[] = {1, 0}, order3[] = {1, 0, 2}, order4[] = {3, 1, 0, 2};
    const int* orders[] = {order1, order2, order3, order4};
    std::map<uint32_t, int> colours;
    std::vector<uint32_t> keys(size_t(height) * size_t(width));
    for (size_t p = 0; p < keys.size(); p++) {
        uint32_t key = 0;
        for (int k = 0; k < channels; k++) key = key << 8 | pixels[p * size_t(channels) + size_t(orders[channels - 1][k])];
        keys[p] = key;
        if (colours.emplace(key, 0).second && colours.size() > MOST_COLOURS) return std::nullopt;
    }
    IndexedPicture picture{height, width, channels, {}, {}};
    for (auto& [key, number] : colours) {
        number = int(picture.palette.size() / size_t(channels));
        picture.palette.resize(picture.palette.size() + size_t(channels));
        for (int k = 0; k < channels; k++) picture.palette[size_t(number) * size_t(channels) + size_t(orders[channels - 1][k])] = uint8_t(key >> 8 * (channels - 1 - k));
    }
    for (const uint32_t key : keys) picture.indices.push_back(uint8_t(colours[key]));
    return picture;
}

std::vector<uint8_t> encode_indexed(const IndexedPicture& picture) {
    Symbols symbols;
    IndexPass(picture, symbols).run();
    const Stream stream = packed(symbols, {symbols.size()}, 0);
    std::vector<uint8_t> bytes;
    for (uint64_t state = stream.state; state; state >>= 8) bytes.push_back(uint8_t(state));
    for (const uint32_t word : stream.words[0])
        for (int shift = 0; shift < 32; shift += 8) bytes.push_back(uint8_t(word >> shift));
    return bytes;
}

}  // namespace ddpm
