"""What efforts and noise levels mean. This is part of the format, as is when weights and colours adapt to an image."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ddpmcodec import _native
from ddpmcodec._native import LEVELS
from ddpmcodec.arguments import whole_number
from ddpmcodec.format.header import DEFAULT_EFFORT, DEFAULT_LEVELS, PIXELS
from ddpmcodec.models.context import CODING_EFFORTS

LEARNING_PIXELS = _native.LEARNING_PIXELS
# Orthonormal cell widths after each step, 0 after the last: pixels are exact.
CELLS = {levels: (*(cell for _, cell in steps), 0) for levels, steps in _native.SCHEDULES.items()}


class Coding(NamedTuple):
    """How an image is coded: how much the networks compute, how many noise levels come before exact pixels, and whether
    these are first sought among repeats."""

    effort: int = DEFAULT_EFFORT
    levels: int = DEFAULT_LEVELS
    repeats: bool = False

    @classmethod
    def of(cls, header: _native.FileHeader) -> Coding:
        return cls(header.effort, header.levels, header.repeats)

    @property
    def options(self) -> dict[str, Any]:
        """What a caller of `encode` chooses of it, by the names of its arguments."""
        return {"effort": self.effort, "levels": self.levels}

    @property
    def steps(self) -> int:
        """Noise levels, and the step to exact pixels."""
        return len(CELLS[self.levels])


class Segment(NamedTuple):
    """A part of a step that stands together in a file. level: orthonormal cell width after it, 0: exact. band: number
    of the finest band, 0: pixels. size: about how much work it is. parts: in which the lanes of a tile keep pace."""

    step: int
    level: int
    band: int
    size: int
    parts: int


def noise_of(cell: float) -> float:
    """The noise level of a cell width: the standard deviation, in grey levels, of what is evenly spread over a cell."""
    return cell / 12**0.5


@lru_cache
def segments(levels: int, height: int, width: int) -> tuple[Segment, ...]:
    """The segments of an image in coding order: as many for every size, though those of a tiny one may be empty."""
    return tuple(Segment(*segment) for segment in _native.segments(levels, height, width))


def noise_level(header: _native.FileHeader, step: int) -> float | None:
    """Return the standard deviation, in grey levels, of what is unknown of coefficients after so many steps; 0: pixels
    are exact. None before the first step, and for all but pixels."""
    if header.kind != PIXELS or not step:
        return None
    return noise_of(CELLS[header.levels][step - 1])


def segments_of_steps(header: _native.FileHeader, step: int) -> int:
    """Return how many segments the first `step` steps have. A step of JPEG coefficients is a segment."""
    if header.kind != PIXELS:
        return min(step, header.segments)
    return sum(part.step < step for part in segments(header.levels, header.height, header.width))


def check_coding(effort: int, levels: int) -> Coding:
    """The coding of this effort and these levels. Raises ValueError where there is none, TypeError for what is no whole
    number."""
    coding = Coding(whole_number("effort", effort), whole_number("levels", levels))
    for name, value, possible in (("effort", coding.effort, CODING_EFFORTS), ("levels", coding.levels, LEVELS)):
        if value not in possible:
            raise ValueError(f"{name} must be {', '.join(map(str, possible))}, not {value}")
    return coding


def learns_in(height: int, width: int) -> bool:
    """Whether weights and colours adapt in a tile of this size, as scales do in all: a small one has too little to
    teach."""
    return height * width >= LEARNING_PIXELS
