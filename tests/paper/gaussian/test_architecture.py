"""Means as sums over neighbours: what they are sums of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.gaussian.architecture import BLENDS, NEIGHBOUR_OFFSETS, blend, local_mean

H, W = 11, 14
NUMBERS = BLENDS + len(NEIGHBOUR_OFFSETS)


def image(seed: int, *, low: float = -127.5, high: float = 127.5) -> Tensor:
    return low + (high - low) * torch.rand(2, 3, H, W, generator=torch.Generator().manual_seed(seed))


def around(**given: float) -> Tensor:
    """All zero, but for `blend` and one neighbour's weight."""
    numbers = torch.zeros(2, NUMBERS, H, W)
    numbers[:, :BLENDS] = given.get("blend", 0.0)
    if "neighbour" in given:
        numbers[:, BLENDS + int(given["neighbour"])] = given["weight"]
    return numbers


def test_neighbours_are_a_five_by_five_square_and_a_ring_of_reach_four() -> None:
    assert len(set(NEIGHBOUR_OFFSETS)) == len(NEIGHBOUR_OFFSETS) == 24 + 8
    assert (0, 0) not in NEIGHBOUR_OFFSETS
    assert {max(abs(y), abs(x)) for y, x in NEIGHBOUR_OFFSETS} == {1, 2, 4}


def test_without_weights_neighbours_add_nothing() -> None:
    assert not blend(image(0), around()).any()


def test_a_blend_of_one_leads_to_the_local_mean() -> None:
    estimate = image(0)
    assert torch.allclose(estimate + blend(estimate, around(blend=1.0)), local_mean(estimate), atol=1e-4)


@pytest.mark.parametrize("neighbour", [0, 11, 23, 24, 31], ids=lambda j: str(NEIGHBOUR_OFFSETS[j]))
def test_a_weight_takes_its_share_of_a_neighbours_difference_from_the_mean(neighbour: int) -> None:
    estimate = image(1)
    found = blend(estimate, around(neighbour=neighbour, weight=0.25))
    dy, dx = NEIGHBOUR_OFFSETS[neighbour]
    middle = local_mean(estimate)
    for y, x in ((5, 7), (4, 4), (0, 0), (H - 1, W - 1)):
        inside = 0 <= y + dy < H and 0 <= x + dx < W
        wanted = 0.25 * (estimate[..., y + dy, x + dx] - middle[..., y, x]) if inside else torch.zeros(2, 3)
        assert torch.allclose(found[..., y, x], wanted, atol=1e-5)


@pytest.mark.parametrize(("y", "x"), [(5, 6), (0, 0), (H - 1, 4)])
def test_the_local_mean_is_that_of_two_windows(y: int, x: int) -> None:
    estimate = (4 * image(2)).round() / 4
    near, wide = (estimate[..., max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1].flatten(2) for r in (1, 3))
    total, count = 8 * near.sum(2) + wide.sum(2), 8 * near.shape[2] + wide.shape[2]
    assert torch.allclose(local_mean(estimate)[..., y, x], total / count, atol=1e-4)
