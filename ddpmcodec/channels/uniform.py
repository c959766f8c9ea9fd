"""The uniform channel: c_T .. c_0 by universal quantisation, every cell coded under the model truncated to the known.

A step to noise level s_u sends k = floor((rho c_t + (1 - rho) v) / D + dither) for each dimension it moves, and both
sides set c_u = (k + 1/2 - dither) D, D = sqrt(12) s_u sqrt(1 - rho): the diffusion posterior with uniform noise of the
same variance. k says that the pixel lies in a range; the running intersection of the ranges is the state, and each new
range is coded under the predicted logistic truncated to the old one. The steps' costs add up to -log2 of the pixel's
own probability.

This file runs the network and the coder over the steps of a batch of images; the arithmetic of one step is in `cells`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.stream import STATE_LOW, close_stream, encode_reverse, open_stream
from ddpmcodec.channels import cells
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step, step_mask

T = TypeVar("T")
Pixels = NDArray[np.uint8]
FEW_PIXELS = 128  # of a step: a preview of fewer keeps to what the last whole step shows
PREVIEW_PERIOD = 8  # of the lattice that previews are filled in on, and the shares of it that are, one after another
COARSE_TO_FINE = (0, 1, 2, 4, 8, 16, 32, 64)
Symbols = tuple[NDArray[np.uint32], NDArray[np.uint32]]  # starts and frequencies of the coded cells, in decoding order


@dataclass
class State:
    """What both sides know of a batch: ranges uint8 [N, H, W, 3], noisy values int32 [N, H, W, C]."""

    lo: Pixels
    hi: Pixels
    c: NDArray[np.int32]

    @classmethod
    def unknown(cls, images: int, height: int, width: int, channels: int) -> State:
        shape = (images, height, width)
        return cls(
            np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 255, np.uint8), np.zeros((*shape, channels), np.int32)
        )

    @property
    def channels(self) -> int:
        return int(self.c.shape[3])

    def copy(self) -> State:
        return State(self.lo.copy(), self.hi.copy(), self.c.copy())

    def moved_by(self, step: Step) -> NDArray[np.bool_]:
        """Which values a step moves, [N, H, W, 3]."""
        _, height, width, _ = self.lo.shape
        return np.broadcast_to(step_mask(step, height, width)[..., None], self.lo.shape)

    def spread_grey(self) -> None:
        """A grey image is coded as one channel; the network sees it as all three."""
        if self.channels == 1:
            self.lo[...], self.hi[...] = self.lo[..., :1], self.hi[..., :1]

    def check(self, image: int) -> int:
        """31-bit checksum of the ranges of one image, carried by the initial state of its stream."""
        lo, hi = (np.ascontiguousarray(a[image, :, :, : self.channels]) for a in (self.lo, self.hi))
        return zlib.crc32(hi.tobytes(), zlib.crc32(lo.tobytes())) & 0x7FFFFFFF

    def is_exact(self) -> bool:
        return bool((self.lo == self.hi).all())


@dataclass(frozen=True)
class Decoded:
    """A batch as far as it was decoded. pixels: uint8 [N, H, W, C]; bytes_used: of each image's last stream.

    exact: every pixel is known, and the checks of the streams say that it is right. damaged: one says that it is not.
    """

    pixels: Pixels
    exact: bool
    steps_done: int
    bytes_used: tuple[int, ...]
    damaged: bool = False


def dither(step: int, group: int, height: int, width: int, channels: int) -> NDArray[np.uint16]:
    """The shared dither u of one step, uint16 [H, W, C] in 1/65536.

    Raw output of numpy's Philox 4x64 (Salmon et al. 2011), key 0, counters from (1, 0, step, group) on, sixteen bits at
    a time, least significant first.
    """
    count = height * width * channels
    raw = np.random.Philox(key=0, counter=[0, 0, step, group]).random_raw(-(-count // 4))
    return raw.astype("<u8").view("<u2")[:count].reshape(height, width, channels).astype(np.uint16)


class Walk:
    """The steps of a list over one batch: the network's prediction and the constants of each step."""

    def __init__(self, model: Model, steps: Sequence[Step], group: int, state: State) -> None:
        self.model, self.steps, self.group, self.state = model, steps, group, state
        self.levels = cells.unknown_levels()

    def __iter__(self) -> Iterator[tuple[IntegerPrediction, cells.StepConstants]]:
        """Yields before each step; the caller moves the state."""
        height, width, channels = self.state.c.shape[1:]
        for number, step in enumerate(self.steps):
            noise = dither(number, self.group, height, width, channels)
            constants = cells.step_constants(step, self.levels, noise, self.model.local_of(step))
            yield self.model.predict(self.state.lo, self.state.hi), constants
            self.state.spread_grey()


