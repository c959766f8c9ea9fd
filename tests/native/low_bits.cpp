// Low bits of samples.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "low_bits.h"
#include "python_source.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace ddpm {

namespace {

using Samples = nb::ndarray<const uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

nb::bytes encoded(const Samples& high, const Samples& low, int low_bits) {
    const SamplesShape shape{int(high.shape(0)), int(high.shape(1)), int(high.shape(2)), low_bits};
    if (low.size() != high.size() || shape.channels < 1 || shape.channels > 4 || low_bits < 1 || low_bits > HIGH_BITS)
        throw Error(Fault::ARGUMENT, "high and low bits are of one shape, of 1 to 4 channels");
    std::vector<uint8_t> stream;
    {
        nb::gil_scoped_release unlocked;
        stream = encode_low_bits(shape, {high.data(), high.size()}, {low.data(), low.size()});
    }
    return bytes_of(stream);
}

}  // namespace

void bind_low_bits(nb::module_& m) {
    m.def("encode_low_bits", &encoded, "high"_a, "low"_a, "low_bits"_a, "The stream of the low bits of samples, uint8 [H, W, C], whose high bits are coded before.");
}

}  // namespace ddpm
