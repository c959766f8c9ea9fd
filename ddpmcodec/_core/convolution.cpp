// The same loops for each instruction set. As every function says for itself which instructions it needs, all fit into one
// file that is compiled for the least processor.
#include "convolution.h"

#include <cstring>

#include "kernels.h"

#if defined(DDPM_X86)
#include <immintrin.h>
#if !defined(_MSC_VER)
#include <cpuid.h>
#endif
#elif defined(DDPM_ARM)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif
#if defined(__GNUC__)
#define DDPM_TARGET(names) __attribute__((target(names)))
#else
#define DDPM_TARGET(names)
#endif

namespace ddpm {
namespace {

#if defined(DDPM_X86)
namespace avx512 {
#define TARGET DDPM_TARGET("avx512f")
using Vector = __m512;
constexpr int SIZE = 16, POSITIONS = 8, COLUMNS = 3;
TARGET inline Vector load(const float* x) { return _mm512_loadu_ps(x); }
TARGET inline void store(float* x, Vector a) { _mm512_storeu_ps(x, a); }
TARGET inline Vector broadcast(float x) { return _mm512_set1_ps(x); }
TARGET inline Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
TARGET inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
#include "convolution.inl"
#undef TARGET
}  // namespace avx512

namespace avx2 {
#define TARGET DDPM_TARGET("avx2,fma")
using Vector = __m256;
constexpr int SIZE = 8, POSITIONS = 4, COLUMNS = 3;
TARGET inline Vector load(const float* x) { return _mm256_loadu_ps(x); }
TARGET inline void store(float* x, Vector a) { _mm256_storeu_ps(x, a); }
TARGET inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
TARGET inline Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
TARGET inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
#include "convolution.inl"
#undef TARGET
}  // namespace avx2
#endif

// What the least processor of an architecture has.
namespace plain {
#define TARGET
#if defined(DDPM_X86)
using Vector = __m128;
constexpr int SIZE = 4, POSITIONS = 4, COLUMNS = 2;
inline Vector load(const float* x) { return _mm_loadu_ps(x); }
inline void store(float* x, Vector a) { _mm_storeu_ps(x, a); }
inline Vector broadcast(float x) { return _mm_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm_add_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
#elif defined(DDPM_ARM)
using Vector = float32x4_t;
constexpr int SIZE = 4, POSITIONS = 8, COLUMNS = 3;
inline Vector load(const float* x) { return vld1q_f32(x); }
inline void store(float* x, Vector a) { vst1q_f32(x, a); }
inline Vector broadcast(float x) { return vdupq_n_f32(x); }
inline Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
#elif defined(__wasm_simd128__)
using Vector = v128_t;
constexpr int SIZE = 4, POSITIONS = 4, COLUMNS = 2;
inline Vector load(const float* x) { return wasm_v128_load(x); }
inline void store(float* x, Vector a) { wasm_v128_store(x, a); }
inline Vector broadcast(float x) { return wasm_f32x4_splat(x); }
inline Vector add(Vector a, Vector b) { return wasm_f32x4_add(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
#else
using Vector = float;
constexpr int SIZE = 1, POSITIONS = 4, COLUMNS = 2;
inline Vector load(const float* x) { return *x; }
inline void store(float* x, Vector a) { *x = a; }
inline Vector broadcast(float x) { return x; }
inline Vector add(Vector a, Vector b) { return a + b; }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
#endif
#include "convolution.inl"
#undef TARGET
}  // namespace plain

#if defined(DDPM_X86)
// Of processors with AVX2 all but one have it.
bool has_fused() {
#if defined(_MSC_VER)
    return true;
#else
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 12 & 1);
#endif
}
#endif

}  // namespace

const Convolver& convolver() {
    static const Convolver least{"plain", plain::SIZE * plain::COLUMNS, plain::SIZE, plain::row};
#if defined(DDPM_X86)
    static const Convolver eight{"avx2", avx2::SIZE * avx2::COLUMNS, avx2::SIZE, avx2::row};
    static const Convolver sixteen{"avx512", avx512::SIZE * avx512::COLUMNS, avx512::SIZE, avx512::row};
    const char* name = kernels().name;
    if (!std::strncmp(name, "avx512", 6) || !std::strcmp(name, "amx")) return sixteen;
    if (!std::strncmp(name, "avx", 3) && has_fused()) return eight;
#endif
    return least;
}

}  // namespace ddpm
