"""What images cost: of every network, of whole files, and the same however positions are computed together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training import evaluation
from ddpmcodec.training.evaluation import bits_of, figures
from ddpmcodec.training.replay import bands_of, pixels_of
from ddpmcodec.training.trainable import Shape, TrainableNetwork

Pixels = np.ndarray


def networks(*roles: str) -> dict[str, TrainableNetwork]:
    torch.manual_seed(0)
    return {
        role: TrainableNetwork(Shape("band" if role[0] == "b" else role, 16, 1, 1 if role[0] == "b" else 3))
        for role in roles
    }


def test_all_networks_have_figures(gradients: Pixels) -> None:
    found = figures(networks(*ROLES), [gradients[:3], gradients[3:5, :12, :12]])
    rates, steps = found["held_out"], found["steps"]
    assert list(rates) == [
        "direct", "last 2", "last 5", "bands 2", "bands 5", "levels 0", "levels 2", "levels 5"
    ]  # fmt: skip
    assert {key: len(value) for key, value in steps.items()} == {"2": 2, "5": 5}
    assert all(rate > 0 for rate in (*rates.values(), *steps["2"], *steps["5"]))
    assert rates["levels 0"] == rates["direct"]
    for levels in ("2", "5"):
        assert rates[f"bands {levels}"] == pytest.approx(sum(steps[levels]), abs=1e-3)
        assert rates[f"levels {levels}"] == pytest.approx(rates[f"last {levels}"] + rates[f"bands {levels}"], abs=1e-3)


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["direct"], ["direct", "levels 0"]),
        (["last", "band1"], ["last 2", "last 5", "bands 2", "bands 5"]),
        (["band3"], ["bands 2", "bands 5"]),
    ],
)
def test_totals_need_all_of_their_networks(roles: list[str], expected: list[str], gradients: Pixels) -> None:
    assert list(figures(networks(*roles), [gradients[:1]])["held_out"]) == expected


def test_parts_of_a_batch_are_the_whole(gradients: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = figures(networks(*ROLES), [gradients[:5]])
    monkeypatch.setattr(evaluation, "PIXELS", 2 * 16 * 16)
    monkeypatch.setattr(evaluation, "POSITIONS", 100)
    assert figures(networks(*ROLES), [gradients[:5]]) == whole


@pytest.mark.parametrize("role", ROLES)
def test_positions_that_are_computed_apart_cost_the_same(
    role: str, gradients: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.ascontiguousarray(gradients[:5, :12, :12])
    columns = bands_of(images, 2)[role] if role in BAND_ROLES else pixels_of(images, 0 if role == "direct" else 2)
    network = networks(role)[role]
    for layer in ("head", "skip"):
        torch.nn.init.normal_(network.weights[layer], std=0.01)
    together = bits_of(network, columns)
    monkeypatch.setattr(evaluation, "POSITIONS", 100)
    assert np.allclose(bits_of(network, columns), together, rtol=1e-3)
    assert together.std() > 0
