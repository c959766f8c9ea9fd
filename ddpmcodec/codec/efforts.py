"""What an effort is: a coding schedule. Part of the format, as is when both sides learn from the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddpmcodec.arguments import require_whole
from ddpmcodec.coding_schedule import SCHEDULES, bands_of

if TYPE_CHECKING:
    from ddpmcodec.networks.context.shape import Shape

EFFORTS = {1: SCHEDULES["exact"], 2: SCHEDULES["short"], 3: SCHEDULES["long"]}
DEFAULT_EFFORT = 2
QUICK_EFFORT = 1  # spends no time on a WebP that is hardly ever smaller
LEARNING_PIXELS = 1 << 14


def check_effort(effort: int) -> int:
    """Raises ValueError for an effort that there is not, TypeError for what is no whole number."""
    require_whole("effort", effort)
    if effort not in EFFORTS:
        raise ValueError(f"effort must be {', '.join(map(str, EFFORTS))}, not {effort!r}")
    return effort


def learns_in(height: int, width: int) -> bool:
    """Whether weights of last layers and of colours adapt in a tile of this size, as scales and means do in all: a
    small one has too little to teach."""
    return height * width >= LEARNING_PIXELS


def products_per_pixel(effort: int, height: int, width: int, shape: Shape) -> float:
    """Multiply-accumulates of a context model of this shape for a pixel of an image of this size, about as many in both
    directions: every step gathers the context of each position of its bands once. Bands that are already exact, and
    whole images that are stored as WebP, take fewer."""
    positions = sum(band.positions for step in EFFORTS[effort] for band in bands_of(step, height, width))
    return shape.products * positions / (height * width)
