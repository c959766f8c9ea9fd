// The distribution of networks that are made to be fast: one logistic over the samples 0..255, in slots of 2^-24. With A(x) its mass below x, in 2^-38,
//
//     cum(x) = floor(A(x) (2^24 - 256) / 2^38) + x,    0 < x < 256,    cum(0) = 0,    cum(256) = 2^24
//
// Nothing is truncated: what lies outside belongs to 0 and to 255, as where a sensor or a scanner was saturated. So a distribution takes no
// division, and two looks at the table find its slots, unless the estimate of the sample is wrong.
#pragma once
#include "logistic.h"
#include "rans.h"

namespace ddpm {

struct SingleLogistic {
    static constexpr int LARGEST = 255;
    static constexpr int64_t ROOM = (int64_t(1) << PRECISION) - (LARGEST + 1), HALF = WHOLE / 2;

    int64_t origin;  // the mean plus 1/2, in 1/64
    int scale;

    SingleLogistic(int64_t mean, int scale) : origin(mean + MEAN_UNIT / 2), scale(scale) {}

    // `centred` at the lower end of a sample, -2^37 and 2^37 at the ends of the range.
    int64_t centred_at(int x) const {
        const int64_t mass = centred(MEAN_UNIT * x - origin, scale);
        return x <= 0 ? -HALF : x > LARGEST ? HALF : mass;
    }

    // A sample, what lies before it and up to its end, by `centred_at`, and its slots.
    struct Sample {
        int value;
        int64_t low, high;
        uint32_t start, end;
    };

    static uint32_t slot_of(int64_t mass, int x) { return uint32_t(x > LARGEST ? int64_t(1) << PRECISION : (((mass + HALF) * ROOM) >> 38) + x); }

    Sample at(int x) const {
        const int64_t low = centred_at(x), high = centred_at(x + 1);
        return {x, low, high, slot_of(low, x), slot_of(high, x + 1)};
    }

    // The sample that has a slot.
    Sample find(uint32_t slot) const {
        Sample sample = at(std::min(std::max(estimate(slot), 0), LARGEST));
        while (slot < sample.start) {
            const int x = sample.value - 1;
            const int64_t low = centred_at(x);
            sample = {x, low, sample.low, slot_of(low, x), sample.start};
        }
        while (slot >= sample.end) {
            const int x = sample.value + 1;
            const int64_t high = centred_at(x + 1);
            sample = {x, sample.high, high, sample.end, slot_of(high, x + 1)};
        }
        return sample;
    }

  private:
    int estimate(uint32_t slot) const {
        const int64_t target = int64_t(slot) << (38 - PRECISION);
        const double tail = double(std::max(std::min(target, WHOLE - target), int64_t(1)));
        int64_t bits;
        std::memcpy(&bits, &tail, sizeof bits);
        const int64_t distance = (int64_t(GUIDE[(bits >> 46) - 1023 * 64]) * EIGHT_SCALES[scale]) >> 13;
        return int((origin + (2 * target >= WHOLE ? distance : -distance)) >> 6);
    }
};

}  // namespace ddpm
