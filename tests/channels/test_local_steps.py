"""Steps with a local network: told pixels change what is predicted next, the same way for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.ans.stack import Stack
from ddpmcodec.channels import stacked
from ddpmcodec.channels.uniform import decode_group, encode_group, encode_symbols
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.networks.model import Model
from ddpmcodec.presets import REFINED as LISTS
from ddpmcodec.presets import refined_steps, with_learning
from ddpmcodec.schedule import Step
from ddpmcodec.training.local import LatentLocal

Pixels = NDArray[np.uint8]
REFINED = LISTS[5]
LEARNING = tuple(step._replace(learns=True) for step in REFINED)
THROUGH_NOISE = with_learning([Step(512, 1, 0, 1), Step(0, 8, 0, 16), Step(0, 8, 16, 64)], 3)
ANY_LIST = pytest.mark.parametrize("steps", [REFINED, LEARNING, THROUGH_NOISE], ids=["still", "learning", "noise"])
CHANNELS = pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])


@pytest.fixture(scope="module")
def refined(model: Model) -> Model:
    """The tiny model with local networks of random weights for the last two steps, and for one to a noise level."""
    torch.manual_seed(5)
    found = {}
    for step in (*refined_steps()[-2:], THROUGH_NOISE[0]._replace(learns=False)):
        network = LatentLocal()
        torch.nn.init.normal_(network.weights["leave"], std=0.05)
        found[step] = network.as_local(step)
    return replace(model, local=found)


def pictures(channels: int, n: int = 3, height: int = 36, width: int = 42) -> Pixels:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([4 * x + y, 250 - 4 * x, 90 + 2 * y], -1)  # and enough pixels to learn from
    return np.stack([smooth, rng.integers(0, 256, smooth.shape), 255 * (smooth > 120)][:n])[..., :channels].astype(
        np.uint8
    )


@pytest.mark.parametrize("per_step", [False, True], ids=["single", "per step"])
@ANY_LIST
@CHANNELS
def test_a_batch_comes_back(refined: Model, channels: int, steps: Sequence[Step], per_step: bool) -> None:
    pixels = pictures(channels)
    streams = encode_group(pixels, refined, steps, group=0, per_step=per_step)
    found = decode_group(streams, pixels.shape[1:], refined, steps, group=0, per_step=per_step)  # type: ignore[arg-type]
    assert np.array_equal(found.pixels, pixels)
    assert found.exact


@ANY_LIST
@CHANNELS
def test_streams_are_other_ones_than_without_and_do_not_depend_on_the_batch(
    model: Model, refined: Model, channels: int, steps: Sequence[Step]
) -> None:
    pixels = pictures(channels)
    together = encode_group(pixels, refined, steps, group=0, per_step=False)
    assert together == [encode_group(one[None], refined, steps, group=0, per_step=False)[0] for one in pixels]
    assert together != encode_group(pixels, model, steps, group=0, per_step=False)


@CHANNELS
def test_networks_that_learn_end_as_others(refined: Model, channels: int) -> None:
    for picture in pictures(channels):
        still, learned = (
            encode_group(picture[None], refined, steps, group=0, per_step=True)[0] for steps in (REFINED, LEARNING)
        )
        assert still[-1] != learned[-1]


def test_networks_that_learn_code_a_texture_they_never_saw_in_less(refined: Model) -> None:
    y, x = np.mgrid[:128, :128]
    grain = np.random.default_rng(3).integers(-1, 2, (128, 128, 1))
    texture = (120 + 60 * ((x + y) % 8 < 4)[..., None] + grain + [0, 20, -20]).astype(np.uint8)
    still, learned = (
        [len(chunk) for chunk in encode_group(texture[None], refined, steps, group=0, per_step=True)[0]]
        for steps in (REFINED, LEARNING)
    )
    assert learned[:3] == still[:3]  # these steps have no network
    assert learned[-1] < 0.92 * still[-1]


def test_what_an_image_taught_is_forgotten(refined: Model) -> None:
    pixels = pictures(3)
    before = encode_group(pixels, refined, REFINED, group=0, per_step=False)
    encode_group(pixels, refined, LEARNING, group=0, per_step=False)
    assert encode_group(pixels, refined, REFINED, group=0, per_step=False) == before


def test_a_step_that_learns_needs_a_network(model: Model) -> None:
    pixels = pictures(3)
    assert encode_group(pixels, model, LEARNING, group=0, per_step=False) == encode_group(
        pixels, model, REFINED, group=0, per_step=False
    )


def test_steps_that_have_no_network_are_as_without(model: Model, refined: Model) -> None:
    pixels = pictures(3)
    for step, (with_it, _), (without, _) in zip(
        REFINED,
        encode_symbols(pixels, refined, REFINED, group=0),
        encode_symbols(pixels, model, REFINED, group=0),
        strict=True,
    ):
        same = all(np.array_equal(a[1], b[1]) for a, b in zip(with_it, without, strict=True))
        assert same == (step not in refined.local)


@ANY_LIST
def test_every_cut_shows_something_and_damage_is_found(refined: Model, steps: Sequence[Step]) -> None:
    pixels = pictures(3, 1)
    (chunk,) = encode_group(pixels, refined, steps, group=0, per_step=False)[0]
    shape = pixels.shape[1:]
    for end in range(8, len(chunk), 4 * (len(chunk) // 32)):
        cut = [[chunk[:end]]]
        shown = decode_group(cut, shape, refined, steps, group=0, per_step=False, partial=True)  # type: ignore[arg-type]
        assert (shown.pixels.shape, shown.exact) == (pixels.shape, False)
        with pytest.raises(TruncatedError):
            decode_group(cut, shape, refined, steps, group=0, per_step=False)  # type: ignore[arg-type]
    wrong = bytearray(chunk)
    wrong[len(chunk) // 2] ^= 8
    with pytest.raises((ChecksumError, FormatError, TruncatedError)):
        decode_group([[bytes(wrong)]], shape, refined, steps, group=0, per_step=False)  # type: ignore[arg-type]


@ANY_LIST
def test_archives_come_back(refined: Model, steps: Sequence[Step]) -> None:
    pixels, stack = pictures(3), Stack.empty()
    stacked.encode(stack, pixels, refined, steps)
    assert np.array_equal(stacked.decode(stack, pixels.shape, refined, steps), pixels)  # type: ignore[arg-type]
