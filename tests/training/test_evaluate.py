"""Held-out rates: the float bound and the coder's own code length tell the same story."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.channels.uniform import encode_group
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.model import Model
from ddpmcodec.schedule import Step, step_mask
from ddpmcodec.training.evaluate import advance, code_lengths, step_costs
from ddpmcodec.training.objective import LatentPredictor
from ddpmcodec.training.simulate import unknown_ranges

STEPS = (Step(5120, 1, 0, 1), Step(1600, 1, 0, 1), Step(0, 4, 0, 4), Step(500, 4, 4, 16), Step(0, 4, 4, 16))


@pytest.fixture
def model(latent: LatentNetwork) -> Model:
    return checkpoint.parse(checkpoint.export(latent, {}, name="here"), "here")


def test_masks_of_a_list_cover_the_image_once() -> None:
    steps = [Step(0, 4, first, first + 2) for first in range(0, 16, 2)]
    masks = torch.stack([torch.as_tensor(step_mask(step, 7, 10)) for step in steps])
    assert masks.sum(0).equal(torch.ones(7, 10, dtype=torch.int64))
    assert np.argwhere(step_mask(Step(0, 2, 0, 1), 4, 4)).tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


def test_a_step_to_level_zero_makes_its_pixels_exact(gradients: NDArray[np.uint8]) -> None:
    pixels = torch.from_numpy(gradients[:2]).permute(0, 3, 1, 2).float()
    after = advance(pixels, unknown_ranges(pixels), Step(0, 2, 0, 2), torch.Generator())
    mask = torch.as_tensor(step_mask(Step(0, 2, 0, 2), 16, 16))
    assert after.lo[..., mask].equal(pixels[..., mask])
    assert after.hi[..., mask].equal(pixels[..., mask])
    assert (after.hi - after.lo)[..., ~mask].eq(255).all()


def test_every_pixel_is_paid_for(latent: LatentNetwork, gradients: NDArray[np.uint8]) -> None:
    pixels = torch.from_numpy(gradients[:3]).permute(0, 3, 1, 2).float()
    costs = step_costs(LatentPredictor(latent), pixels, STEPS)
    assert costs.shape == (5, 3)
    assert (costs > 0).all()


def test_the_bound_is_near_the_code_length(latent: LatentNetwork, model: Model, gradients: NDArray[np.uint8]) -> None:
    pixels = torch.from_numpy(gradients).permute(0, 3, 1, 2).float()
    bound = step_costs(LatentPredictor(latent), pixels, STEPS).mean(1)
    assert bound.tolist() == pytest.approx(code_lengths(model, gradients, STEPS), rel=0.05)
    assert float(bound.sum()) == pytest.approx(sum(code_lengths(model, gradients, STEPS)), rel=0.01)


def test_the_code_length_is_what_streams_cost(model: Model, gradients: NDArray[np.uint8]) -> None:
    streams = encode_group(gradients[:8], model, STEPS, group=0, per_step=False)
    coded = 8 * sum(len(chunk) for chunks in streams for chunk in chunks)
    reported = sum(code_lengths(model, gradients[:8], STEPS)) * gradients[:8].size
    assert reported < coded < reported + 8 * 12 * 8  # eight bytes of state, and half a word, for each image
