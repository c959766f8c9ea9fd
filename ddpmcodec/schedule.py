"""Which noise levels a code passes through: lists of s_t, and the step lists of the uniform channel.

A noise level s is the standard deviation, in grey levels, of the noise in c = v + s n, with v = pixel - 127.5 and
n ~ N(0, 1). In the variance-preserving form of the papers, z = alpha x + sigma n with x in [-1, 1], it is
s = 127.5 sigma / alpha. A list of levels s_1 < ... < s_T is a read-only float64 array: entry t - 1 holds s_t.

DDPM: Ho, Jain & Abbeel 2020, arXiv 2006.11239. Improved DDPM: Nichol & Dhariwal 2021, arXiv 2102.09672.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ddpmcodec.errors import FormatError

Levels = npt.NDArray[np.float64]

HALF_RANGE = 127.5  # grey levels in one unit of the papers' x in [-1, 1]
LEVEL_UNIT = 256  # steps of the uniform channel count noise levels in 1/256 grey level
MAX_LEVEL = 1 << 24  # in LEVEL_UNIT; above the last level of any published schedule
PERIODS = (1, 2, 4, 8, 16)


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


class Step(NamedTuple):
    """One step of the uniform channel: pixels of rank first <= rank < last move to a noise level.

    Ranks are those of `bayer_ranks(period)`, repeated over the image from its top left corner.
    """

    level: int  # noise level to arrive at, in 1/256 grey level; 0 = exact
    period: int
    first: int
    last: int
    learns: bool = False  # its local network learns while it is told


def bayer_ranks(period: int) -> npt.NDArray[np.int64]:
    """[period, period] dispersed order of the pixels of a lattice cell (Bayer 1973): 0 at (0, 0), 1 half a period away.

    Every first 4^k ranks form a regular lattice. Raises ValueError unless the period is a power of two, 1 to 16.
    """
    if period not in PERIODS:
        raise ValueError(f"the period of a lattice must be one of {PERIODS}, not {period}")
    ranks = np.zeros((1, 1), dtype=np.int64)
    while len(ranks) < period:
        ranks = np.block([[4 * ranks, 4 * ranks + 2], [4 * ranks + 3, 4 * ranks + 1]])
    return ranks


def step_pixels(step: Step, period: int) -> npt.NDArray[np.bool_]:
    """[period, period] bool: the pixels a step moves, on a cell whose period is a multiple of the step's."""
    ranks = np.tile(bayer_ranks(step.period), (period // step.period, period // step.period))
    return (step.first <= ranks) & (ranks < step.last)


def step_mask(step: Step, height: int, width: int) -> npt.NDArray[np.bool_]:
    """[height, width] bool: the pixels of an image that a step moves."""
    repeats = -(-height // step.period), -(-width // step.period)
    return np.tile(step_pixels(step, step.period), repeats)[:height, :width]


def validate_steps(steps: Sequence[Step]) -> None:
    """Raises FormatError unless every step lowers the noise of pixels that exist and all pixels end exact."""
    for number, step in enumerate(steps, 1):
        _validate_step(number, step)
    period = max((step.period for step in steps), default=1)
    levels = np.full((period, period), MAX_LEVEL + 1)  # nothing is known yet
    for number, step in enumerate(steps, 1):
        moved = step_pixels(step, period)
        if levels[moved].min() <= step.level:
            raise FormatError(
                f"step {number} {step[:4]} does not lower the noise level of some pixels, "
                f"which is {levels[moved].min()}/{LEVEL_UNIT} already: levels of a pixel must decrease"
            )
        levels[moved] = step.level
    if levels.any():
        raise FormatError(
            f"after the last of {len(steps)} steps {np.count_nonzero(levels)} of {levels.size} pixels of a "
            f"{period}x{period} cell are not exact: steps to level 0 must cover all of it"
        )


def _validate_step(number: int, step: Step) -> None:
    if not 0 <= step.level <= MAX_LEVEL:
        raise FormatError(f"step {number} {step[:4]} has a noise level outside 0..{MAX_LEVEL}")
    if step.period not in PERIODS:
        raise FormatError(f"step {number} {step[:4]} has a period that is not one of {PERIODS}")
    if not 0 <= step.first < step.last <= step.period**2:
        raise FormatError(
            f"step {number} {step[:4]} moves no pixels that exist: need 0 <= first < last <= {step.period**2}"
        )


def steps_to_json(steps: Sequence[Step]) -> list[list[int]]:
    """[[level, period, first, last], ...], and 1 after those where a step learns: plain lists, for json.dumps."""
    return [[*step[:4], 1] if step.learns else list(step[:4]) for step in steps]


def steps_from_json(value: Any, *, whole: bool = True) -> tuple[Step, ...]:
    """The inverse of `steps_to_json`, validated; whole: as a list that ends exact. Raises FormatError."""
    if not isinstance(value, list) or not all(_is_step(item) for item in value):
        raise FormatError(
            "a step list must be a list of [level, period, first, last], all integers, and 1 after those that learn"
        )
    steps = tuple(Step(*item[:4])._replace(learns=len(item) == 5) for item in value)
    if whole:
        validate_steps(steps)
    for number, step in enumerate(steps, 1):
        _validate_step(number, step)
    return steps


def _is_step(item: Any) -> bool:
    return (
        isinstance(item, list)
        and all(type(number) is int for number in item)
        and item[4:] in ([], [1])
        and len(item) > 3
    )


def describe(steps: Sequence[Step]) -> str:
    """One line for people, such as '6 steps to noise 40 .. 6.3, 9 steps to exact pixels in 4x4 phases'."""
    return ", ".join(_runs(steps))


def _runs(steps: Sequence[Step]) -> Iterator[str]:
    for (exact, period, learns), group in groupby(steps, lambda step: (step.level == 0, step.period, step.learns)):
        run = list(group)
        noise = " .. ".join(dict.fromkeys(f"{step.level / LEVEL_UNIT:.3g}" for step in (run[0], run[-1])))
        one = len(run) == 1
        count = "1 step" if one else f"{len(run)} steps"
        phases = "" if period == 1 else f" in {period}x{period} phases"
        how = (" that learns" if one else " that learn") if learns else ""
        yield f"{count}{how} to {'exact pixels' if exact else f'noise {noise}'}{phases}"
