"""Work that is coded together: tiles or small files of one size, as many as share a wave well, enough for all cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from ddpmcodec.codec.passes import Report, SegmentCost
from ddpmcodec.errors import FAILURES, Failure
from ddpmcodec.parallel import run_all, side_by_side, thread_count

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[float], object]  # called with the pixels' worth of work done since the last call
Key = tuple[int, Hashable]  # pixels of a tile, and all that tiles of a batch have in common


BATCH_PIXELS = 1 << 17  # of tiles that are coded together: 128 of 32 x 32 fill a wave
BATCH_IMAGES = 512  # however small they are: what an image teaches takes 17 kB
ALONE = BATCH_PIXELS  # given as the pixels of a key: nothing is coded together with this item


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


def reporting(progress: Progress | None, pixels: int, report: Report | None) -> Report | None:
    """A report for tiles of so many pixels each, which also calls `progress`."""
    if progress is None:
        return report

    def both(cost: SegmentCost) -> None:
        progress(cost.share * cost.images * pixels)
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
