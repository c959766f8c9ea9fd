"""The default step lists of the uniform channel by effort: phases of an 8x8 lattice, in groups, coarse to fine.

The progressive list is another: first the whole image appears through noise, coarse to fine, then the noise falls, and
only then pixels become exact. Its prefixes are better previews, and the whole costs more.

An exported model carries its own lists (`ddpmcodec export --search` finds them on held-out images), so that a file
written with it decodes the same whatever this module becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.schedule import LEVEL_UNIT, Step

PERIOD = 8
BUDGETS = {1: 8, 2: 10, 3: 12, 4: 14, 5: 16, 6: 20, 7: 32, 8: 48, 9: 64}  # network calls an effort may take


def groups(bounds: Sequence[int], level: float = 0.0) -> list[Step]:
    """Steps that make phases bounds[0] to bounds[1] exact, then bounds[1] to bounds[2], ...

    level: grey levels of noise that each group goes through first; 0 makes it exact at once.
    """
    noise = [round(LEVEL_UNIT * level)] if level else []
    return [Step(s, PERIOD, first, last) for first, last in pairwise(bounds) for s in (*noise, 0)]


def through_noise(levels: Sequence[float], finish: Sequence[int]) -> list[Step]:
    """Steps that bring phases of a 16x16 lattice, doubling, to the first noise level (grey levels), then all pixels to
    the others, and then make those of an 8x8 lattice exact in groups with these bounds."""
    first, *lower = (round(LEVEL_UNIT * level) for level in levels)
    doubling = [0, *(1 << i for i in range(9))]
    appear = [Step(first, 2 * PERIOD, a, b) for a, b in pairwise(doubling)]
    return [*appear, *(Step(level, 1, 0, 1) for level in lower), *groups(finish)]


PRESETS: dict[int, tuple[Step, ...]] = {
    1: (*groups([0, 1, 2, 4, 8, 16, 32]), *groups([32, 64], 2)),
    2: (*groups([0, 1, 2, 4]), *groups([4, 8], 2), *groups([8, 16]), *groups([16, 32, 64], 2)),
    3: (*groups([0, 1, 2, 4]), *groups([4, 8], 2), *groups([8, 16]), *groups([16, 32, 48, 64], 2)),
    4: (*groups([0, 1, 2, 4]), *groups([4, 8, 16, 32, 48, 64], 2)),
    5: (*groups([0, 1, 2, 4]), *groups([4, 8, 16, 24, 32, 48, 64], 2)),
    6: (*groups([0, 1, 2, 4]), *groups([4, 8, 12, 16, 24, 32, 40, 48, 64], 2)),
    7: (*groups([0, 1, 2, 4]), *groups([4, 6, 8, *range(12, 48, 4), 48, 56, 64], 2)),
    8: (*groups([0, 1, 2, 4]), *groups([*range(4, 16, 2), *range(16, 32, 4), *range(32, 64, 3), 64], 2)),
    9: (*groups([0, 1, 2, 4]), *groups(range(4, 65, 2), 2)),
    PROGRESSIVE: tuple(through_noise([20, 7, 2], [0, 32, 64])),
}

# Lists of a model with local networks, which make few and large steps cheap. All steps of the longer lists have one.
_LONG = tuple(groups([0, 1, 2, 4, 16, 32, 64]))
SHORT_EFFORT, LEARNING_EFFORT = 2, 7  # the last with the short list, and the first whose networks learn
LEARNING_STEPS = 3  # the last of the list: they tell 15 of 16 pixels; the others are over before much is learned


def with_learning(steps: Sequence[Step], last: int) -> tuple[Step, ...]:
    """The steps, the last of which learn."""
    return (*steps[:-last], *(step._replace(learns=True) for step in steps[-last:]))


REFINED: dict[int, tuple[Step, ...]] = {
    effort: tuple(groups([0, 4, 16, 32, 64])) if effort <= SHORT_EFFORT
    else _LONG if effort < LEARNING_EFFORT
    else with_learning(_LONG, LEARNING_STEPS)
    for effort in BUDGETS
}  # fmt: skip
_THROUGH_NOISE = (
    *(step for step in groups([0, 1, 2, 4, 16, 64], 20) if step.level),
    *(Step(round(LEVEL_UNIT * level), 1, 0, 1) for level in (7, 2, 0)),
)
REFINED_PROGRESSIVE = with_learning(_THROUGH_NOISE, len(_THROUGH_NOISE))


def without_learning(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps, none of which learns."""
    return tuple(step._replace(learns=False) for step in steps)


def refined_steps(*, progressive: bool = False) -> list[Step]:
    """The steps that get a local network, none of which learns."""
    return list(_THROUGH_NOISE if progressive else _LONG)