def encode_symbols(
    pixels: Pixels, model: Model, steps: Sequence[Step], *, group: int
) -> Iterator[tuple[list[Symbols], State]]:
    """For every step the symbols of each image [N, H, W, C], and the state after it (the same object each time)."""
    images, height, width, channels = pixels.shape
    state = State.unknown(images, height, width, channels)
    for prediction, constants in Walk(model, steps, group, state):

        def move(n: int, prediction: IntegerPrediction = prediction, constants: Any = constants) -> Symbols:
            laws = image_of(prediction, n)
            return cells.encode_step(pixels[n], state.lo[n], state.hi[n], state.c[n], *laws, *constants)

        symbols = _each(move, images, constants)
        state.spread_grey()
        yield symbols, state


def _each(move: Callable[[int], T], images: int, constants: cells.StepConstants) -> list[T]:
    """move(n) of every image; side by side where a local network makes it long."""
    return run_all(move, range(images)) if constants.local.dilation else [move(n) for n in range(images)]


def image_of(prediction: IntegerPrediction, image: int) -> list[NDArray[Any]]:
    return [array[image] for array in prediction]


def encode_group(
    pixels: Pixels, model: Model, steps: Sequence[Step], *, group: int, per_step: bool
) -> list[list[bytes]]:
    """Streams of a batch of equally large images, uint8 [N, H, W, C] with C 1 (grey) or 3.

    Returns for each image one stream, or with `per_step` one for each step. group: number of the tile in its picture,
    for the dither. The result does not depend on what else is in the batch.
    """
    streams: list[list[bytes]] = [[] for _ in pixels]
    pending: list[list[Symbols]] = [[] for _ in pixels]
    for number, (symbols, state) in enumerate(encode_symbols(pixels, model, steps, group=group)):
        for n, new in enumerate(symbols):
            pending[n].append(new)
            if per_step or number == len(steps) - 1:
                starts, freqs = (np.concatenate(part) for part in zip(*pending[n], strict=True))
                streams[n].append(encode_reverse(starts, freqs, state.check(n)))
                pending[n] = []
    return streams


class _Reader:
    """The streams of one image, read front to back.

    A preview ends where they do: where one is missing, in one that was cut off, and before a whole one that is damaged.
    """

    def __init__(self, chunks: list[bytes], per_step: bool, partial: bool, cut: bool) -> None:
        self.chunks, self.per_step, self.partial = chunks, per_step, partial
        self.last_is_cut = partial and cut
        self.cut = self.ended = self.damaged = self.checked = False
        self.head, self.position, self.words = np.uint64(0), 0, np.zeros(0, np.uint32)

    def open(self, number: int) -> None:
        """Turn to the stream of step `number`; a missing one ends a preview and is an error otherwise."""
        if self.ended or (number and not self.per_step):
            return
        if number >= len(self.chunks):
            if not self.partial:
                raise TruncatedError(
                    f"the stream of step {number + 1} is missing; get the whole file, or ask for a preview"
                )
            self.ended = True
            return
        self.cut = self.last_is_cut and number == len(self.chunks) - 1
        try:
            self.head, self.words = open_stream(self.chunks[number], partial=self.cut)
            self.position = 0
        except FormatError as error:
            self._stop(error)

    def step(self, state: State, n: int, prediction: list[NDArray[Any]], constants: cells.StepConstants) -> None:
        if self.ended:
            return
        self.checked = False
        self.head, self.position, whole = cells.decode_step(
            state.lo[n], state.hi[n], state.c[n], *prediction, *constants, self.head, self.position, self.words
        )
        if not whole:
            self._stop(
                TruncatedError(
                    "the data ends inside the image, cut off or damaged; get the whole file, or ask for a preview"
                    " (--partial)"
                )
            )

    def close(self, check: int) -> None:
        """Compare the check that the finished stream carries. A cut stream carries none."""
        if self.ended or (self.cut and (self.position < len(self.words) or self.head >= 2 * STATE_LOW)):
            return
        try:
            self.checked = close_stream(self.head, self.position, self.words) == check
            if not self.checked:
                raise ChecksumError(
                    "the decoded image is not the one that was encoded: the data is damaged; get the file again"
                )
        except FormatError as error:
            self._stop(error)

    def _stop(self, error: FormatError) -> None:
        """Of a preview it is the end; only what was cut off may be short, and anything else is damage."""
        if not self.partial:
            raise error
        self.ended = True
        self.damaged = not (self.cut and isinstance(error, TruncatedError))

    @property
    def bytes_used(self) -> int:
        return 8 + 4 * self.position


