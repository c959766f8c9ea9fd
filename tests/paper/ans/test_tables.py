"""The shipped tables are what decimal arithmetic says, to the last bit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ddpmcodec.errors import ModelError
from ddpmcodec.paper.ans.tables import LOGISTIC, NORMAL, Table, logistic_table, normal_table

TABLES = [
    (LOGISTIC, logistic_table, "a53df2f56b140d771174a572a225a0e8bd89c9b2517dbfd7f02eac75f005af90"),
    (NORMAL, normal_table, "d86a409fcc417e2c967437809e9a0a261605eee63e3093ef1aa7845bb4c23c99"),
]


@pytest.mark.parametrize(("table", "make", "sha256"), TABLES)
def test_a_table_is_made_again_bit_for_bit(table: Table, make: Callable[[], NDArray[np.int64]], sha256: str) -> None:
    """Every archive written so far depends on it."""
    shipped = table.load()
    np.testing.assert_array_equal(shipped, make())
    assert hashlib.sha256(shipped.astype("<i8").tobytes()).hexdigest() == table.sha256 == sha256


def test_the_tables_are_the_distribution_functions() -> None:
    z = np.arange(LOGISTIC.last * LOGISTIC.steps + 1) / LOGISTIC.steps
    np.testing.assert_allclose(LOGISTIC.load(), LOGISTIC.resolution * 0.5 * np.tanh(z / 2), rtol=0, atol=0.51)
    z = np.arange(NORMAL.last * NORMAL.steps + 1) / NORMAL.steps
    expected = np.array([NORMAL.resolution / 2 * math.erf(x / math.sqrt(2)) for x in z])
    np.testing.assert_allclose(NORMAL.load(), expected, rtol=1e-15, atol=0.51)


def test_what_the_bounds_of_the_interpolation_rest_on() -> None:
    logistic, normal = LOGISTIC.load(), NORMAL.load()
    assert logistic[0] == normal[0] == 0
    assert logistic[-1] == LOGISTIC.resolution // 2
    assert normal[-1] < NORMAL.resolution // 2
    assert (np.diff(logistic) >= 0).all()
    assert np.diff(logistic).max() < LOGISTIC.resolution // LOGISTIC.steps // 4
    assert (np.diff(normal) > 0).all()
    assert (np.diff(normal, 2) < 0).all()


@pytest.mark.parametrize("content", [None, b"no table", b"other values"])
def test_another_table_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    if content == b"other values":
        np.save(path, LOGISTIC.load() + 1)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="install ddpmcodec again"):
        LOGISTIC._replace(file=str(path)).load()
