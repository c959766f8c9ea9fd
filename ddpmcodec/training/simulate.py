"""States of the code at random points of random step lists: what the denoiser is trained on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ddpmcodec.kernels import uniform_cell
from ddpmcodec.networks.features import gaussian_estimate, uniform_spread
from ddpmcodec.schedule import HALF_RANGE, bayer_ranks

LADDER = 7  # most noise steps simulated before the state
DIFFUSION_SHARE = 0.08  # of images all of whose pixels move together, through many noise levels
COARSE_SHARE = 0.16  # of images that become visible at a noise level, coarse to fine, before any pixel is exact
LATTICE = 16  # period; the phases of smaller lattices are the first of its own
FIRST_LEVEL = 100.0  # grey levels; a ladder starts at the first rung below
LADDER_LEVELS = (1.2, 90.0)  # that ladders end at
RUNG_LEVELS = (0.8, 6.0)  # that one or two steps end at, on the way of a group of lattice phases
COARSE_LEVELS = (6.0, 50.0)  # at which lattice phases become visible
REFINED_LEVELS = (2.0, 12.0)  # to which all pixels have come before the first of them are exact
STEP_LEVELS = (1.0, 200.0)  # noise levels of the Gaussian channel's steps
FINAL_LEVELS = (0.6, 6.0)  # and of its last step, to the pixel itself
FINAL_SHARE = 0.3


class UniformBatch(NamedTuple):
    """States of the uniform channel and what the next step tells, [N, 3, H, W]; lo, hi, new_* in grey levels 0..255."""

    estimate: Tensor
    spread: Tensor
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor
    weight: Tensor  # bits of a dimension times its weight, averaged, are the loss


class GaussianBatch(NamedTuple):
    """States of the Gaussian channel, [N, 3, H, W]; per image, [N, 1, 1, 1], the next step's level and two weights."""

    estimate: Tensor
    spread: Tensor
    pixels: Tensor
    c_t: Tensor
    s_t: Tensor
    s_u: Tensor
    step_weight: Tensor  # of the bits of the step to s_u
    final_weight: Tensor  # of the bits of the pixel itself


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)


def _log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.exp(_uniform(n, math.log(low), math.log(high), generator))


class Ranges(NamedTuple):
    """A state of the uniform channel, all [N, 3, H, W]: c_t (centred), its noise level, the range the pixel lies in."""

    c: Tensor
    level: Tensor
    lo: Tensor
    hi: Tensor


def unknown_ranges(pixels: Tensor) -> Ranges:
    """Nothing known: infinite noise, any grey level."""
    c, lo = torch.zeros_like(pixels), torch.zeros_like(pixels)
    return Ranges(c, torch.full_like(pixels, math.inf), lo, torch.full_like(pixels, 255.0))


def uniform_step(pixels: Tensor, state: Ranges, level: Tensor, active: Tensor, generator: torch.Generator) -> Ranges:
    """One step to noise level `level` (grey levels) where `active`, both of which broadcast over [N, 3, H, W]."""
    dither = torch.rand(pixels.shape, generator=generator)
    cell = uniform_cell(state.c, pixels - HALF_RANGE, state.level, level, dither)
    lo, hi = torch.maximum(cell.lo, state.lo), torch.minimum(cell.hi, state.hi)
    new = Ranges(cell.c_u, level, lo, hi)
    return Ranges(*(torch.where(active, a, b) for a, b in zip(new, state, strict=True)))


class _Plan(NamedTuple):
    """Where in a step list each image of a batch is, [N, 1, 1, 1] or [N, 1, H, W]."""

    exact: Tensor  # pixels that are exact already
    noisy: Tensor  # pixels that the noise steps before the state have moved
    group: Tensor  # pixels that the next step moves
    fellows: Tensor  # pixels that are predicted from as much, and would be next: more to learn from in one call
    rungs: Tensor  # noise steps before the state; 0: nothing is known of what is not exact
    target: Tensor  # grey levels; the noise level that those steps end at, or the next step where nothing is known
    finish: Tensor  # whether the next step makes the group exact


def _group(period: int, generator: torch.Generator) -> tuple[int, int]:
    """First and last rank of the lattice phases that one step moves: the natural share of each in the cost of a list.

    A random phase, in a list of groups that double in size, each cut into 1, 2, 4 or 8 parts.
    """
    rank = int(torch.randint(period * period, (), generator=generator))
    size = 1 << max(rank.bit_length() - 1 - int(torch.randint(4, (), generator=generator)), 0)
    first = rank // size * size
    return first, first + size


