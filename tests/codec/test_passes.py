"""Calls of the core: short enough for Ctrl-C on any machine, and no more of them than that takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddpmcodec.codec import passes
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import ContextModel


class Timed:
    """A pass on a machine that takes so many seconds for a wave."""

    def __init__(self, coder: Any, seconds: float) -> None:
        self.coder, self.seconds, self.now = coder, seconds, 0.0
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coder, name)

    def advance(self, waves: int, segment: int) -> int:
        self.now += waves * self.seconds
        self.calls.append(waves)
        done: int = self.coder.advance(waves, segment)
        return done


@pytest.mark.parametrize(("seconds", "most"), [(1e-6, 45), (1e-3, 160), (1.0, 1500)])
@pytest.mark.parametrize("levels", [0, 2])
def test_calls_are_as_long_as_ctrl_c_may_wait(
    levels: int, seconds: float, most: int, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a wave takes longer, a call becomes one wave; the first call of a step is as long as a guess."""
    pixels, coding = np.zeros((1, 40, 60, 3), np.uint8), Coding(effort=1, levels=levels)
    coder = Timed(passes.new_pass(model, coding, pixels.shape, lanes=False), seconds)
    coder.encode(pixels)
    monkeypatch.setattr(passes.time, "perf_counter", lambda: coder.now)
    monkeypatch.setattr(passes, "FIRST_POSITIONS", 64)
    passes.run(coder, pixels.shape, coding, None, None)
    assert coder.is_exact
    assert len(coder.calls) <= most
    assert all(waves * seconds <= 2 * passes.CALL_SECONDS or waves <= 64 // 15 for waves in coder.calls)
