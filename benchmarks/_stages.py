"""Where the time of encoding and decoding goes: convolutions, the rest of the network, the coder, input and output."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch.nn.functional as F

from ddpmcodec.channels import uniform
from ddpmcodec.networks import Model

from ._common import replaced

CONVOLUTIONS, NETWORK, GROUPS = "convolutions", "network", "groups"  # each happens inside the next


class Clock:
    """Thread-seconds that functions took by name, and between which moments each name was at work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {CONVOLUTIONS: 0.0, NETWORK: 0.0, GROUPS: 0.0}
        self.moments: dict[str, tuple[float, float]] = {}
        self.lock = threading.Lock()

    def watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self._add(name, start, time.perf_counter())
            return result

        return watched

    def _add(self, name: str, start: float, end: float) -> None:
        with self.lock:
            self.seconds[name] += end - start
            first, last = self.moments.get(name, (start, end))
            self.moments[name] = min(first, start), max(last, end)

    def stages(self, wall: float) -> dict[str, float]:
        """Thread-seconds of each stage, of an operation that took `wall` seconds.

        Input and output are what is outside the groups of pixels: reading, writing, the container, other formats.
        """
        convolutions, network, groups = (self.seconds[name] for name in (CONVOLUTIONS, NETWORK, GROUPS))
        first, last = self.moments[GROUPS]
        return {
            "convolutions": convolutions,
            "glue": network - convolutions,
            "coder": groups - network,
            "io": wall - (last - first),
        }


@contextmanager
def watching(model: Model) -> Iterator[tuple[Clock, Model]]:
    """A clock, and the model to use inside for it to see the network."""
    clock = Clock()
    with (
        replaced(F, "conv2d", clock.watch(CONVOLUTIONS, F.conv2d)),
        replaced(uniform, "encode_group", clock.watch(GROUPS, uniform.encode_group)),
        replaced(uniform, "decode_group", clock.watch(GROUPS, uniform.decode_group)),
    ):
        yield clock, replace(model, predict=clock.watch(NETWORK, model.predict))