def _doubling(period: int, generator: torch.Generator) -> tuple[int, int]:
    """First and last rank of a group that doubles what is visible; each of them as often as the next."""
    last = 1 << int(torch.randint((period * period).bit_length(), (), generator=generator))
    return (last // 2, last)


def _plan(n: int, size: int, generator: torch.Generator) -> _Plan:
    """Some images: all pixels together through many noise levels, plain diffusion.

    Some: lattice phases that appear at a noise level, group by group; or all at a lower one, and some already exact.
    The others: lattice phases made exact group by group, through no, one or two noise levels on the way.
    """
    group = torch.ones(n, 1, size, size, dtype=torch.bool)
    exact, fellows, noisy = torch.zeros_like(group), torch.zeros_like(group), torch.ones_like(group)
    rungs, finish = torch.full((n, 1, 1, 1), LADDER), torch.zeros(n, 1, 1, 1, dtype=torch.bool)
    target = torch.empty(n, 1, 1, 1)
    ranks = torch.as_tensor(bayer_ranks(LATTICE)).repeat(size // LATTICE, size // LATTICE)
    for i, (kind, way, end, height) in enumerate(torch.rand(n, 4, generator=generator).tolist()):
        if kind < DIFFUSION_SHARE:
            rungs[i], finish[i], levels = (0, LADDER)[way > 0.12], end < 0.3, LADDER_LEVELS
        elif kind < DIFFUSION_SHARE + COARSE_SHARE / 2:
            first, last = _doubling(LATTICE, generator)
            noisy[i], group[i] = ranks < first, (ranks >= first) & (ranks < last)
            rungs[i], levels = 1, COARSE_LEVELS
        elif kind < DIFFUSION_SHARE + COARSE_SHARE:
            first, last = _group(LATTICE, generator)
            exact[i], group[i] = ranks < first, (ranks >= first) & (ranks < last)
            rungs[i], finish[i], levels = (1, 2, 3)[int(3 * way)], True, REFINED_LEVELS
        else:
            first, last = _group(LATTICE, generator)
            exact[i], group[i] = ranks < first, (ranks >= first) & (ranks < last)
            noisy[i], rungs[i], levels = group[i], (0, 0, 0, 0, 1, 1, 1, 1, 1, 2)[int(10 * way)], RUNG_LEVELS
            finish[i] = end < (0.5 if rungs[i] == 0 else 0.85)
            if rungs[i] == 0:
                fellows[i] = (ranks >= last) & (ranks < 1 << first.bit_length())
        target[i] = levels[0] * (levels[1] / levels[0]) ** height
    return _Plan(exact, noisy, group, fellows, rungs, target, finish)


def uniform_batch(pixels: Tensor, generator: torch.Generator) -> UniformBatch:
    """Random states of the uniform channel for images [N, 3, H, W] (0..255) and what the next step tells."""
    n, _, size, _ = pixels.shape
    plan = _plan(n, size, generator)
    ratio = _uniform(n, 0.3, 0.75, generator)
    state = unknown_ranges(pixels)
    for j in range(LADDER - 1, -1, -1):
        level = plan.target / ratio**j
        rows = torch.nonzero(((level < FIRST_LEVEL) & (j < plan.rungs)).flatten()).flatten()
        before = Ranges(*(part[rows] for part in state))
        moved = uniform_step(pixels[rows], before, level[rows], plan.noisy[rows], generator)
        state = Ranges(*(part.index_copy(0, rows, new) for part, new in zip(state, moved, strict=True)))
    lo, hi = torch.where(plan.exact, pixels, state.lo), torch.where(plan.exact, pixels, state.hi)
    level = torch.where(plan.noisy & (plan.rungs > 0), plan.target * ratio, plan.target)
    after = uniform_step(pixels, state._replace(lo=lo, hi=hi), level, plan.group, generator)
    known = (plan.finish & plan.group) | plan.fellows
    new_lo, new_hi = (torch.where(known, pixels, bound) for bound in (after.lo, after.hi))
    moving = (plan.group | plan.fellows).float()
    weight = moving / moving.mean((1, 2, 3), keepdim=True)
    estimate, spread = (lo + hi) / 2 - HALF_RANGE, uniform_spread(hi - lo + 1)
    return UniformBatch(estimate, spread, lo, hi, new_lo, new_hi, weight.expand_as(pixels))


def gaussian_batch(pixels: Tensor, generator: torch.Generator) -> GaussianBatch:
    """Random noise levels of the Gaussian channel: for most a step of a log-linear list, for some the pixel itself."""
    n = pixels.shape[0]
    final = torch.rand(n, 1, 1, 1, generator=generator) < FINAL_SHARE
    s_t = torch.where(final, _log_uniform(n, *FINAL_LEVELS, generator), _log_uniform(n, *STEP_LEVELS, generator))
    steps = _log_uniform(n, 8.0, 64.0, generator)
    s_u = s_t * (STEP_LEVELS[0] / STEP_LEVELS[1]) ** (1 / steps)
    c_t = pixels - HALF_RANGE + s_t * torch.randn(pixels.shape, generator=generator)
    estimate, spread = gaussian_estimate(c_t, s_t)
    step_weight = torch.where(final, 0.0, steps / (1 - FINAL_SHARE))
    return GaussianBatch(estimate, spread, pixels, c_t, s_t, s_u, step_weight, final / FINAL_SHARE)
