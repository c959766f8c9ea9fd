// Repeats: text, icons and plots show the same pixels again and again, farther away than a network sees.
//
// Before a pixel is coded, hashes of its causal neighbourhood, of 1 to 23 pixels, find the colours that followed the same
// neighbourhoods before. These, the colour that continues a slope and those of neighbours are its candidates, which are tried one after
// another: a flag says whether the pixel has that colour. The probability of a flag mixes all that is known of a candidate, by weights
// that are learned (logistic mixing, as in Mahoney's PAQ): how often each order's prediction was right of late, which neighbours have
// that colour, how often it came, and how likely the network finds it.
// If no candidate is right, the network's distributions code the pixel, without the candidates.
//
// Everything is an integer, but for a table that is made of IEEE products and quotients in a fixed order.
#pragma once
#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <vector>

#include "colors.h"
#include "wrong_colors.h"

namespace ddpm {

inline constexpr int REPEAT_ORDERS = 6, REPEAT_NEIGHBOURS[REPEAT_ORDERS] = {1, 2, 4, 6, 11, 23};
inline constexpr int REPEAT_TRIALS = WrongColors::MOST;  // candidates of a pixel, at most
inline constexpr int REPEAT_SURE = 20000;  // of a flag, 2^-16: of pixels that are found at more, networks do not learn
inline constexpr int REPEAT_MEMORY = 1023;  // cases after which a rate moves no more slowly
inline constexpr int REPEAT_PACE = 6, REPEAT_FIRST_WEIGHT = 16000;  // of mixtures: 2^-20, 2^-16
inline constexpr int REPEAT_BITS = 17;     // of the slots of an order, at most
inline constexpr int REPEAT_INPUTS = REPEAT_ORDERS + 4;  // of a mixture: orders, neighbours, count of the colour, network, constant
inline constexpr int ODDS_UNIT = 256, MOST_ODDS = 11 * ODDS_UNIT - 1;  // logarithms of odds
inline constexpr uint32_t OUTSIDE_COLOR = 1 << 24;

// The pixels before (y, x), near ones first.
struct Offset {
    int dy, dx;
};
inline constexpr Offset REPEAT_OFFSETS[REPEAT_NEIGHBOURS[REPEAT_ORDERS - 1]] = {
    {0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-1, 2}, {-2, -1}, {-2, 1}, {-1, -2}, {0, -3}, {-3, 0},
    {-2, 2}, {-2, -2}, {0, -4}, {-1, 3}, {-1, -3}, {-3, 1}, {-3, -1}, {-2, 3}, {-2, -3}, {-3, 2}, {-3, -2}};
inline constexpr int REPEAT_MARGIN = 4;

// 2^16 / (1 + e^-odds).
class Squash {
  public:
    Squash() {
        constexpr double STEP = 1.00391388933834757;  // e^(1/256)
        double power = 1;
        for (int k = 0; k <= MOST_ODDS; k++, power *= STEP) {
            values_[size_t(MOST_ODDS + k)] = uint32_t(65536.0 * (power / (1.0 + power)));
            values_[size_t(MOST_ODDS - k)] = uint32_t(65536.0 / (1.0 + power));
        }
    }
    int operator()(int odds) const { return int(values_[size_t(std::clamp(odds, -MOST_ODDS, MOST_ODDS) + MOST_ODDS)]); }

  private:
    std::array<uint32_t, 2 * MOST_ODDS + 1> values_;
};

inline int squash(int odds) {
    static const Squash table;
    return table(odds);
}

// The logarithm of yes / no.
inline int odds_of(int64_t yes, int64_t no) {
    const int64_t octaves = binary_logarithm(std::max<int64_t>(yes, 1)) - binary_logarithm(std::max<int64_t>(no, 1));
    return int(std::clamp<int64_t>((octaves * 45426) >> 24, -MOST_ODDS, MOST_ODDS));
}

// How often something came true: a probability that moves less with every case.
struct Rate {
    uint32_t share = 1 << 21;  // 2^-22
    int cases = 0;

