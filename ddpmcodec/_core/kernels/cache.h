// What threads write apart from each other must not be in the same lines of a processor's cache, or each waits for the other's.
#pragma once
#include <cstddef>

namespace ddpm {

inline constexpr size_t CACHE_LINES = 128;  // bytes: two lines, as processors fetch them together

}  // namespace ddpm
