"""Where the time of coding goes, on one thread: convolutions, the rest of the network, the coder, files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch.nn.functional as F

from ddpmcodec.channels import bits_back, uniform
from ddpmcodec.networks import Model

from ._timing import replaced

CONVOLUTIONS, NETWORK, CHANNEL = "convolutions", "network", "channel"  # each happens inside the next
STAGES = ("convolutions", "glue", "coder", "files")


class Clock:
    """Seconds that functions took, by name. They run on one thread, none inside another of its name."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((CONVOLUTIONS, NETWORK, CHANNEL), 0.0)

    def watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds[name] += time.perf_counter() - start
            return result

        return watched

    def stages(self, wall: float) -> dict[str, float]:
        """Seconds of each of STAGES, of an operation that took `wall` seconds.

        Files are all that is outside the channels: reading, writing, the container, checks, other formats.
        """
        convolutions, network, channel = (self.seconds[name] for name in (CONVOLUTIONS, NETWORK, CHANNEL))
        seconds = (convolutions, network - convolutions, channel - network, wall - channel)
        return dict(zip(STAGES, seconds, strict=True))


@contextmanager
def watching(model: Model) -> Iterator[tuple[Clock, Model]]:
    """A clock, and the model to use inside for it to see the network."""
    clock = Clock()
    with (
        replaced(F, "conv2d", clock.watch(CONVOLUTIONS, F.conv2d)),
        replaced(uniform, "encode_group", clock.watch(CHANNEL, uniform.encode_group)),
        replaced(uniform, "decode_group", clock.watch(CHANNEL, uniform.decode_group)),
        replaced(bits_back, "encode", clock.watch(CHANNEL, bits_back.encode)),
        replaced(bits_back, "decode", clock.watch(CHANNEL, bits_back.decode)),
    ):
        yield (
            clock,
            replace(
                model,
                predict=clock.watch(NETWORK, model.predict),
                predict_gaussian=clock.watch(NETWORK, model.predict_gaussian),
            ),
        )