    int odds() const { return odds_of(int64_t(share) + 16, (int64_t(1) << 22) - share + 16); }
    void learn(bool yes, int most) {
        const int64_t aim = yes ? (1 << 22) - 1 : 0;
        share = uint32_t(share + (aim - int64_t(share)) * 2 / (2 * cases + 3));
        if (cases < most) cases++;
    }
};

class Repeats {
  public:
    struct Trial {
        uint32_t color;
        int inputs[REPEAT_INPUTS], states[REPEAT_ORDERS + 2], sets[2];
        int odds[2], probability;  // of each mixture; of the flag, 2^-16
        bool is_coded, is_right;
    };
    // A pixel: where its neighbourhoods are found, and its candidates.
    struct Visit {
        uint32_t slots[REPEAT_ORDERS], color;
        uint16_t tags[REPEAT_ORDERS];
        int runs[REPEAT_ORDERS];
        uint32_t near[6];
        size_t row;
        int count, longest;
        bool is_found;
        Trial trials[REPEAT_TRIALS];

        void color_of(int trial, int channels, int* values) const {
            for (int c = channels, color = int(trials[trial].color); c-- > 0; color >>= 8) values[c] = color & 255;
        }
        void settle(int trial, bool is_right) { trials[trial].is_right = is_found = is_right; }
    };

    Repeats(int images, int height, int width)
        : height_(height), stride_(width + 2 * REPEAT_MARGIN), colors_(size_t(images) * (height + REPEAT_MARGIN) * stride_, OUTSIDE_COLOR),
          runs_(size_t(images) * height) {
        while (bits_ < REPEAT_BITS && (size_t(1) << bits_) < size_t(images) * height * width) bits_++;
        for (auto& table : tables_) table.resize(size_t(1) << bits_);
        seen_.resize(size_t(1) << bits_);
        for (auto& set : weights_)
            for (auto& weights : set) weights.fill(REPEAT_FIRST_WEIGHT);
        for (int o = 0; o < REPEAT_ORDERS; o++)
            for (int s = 0; s < STATES; s++) rates_[o][s].share = s < 2 * CONFIDENCES * RUNS ? 1 << 21 : 1 << 18;
    }

    // Finds the candidates of a pixel.
    void look(int n, int y, int x, Visit& visit) const {
        const uint32_t* here = &colors_[at(n, y, x)];
        uint32_t hash = 0;
        visit.row = size_t(n) * height_ + y;
        visit.count = visit.longest = 0;
        visit.is_found = false;
        for (int k = 0, o = 0; o < REPEAT_ORDERS; o++) {
            for (; k < REPEAT_NEIGHBOURS[o]; k++) {
                const uint32_t color = here[REPEAT_OFFSETS[k].dy * stride_ + REPEAT_OFFSETS[k].dx];
                if (k < 6) visit.near[k] = color;
                hash = (hash ^ (color + 1)) * 0x9E3779B1u;
                hash ^= hash >> 15;
            }
            visit.slots[o] = (hash * 0x85EBCA6Bu) >> (32 - bits_);
            visit.tags[o] = uint16_t(hash);
            visit.runs[o] = runs_[visit.row][o];
        }
        for (int o = REPEAT_ORDERS; o-- > 0;)
            if (const Slot* slot = find(visit, o)) {
                visit.longest = std::max(visit.longest, o + 1);
                add(visit, slot->first);
            }
        for (int o = REPEAT_ORDERS; o-- > 0;)
            if (const Slot* slot = find(visit, o); slot && slot->second_count) add(visit, slot->second);
        if (std::max({visit.near[0], visit.near[1], visit.near[2]}) < OUTSIDE_COLOR)
            add(visit, slope_color(visit.near[0], visit.near[1], visit.near[2]));
        for (int k = 0; k < 4; k++)
            if (visit.near[k] < OUTSIDE_COLOR) add(visit, visit.near[k]);
    }

