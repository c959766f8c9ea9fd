// The stack of bits back for Python, which keeps its head and its words.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "logistic_slots.h"
#include "normal.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

template <class T> using Array = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T> using In = Array<const T>;
using Words = Array<uint32_t>;
using Left = std::pair<uint64_t, int64_t>;  // head, words in use

const Left RAN_OUT{0, -1};

[[noreturn]] void refuse(size_t symbol, const std::string& what) {
    throw std::invalid_argument("symbol " + std::to_string(symbol) + ": " + what);
}

// `pushes`: words that may be added.
Stack stack_of(uint64_t head, const Words& words, int64_t size, size_t pushes) {
    if (size < 0 || size_t(size) > words.size() || pushes > words.size() - size_t(size))
        throw std::invalid_argument("the words of a stack are fewer than its size and what is pushed");
    return {head, words.data(), size_t(size)};
}

Left left(const Stack& stack) { return {stack.head, int64_t(stack.size)}; }

template <class... Arrays> size_t common_size(const Arrays&... arrays) {
    const size_t sizes[] = {arrays.size()...};
    for (size_t size : sizes)
        if (size != sizes[0]) throw std::invalid_argument("arrays of other lengths");
    return sizes[0];
}

void require_precision(int precision) {
    if (precision < 1 || precision > 31)
        throw std::invalid_argument("precision must be 1 to 31 bits, got " + std::to_string(precision));
}

Left push_intervals(const In<uint64_t>& starts, const In<uint64_t>& freqs, int precision, uint64_t head, const Words& words,
                    int64_t size) {
    require_precision(precision);
    const size_t count = common_size(starts, freqs);
    Stack stack = stack_of(head, words, size, count);
    nb::gil_scoped_release unlocked;
    const uint64_t one = uint64_t(1) << precision, *start = starts.data(), *freq = freqs.data();
    for (size_t i = count; i-- > 0;) {
        if (freq[i] == 0 || freq[i] > one || start[i] > one - freq[i])
            refuse(i, "start " + std::to_string(start[i]) + ", freq " + std::to_string(freq[i]) + " is no part of [0, 2^" +
                          std::to_string(precision) + "]");
        stack.push({start[i], freq[i]}, precision);
    }
    return left(stack);
}

// --- logistics

void require_slots(size_t symbol, int64_t lo, int64_t hi, int64_t new_lo, int64_t new_hi, int scale) {
    if (lo <= new_lo && new_lo <= new_hi && new_hi <= hi && hi < lo + MOST_SLOTTED && scale >= 0 && scale < SCALES) return;
    auto range = [](int64_t first, int64_t last) { return "[" + std::to_string(first) + ", " + std::to_string(last) + "]"; };
    refuse(symbol, "need lo <= new_lo <= new_hi <= hi < lo + " + std::to_string(MOST_SLOTTED) + " and 0 <= scale < " +
                       std::to_string(SCALES) + ", got range " + range(lo, hi) + ", new range " + range(new_lo, new_hi) +
                       ", scale " + std::to_string(scale));
}

void logistic_intervals(const Array<uint32_t>& starts, const Array<uint32_t>& freqs, const In<int32_t>& lo, const In<int32_t>& hi,
                        const In<int32_t>& new_lo, const In<int32_t>& new_hi, const In<int32_t>& mean, const In<int32_t>& scale) {
    const size_t count = common_size(starts, freqs, lo, hi, new_lo, new_hi, mean, scale);
    nb::gil_scoped_release unlocked;
    const int32_t *l = lo.data(), *h = hi.data(), *first = new_lo.data(), *last = new_hi.data(), *m = mean.data(), *s = scale.data();
    uint32_t *start = starts.data(), *freq = freqs.data();
    for (size_t i = 0; i < count; i++) {
        require_slots(i, l[i], h[i], first[i], last[i], s[i]);
        const Interval interval = LogisticSlots(l[i], h[i], m[i], s[i]).interval(first[i], last[i]);
        start[i] = uint32_t(interval.start);
        freq[i] = uint32_t(interval.freq);
    }
}

