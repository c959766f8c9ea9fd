"""Random states of the code: what they claim of the pixels is true."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ddpmcodec.networks.features import gaussian_estimate, uniform_spread
from ddpmcodec.schedule import HALF_RANGE, bayer_ranks
from ddpmcodec.training.simulate import (
    FINAL_LEVELS,
    FINAL_SHARE,
    STEP_LEVELS,
    GaussianBatch,
    UniformBatch,
    gaussian_batch,
    uniform_batch,
    uniform_step,
    unknown_ranges,
)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture(scope="module")
def uniform(pixels: Tensor) -> UniformBatch:
    return uniform_batch(pixels, torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def gaussian(pixels: Tensor) -> GaussianBatch:
    return gaussian_batch(pixels, torch.Generator().manual_seed(1))


def test_the_same_seed_gives_the_same_batch(pixels: Tensor, uniform: UniformBatch, gaussian: GaussianBatch) -> None:
    for drawn, batch in ((uniform, uniform_batch), (gaussian, gaussian_batch)):
        again, other = (batch(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 2))
        assert all(a.equal(b) for a, b in zip(drawn, again, strict=True))
        assert not drawn.estimate.equal(other.estimate)


# --- uniform channel


def test_new_ranges_lie_in_the_old_ones_round_the_pixel(pixels: Tensor, uniform: UniformBatch) -> None:
    order = [torch.zeros_like(pixels), uniform.lo, uniform.new_lo, pixels, uniform.new_hi, uniform.hi]
    for below, above in zip(order, [*order[1:], torch.full_like(pixels, 255)], strict=True):
        assert (below <= above).all()
        assert below.equal(below.round())


def test_the_network_sees_centre_and_spread_of_the_range(uniform: UniformBatch) -> None:
    assert uniform.estimate.equal((uniform.lo + uniform.hi) / 2 - HALF_RANGE)
    assert uniform.spread.equal(uniform_spread(uniform.hi - uniform.lo + 1))


def test_the_step_tells_something_of_the_pixels_that_count_only(uniform: UniformBatch) -> None:
    told = (uniform.new_lo > uniform.lo) | (uniform.new_hi < uniform.hi)
    counts = uniform.weight > 0
    assert not told[~counts].any()
    assert told[counts].float().mean() > 0.5
    assert uniform.weight.mean((1, 2, 3)).sub(1).abs().max() < 1e-5


def test_states_are_those_of_step_lists(uniform: UniformBatch) -> None:
    """The step moves lattice phases; those before them are all exact, or all visible through noise and then none is."""
    exact, moved = (uniform.lo == uniform.hi).all(1), uniform.weight[:, 0] > 0
    seen = ((uniform.hi - uniform.lo) < 255).flatten(2).all(1).view_as(exact)
    ranks = torch.as_tensor(bayer_ranks(16))
    whole = moved.flatten(1).all(1)
    assert 0 < whole.float().mean() < 1
    through_noise = 0
    for done, visible, group in zip(exact[~whole], seen[~whole], moved[~whole], strict=True):
        first, last = int(ranks[group].min()), int(ranks[group].max())
        assert group.equal((first <= ranks) & (ranks <= last))
        assert not done[ranks >= first].all()
        if not done[ranks < first].all():
            assert not visible[ranks >= first].any()
            through_noise += 1
    assert 10 < through_noise < 60


def test_noisy_pixels_surround_exact_ones_before_a_coarse_image_is_finished(uniform: UniformBatch) -> None:
    ranks, exact = torch.as_tensor(bayer_ranks(16)), (uniform.lo == uniform.hi).all(1)
    narrow = (uniform.hi - uniform.lo).amax(1) < 100
    found = 0
    for done, close, group in zip(exact, narrow, uniform.weight[:, 0] > 0, strict=True):
        first, last = int(ranks[group].min()), int(ranks[group].max())
        if first > 0 and last < 255 and done[ranks < first].all() and close.all():
            found += not done[ranks > last].any()
    assert found > 5


def test_pixels_predicted_from_as_much_count_with_those_that_move(uniform: UniformBatch) -> None:
    moved, ranks = uniform.weight[:, 0] > 0, torch.as_tensor(bayer_ranks(16))
    unseen = ((uniform.hi - uniform.lo)[:, 0] * moved).flatten(1).amax(1) == 255
    seen = 0
    for group in moved[unseen & ~moved.flatten(1).all(1)]:
        first, end = int(ranks[group].min()), int(ranks[group].max()) + 1
        assert end == 1 << first.bit_length()  # the end of a doubling of the exact pixels
        seen += 1
    assert seen > 50


def test_batches_hold_every_kind_of_state(uniform: UniformBatch) -> None:
    unknown = ((uniform.lo == 0) & (uniform.hi == 255)).float().mean((1, 2, 3))
    finished = ((uniform.new_lo == uniform.new_hi) | (uniform.weight == 0)).flatten(1).all(1)
    assert (unknown == 1).any()
    assert (unknown == 0).any()
    assert 0.1 < finished.float().mean() < 0.9


def test_a_step_leaves_inactive_pixels_alone(pixels: Tensor) -> None:
    state = unknown_ranges(pixels[:2])
    active = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    active[:, :, ::2] = True
    level = torch.full((2, 1, 1, 1), 20.0)
    after = uniform_step(pixels[:2], state, level, active, torch.Generator().manual_seed(0))
    for old, new in zip(state, after, strict=True):
        assert new[:, :, 1::2].equal(old[:, :, 1::2])
    assert (after.level[:, :, ::2] == 20).all()
    assert (after.hi - after.lo)[:, :, ::2].max() < 75  # D = sqrt(12) 20


# --- Gaussian channel


def test_noisy_values_have_the_noise_they_claim(pixels: Tensor, gaussian: GaussianBatch) -> None:
    noise = (gaussian.c_t - (pixels - HALF_RANGE)) / gaussian.s_t
    assert noise.mean().abs() < 0.02
    assert noise.std().sub(1).abs() < 0.02


def test_the_network_sees_the_posterior_of_the_noisy_value(gaussian: GaussianBatch) -> None:
    estimate, spread = gaussian_estimate(gaussian.c_t, gaussian.s_t)
    assert gaussian.estimate.equal(estimate)
    assert gaussian.spread.equal(spread)


def test_every_image_pays_for_a_step_or_for_its_pixels(gaussian: GaussianBatch) -> None:
    final = gaussian.final_weight > 0
    assert final.equal(gaussian.step_weight == 0)
    assert final.float().mean() == pytest.approx(FINAL_SHARE, abs=0.1)
    assert gaussian.final_weight.mean() == pytest.approx(1, abs=0.3)


def test_levels_are_those_of_log_linear_lists(gaussian: GaussianBatch) -> None:
    final, s_t = gaussian.final_weight > 0, gaussian.s_t
    for levels, (low, high) in ((s_t[final], FINAL_LEVELS), (s_t[~final], STEP_LEVELS)):
        assert low <= levels.min() < 2 * low
        assert high / 2 < levels.max() <= high
    ratio = (gaussian.s_u / s_t)[~final]
    steps = torch.log(torch.tensor(STEP_LEVELS[0] / STEP_LEVELS[1])) / torch.log(ratio)
    assert 8 <= steps.min().round() < steps.max().round() <= 64
    assert torch.allclose(gaussian.step_weight[~final], steps / (1 - FINAL_SHARE), rtol=1e-3)
