"""Tables of distribution functions, less 1/2: the core's are what decimal arithmetic says, to the last bit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

from native_testing import testing

LOGISTIC_ONE, NORMAL_ONE = 1 << 38, 1 << 50  # the integers that stand for probability one
Table = Callable[[], list[int]]
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")


def logistic_table() -> list[int]:
    """round(2^38 (1/(1 + exp(-z)) - 1/2)) at z = 0, 1/64, ... 28, where it rounds to one.

    decimal's exp is correctly rounded, here to 60 digits, and no entry comes near a tie: the table is exactly rounded,
    and the same wherever it is made.
    """
    with localcontext(Context(prec=60)):
        tails = [(Decimal(-k) / 64).exp() for k in range(28 * 64 + 1)]
        return [round(LOGISTIC_ONE // 2 * (1 - tail) / (1 + tail)) for tail in tails]


def normal_table() -> list[int]:
    """round(2^50 (Phi(z) - 1/2)) at z = 0, 1/256, ... 6.

    70 digits of which some 60 are right, and no entry comes near a tie: the table is exactly rounded, and the same
    wherever it is made.
    """
    with localcontext(Context(prec=70)):
        return [round(NORMAL_ONE * centred_normal(Decimal(k) / 256)) for k in range(6 * 256 + 1)]


def centred_normal(z: Decimal) -> Decimal:
    """Phi(z) - 1/2 = phi(z) (z + z^3/3 + z^5/(3 5) + ...): Abramowitz & Stegun 26.2.11, no cancellation."""
    total, term, odd = Decimal(0), z, 1
    while term > total.scaleb(-60):
        total += term
        odd += 2
        term *= z * z / odd
    return total * (-z * z / 2).exp() / (2 * PI).sqrt()


@pytest.mark.parametrize(
    ("found", "made", "sha256"),
    [
        (testing.logistic_table, logistic_table, "a53df2f56b140d771174a572a225a0e8bd89c9b2517dbfd7f02eac75f005af90"),
        (testing.normal_table, normal_table, "d86a409fcc417e2c967437809e9a0a261605eee63e3093ef1aa7845bb4c23c99"),
    ],
)
def test_a_table_is_made_again_bit_for_bit(found: Table, made: Table, sha256: str) -> None:
    """All files written so far depend on the one, all archives by bits back on both."""
    assert found() == made()
    assert hashlib.sha256(np.array(found(), "<i8").tobytes()).hexdigest() == sha256


def test_the_tables_are_the_distribution_functions() -> None:
    z = np.arange(28 * 64 + 1) / 64
    np.testing.assert_allclose(testing.logistic_table(), LOGISTIC_ONE * 0.5 * np.tanh(z / 2), rtol=0, atol=0.51)
    z = np.arange(6 * 256 + 1) / 256
    expected = np.array([NORMAL_ONE / 2 * math.erf(x / math.sqrt(2)) for x in z])
    np.testing.assert_allclose(testing.normal_table(), expected, rtol=1e-15, atol=0.51)


def test_what_the_bounds_of_the_interpolation_rest_on() -> None:
    logistic, normal = np.array(testing.logistic_table()), np.array(testing.normal_table())
    assert logistic[0] == normal[0] == 0
    assert logistic[-1] == LOGISTIC_ONE // 2
    assert normal[-1] < NORMAL_ONE // 2
    assert (np.diff(logistic) >= 0).all()
    assert np.diff(logistic).max() < LOGISTIC_ONE // 64 // 4
    assert (np.diff(normal) > 0).all()
    assert (np.diff(normal, 2) < 0).all()
