// Kernels for x86 with AVX-512 VNNI.
// Flags: -O3 -ffp-contract=off -fno-trapping-math -fno-math-errno -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni.
#include "kernels_table.h"

#if defined(DDPM_X86) && defined(__AVX512F__) && (defined(__AVX512VNNI__) || defined(_MSC_VER))
#include "kernels_avx512vnni.inl"

namespace ddpm {
namespace {

constexpr Kernels AVX512VNNI = table_of("avx512vnni", GROUP, product_of_rows<Input>);

}  // namespace

const Kernels* avx512vnni_kernels() { return &AVX512VNNI; }

}  // namespace ddpm
#else
namespace ddpm {
const Kernels* avx512vnni_kernels() { return nullptr; }
}  // namespace ddpm
#endif
