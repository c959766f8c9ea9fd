"""Passes over images of one size, and how work is shared out among batches and threads."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec._native import LANES
from ddpmcodec.codec.efforts import Coding, learns_in, segments
from ddpmcodec.errors import FAILURES, Failure
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, side_by_side, stop_if_abandoned, thread_count

T = TypeVar("T")
R = TypeVar("R")
Pixels = NDArray[np.uint8]
Progress = Callable[[float], object]  # called with the pixels' worth of work done since the last call
Key = tuple[int, Hashable]  # pixels of a tile, and all that tiles of a batch have in common
FIRST_POSITIONS = 1 << 13  # of a step's first call of the core, at most: other steps have other networks
CALL_SECONDS = 0.05  # of a call, about: Python sees Ctrl-C between calls, and each starts threads anew
BATCH_PIXELS = 1 << 17  # of tiles that are coded together: 128 of 32 x 32 fill a wave
BATCH_IMAGES = 512  # however small they are: what an image teaches takes 17 kB
ALONE = BATCH_PIXELS  # given as the pixels of a key: nothing is coded together with this item


class SegmentCost(NamedTuple):
    """What a segment of `images` images together took."""

    level: int  # orthonormal cell width after it, 0: exact
    band: int  # number of its finest band, 0: pixels
    bits: float  # ideal code length; from a decoder what it read, which is the same but for roundings
    seconds: float
    images: int
    share: float  # of all positions that are coded
    pixels: float  # of an image


Report = Callable[[SegmentCost], object]  # called after every segment


def new_pass(
    model: ContextModel, coding: Coding, shape: tuple[int, ...], *, lanes: bool = False, shared: bool = False
) -> _native.Pass:
    """A pass over images of a shape [N, H, W, C], with a stream for each. lanes: for a single image, in `LANES`
    streams. shared: all images are in one stream, and weights and colours learn from them together."""
    images, height, width, channels = shape
    alone = images == 1 or shared
    return _native.Pass(
        model.networks(coding.effort, coding.levels), coding.levels, (images, height, width, channels),
        streams=LANES if lanes else 1 if shared else images,
        learns=alone and learns_in(images * height, width), repeats=coding.repeats, threads=thread_count(),
    )  # fmt: skip


def run(coder: _native.Pass, shape: tuple[int, ...], coding: Coding, last: int | None, report: Report | None) -> None:
    """Takes a pass to the end, or through its first `last` segments, or as far as the words go."""
    images, height, width, _ = shape
    first_waves = max(1, FIRST_POSITIONS // max(1, images * min(height, -(-width // 4))))
    level, waves = None, first_waves
    schedule = segments(coding.levels, height, width)
    total = max(sum(segment.size for segment in schedule), 1)
    end = len(schedule) if last is None else min(last, len(schedule))
    while coder.segments_done < end and not coder.ended:
        segment = schedule[coder.segments_done]
        if segment.level != level:
            level, waves = segment.level, first_waves
        before, started = coder.bits() if report else 0.0, time.perf_counter()
        target = coder.segments_done + 1
        while coder.segments_done < target and not coder.ended:
            stop_if_abandoned()
            called = time.perf_counter()
            coder.advance(waves, target)
            took = time.perf_counter() - called
            if took > CALL_SECONDS:
                waves = max(waves // 2, 1)
            elif took < CALL_SECONDS / 2 and coder.segments_done < target:  # with all of its waves
                waves *= 2
        if report is not None:
            bits, seconds = coder.bits() - before, time.perf_counter() - started
            share, pixels = segment.size / total, height * width
            report(SegmentCost(segment.level, segment.band, bits, seconds, images, share, pixels))


# --- batches: work that is coded together, as much as shares a wave well, enough for all cores


def batches(keys: Sequence[Key], cores: int | None = None) -> Iterator[list[int]]:
    """Groups the indices of equal keys in batches of at most BATCH_PIXELS and BATCH_IMAGES, or of one; smaller where
    cores would idle.

    cores: as many as there are threads, unless given.
    """
    cores = cores or thread_count()
    indices_of: defaultdict[Key, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        indices_of[key].append(i)
    for (pixels, _), members in indices_of.items():
        count = min(max(1, BATCH_PIXELS // pixels), BATCH_IMAGES, -(-len(members) // cores))
        yield from (members[start : start + count] for start in range(0, len(members), count))


def reporting(progress: Progress | None, report: Report | None) -> Report | None:
    """Return a report that also calls `progress`; None if there is neither."""
    if progress is None:
        return report

    def both(cost: SegmentCost) -> None:
        progress(cost.share * cost.images * cost.pixels)
        if report is not None:
            report(cost)

    return both


def work_through(
    items: Sequence[T],
    keys: Sequence[Key],
    code: Callable[[Sequence[T]], Sequence[R]],
    done: Callable[[T, R | Failure], object],
    jobs: int | None = None,
) -> None:
    """Codes all items, and calls `done` with each and its result or error as soon as that is there, from any thread.

    keys: items of equal keys may be coded together. code: returns the results of all items that it is called with, or
    raises; then halves are tried, until the item that fails is alone. jobs: how many calls of `code` run at a time, on
    one thread each where there are several; default: as many as there are threads if they all have work, otherwise 1.

    Jobs are threads of one process: the core does not hold Python's lock.
    """

    def together(batch: Sequence[T]) -> None:
        try:
            results = code(batch)
        except BrokenPipeError:  # nobody reads what the others would print
            raise
        except FAILURES as error:
            if len(batch) == 1:
                done(batch[0], error)
            else:
                together(batch[: len(batch) // 2])
                together(batch[len(batch) // 2 :])
        else:
            for item, result in zip(batch, results, strict=True):
                done(item, result)

    item_batches = [[items[i] for i in batch] for batch in batches(keys)]
    threads = thread_count()
    wanted = jobs or (threads if len(item_batches) >= threads else 1)
    most = min(wanted, side_by_side(max((pixels for pixels, _ in keys), default=1)))
    if most == 1:
        for batch in item_batches:
            together(batch)
    else:
        run_all(together, item_batches, most)
