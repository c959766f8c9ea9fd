"""The compiled core of ddpmcodec, made from `_core/*.cpp`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS_OF_STEP: int
LEARNING_PIXELS: int  # of an image, or of a run of images, whose weights and colours learn
SCHEDULES: Mapping[int, Sequence[tuple[int, int]]]  # by number of noise levels: number and cell width of each step

def version() -> str:
    """The version of ddpmcodec that this was compiled from."""

# --- kernels

def kernels() -> list[str]:
    """Names of the kernels that this processor can run, the fastest first."""

def kernel() -> str:
    """The name of those in use."""

def use_kernel(name: str) -> None:
    """For tests: what networks are made for from now on."""

# --- the coder

class ContextNetwork:
    """A network of the context model in exact integers."""

    @staticmethod
    def make(tensors: Mapping[str, NDArray[Any]], role: str, components: int) -> ContextNetwork: ...
    @staticmethod
    def wrap(network: Any, role: str, components: int, conditions: int) -> ContextNetwork:
        """Of an object whose `outputs(rows, condition)` the coder calls, on one thread; nothing of it learns."""
    def outputs(self, rows: NDArray[np.uint8], condition: int = 0, width: int = 0) -> NDArray[np.int32]:
        """width: rows are the pixels of an image so wide, in raster order; 0: each is alone."""
    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def components(self) -> int: ...
    @property
    def conditions(self) -> int: ...

class Pass:
    """Images of one size, from nothing to exact."""

    def __init__(
        self,
        networks: Sequence[ContextNetwork],
        levels: int,
        shape: tuple[int, int, int, int],
        *,
        streams: int,
        learns: bool,
        threads: int,
    ) -> None: ...
    def encode(self, pixels: NDArray[np.uint8], for_previews: bool = False) -> None: ...
    def decode(
        self,
        states: Sequence[int],
        words: Sequence[NDArray[np.uint32]],
        for_previews: bool = False,
        is_cut: bool = False,
    ) -> None: ...
    def extend(self, stream: int, words: NDArray[np.uint32]) -> None: ...
    def advance(self, waves: int, segment: int) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def segments_done(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    @property
    def is_exact(self) -> bool: ...
    def bits(self) -> float: ...
    def symbols(self, stream: int) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def ends(self, stream: int) -> list[int]: ...
    def stream(self, stream: int, check: int) -> tuple[int, list[bytes]]: ...
    def state(self, stream: int) -> int: ...
    def position(self, stream: int) -> int: ...
    def pixels(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...

def segments(levels: int, height: int, width: int) -> list[tuple[int, int, int, int, int]]:
    """(step, level, finest band, positions, parts) of each."""

def contract(role: str, components: int) -> tuple[int, int, int]:
    """Inputs, outputs and conditions of a network."""

def band_positions(
    images: NDArray[np.uint8], levels: int, share: float, least: int, side: int, seed: int
) -> list[dict[str, NDArray[Any]]]:
    """By kind of band. side: of the largest part that is taken."""

def pixel_positions(
    images: NDArray[np.uint8], level: int, parts: Sequence[tuple[int, int, int, int]]
) -> dict[str, NDArray[Any]]:
    """level: that noise levels end at, or 0. parts: top, left, height and width of what is taken of every image, in
    raster order."""

# --- previews

def means(coding_pass: Pass, threads: int = 1) -> NDArray[np.float32]: ...
def estimate(coding_pass: Pass, threads: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and variances of the planes, as the bands say."""

def squares(mean: NDArray[np.float32], variance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What a network of previews sees, [h, w, inputs]."""

def corrected(
    network: ContextNetwork, mean: NDArray[np.float32], variance: NDArray[np.float32], threads: int = 1
) -> NDArray[np.float32]: ...
def reduced(coding_pass: Pass, halvings: int, threads: int = 1) -> NDArray[np.float32]: ...
def to_rgb(planes: NDArray[np.float32]) -> NDArray[np.uint8]: ...
def band_means(columns: NDArray[np.int16]) -> NDArray[np.float32]: ...

# --- the stack of bits back
#
# What takes its head, words and size returns its head and size, or size -1 where it ran out of words. Arrays are
# contiguous, [n] but for words. ValueError where a symbol or its distribution cannot be, or words has no room.

def push_intervals(
    starts: NDArray[np.uint64],
    freqs: NDArray[np.uint64],
    precision: int,
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Intervals in 2^-precision, the last first; words has room for one more a symbol."""

def pop_uniform(
    values: NDArray[np.uint64], precision: int, head: int, words: NDArray[np.uint32], size: int
) -> tuple[int, int]:
    """Fills values."""

def logistic_intervals(
    starts: NDArray[np.uint32],
    freqs: NDArray[np.uint32],
    lo: NDArray[np.int32],
    hi: NDArray[np.int32],
    new_lo: NDArray[np.int32],
    new_hi: NDArray[np.int32],
    mean: NDArray[np.int32],
    scale: NDArray[np.int32],
) -> None:
    """Fills starts and freqs, in 2^-24: those of new_lo..new_hi given lo..hi."""

def pop_logistic(
    values: NDArray[np.int32],
    mean: NDArray[np.int32],
    scale: NDArray[np.int32],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Fills values with pixels."""

def push_normals(
    symbols: NDArray[np.int64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """The last first; words has room for four more a symbol."""

def pop_normals(
    symbols: NDArray[np.int64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    head: int,
    words: NDArray[np.uint32],
    size: int,
) -> tuple[int, int]:
    """Fills symbols."""