    // The probability that a pixel has the color of a trial, 2^-16. by_network: 2^-39; rest: less what was tried before.
    int weigh(Visit& visit, int number, int64_t by_network, int64_t rest) const {
        Trial& trial = visit.trials[number];
        for (int o = 0; o < REPEAT_ORDERS; o++) {
            trial.states[o] = state(visit, o, number);
            trial.inputs[o] = trial.states[o] < 0 ? 0 : rates_[o][trial.states[o]].odds();
        }
        const int near = near_state(visit, number), seen = std::min<int>(seen_[seen_of(trial.color)], 15) * REPEAT_TRIALS + number;
        trial.states[REPEAT_ORDERS] = near;
        trial.states[REPEAT_ORDERS + 1] = seen;
        trial.inputs[REPEAT_ORDERS] = near_[near].odds();
        trial.inputs[REPEAT_ORDERS + 1] = counts_[seen].odds();
        trial.inputs[REPEAT_ORDERS + 2] = odds_of(by_network, rest - by_network);
        trial.inputs[REPEAT_ORDERS + 3] = ODDS_UNIT;
        trial.sets[0] = number * (REPEAT_ORDERS + 1) + visit.longest;
        trial.sets[1] = near % 64;
        for (int m = 0; m < 2; m++) {
            int64_t sum = 0;
            for (int i = 0; i < REPEAT_INPUTS; i++) sum += int64_t(trial.inputs[i]) * weights_[m][trial.sets[m]][i];
            trial.odds[m] = int(std::clamp<int64_t>(sum >> 16, -MOST_ODDS, MOST_ODDS));
        }
        trial.probability = std::clamp(squash((trial.odds[0] + trial.odds[1]) >> 1), 1, 65535);
        trial.is_coded = true;
        return trial.probability;
    }

    // Takes over the color of a pixel; other pixels of its wave do not see it.
    void settle(int n, int y, int x, const Range* known, int channels, Visit& visit) {
        uint32_t color = 0;
        for (int c = 0; c < channels; c++) color = color << 8 | uint32_t(known[c].lo & 255);
        colors_[at(n, y, x)] = visit.color = color;
        for (int o = 0; o < REPEAT_ORDERS; o++) {
            const Slot* slot = find(visit, o);
            uint8_t& run = runs_[visit.row][o];
            run = !slot ? 0 : slot->first == color ? uint8_t(std::min(std::max<int>(run, 1) + 1, 33)) : 1;
        }
    }

    // Learns from a pixel, in an order that both sides keep.
    void learn(const Visit& visit) {
        for (int t = 0; t < visit.count; t++)
            if (visit.trials[t].is_coded) learn(visit.trials[t]);
        for (int o = 0; o < REPEAT_ORDERS; o++) learn(tables_[o][visit.slots[o]], visit.tags[o], visit.color);
        uint8_t& seen = seen_[seen_of(visit.color)];
        if (seen < 255) seen++;
    }

  private:
    static constexpr int CONFIDENCES = 6, RUNS = 7, STATES = 4 * CONFIDENCES * RUNS, NEAR_STATES = 64 * REPEAT_TRIALS;

    struct Slot {
        uint32_t first = 0, second = 0;  // colours: the last one that followed, and the one before it
        uint16_t tag = 0;
        uint8_t first_count = 0, second_count = 0;
    };

    size_t at(int n, int y, int x) const { return (size_t(n) * (height_ + REPEAT_MARGIN) + y + REPEAT_MARGIN) * stride_ + x + REPEAT_MARGIN; }
    size_t seen_of(uint32_t color) const { return color * 0x9E3779B1u >> (32 - bits_); }

    const Slot* find(const Visit& visit, int order) const {
        const Slot& slot = tables_[order][visit.slots[order]];
        return slot.first_count && slot.tag == visit.tags[order] ? &slot : nullptr;
    }

