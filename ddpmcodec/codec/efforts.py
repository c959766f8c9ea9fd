"""What an effort is: a coding schedule, and whether both sides adapt to the image. Part of the format, for good."""

from __future__ import annotations

from typing import NamedTuple

from ddpmcodec.coding_schedule import SCHEDULES, CodingStep


class Effort(NamedTuple):
    schedule: tuple[CodingStep, ...]
    adapts: bool


EFFORTS = {
    1: Effort(SCHEDULES["default"], False),
    2: Effort(SCHEDULES["default"], True),
    3: Effort(SCHEDULES["fine"], True),
}
DEFAULT_EFFORT = 2


def check_effort(effort: int) -> int:
    """Raises ValueError for an effort that there is not."""
    if effort not in EFFORTS:
        raise ValueError(f"effort must be {', '.join(map(str, EFFORTS))}, not {effort!r}")
    return effort
