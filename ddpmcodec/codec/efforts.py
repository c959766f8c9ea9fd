"""What an effort is: a coding schedule, and how both sides adapt to the image. Part of the format, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ddpmcodec.arguments import require_whole
from ddpmcodec.coding_schedule import SCHEDULES, CodingStep, bands_of

if TYPE_CHECKING:
    from ddpmcodec.networks.context.shape import Shape


class Effort(NamedTuple):
    """learns: weights of the last layers adapt as well, in tiles of `LEARNING_PIXELS` or more."""

    schedule: tuple[CodingStep, ...]
    learns: bool

    def learns_in(self, height: int, width: int) -> bool:
        """Whether weights adapt in a tile of this size: a small one has too little to teach."""
        return self.learns and height * width >= LEARNING_PIXELS


LEARNING_PIXELS = 1 << 14
EFFORTS = {
    1: Effort(SCHEDULES["short"], False),
    2: Effort(SCHEDULES["short"], True),
    3: Effort(SCHEDULES["long"], True),
}
DEFAULT_EFFORT = 2
QUICK_EFFORT = 1  # spends no time on a WebP that is hardly ever smaller


def check_effort(effort: int) -> int:
    """Raises ValueError for an effort that there is not, TypeError for what is no whole number."""
    require_whole("effort", effort)
    if effort not in EFFORTS:
        raise ValueError(f"effort must be {', '.join(map(str, EFFORTS))}, not {effort!r}")
    return effort


def products_per_pixel(effort: int, height: int, width: int, shape: Shape) -> float:
    """Multiply-accumulates of a context model of this shape for a pixel of an image of this size, about as many in both
    directions: every step gathers the context of each position of its bands once. Bands that are already exact, and
    whole images that are stored as WebP, take fewer."""
    positions = sum(band.positions for step in EFFORTS[effort].schedule for band in bands_of(step, height, width))
    return shape.products * positions / (height * width)
