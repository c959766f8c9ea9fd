"""How far a picture is from the original."""

from __future__ import annotations

import math


def psnr(squared_error: float) -> float | None:
    """10 log10(255^2 / mean squared error) of samples of 8 bits, dB; None where there is no error: JSON knows no
    infinity."""
    return 10 * math.log10(255**2 / squared_error) if squared_error else None
