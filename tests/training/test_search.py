"""The search for step lists: what it proposes is valid, and nothing cheaper fits the budget."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.errors import TrainingError
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.presets import BUDGETS, PRESETS
from ddpmcodec.schedule import Step, validate_steps
from ddpmcodec.training import search
from ddpmcodec.training.evaluate import code_lengths
from ddpmcodec.training.search import PHASES, Group, candidates, cheapest, group_cost, searched_presets


def fake_costs() -> dict[Group, float]:
    """More bits for larger groups, fewer for those that go through noise levels."""
    rng = np.random.default_rng(0)
    return {g: (g.last - g.first) * float(rng.uniform(1, 3)) / (1 + len(g.levels)) for g in candidates()}


def test_every_candidate_can_follow_the_phases_before_it() -> None:
    for group in candidates():
        before = [Step(0, 8, 0, group.first)] if group.first else []
        after = [Step(0, 8, group.last, PHASES)] if group.last < PHASES else []
        validate_steps([*before, *group.steps(), *after])
    assert len(set(candidates())) == len(list(candidates()))


@pytest.mark.parametrize("calls", [7, 8, 15, 40, 64])
def test_a_list_is_valid_and_within_its_budget(calls: int) -> None:
    total, steps = cheapest(fake_costs(), calls)
    validate_steps(steps)
    assert len(steps) <= calls
    assert total > 0


def test_more_calls_never_cost_more_bits() -> None:
    totals = [cheapest(fake_costs(), calls)[0] for calls in range(7, 65, 3)]
    assert totals == sorted(totals, reverse=True)


def test_nothing_cheaper_fits() -> None:
    groups = [Group(0, 1, ()), Group(1, 2, ()), Group(1, PHASES, ()), Group(2, PHASES, (7.0,)), Group(2, PHASES, ())]
    rng = np.random.default_rng(1)
    for calls in (2, 3, 4):
        costs = {group: float(rng.uniform(0, 9)) for group in groups}
        paths = [(groups[0], groups[2]), (groups[0], groups[1], groups[3]), (groups[0], groups[1], groups[4])]
        fitting = [path for path in paths if sum(len(g.steps()) for g in path) <= calls]
        least = min(sum(costs[g] for g in path) for path in fitting)
        assert cheapest(costs, calls)[0] == pytest.approx(least)


def test_a_group_costs_what_its_steps_do_after_exact_ones(latent: LatentNetwork, gradients: NDArray[np.uint8]) -> None:
    model = checkpoint.parse(checkpoint.export(latent, {}, name="here"), "here")
    groups = [Group(0, 1, ()), Group(1, 4, (12.0,)), Group(4, PHASES, ())]
    steps = list(itertools.chain.from_iterable(group.steps() for group in groups))
    whole = sum(code_lengths(model, gradients[:4], steps))
    assert sum(group_cost(model, gradients[:4], group) for group in groups) == pytest.approx(whole, rel=0.02)


def test_every_effort_gets_a_list_of_its_own(
    latent: LatentNetwork, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = [0, 1, *range(4, PHASES + 1, 4)]
    groups = [Group(*pair, ()) for pair in itertools.combinations(bounds, 2)]
    monkeypatch.setattr(search, "candidates", lambda: groups)
    found = searched_presets(latent, str(pictures), 2)
    assert tuple(found.pop(PROGRESSIVE)) == PRESETS[PROGRESSIVE]
    assert found.keys() == BUDGETS.keys()
    for effort, steps in found.items():
        validate_steps(steps)
        assert len(steps) <= BUDGETS[effort]


def test_a_search_needs_images_of_one_size(latent: LatentNetwork, tmp_path: Path) -> None:
    for side in (8, 9):
        Image.new("RGB", (side, 8)).save(tmp_path / f"{side}.png")
    with pytest.raises(TrainingError, match="the last 2 images are not of one size; search on others, or on fewer"):
        searched_presets(latent, str(tmp_path), 2)
