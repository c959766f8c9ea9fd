"""The shipped table is what decimal arithmetic says, to the last bit."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from ddpmcodec.paper.ans.make_normal_table import LAST, RESOLUTION, STEPS, TABLE_PATH, TABLE_SHA256, normal_table


def test_the_shipped_table_is_made_again_bit_for_bit() -> None:
    shipped = np.load(TABLE_PATH)
    assert shipped.dtype == np.int64
    np.testing.assert_array_equal(shipped, normal_table())


def test_the_shipped_table_never_changes() -> None:
    """Every archive written so far depends on it."""
    digest = hashlib.sha256(np.load(TABLE_PATH).astype("<i8").tobytes()).hexdigest()
    assert digest == TABLE_SHA256 == "d86a409fcc417e2c967437809e9a0a261605eee63e3093ef1aa7845bb4c23c99"


def test_the_table_is_the_normal_distribution_function() -> None:
    z = np.arange(LAST * STEPS + 1) / STEPS
    expected = np.array([RESOLUTION / 2 * math.erf(x / math.sqrt(2)) for x in z])
    np.testing.assert_allclose(normal_table(), expected, rtol=1e-15, atol=0.51)


def test_the_table_rises_and_its_steps_shrink() -> None:
    table = normal_table()
    assert table[0] == 0
    assert table[-1] < RESOLUTION // 2
    assert (np.diff(table) > 0).all()
    assert (np.diff(table, 2) < 0).all()
