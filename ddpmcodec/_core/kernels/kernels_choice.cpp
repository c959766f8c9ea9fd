// Finds which kernels this processor, under this system, can run.
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "kernels.h"

#if defined(DDPM_X86)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(DDPM_ARM) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(DDPM_ARM) && defined(_WIN32)
#include <windows.h>
#endif

namespace ddpm {
namespace {

#if defined(DDPM_X86)
struct Registers {
    uint32_t a, b, c, d;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
    Registers registers = {0, 0, 0, 0};
#if defined(_MSC_VER)
    int values[4];
    __cpuid(values, 0);
    if ((uint32_t)values[0] < leaf) return registers;
    __cpuidex(values, (int)leaf, (int)subleaf);
    registers = {(uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2], (uint32_t)values[3]};
#else
    __get_cpuid_count(leaf, subleaf, &registers.a, &registers.b, &registers.c, &registers.d);
#endif
    return registers;
}

// Registers that the system saves for each process, of those that the processor has.
uint64_t saved_state() {
#if defined(_MSC_VER)
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
#endif
}

bool has(uint32_t value, int bit) { return value >> bit & 1; }

// Linux gives the registers of tiles, which are large, to processes that ask.
bool permits_tiles() {
#if defined(__linux__)
    constexpr long ARCH_PRCTL = 158, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
    return syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

struct Features {
    bool avx2 = false, avxvnni = false, avx512vnni = false, amx = false;
};

Features features() {
    constexpr uint64_t AVX_STATE = 0x6, AVX512_STATE = 0xE6, TILE_STATE = 0x60000;
    Features usable;
    const Registers basic = cpuid(1, 0);
    if (!has(basic.c, 27) || !has(basic.c, 28)) return usable;  // OSXSAVE, AVX
    const uint64_t state = saved_state();
    const Registers extended = cpuid(7, 0);
    usable.avx2 = (state & AVX_STATE) == AVX_STATE && has(extended.b, 5);
    usable.avxvnni = usable.avx2 && extended.a >= 1 && has(cpuid(7, 1).a, 4);
    const bool avx512 = has(extended.b, 16) && has(extended.b, 17) && has(extended.b, 30) && has(extended.b, 31);
    usable.avx512vnni = usable.avx2 && (state & AVX512_STATE) == AVX512_STATE && avx512 && has(extended.c, 11);
    const bool tiles = (state & TILE_STATE) == TILE_STATE && has(extended.d, 24) && has(extended.d, 25);
    usable.amx = usable.avx512vnni && tiles && permits_tiles();
    return usable;
}
#endif

bool has_dot_product() {
#if defined(DDPM_ARM) && defined(__APPLE__)
    return true;  // all of Apple's
#elif defined(DDPM_ARM) && defined(__linux__)
    constexpr unsigned long ASIMDDP = 1UL << 20;
    return getauxval(AT_HWCAP) & ASIMDDP;
#elif defined(DDPM_ARM) && defined(_WIN32)
    constexpr DWORD DOT_PRODUCT = 43;  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
    return IsProcessorFeaturePresent(DOT_PRODUCT);
#else
    return false;
#endif
}

// Kernels that this processor can run, the fastest first.
std::vector<const Kernels*> find() {
    std::vector<const Kernels*> tables;
    auto add = [&](bool possible, const Kernels* (*table)()) {  // whose code, too, may hold those instructions
        if (const Kernels* kernels = possible ? table() : nullptr) tables.push_back(kernels);
    };
#if defined(DDPM_X86)
    const Features has = features();
    add(has.amx, amx_kernels);
    add(has.avx512vnni, avx512vnni_kernels);
    add(has.avxvnni, avxvnni_kernels);
    add(has.avx2, avx2_kernels);
#endif
    add(has_dot_product(), neon_kernels);
    add(true, wasm_kernels);  // a module with these instructions runs only where they are
    add(true, plain_kernels);
    return tables;
}

const std::vector<const Kernels*>& possible() {
    static const std::vector<const Kernels*> tables = find();
    return tables;
}

const Kernels* named(const std::string& name, const std::string& who) {
    std::string names;
    for (const Kernels* table : possible()) {
        if (name == table->name) return table;
        names += (names.empty() ? "" : ", ") + std::string(table->name);
    }
    throw UnknownKernels(who + ": no kernels '" + name + "' on this processor; possible here: " + names);
}

std::atomic<const Kernels*> in_use{nullptr};

}  // namespace

std::vector<std::string> kernels_here() {
    std::vector<std::string> names;
    for (const Kernels* table : possible()) names.push_back(table->name);
    return names;
}

const Kernels& kernels() {
    const Kernels* table = in_use.load(std::memory_order_acquire);
    if (!table) {
        const char* asked = std::getenv("DDPMCODEC_KERNELS");
        table = asked && *asked ? named(asked, "DDPMCODEC_KERNELS") : possible().front();
        in_use.store(table, std::memory_order_release);
    }
    return *table;
}

void use_kernels(const std::string& name) { in_use.store(named(name, "use_kernel"), std::memory_order_release); }

}  // namespace ddpm
