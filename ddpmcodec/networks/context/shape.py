"""Which networks the context model consists of, and what goes in and out of one."""

from __future__ import annotations

from typing import NamedTuple

from ddpmcodec.coding_schedule import STEPS
from ddpmcodec.networks.context.window import CHANNELS, INPUTS, PLACES

LAST_BAND = 12  # bands from here on are one situation
INPUT_UNIT = 16  # inputs per 1.0
ACTIVATION_UNIT = 32  # activations per 1.0
LARGEST_ACTIVATION = 255
LARGEST_WEIGHT = 127
# Outputs, integers in these units: offsets of the means in 1/64 of a scale, scale indices (`ans.logistic`),
# cross-channel coefficients in 1/64 (Co by Y, Cg by Y, Cg by Co), and weights in 1/256 of `PLACES` values, for luma and
# for chroma.
OFFSET, SCALE, CROSS_CHANNEL, WEIGHTS = 0, 3, 6, 9
OUTPUTS = WEIGHTS + 2 * PLACES
OFFSET_UNIT, CROSS_CHANNEL_UNIT, WEIGHT_UNIT = 64, 64, 256
OUTPUT_LIMIT = 32767


class Shape(NamedTuple):
    """Width and number of residual blocks of one network."""

    width: int
    depth: int

    def layers(self) -> dict[str, tuple[int, int]]:
        """Name -> (outputs, inputs), in the order they run."""
        blocks = {f"block{k}": (self.width, self.width) for k in range(self.depth)}
        return {"enter": (self.width, INPUTS), **blocks, "leave": (OUTPUTS, self.width)}

    @property
    def products(self) -> int:
        """Multiply-accumulates of a position."""
        return sum(outputs * inputs for outputs, inputs in self.layers().values())

    @property
    def is_supported(self) -> bool:
        return self.width in range(WIDTH_UNIT, LARGEST_WIDTH + 1, WIDTH_UNIT) and 1 <= self.depth <= LARGEST_DEPTH


SHAPE = Shape(192, 3)  # of a training run that names no other
WIDTH_UNIT, LARGEST_WIDTH, LARGEST_DEPTH = 16, 512, 8  # products of larger sums would not fit float32's integers
BAND_KINDS = 3  # the finest band, the second, and all coarser ones: a network each, for all levels
SITUATIONS = len(STEPS) * LAST_BAND  # (step, band): each has first and last biases of its own


def band_kind(band: int) -> int:
    """Of a band's number: 0, 1, 2."""
    return min(band, BAND_KINDS) - 1


def situation(step: int, band: int) -> int:
    """step: index into `coding_schedule.STEPS`; band: its number."""
    return step * LAST_BAND + min(band, LAST_BAND) - 1


assert LARGEST_WIDTH * LARGEST_ACTIVATION * LARGEST_WEIGHT < 1 << 24
assert CHANNELS == SCALE - OFFSET == WEIGHTS - CROSS_CHANNEL
