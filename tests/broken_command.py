"""Breaks one thing, then runs the command line; test_verification runs it in processes of
its own.

Arguments: what to break, then those of the command.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ddpmcodec import _native

UPWARD = {"x86_64": 0x800, "AMD64": 0x800, "aarch64": 0x400000, "arm64": 0x400000}


class _OtherSamples(_native.Pass):
    """Codes other samples than those of the image."""

    def encode(self, pixels: Any) -> None:
        super().encode(pixels ^ 1)


class _BothSides(_OtherSamples):
    """And gives back those of the image: encoder and decoder agree."""

    def pixels(self) -> Any:
        pixels, known = super().pixels()
        return pixels ^ 1, known


def encoder() -> None:
    _native.Pass = _OtherSamples  # type: ignore[misc]


def both_sides() -> None:
    _native.Pass = _BothSides  # type: ignore[misc]


def flipped_weight() -> None:
    """One bit of every network, after its file was read."""
    make = _native.ContextNetwork.make

    def flipped(tensors: Any, role: str, components: int) -> Any:
        weights = tensors["skip.weight"].copy()
        weights.reshape(-1)[7] ^= 64
        return make({**tensors, "skip.weight": weights}, role, components)

    _native.ContextNetwork = SimpleNamespace(make=flipped)  # type: ignore[misc,assignment]


def rounding_up() -> None:
    assert ctypes.CDLL(None).fesetround(UPWARD[platform.machine()]) == 0


def plain_kernel() -> None:
    _native.use_kernel("plain")


def nothing() -> None:
    pass


BREAKS: dict[str, Callable[[], None]] = {
    break_it.__name__: break_it
    for break_it in (nothing, encoder, both_sides, flipped_weight, rounding_up, plain_kernel)
}

if __name__ == "__main__":
    from ddpmcodec.cli import run

    BREAKS[sys.argv[1]]()
    sys.exit(run(sys.argv[2:]))
