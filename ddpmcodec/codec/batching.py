"""Pieces of work that are coded together: tiles of one size, as many as share a wave well, and enough for all cores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

from ddpmcodec.codec.tiles import Report, SegmentCost
from ddpmcodec.parallel import thread_count

Progress = Callable[[float], object]  # called with the pixels' worth of work done since the last call
Key = tuple[int, Hashable]  # pixels of a tile, and all that tiles of a batch have in common

BATCH_PIXELS = 1 << 17  # of tiles that are coded together: 128 of 32 x 32 fill a wave


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