def decode_group(
    chunks: Sequence[list[bytes]],
    shape: tuple[int, int, int],
    model: Model,
    steps: Sequence[Step],
    *,
    group: int,
    per_step: bool,
    partial: bool = False,
    cut: bool = True,
    last_step: int | None = None,
) -> Decoded:
    """Decode what `encode_group` returned for images of shape (H, W, C).

    partial: streams may be missing at the end, and what has not arrived is predicted; also what follows a damaged
    stream. cut: the last stream may be cut anywhere then. last_step: stop after so many steps.
    Raises TruncatedError, FormatError, or ChecksumError when the result is not what was encoded.
    """
    state = sound = State.unknown(len(chunks), *shape)
    readers = [_Reader(list(c), per_step, partial, cut) for c in chunks]
    wanted = len(steps) if last_step is None else min(last_step, len(steps))
    done, begun = 0, None
    for number, (prediction, constants) in enumerate(Walk(model, steps[:wanted], group, state)):
        before = state.copy() if partial else state
        for reader in readers:
            reader.open(number)

        def move(n: int, prediction: IntegerPrediction = prediction, constants: Any = constants) -> None:
            readers[n].step(state, n, image_of(prediction, n), constants)

        _each(move, len(readers), constants)
        state.spread_grey()
        if per_step or number == len(steps) - 1:
            for n, reader in enumerate(readers):
                reader.close(state.check(n))
        if all(reader.ended for reader in readers):
            if per_step and any(reader.damaged for reader in readers):
                sound = before
            else:
                begun = _Begun(steps[number], before)
            break
        done += 1
    _no_more(chunks, steps, per_step, last_step)
    exact = sound.is_exact() and all(reader.checked for reader in readers)
    pixels = _preview(sound, model, begun)
    damaged = any(reader.damaged for reader in readers)
    return Decoded(pixels, exact, done, tuple(r.bytes_used for r in readers), damaged)


def _no_more(chunks: Sequence[list[bytes]], steps: Sequence[Step], per_step: bool, last_step: int | None) -> None:
    expected = len(steps) if per_step else 1
    if last_step is None and any(len(c) > expected for c in chunks):
        raise FormatError(f"more streams than the {expected} of this step list; the file is damaged")


# --- previews


class _Begun(NamedTuple):
    """A step that the data end in, and the state before it."""

    step: Step
    before: State


def _preview(state: State, model: Model, begun: _Begun | None) -> Pixels:
    """The progressive estimate, uint8 [N, H, W, C]: what is known, and the model's view of the rest.

    Of a step that the data end in, what has arrived is seen beside what the preview of the last whole step shows for
    the others. A handful of values may mislead the network: while few have arrived, that preview is shown, drawn into
    the ranges that are known by now. That can only help: the pixel lies in its range.
    """
    seen, few = state.copy(), False
    if begun is not None:
        pixels = _estimate(begun.before, model)
        arrived = (state.lo != begun.before.lo) | (state.hi != begun.before.hi)
        few = bool(np.count_nonzero(arrived.any(-1)) < FEW_PIXELS)
        waiting = state.moved_by(begun.step) & ~arrived
        seen.lo[waiting] = seen.hi[waiting] = pixels[waiting]
    if not few:
        pixels = _estimate(seen, model)
    return np.clip(pixels, state.lo, state.hi)[..., : state.channels]


def _estimate(state: State, model: Model) -> Pixels:
    """Every value known or guessed, uint8 [N, H, W, 3].

    Pixels that nothing is known about are filled in coarse to fine, ever twice as many, with the medians of their laws,
    and the network sees those as if they had been told: it is good at finding what is missing between pixels, and poor
    at looking far. What is known to a range becomes the mean of its law in the end, which has the least squared error.
    """
    shown = state.copy()
    nothing = (shown.lo == 0) & (shown.hi == 255)
    for first, last in pairwise(COARSE_TO_FINE):
        _fill_in(shown, model, nothing & shown.moved_by(Step(0, PREVIEW_PERIOD, first, last)), cells.medians)
    _fill_in(shown, model, shown.lo < shown.hi, cells.expectations)
    return shown.lo


def _fill_in(state: State, model: Model, missing: NDArray[np.bool_], middle: Callable[..., NDArray[np.uint8]]) -> None:
    """Values become the middles of their laws, in their ranges; missing: [N, H, W, 3]."""
    if missing.any():
        prediction = model.predict(state.lo, state.hi)
        laws = (array[missing] for array in (state.lo, state.hi, prediction.mean, prediction.scale))
        state.lo[missing] = state.hi[missing] = middle(*laws)
        state.spread_grey()
