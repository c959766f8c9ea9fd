"""Work that is coded together: tiles or small files of one size, as many as share a wave well, enough for all cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from ddpmcodec.codec.passes import Report, SegmentCost
from ddpmcodec.errors import DdpmError
from ddpmcodec.parallel import run_all, side_by_side, thread_count

T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[float], object]  # called with the pixels' worth of work done since the last call
Key = tuple[int, Hashable]  # pixels of a tile, and all that tiles of a batch have in common

Failure = DdpmError | OSError | MemoryError

BATCH_PIXELS = 1 << 17  # of tiles that are coded together: 128 of 32 x 32 fill a wave
ALONE = BATCH_PIXELS  # as the pixels of a key: nothing is coded together with it


def batches(keys: Sequence[Key], cores: int | None = None) -> Iterator[list[int]]:
    """Indices of equal keys, in batches of at most BATCH_PIXELS, or one; smaller where cores would idle.

    cores: as many as there are threads, unless given.
    """
    cores = cores or thread_count()
    alike: defaultdict[Key, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        alike[key].append(i)
    for (pixels, _), members in alike.items():
        count = min(max(1, BATCH_PIXELS // pixels), -(-len(members) // cores))
        yield from (members[start : start + count] for start in range(0, len(members), count))


def reporting(progress: Progress | None, pixels: int, report: Report | None) -> Report | None:
    """A report that also calls `progress`, of tiles of so many pixels each."""
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

    keys: items of equal keys may be coded together. code: the results of some items, all or an error; where it is one,
    halves are tried, until what fails is alone. jobs: calls of `code` at a time, of which each has one thread where it
    is not the only one; default: as many as there are threads, where they all have work, and otherwise 1.

    They are threads of one process: the core does not hold Python's lock.
    """

    def together(batch: Sequence[T]) -> None:
        try:
            results = code(batch)
        except BrokenPipeError:  # nobody reads what the others would print
            raise
        except (DdpmError, OSError, MemoryError) as error:
            if len(batch) == 1:
                done(batch[0], error)
            else:
                together(batch[: len(batch) // 2])
                together(batch[len(batch) // 2 :])
        else:
            for item, result in zip(batch, results, strict=True):
                done(item, result)

    found = [[items[i] for i in batch] for batch in batches(keys)]
    threads = thread_count()
    wanted = jobs or (threads if len(found) >= threads else 1)
    most = min(wanted, side_by_side(max((pixels for pixels, _ in keys), default=1)))
    if most == 1:
        for batch in found:
            together(batch)
    else:
        run_all(together, found, most)
