"""Held-out rate of a network under a step list.

Either in float (a bound, cheap to differentiate between lists), or of the exact network in the coder's own integers
(the code length of files, which cost a few bytes more).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.ans.logistic import cost_bits
from ddpmcodec.channels.uniform import encode_symbols
from ddpmcodec.networks.features import uniform_spread
from ddpmcodec.networks.model import Model
from ddpmcodec.networks.prediction import Prediction, range_bits
from ddpmcodec.schedule import Step, step_mask
from ddpmcodec.training.simulate import Ranges, uniform_step, unknown_ranges

Denoise = Callable[[Tensor, Tensor, Tensor], Prediction]  # estimate, spread, gaussian -> prediction


def advance(pixels: Tensor, state: Ranges, step: Step, generator: torch.Generator) -> Ranges:
    """The state after a step of the list, for images [N, 3, H, W]."""
    active = torch.as_tensor(step_mask(step, *pixels.shape[-2:]))
    if step.level:
        return uniform_step(pixels, state, torch.full_like(pixels, step.level / 256), active, generator)
    exact = Ranges(pixels - 127.5, torch.zeros_like(pixels), pixels, pixels)
    return Ranges(*(torch.where(active, a, b) for a, b in zip(exact, state, strict=True)))


@torch.no_grad()
def step_costs(denoise: Denoise, pixels: Tensor, steps: Sequence[Step], seed: int = 0) -> Tensor:
    """[len(steps), N] bits/dim of every step of the uniform channel for images [N, 3, H, W] (0..255)."""
    generator = torch.Generator().manual_seed(seed)
    state, costs = unknown_ranges(pixels), []
    for step in steps:
        prediction = denoise(
            (state.lo + state.hi) / 2 - 127.5, uniform_spread(state.hi - state.lo + 1), pixels.new_zeros(len(pixels))
        )
        after = advance(pixels, state, step, generator)
        costs.append(range_bits(prediction, state.lo, state.hi, after.lo, after.hi).mean((1, 2, 3)))
        state = after
    return torch.stack(costs)


def code_lengths(model: Model, pixels: NDArray[np.uint8], steps: Sequence[Step]) -> list[float]:
    """Mean bits/dim of every step's symbols for images uint8 [N, H, W, 3]; a file costs their sum and its header."""
    walk = encode_symbols(pixels, model, steps, group=0)
    return [sum(float(cost_bits(freqs).sum()) for _, freqs in symbols) / pixels.size for symbols, _ in walk]
