#include "suited_levels.h"

#include "ranks.h"

namespace ddpm {

namespace {

constexpr int64_t FEWEST_PIXELS = 1 << 14;
constexpr int MOST_VALUE = 1 << 13;  // so that the middle of any cell fits 16 bits

bool is_usual(const JpegComponent& component) {
    return std::ranges::all_of(component.values, [](int16_t value) { return std::abs(int(value)) <= MOST_VALUE; });
}

}  // namespace

int suited_levels(const Coefficients& image, int most) {
    if (int64_t(image.width) * image.height < FEWEST_PIXELS || !std::ranges::all_of(image.components, is_usual)) return 0;
    int levels = 0;
    for (const JpegComponent& component : image.components)
        for (const uint16_t step : component.steps) levels = std::max(levels, coarsest_level(step, std::min(most, MOST_JPEG_LEVELS)));
    return levels;
}

}  // namespace ddpm