    // The colour that continues the slope of the neighbours to the left, above, and above left.
    static uint32_t slope_color(uint32_t left, uint32_t above, uint32_t corner) {
        uint32_t color = 0;
        for (int shift = 0; shift < 24; shift += 8) {
            const int value = int(left >> shift & 255) + int(above >> shift & 255) - int(corner >> shift & 255);
            color |= uint32_t(std::clamp(value, 0, 255)) << shift;
        }
        return color;
    }

    static void add(Visit& visit, uint32_t color) {
        if (visit.count == REPEAT_TRIALS) return;
        for (int t = 0; t < visit.count; t++)
            if (visit.trials[t].color == color) return;
        visit.trials[visit.count].is_coded = visit.trials[visit.count].is_right = false;
        visit.trials[visit.count++].color = color;
    }

    static bool was_tried(const Visit& visit, int number, uint32_t color) {
        for (int t = 0; t < number; t++)
            if (visit.trials[t].color == color) return true;
        return false;
    }

    // What an order says of a candidate; -1: nothing.
    int state(const Visit& visit, int order, int number) const {
        const Slot* slot = find(visit, order);
        if (!slot) return -1;
        const uint32_t color = visit.trials[number].color;
        const int count = slot->first == color ? slot->first_count : slot->second == color ? slot->second_count : slot->first_count;
        const int confidence = count < 4 ? count - 1 : count < 8 ? 3 : count < 32 ? 4 : 5;
        const int run = visit.runs[order], length = run < 3 ? run : run < 5 ? 3 : run < 9 ? 4 : run < 17 ? 5 : 6;
        const int says = slot->first == color ? 0 : slot->second_count && slot->second == color ? 1 : was_tried(visit, number, slot->first) ? 2 : 3;
        return (says * CONFIDENCES + std::max(confidence, 0)) * RUNS + length;
    }

    static int near_state(const Visit& visit, int number) {
        int state = number;
        for (uint32_t color : visit.near) state = 2 * state + (color == visit.trials[number].color);
        return state;
    }

    void learn(const Trial& trial) {
        for (int o = 0; o < REPEAT_ORDERS; o++)
            if (trial.states[o] >= 0) rates_[o][trial.states[o]].learn(trial.is_right, REPEAT_MEMORY);
        near_[trial.states[REPEAT_ORDERS]].learn(trial.is_right, REPEAT_MEMORY);
        counts_[trial.states[REPEAT_ORDERS + 1]].learn(trial.is_right, REPEAT_MEMORY);
        for (int m = 0; m < 2; m++) {
            const int64_t error = ((trial.is_right << 16) - squash(trial.odds[m]));
            auto& weights = weights_[m][trial.sets[m]];
            for (int i = 0; i < REPEAT_INPUTS; i++) weights[i] += int32_t((trial.inputs[i] * error * REPEAT_PACE + (1 << 19)) >> 20);
        }
    }

    static void learn(Slot& slot, uint16_t tag, uint32_t color) {
        if (!slot.first_count || slot.tag != tag) {
            slot = {color, 0, tag, 1, 0};
        } else if (slot.first == color) {
            if (slot.first_count < 255) slot.first_count++;
        } else {
            const uint8_t count = slot.second_count && slot.second == color ? slot.second_count : 0;
            slot.second = slot.first;
            slot.second_count = uint8_t((slot.first_count + 1) / 2);
            slot.first = color;
            slot.first_count = uint8_t(std::min(count + 1, 255));
        }
    }

    const int height_, stride_;
    int bits_ = 8;
    std::vector<uint32_t> colors_;
    std::vector<std::array<uint8_t, REPEAT_ORDERS>> runs_;  // by row: how many pixels in a row each order was right at
    std::array<std::vector<Slot>, REPEAT_ORDERS> tables_;
    std::vector<uint8_t> seen_;
    std::array<std::array<Rate, STATES>, REPEAT_ORDERS> rates_;
    std::array<Rate, NEAR_STATES> near_;
    std::array<Rate, 16 * REPEAT_TRIALS> counts_;
    std::array<std::array<std::array<int32_t, REPEAT_INPUTS>, 64>, 2> weights_;
};

}  // namespace ddpm
