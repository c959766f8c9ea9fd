"""The shipped table of the logistic function, made to the last bit from decimal arithmetic.

`python ddpmcodec/ans/make_table.py` writes it again. Files already encoded depend on every bit of it.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE_PATH = Path(__file__).with_name("logistic_table.npy")
STEPS = 64  # table steps in one unit of the argument
LAST = 28  # the argument where the table ends; the CDF rounds to one from 27.04 on
RESOLUTION = 1 << 38  # the integer that stands for probability one
TABLE_SHA256 = "a53df2f56b140d771174a572a225a0e8bd89c9b2517dbfd7f02eac75f005af90"  # of the values


def logistic_table() -> NDArray[np.int64]:
    """round(RESOLUTION (1/(1 + exp(-z)) - 1/2)) at z = 0, 1/64, ... 28; int64 [1793].

    decimal's exp is correctly rounded, here to 60 digits, and no entry comes near a tie: the table is exactly rounded,
    and the same wherever it is made.
    """
    with localcontext(Context(prec=60)):
        tails = [(Decimal(-k) / STEPS).exp() for k in range(LAST * STEPS + 1)]
        return np.array([round(RESOLUTION // 2 * (1 - tail) / (1 + tail)) for tail in tails], np.int64)


if __name__ == "__main__":
    np.save(TABLE_PATH, logistic_table())