Left pop_logistic(const Array<int32_t>& values, const In<int32_t>& means, const In<int32_t>& scales, uint64_t head, const Words& words,
                  int64_t size) {
    constexpr int LAST = 255;  // pixels are 0..255
    const size_t count = common_size(values, means, scales);
    Stack stack = stack_of(head, words, size, 0);
    nb::gil_scoped_release unlocked;
    const int32_t *mean = means.data(), *scale = scales.data();
    int32_t* value = values.data();
    for (size_t i = 0; i < count; i++) require_slots(i, 0, LAST, 0, LAST, scale[i]);
    for (size_t i = 0; i < count; i++) {
        const LogisticSlots slots(0, LAST, mean[i], scale[i]);
        const int64_t x = slots.find(int64_t(stack.peek(PRECISION)));
        value[i] = int32_t(x);
        if (!stack.pop(slots.interval(x, x), PRECISION)) return RAN_OUT;
    }
    return left(stack);
}

// --- normals

std::string wanted(double mean, double deviation) {
    char text[128];
    std::snprintf(text, sizeof text, "need |mean| <= 2^48 and 0 < std < 2^32, got mean %g, std %g", mean, deviation);
    return text;
}

Left push_normals(const In<int64_t>& symbols, const In<double>& means, const In<double>& deviations, uint64_t head, const Words& words,
                  int64_t size) {
    const size_t count = common_size(symbols, means, deviations);
    Stack stack = stack_of(head, words, size, NORMAL_PUSHES * count);
    nb::gil_scoped_release unlocked;
    const double *mean = means.data(), *deviation = deviations.data();
    const int64_t* symbol = symbols.data();
    for (size_t i = count; i-- > 0;)
        if (!Normal::is_valid(mean[i], deviation[i]) || !push_normal(stack, symbol[i], {mean[i], deviation[i]}))
            refuse(i, wanted(mean[i], deviation[i]) + ", k = " + std::to_string(symbol[i]) + " within 2^27 cells of it");
    return left(stack);
}

Left pop_normals(const Array<int64_t>& symbols, const In<double>& means, const In<double>& deviations, uint64_t head,
                 const Words& words, int64_t size) {
    const size_t count = common_size(symbols, means, deviations);
    Stack stack = stack_of(head, words, size, 0);
    nb::gil_scoped_release unlocked;
    const double *mean = means.data(), *deviation = deviations.data();
    int64_t* symbol = symbols.data();
    for (size_t i = 0; i < count; i++) {
        if (!Normal::is_valid(mean[i], deviation[i])) refuse(i, wanted(mean[i], deviation[i]));
        if (!pop_normal(stack, symbol[i], {mean[i], deviation[i]})) return RAN_OUT;
    }
    return left(stack);
}

}  // namespace

// noconvert: what is written into a converted copy would be lost.
void bind_stack(nb::module_& m) {
    const auto words = "words"_a.noconvert();
    m.def("push_intervals", &push_intervals, "starts"_a, "freqs"_a, "precision"_a, "head"_a, words, "size"_a,
          "Push symbols, the last first. What is left: head, size.");
    m.def("logistic_intervals", &logistic_intervals, "starts"_a.noconvert(), "freqs"_a.noconvert(), "lo"_a, "hi"_a, "new_lo"_a,
          "new_hi"_a, "mean"_a, "scale"_a);
    m.def("pop_logistic", &pop_logistic, "values"_a.noconvert(), "mean"_a, "scale"_a, "head"_a, words, "size"_a);
    m.def("push_normals", &push_normals, "symbols"_a, "mean"_a, "std"_a, "head"_a, words, "size"_a);
    m.def("pop_normals", &pop_normals, "symbols"_a.noconvert(), "mean"_a, "std"_a, "head"_a, words, "size"_a);
}

}  // namespace ddpm
