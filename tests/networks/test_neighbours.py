"""Means as sums over neighbours: what they are sums of, and that the kernels take the same ones to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.networks.eager import patches
from ddpmcodec.networks.exact import BLENDS, OUTPUTS
from ddpmcodec.networks.features import LARGEST_WEIGHT, uniform_spread, weights
from ddpmcodec.networks.fused_neighbours import gaussian_middle, neighbour_sums, range_middle
from ddpmcodec.networks.neighbours import NEIGHBOURS, blend, local_mean, visibility

H, W = 11, 14
NUMBERS = BLENDS + len(NEIGHBOURS)


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
    assert len(set(NEIGHBOURS)) == len(NEIGHBOURS) == 24 + 8
    assert (0, 0) not in NEIGHBOURS
    assert {max(abs(y), abs(x)) for y, x in NEIGHBOURS} == {1, 2, 4}


def test_without_weights_neighbours_add_nothing() -> None:
    estimate, one = image(0), torch.ones(2, 3, H, W)
    assert not blend(estimate, one, one, around()).any()


def test_a_blend_of_one_leads_to_the_local_mean() -> None:
    estimate, one = image(0), torch.ones(2, 3, H, W)
    moved = estimate + blend(estimate, one, one, around(blend=1.0))
    assert torch.allclose(moved, local_mean(estimate, one), atol=1e-4)


@pytest.mark.parametrize("neighbour", [0, 11, 23, 24, 31], ids=lambda j: str(NEIGHBOURS[j]))
def test_a_weight_of_one_takes_a_visible_neighbours_difference_from_the_mean(neighbour: int) -> None:
    estimate, one = image(1), torch.ones(2, 3, H, W)
    found = blend(estimate, one, 0.25 * one, around(neighbour=neighbour, weight=1.0))
    dy, dx = NEIGHBOURS[neighbour]
    middle = local_mean(estimate, one)
    for y, x in ((5, 7), (4, 4), (0, 0), (H - 1, W - 1)):
        inside = 0 <= y + dy < H and 0 <= x + dx < W
        wanted = 0.25 * (estimate[..., y + dy, x + dx] - middle[..., y, x]) if inside else torch.zeros(2, 3)
        assert torch.allclose(found[..., y, x], wanted, atol=1e-5)


def test_the_local_mean_is_that_of_what_is_known() -> None:
    estimate, spread = image(2), torch.full((2, 3, H, W), 73.9)
    spread[..., 5, 6] = 0.0  # one exact pixel among unknown ones
    middle = local_mean(estimate, weights(spread))
    assert (middle[..., 5, 6] - estimate[..., 5, 6]).abs().max() < 0.1 * 127.5
    assert (middle[..., 5, 7] - estimate[..., 5, 6]).abs().max() < 0.1 * 127.5


def test_exact_neighbours_are_visible_unknown_ones_hardly_and_noisy_ones_alike() -> None:
    spread = torch.tensor([0.0, 6.0, 73.9]).view(1, 1, 1, 3).expand(2, 3, 1, 3)
    seen = visibility(spread, torch.tensor([0.0, 1.0]))
    assert seen[0, 0, 0].tolist() == pytest.approx([1, 0.5, 0.007], abs=4e-3)
    assert seen[1].eq(1).all()


# --- kernels


def fused(numbers: Tensor, estimate: Tensor, visible: Tensor, middle: np.ndarray) -> Tensor:
    """`neighbour_sums` of [N, C, H, W] tensors."""
    padding = (0, -W % 4, 0, -H % 4)
    outputs = torch.nn.functional.pad(torch.cat([torch.full((2, OUTPUTS, H, W), 9.0), numbers], 1), padding)
    in_patches = patches(outputs.permute(0, 2, 3, 1).contiguous()).permute(0, 2, 3, 1).contiguous().numpy()
    found = np.zeros((2, H, W, 3), np.float32)
    neighbour_sums(in_patches, *(last(x) for x in (estimate, visible)), middle, found)
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def last(x: Tensor) -> np.ndarray:
    return x.permute(0, 2, 3, 1).contiguous().numpy()


@pytest.fixture
def numbers() -> Tensor:
    return torch.randn(2, NUMBERS, H, W, generator=torch.Generator().manual_seed(5))


def test_the_kernel_takes_the_sums_of_ranges(
    numbers: Tensor, draw_ranges: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    lo, hi = draw_ranges(2, H, W)
    low, high = (torch.from_numpy(a).permute(0, 3, 1, 2).float() for a in (lo, hi))
    estimate, weight = (low + high) / 2 - 127.5, weights(uniform_spread(high - low + 1))
    visible = weight * (1 / LARGEST_WEIGHT)
    middle = range_middle(lo, hi, weights(uniform_spread(torch.arange(1, 257).float())).numpy())
    assert torch.equal(torch.from_numpy(middle).permute(0, 3, 1, 2), local_mean(estimate, weight))
    assert torch.equal(fused(numbers, estimate, visible, middle), blend(estimate, weight, visible, numbers))


@pytest.mark.parametrize("weight", [1.0, 255.0])
def test_the_kernel_takes_the_sums_of_estimates_of_one_weight(numbers: Tensor, weight: float) -> None:
    estimate, one = image(3, low=-256, high=256), torch.ones(2, 3, H, W)
    middle = gaussian_middle(last(estimate))
    assert torch.equal(torch.from_numpy(middle).permute(0, 3, 1, 2), local_mean(estimate, weight * one))
    assert torch.equal(fused(numbers, estimate, one, middle), blend(estimate, one, one, numbers))
