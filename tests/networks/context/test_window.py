"""What the context model sees of a position, against a plain description of it."""

from __future__ import annotations

import numpy as np
import pytest

from ddpmcodec.networks.context.window import (
    CHANNELS,
    COARSE_PLACES,
    CODED_PLACES,
    INPUTS,
    PLACES,
    REACH,
    SIDE,
    ZERO,
    gather_many,
    padded,
)


def as_input(difference: int) -> int:
    """Small differences as they are, larger ones in quarters, at most 127; plus 128."""
    size = abs(difference)
    bounded = min(min(size, 64) + (max(size - 64, 0) >> 2), 127)
    return ZERO + (bounded if difference >= 0 else -bounded)


def described(coarse: np.ndarray, coded: np.ndarray, known: np.ndarray, y: int, x: int) -> tuple[list[int], np.ndarray]:
    """Inputs and surroundings of a position of one image, arrays [h, w, 3] without margins."""
    height, width, _ = known.shape

    def around(v: int, u: int, c: int) -> int:
        return int(coarse[min(max(v, 0), len(coarse) - 1), min(max(u, 0), coarse.shape[1] - 1), c])

    def band(v: int, u: int, c: int, source: np.ndarray) -> int:
        return int(source[v, u, c]) if 0 <= v < height and 0 <= u < width else 0

    window = [(j, i, c) for j in range(-REACH, REACH + 1) for i in range(-REACH, REACH + 1) for c in range(CHANNELS)]
    first = [as_input(around(y + j, x + i, c) - around(y, x, c)) for j, i, c in window]
    middle = len(first) // 2 - 1
    first[middle] = min(max(around(y, x, 0), 0), 255)
    for c in (1, 2):
        first[middle + c] = ZERO + (min(max(around(y, x, c), -255), 255) >> 1)
    second = [as_input(band(y + j, x + i, c, coded if (j, i) < (0, 0) else known)) for j, i, c in window]
    places = [[around(y + j, x + i, c) - around(y, x, c) for j, i in COARSE_PLACES] for c in range(CHANNELS)]
    before = [[band(y + j, x + i, c, coded) for j, i in CODED_PLACES] for c in range(CHANNELS)]
    return [*first, *second, ZERO, ZERO], np.array([a + b for a, b in zip(places, before, strict=True)])


def drawn(seed: int, height: int, width: int, largest: int) -> list[np.ndarray]:
    """A coarse image (its columns are one more), and two states of a band; int16 [2, h, w, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-largest, largest + 1, (2, height, width + 1, CHANNELS))
    coarse[..., 0] += largest // 2
    bands = rng.integers(-largest, largest + 1, (2, 2, height, width, CHANNELS))
    return [a.astype(np.int16) for a in (coarse, *bands)]


@pytest.mark.parametrize("largest", [3, 90, 510])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (9, 8)])
def test_a_context_is_as_described(height: int, width: int, largest: int) -> None:
    coarse, coded, known = drawn(height, height, width, largest)
    at = np.array([(n, y, x) for n in range(2) for y in range(height) for x in range(width)])
    rows, around = gather_many(padded(coarse, True), padded(coded, False), padded(known, False), at)
    assert (rows.shape[1], around.shape[1:]) == (INPUTS, (CHANNELS, PLACES))
    for k, (n, y, x) in enumerate(at.tolist()):
        expected_row, expected_around = described(coarse[n], coded[n], known[n], y, x)
        assert rows[k].tolist() == expected_row
        np.testing.assert_array_equal(around[k], expected_around)


def test_margins_repeat_the_edge_or_are_zero() -> None:
    planes = np.arange(1, 13, dtype=np.int16).reshape(1, 2, 2, 3)
    wide, empty = padded(planes, True), padded(planes, False)
    assert wide.shape == (1, 2 + 2 * REACH, CHANNELS * (2 + 2 * REACH))
    assert wide[0, 0, :3].tolist() == [1, 2, 3]
    assert wide[0, -1, -3:].tolist() == [10, 11, 12]
    assert empty.sum() == planes.sum()
    assert wide.flags.c_contiguous


def test_the_products_take_whole_quads() -> None:
    assert INPUTS % 4 == 0
    assert INPUTS >= 2 * SIDE * SIDE * CHANNELS
