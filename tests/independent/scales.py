"""How scales adapt to an image, without ddpmcodec: written from docs/format.md alone."""

from __future__ import annotations

import math

from logistics import clamp

CLASS_ENDS = (24, 48, 80, 120, 180, 280)
FIRST_COUNT, LAST_COUNT, LARGEST_BIAS = 100, 1000, 24 << 16


def scale_class(scale: int) -> int:
    return clamp((scale - 24) // 12, 0, 7)


def residual_class(mean: int) -> int:
    """Of the mean size of residuals nearby."""
    return 9 + sum(mean >= end for end in CLASS_ENDS)


class Biases:
    """Biases of scales of three channels, by eight classes of the scale and eight of residuals."""

    def __init__(self) -> None:
        self.bias = [[0] * 16 for _ in range(3)]
        self.count = [[FIRST_COUNT] * 16 for _ in range(3)]
        self.scores: dict[tuple[int, int], list[int]] = {}

    def of(self, channel: int, classes: tuple[int, int]) -> int:
        return (self.bias[channel][classes[0]] + self.bias[channel][classes[1]] + (1 << 15)) >> 16

    def add(self, channel: int, classes: tuple[int, int], gradient: float, scale: int) -> None:
        score = math.floor(min(-gradient, 6.0) * 65536)
        if score <= 0 and scale <= 16:
            return
        for one in classes:
            total = self.scores.setdefault((channel, one), [0, 0])
            total[0] += score
            total[1] += 1

    def learn(self) -> None:
        """After a wave."""
        for (channel, one), (score, n) in self.scores.items():
            bias, count = self.bias[channel], self.count[channel]
            quotient = abs(12 * score) // (count[one] + n)
            bias[one] = clamp(bias[one] + (quotient if score > 0 else -quotient), -LARGEST_BIAS, LARGEST_BIAS)
            count[one] = min(count[one] + n, LAST_COUNT)
        self.scores.clear()
