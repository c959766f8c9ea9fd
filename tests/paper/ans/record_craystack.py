"""Writes craystack_words.json: words that craystack's own push leaves, for tests where it is not installed.

Run from a checkout of craystack (github.com/j-towns/craystack) on the path:
`python tests/paper/ans/record_craystack.py`.
Symbols come from a generator of integers that is the same in every version of numpy.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WORDS = Path(__file__).with_name("craystack_words.json")
SHAPES = ((1,), (7,), (2, 3, 5))
PRECISIONS = (1, 8, 16, 24, 28, 31)
PUSHES = 12
Symbol = tuple[NDArray[np.uint64], NDArray[np.uint64], int]  # starts, freqs, precision


def symbols(shape: tuple[int, ...]) -> list[Symbol]:
    """Intervals for every lane, of each precision in turn, from narrow to wide."""
    raw = np.random.Philox(key=len(shape)).random_raw(2 * PUSHES * int(np.prod(shape))).reshape(PUSHES, 2, *shape)
    found = []
    for number, (a, b) in enumerate(raw):
        precision = PRECISIONS[number % len(PRECISIONS)]
        freqs = np.maximum((a % (1 << precision)) >> (b % precision), 1)
        found.append((b % ((1 << precision) - freqs + 1), freqs, precision))
    return found


def record() -> None:
    from craystack import rans

    found = {}
    for shape in SHAPES:
        message = rans.base_message(shape)
        for starts, freqs, precision in symbols(shape):
            message = rans.push(message, starts, freqs, precision)
        found["x".join(map(str, shape))] = rans.flatten(message).tolist()
    WORDS.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    record()
