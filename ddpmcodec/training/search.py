"""Finding step lists: the cheapest way through a lattice under a budget of network calls, by costs on held-out images.

What a group of lattice phases costs depends on which phases are exact before it and on the noise levels it goes
through, not on how the earlier phases became exact. So every group is measured by itself, once, and dynamic programming
puts them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.errors import TrainingError
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.presets import BUDGETS, PRESETS
from ddpmcodec.schedule import Step
from ddpmcodec.training.data import load_images
from ddpmcodec.training.evaluate import code_lengths

PERIOD = 8
PHASES = PERIOD * PERIOD
SMALLEST_SHARE = 8  # a doubling of the exact phases is cut into at most so many groups
NOISE_PLANS = ((), (1.0,), (1.5,), (2.5,), (4.0,))


class Group(NamedTuple):
    """Phases [first, last) and the noise levels (grey levels) they go through before they become exact."""

    first: int
    last: int
    levels: tuple[float, ...]

    def steps(self) -> list[Step]:
        return [Step(round(256 * s), PERIOD, self.first, self.last) for s in (*self.levels, 0.0)]


def candidates() -> Iterator[Group]:
    """Phase 0, then every doubling cut into 1, 2, 4 or 8 equal groups, each through every plan of noise levels."""
    yield Group(0, 1, ())
    start = 1
    while start < PHASES:
        for parts in (1 << i for i in range(SMALLEST_SHARE.bit_length())):
            size = start // parts
            for first in range(start, 2 * start, size) if size else ():
                yield from (Group(first, first + size, plan) for plan in NOISE_PLANS)
        start *= 2


def group_cost(model: Model, pixels: NDArray[np.uint8], group: Group) -> float:
    """Bits, per dimension of the whole images [N, H, W, 3], that the group adds when all phases before it are exact."""
    known = [Step(0, PERIOD, 0, group.first)] if group.first else []
    costs = code_lengths(_free_start(model) if known else model, pixels, [*known, *group.steps()])
    return sum(costs[len(known) :])


def _free_start(model: Model) -> Model:
    """The same model but for its first prediction, which prices phases that are given anyway."""
    calls = 0

    def predict(lo: NDArray[np.uint8], hi: NDArray[np.uint8]) -> IntegerPrediction:
        nonlocal calls
        calls += 1
        if calls > 1:
            return model.predict(lo, hi)
        return IntegerPrediction(
            np.zeros(lo.shape, np.int32), np.full(lo.shape, 90, np.uint8), np.zeros(lo.shape, np.int16)
        )

    return replace(model, predict=predict)


def measure(model: Model, pixels: NDArray[np.uint8]) -> dict[Group, float]:
    """`group_cost` of every candidate."""
    return {group: group_cost(model, pixels, group) for group in tqdm(list(candidates()), disable=None)}


def cheapest(costs: Mapping[Group, float], calls: int) -> tuple[float, list[Step]]:
    """The least bits/dim with at most so many network calls, and the step list that reaches it."""
    best: dict[tuple[int, int], tuple[float, tuple[Group, ...]]] = {(0, 0): (0.0, ())}
    by_first: dict[int, list[Group]] = {}
    for group in costs:
        by_first.setdefault(group.first, []).append(group)
    for position in sorted(by_first):
        for used in range(calls):
            if (position, used) not in best:
                continue
            total, path = best[position, used]
            for group in by_first[position]:
                key = (group.last, used + len(group.levels) + 1)
                candidate = (total + costs[group], (*path, group))
                if key[1] <= calls and candidate < best.get(key, (float("inf"), ())):
                    best[key] = candidate
    total, path = min(value for (position, _), value in best.items() if position == PHASES)
    return total, [step for group in path for step in group.steps()]


def searched_presets(latent: LatentNetwork, data: str, count: int) -> dict[int, list[Step]]:
    """The best list for every effort's budget of network calls, on the last `count` images of a data set; and the
    progressive one as it is.

    Raises TrainingError when the images are not of one size.
    """
    images = load_images(data)[-count:]
    if len({image.shape for image in images}) > 1:
        raise TrainingError(f"{data}: the last {count} images are not of one size; search on others, or on fewer")
    model = checkpoint.parse(checkpoint.export(latent, PRESETS, name="searched"), "the network to export")
    costs = measure(model, np.stack(images))
    found = {effort: cheapest(costs, calls)[1] for effort, calls in BUDGETS.items()}
    return {**found, PROGRESSIVE: list(PRESETS[PROGRESSIVE])}
