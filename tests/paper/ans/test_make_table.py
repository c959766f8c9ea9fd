"""The shipped table is what decimal arithmetic says, to the last bit."""

from __future__ import annotations

import hashlib

import numpy as np

from ddpmcodec.paper.ans.make_table import LAST, RESOLUTION, STEPS, TABLE_PATH, TABLE_SHA256, logistic_table


def test_the_shipped_table_is_made_again_bit_for_bit() -> None:
    shipped = np.load(TABLE_PATH)
    assert shipped.dtype == np.int64
    np.testing.assert_array_equal(shipped, logistic_table())


def test_the_shipped_table_never_changes() -> None:
    """Every file encoded so far depends on it."""
    digest = hashlib.sha256(np.load(TABLE_PATH).astype("<i8").tobytes()).hexdigest()
    assert digest == TABLE_SHA256 == "a53df2f56b140d771174a572a225a0e8bd89c9b2517dbfd7f02eac75f005af90"


def test_the_table_is_the_logistic_function() -> None:
    z = np.arange(LAST * STEPS + 1) / STEPS
    expected = RESOLUTION * (0.5 * np.tanh(z / 2))
    np.testing.assert_allclose(logistic_table(), expected, rtol=0, atol=0.51)


def test_the_table_rises_from_zero_to_one_half() -> None:
    table = logistic_table()
    assert table[0] == 0
    assert table[-1] == RESOLUTION // 2
    assert (np.diff(table) >= 0).all()
    assert np.diff(table).max() < RESOLUTION // STEPS // 4  # what the bounds of the interpolation rest on
