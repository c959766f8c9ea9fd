// What a thread's floating-point arithmetic is set to, which other code in the process may have changed: how it rounds, and
// whether it flushes denormal numbers to zero, as torch.set_flush_denormal and libraries linked with -ffast-math ask for. Means of
// squares, from which weights learn, become denormal where an image is flat.
#pragma once
#include <cfenv>
#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace ddpm {

// IEEE 754 as processors start with it, in this thread, for as long as this lives.
class IeeeArithmetic {
  public:
    IeeeArithmetic() {
        get(before_);
        set(standard());
    }
    ~IeeeArithmetic() { set(before_); }
    IeeeArithmetic(const IeeeArithmetic&) = delete;
    IeeeArithmetic& operator=(const IeeeArithmetic&) = delete;

  private:
#if defined(__x86_64__) || defined(_M_X64)
    using Settings = unsigned;  // MXCSR
    static Settings standard() { return 0x1F80; }
    static void get(Settings& settings) { settings = _mm_getcsr(); }
    static void set(const Settings& settings) { _mm_setcsr(settings); }
#elif defined(_M_ARM64)
    using Settings = int64_t;  // FPCR
    static Settings standard() { return 0; }
    static void get(Settings& settings) { settings = _ReadStatusReg(ARM64_FPCR); }
    static void set(const Settings& settings) { _WriteStatusReg(ARM64_FPCR, settings); }
#elif defined(__aarch64__)
    using Settings = uint64_t;  // FPCR
    static Settings standard() { return 0; }
    static void get(Settings& settings) { asm volatile("mrs %0, fpcr" : "=r"(settings)); }
    static void set(const Settings& settings) { asm volatile("msr fpcr, %0" : : "r"(settings) : "memory"); }
#else
    using Settings = std::fenv_t;
    static const Settings* standard() { return FE_DFL_ENV; }
    static void get(Settings& settings) { std::fegetenv(&settings); }
    static void set(const Settings* settings) { std::fesetenv(settings); }
    static void set(const Settings& settings) { std::fesetenv(&settings); }
#endif

    Settings before_;
};

}  // namespace ddpm
