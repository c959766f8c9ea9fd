"""Writes craystack_words.json: words that craystack's own operations leave, for tests where it is not installed.

With craystack (github.com/j-towns/craystack) on the path: `python tests/paper/ans/record_craystack.py`. Symbols come
from a generator of integers that is the same in every version of numpy.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORDS = Path(__file__).with_name("craystack_words.json")
EXAMPLE = Path(__file__).parents[3] / "docs" / "craystack_codecs.py"
PRECISIONS = (1, 8, 16, 24, 28, 31)
PUSHES, PIXELS, START_WORDS = 48, 50, 300


class Interval(NamedTuple):
    """[start, start + freq) in 2^-precision."""

    start: int
    freq: int
    precision: int


def _raw(key: int, count: int) -> NDArray[np.uint64]:
    return np.random.Philox(key=key).random_raw(count)


def intervals() -> list[Interval]:
    """Of each precision in turn, from narrow to wide."""
    found = []
    for number, (a, b) in enumerate(_raw(1, 2 * PUSHES).reshape(PUSHES, 2).tolist()):
        precision = PRECISIONS[number % len(PRECISIONS)]
        freq = max((a % (1 << precision)) >> (b % precision), 1)
        found.append(Interval(b % ((1 << precision) - freq + 1), freq, precision))
    return found


def start_words() -> NDArray[np.uint32]:
    """A message to take bits from."""
    words = (_raw(2, START_WORDS) >> np.uint64(32)).astype(np.uint32)
    words[0] = words[0] >> 1 | 1 << 30  # a state of rANS
    return words


def pixels() -> NDArray[np.int64]:
    return (_raw(3, PIXELS) % np.uint64(256)).astype(np.int64)


def example() -> ModuleType:
    """docs/craystack_codecs.py, which needs craystack."""
    spec = importlib.util.spec_from_file_location("craystack_codecs", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record() -> dict[str, list[int]]:
    from craystack import rans

    message = rans.base_message((1,))
    for start, freq, precision in intervals():
        message = rans.push(message, start, freq, precision)
    model = example().latent_variable_model()
    (coded,) = model.push(rans.unflatten(start_words(), (1,)), pixels())
    return {"pushes": rans.flatten(message).tolist(), "bits back": rans.flatten(coded).tolist()}


if __name__ == "__main__":
    WORDS.write_text(json.dumps(record()) + "\n")
