"""Which noise levels the Gaussian channel passes through: schedules s_1 < ... < s_T.

A noise level s is the standard deviation, in grey levels, of the noise in c = v + s n, with v = pixel - 127.5 and
n ~ N(0, 1). In the variance-preserving form of the papers, z = alpha x + sigma n with x in [-1, 1], it is
s = 127.5 sigma / alpha. A list of levels s_1 < ... < s_T is a read-only float64 array: entry t - 1 holds s_t.

DDPM: Ho, Jain & Abbeel 2020, arXiv 2006.11239. Improved DDPM: Nichol & Dhariwal 2021, arXiv 2102.09672.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ddpmcodec.format.block import LEVEL_UNIT

Levels = npt.NDArray[np.float64]

HALF_RANGE = 127.5  # grey levels in one unit of the papers' x in [-1, 1]


def check_levels(levels: npt.ArrayLike) -> Levels:
    """The levels as a read-only float64 array. Raises ValueError unless positive, finite and strictly increasing."""
    array = np.array(levels, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"noise levels must be a list of at least one number, not an array of shape {array.shape}")
    if not (np.isfinite(array).all() and array[0] > 0):
        raise ValueError("noise levels must be positive and finite, in grey levels")
    rising = np.diff(array) > 0
    if not rising.all():
        t = 1 + int(np.argmin(rising))
        raise ValueError(f"noise levels must increase: s_{t + 1} = {array[t]:g} follows s_{t} = {array[t - 1]:g}")
    array.setflags(write=False)
    return array


def rounded(levels: npt.ArrayLike) -> Levels:
    """The levels in whole 1/1024 grey level, as archives state them. Raises ValueError where two become one."""
    exact = check_levels(levels)
    whole = np.round(LEVEL_UNIT * exact) / LEVEL_UNIT
    if (np.diff(whole) == 0).any():
        raise ValueError(
            f"{exact.size} noise levels from {exact[0]:.3g} to {exact[-1]:.6g} grey levels are too many: in whole"
            f" 1/{LEVEL_UNIT} grey level, some of them are the same"
        )
    return check_levels(whole)


def alpha_sigma(s: npt.ArrayLike) -> tuple[Levels, Levels]:
    """(alpha, sigma) with alpha^2 + sigma^2 = 1 and 127.5 sigma / alpha = s; (1, 0) at s = 0, (0, 1) at infinity."""
    ratio = np.asarray(s, dtype=np.float64) / HALF_RANGE
    with np.errstate(divide="ignore"):
        return 1 / np.hypot(1, ratio), 1 / np.hypot(1, 1 / ratio)


def noise_level(alpha: npt.ArrayLike, sigma: npt.ArrayLike) -> Levels:
    """s = 127.5 sigma / alpha in grey levels: the inverse of `alpha_sigma`; infinity at alpha = 0."""
    with np.errstate(divide="ignore"):
        return HALF_RANGE * np.asarray(sigma, dtype=np.float64) / np.asarray(alpha, dtype=np.float64)


def _levels_of_betas(betas: Levels) -> Levels:
    """s_t of the forward process with these variances: alphabar_t = prod (1 - beta_i), arXiv 2006.11239, equation 4."""
    log_alphabar = np.cumsum(np.log1p(-betas))
    return check_levels(noise_level(np.exp(log_alphabar / 2), np.sqrt(-np.expm1(log_alphabar))))


def ddpm_linear(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Levels:
    """beta_1..beta_T linear from `beta_start` to `beta_end`, both in (0, 1): arXiv 2006.11239, section 4.

    Raises ValueError.
    """
    if not (T >= 1 and 0 < beta_start < 1 and 0 < beta_end < 1):
        raise ValueError(f"need T >= 1 and betas in (0, 1), got T = {T}, betas {beta_start:g} to {beta_end:g}")
    return _levels_of_betas(np.linspace(beta_start, beta_end, T))


def cosine(T: int, offset: float = 0.008) -> Levels:
    """alphabar_t = f(t) / f(0), f(t) = cos^2((t/T + offset) / (1 + offset) pi/2): arXiv 2102.09672, equation 17.

    beta_t is clipped at 0.999, as the text below that equation does. Raises ValueError for T < 1 or a negative offset.
    """
    if T < 1 or offset < 0:
        raise ValueError(f"need T >= 1 and offset >= 0, got T = {T}, offset = {offset:g}")
    f = np.cos((np.arange(T + 1) / T + offset) / (1 + offset) * np.pi / 2) ** 2
    return _levels_of_betas(np.minimum(1 - f[1:] / f[:-1], 0.999))


def log_linear(s_1: float, s_T: float, T: int) -> Levels:
    """T levels from s_1 to s_T (grey levels), each the same multiple of the one before. Raises ValueError."""
    if not (T >= 2 and 0 < s_1 < s_T < np.inf):
        raise ValueError(f"need T >= 2 and 0 < s_1 < s_T, got T = {T}, s_1 = {s_1:g}, s_T = {s_T:g}")
    return check_levels(np.geomspace(s_1, s_T, T))


def respace(levels: npt.ArrayLike, T: int) -> Levels:
    """T of the levels, evenly spaced in t, with the first and the last. Raises ValueError for T < 2 or too many."""
    array = check_levels(levels)
    if not 2 <= T <= array.size:
        raise ValueError(f"can keep 2 to {array.size} of {array.size} noise levels, not {T}")
    gaps = T - 1
    return check_levels(array[(2 * np.arange(T) * (array.size - 1) + gaps) // (2 * gaps)])  # rounded in integers
