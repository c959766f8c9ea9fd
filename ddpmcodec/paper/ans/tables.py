"""Tables of distribution functions, which files depend on to the last bit: made from decimal arithmetic, and shipped.

`python -m ddpmcodec.paper.ans.tables` writes them again.
"""

from __future__ import annotations

import hashlib
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import ModelError

_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803")


class Table(NamedTuple):
    """A table of a distribution function, less 1/2, at arguments from 0 on."""

    file: str
    steps: int  # in one unit of the argument
    last: int  # the argument where the table ends
    resolution: int  # the integer that stands for probability one
    sha256: str  # of the values

    @property
    def path(self) -> Path:
        return Path(__file__).parent / self.file

    def load(self) -> NDArray[np.int64]:
        """int64 [last steps + 1]. Raises ModelError where the file is missing, or another one."""
        try:
            table: NDArray[np.int64] = np.load(self.path).astype("<i8")
        except (OSError, ValueError, EOFError) as error:
            raise ModelError(
                f"{self.path}: a table of the entropy coder cannot be read: install ddpmcodec again"
            ) from error
        if hashlib.sha256(table.tobytes()).hexdigest() != self.sha256:
            raise ModelError(
                f"{self.path}: a table of the entropy coder is damaged: what is coded with it decodes nowhere else;"
                " install ddpmcodec again"
            )
        return table.astype(np.int64)


LOGISTIC = Table(  # rounds to one from 27.04 on
    "logistic_table.npy", 64, 28, 1 << 38, "a53df2f56b140d771174a572a225a0e8bd89c9b2517dbfd7f02eac75f005af90"
)
NORMAL = Table("normal_table.npy", 256, 6, 1 << 50, "d86a409fcc417e2c967437809e9a0a261605eee63e3093ef1aa7845bb4c23c99")


def logistic_table() -> NDArray[np.int64]:
    """round(2^38 (1/(1 + exp(-z)) - 1/2)) at z = 0, 1/64, ... 28; int64 [1793].

    decimal's exp is correctly rounded, here to 60 digits, and no entry comes near a tie: the table is exactly rounded,
    and the same wherever it is made.
    """
    _, steps, last, resolution, _ = LOGISTIC
    with localcontext(Context(prec=60)):
        tails = [(Decimal(-k) / steps).exp() for k in range(last * steps + 1)]
        return np.array([round(resolution // 2 * (1 - tail) / (1 + tail)) for tail in tails], np.int64)


def normal_table() -> NDArray[np.int64]:
    """round(2^50 (Phi(z) - 1/2)) at z = 0, 1/256, ... 6; int64 [1537].

    70 digits of which some 60 are right, and no entry comes near a tie: the table is exactly rounded, and the same
    wherever it is made.
    """
    _, steps, last, resolution, _ = NORMAL
    with localcontext(Context(prec=70)):
        points = (Decimal(k) / steps for k in range(last * steps + 1))
        return np.array([round(resolution * _centred_normal(z)) for z in points], np.int64)


def _centred_normal(z: Decimal) -> Decimal:
    """Phi(z) - 1/2 = phi(z) (z + z^3/3 + z^5/(3 5) + ...): Abramowitz & Stegun 26.2.11, no cancellation."""
    total, term, odd = Decimal(0), z, 1
    while term > total.scaleb(-60):
        total += term
        odd += 2
        term *= z * z / odd
    return total * (-z * z / 2).exp() / (2 * _PI).sqrt()


if __name__ == "__main__":
    np.save(LOGISTIC.path, logistic_table())
    np.save(NORMAL.path, normal_table())
