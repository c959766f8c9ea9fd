"""What a file costs, for -v: computation by its effort and levels, bits and seconds by its steps."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpmcodec.codec.tiles import SegmentCost
    from ddpmcodec.format.header import Header
    from ddpmcodec.models.context import ContextModel


class StepCosts:
    """Adds up what a codec reports of its segments, from any thread."""

    def __init__(self) -> None:
        self.bits: defaultdict[int, float] = defaultdict(float)  # by cell width after the step, 0: exact
        self.seconds: defaultdict[int, float] = defaultdict(float)
        self.lock = threading.Lock()

    def add(self, cost: SegmentCost) -> None:
        with self.lock:
            self.bits[cost.level] += cost.bits
            self.seconds[cost.level] += cost.seconds

    def lines(self) -> list[str]:
        """A line a step. Seconds are those of all threads together."""
        found = []
        for number, level in enumerate(sorted(self.bits, reverse=True), start=1):
            reached = f"to noise level {level / 12**0.5:.2f}" if level else "to exact pixels"
            found.append(f"  step {number}, {reached}: {self.bits[level]:.0f} bits, {self.seconds[level]:.3f} s")
        return found


def coding_line(header: Header, given: ContextModel | None) -> str:
    """How a file is coded, and what that takes in either direction. given: the model, where it is not embedded."""
    from ddpmcodec.codec.contents import model_for
    from ddpmcodec.codec.efforts import Coding, macs_per_pixel
    from ddpmcodec.codec.information import CODINGS

    if header.stored:
        return f"  {CODINGS[header.stored]}"
    macs = macs_per_pixel(model_for(header, given), Coding.of(header))
    return f"  {coding_words(header.effort, header.levels)}, {macs / 1000:.1f} thousand multiply-accumulates a pixel"


def coding_words(effort: int, levels: int) -> str:
    return f"effort {effort}, {levels or 'no'} noise levels"
