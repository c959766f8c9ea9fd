"""Many files: small ones of one size are coded together, others side by side, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ddpmcodec.codec.batching import BATCH_PIXELS, Key, batches
from ddpmcodec.errors import DdpmError
from ddpmcodec.parallel import run_all, side_by_side, thread_count

T = TypeVar("T")
R = TypeVar("R")
Failure = DdpmError | OSError | MemoryError
ALONE = BATCH_PIXELS  # as the pixels of a key: nothing is coded together with it


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
