// Which weights go on learning from the image that is coded, and how fast: what docs/experiments found to be worth its time.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>

#include "contract.h"
#include "kernels_learner.h"

namespace ddpm {

// Rates of networks 64 wide; wider ones, which know more, learn less: rates fall as the root of the width. What others show moves
// with the image, too: a block that sees it learns more slowly; and so does, after noise levels, the last block of two.
inline constexpr Rates DIRECT_RATES{0.07f, 0.3f, 0.15f, 0.05f};  // head, last block, blocks before it, biases
inline constexpr Rates LAST_RATES{0.07f, 0.3f, 0.1f, 0.05f}, BAND_RATES{0.025f, 0.15f, 0.0f, 0.025f};
inline constexpr float SHOWN_PACE = 0.6f, SHALLOW_PACE = 0.6f;
inline constexpr int LEARNING_PIXELS = 1 << 11;  // of an image, or of a run of images, whose weights and colours learn
inline constexpr int SHALLOW = 2;                // blocks
inline constexpr int LEAST_LEARNING_WIDTH = 96;  // of bands

// Positions of a step of gradient descent, at least: it ends with a wave. Straight to exact, where more blocks learn and steps take
// longer, it has more than one of an image's waves. largest_wave: how many positions one has, at most.
inline int least_learned(Role role, int images, int largest_wave) {
    constexpr int LEAST = 192;
    return role == Role::DIRECT && images == 1 ? std::max(LEAST, largest_wave + 1) : LEAST;
}

// How many of the last blocks learn, with the head, if anything does. Straight to exact, all do: what they learn is worth more
// than their time, but for networks of one logistic, which are to be fast. After noise levels, networks of two blocks were chosen
// to be fast. So were narrow ones of bands, where few bits are to be won, fewest in the finest. Runs of archives gain little.
// kind: the band's.
inline std::optional<int> learning_blocks(Role role, int kind, const Network& network, int images) {
    if (role == Role::BAND) return kind > 0 && network.width >= LEAST_LEARNING_WIDTH ? std::optional(1) : std::nullopt;
    if (!network.depth) return std::nullopt;
    if (role == Role::DIRECT && network.outputs == outputs_in(role, 1)) return 0;
    const bool is_worth_all = images == 1 && (role == Role::DIRECT || network.depth > SHALLOW);
    return is_worth_all ? network.depth : 1;
}

inline Rates rates_of(Role role, const Network& network) {
    Rates rates = role == Role::BAND ? BAND_RATES : role == Role::LAST ? LAST_RATES : DIRECT_RATES;
    const float share = 8.0f / std::sqrt(float(network.width));
    float of_blocks = share;
    if (network.shown) of_blocks *= SHOWN_PACE;
    if (role == Role::LAST && network.depth <= SHALLOW) of_blocks *= SHALLOW_PACE;
    return {rates.head * share, rates.block * of_blocks, rates.inner * of_blocks, rates.bias * share};
}

}  // namespace ddpm
