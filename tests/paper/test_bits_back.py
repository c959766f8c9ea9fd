"""Bits back: batches come back and leave the stack as it was, and a batch costs its variational bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpmcodec.errors import DdpmError, TruncatedError
from ddpmcodec.paper import bits_back, diffusion
from ddpmcodec.paper.ans import Stack
from ddpmcodec.paper.bits_back import PRIOR_STD, LatentLevel, Pixels, decode, encode, hierarchy, initial_bits
from ddpmcodec.paper.bound import prior_bits, term_bits
from ddpmcodec.paper.diffusion import (
    COEFFICIENT_LIMIT,
    MEAN_LIMIT,
    Denoiser,
    IntegerPrediction,
    Latents,
    Prediction,
    Predictor,
    RoundedDenoiser,
    conditional_means,
)
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.schedule import ddpm_linear, log_linear, respace

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
SIZES = pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (3, 7, 2), (2, 16, 17)])


def crops(n: int, height: int = 16, width: int = 16) -> Pixels:
    """Pieces of a photograph, uint8 [n, height, width, 3]."""
    photo, rng = np.asarray(Image.open(PHOTO)), np.random.default_rng(3)
    corners = [(int(rng.integers(256 - height)), int(rng.integers(384 - width))) for _ in range(n)]
    return np.stack([photo[y : y + height, x : x + width] for y, x in corners])


def levels_of(levels: Sequence[float] | NDArray[np.float64]) -> list[LatentLevel]:
    return hierarchy([round(1024 * float(s)) for s in levels])


LEVELS = levels_of(log_linear(1, 200, 5))


def borrowed(words: int = 1 << 16) -> Stack:
    """A stack of random bits, as a stack of coded images is."""
    found = np.random.default_rng(1).integers(0, 1 << 32, words, dtype=np.uint32)
    found[0] |= 1 << 30
    found[0] &= (1 << 31) - 1
    return Stack.from_words(found)


def there_and_back(pixels: Pixels, predictor: Predictor, levels: Sequence[LatentLevel]) -> float:
    """Encodes and decodes, compares images and stack, and returns the bits per dimension that the stack grew by."""
    stack = borrowed()
    before, bits = stack.to_words(), stack.bits()
    encode(stack, pixels, predictor, levels)
    grown = stack.bits() - bits
    n, height, width, _ = pixels.shape
    assert np.array_equal(decode(stack, (n, height, width, 3), predictor, levels), pixels)
    assert np.array_equal(stack.to_words(), before)
    return grown / pixels.size


# --- there and back


@SIZES
def test_every_size_comes_back(gaussian_model: GaussianModel, shape: tuple[int, int, int]) -> None:
    assert there_and_back(crops(*shape), gaussian_model, LEVELS) > 0


@pytest.mark.parametrize(
    "levels",
    [[2.0], [1 / 1024, 5000.0], log_linear(0.5, 400, 17), respace(ddpm_linear(), 12)],
    ids=["one", "far apart", "log-linear", "paper"],
)
def test_any_list_of_levels_codes(gaussian_model: GaussianModel, levels: Sequence[float]) -> None:
    assert there_and_back(crops(2, 8, 8), gaussian_model, levels_of(levels)) > 0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_images_unlike_any_photograph_come_back(gaussian_model: GaussianModel, value: int) -> None:
    there_and_back(np.full((2, 6, 6, 3), value, np.uint8), gaussian_model, LEVELS)
    there_and_back(np.random.default_rng(value).integers(0, 256, (2, 6, 6, 3), np.uint8), gaussian_model, LEVELS)


class Surprised:
    """A network that is sure of what is wrong."""

    def __init__(self, pixel: float, scale: float) -> None:
        self.pixel, self.scale = pixel, scale

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        return Prediction(*(torch.full_like(c_t, value) for value in (self.pixel, math.log(self.scale), 0.9)))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_network_that_is_wrong_costs_much_but_loses_nothing(scale: float) -> None:
    wrong = RoundedDenoiser(Surprised(-500.0, scale))
    assert there_and_back(crops(1, 6, 6), wrong, LEVELS) > 8


def test_any_denoiser_codes_by_rounding(gaussian_model: GaussianModel) -> None:
    denoiser: Denoiser = gaussian_model
    rounded = there_and_back(crops(2), RoundedDenoiser(denoiser), LEVELS)
    assert rounded == pytest.approx(there_and_back(crops(2), gaussian_model, LEVELS), rel=0.02)


@dataclass
class Spy:
    """Notes the levels that the network is asked at."""

    predictor: Predictor
    levels: list[int] = field(default_factory=list)

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        self.levels.append(level)
        return self.predictor.predict(c, spacing, level)


def test_the_encoder_calls_the_network_at_rising_levels_and_the_decoder_at_falling_ones(
    gaussian_model: GaussianModel,
) -> None:
    spy = Spy(gaussian_model)
    there_and_back(crops(1, 4, 4), spy, LEVELS)
    rising = [latent.level for latent in LEVELS]
    assert spy.levels == rising + rising[::-1]


# --- what it costs


class Ledger(Spy):
    """Adds up the bound of the images at the latents that are drawn: all terms but L_T, in bits."""

    def __init__(self, predictor: Predictor, pixels: Pixels) -> None:
        super().__init__(predictor)
        self.pixels, self.bits = first(pixels), 0.0

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        below = self.levels[-1] / 1024 if self.levels else 0.0
        found = super().predict(c, spacing, level)
        self.bits += float(term_bits(floats(found), self.pixels, first(c * spacing), level / 1024, below).sum())
        return found


def first(array: NDArray[np.generic]) -> Tensor:
    """[N, H, W, 3] to [N, 3, H, W], float64."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2))).double()


def floats(found: IntegerPrediction) -> Prediction:
    return Prediction(
        first(found.mean) / 64, (first(found.scale) - 48) * (math.log(2) / 8), first(found.coefficients) / 64
    )


@pytest.mark.parametrize("levels", [log_linear(0.7, 400, 32), respace(ddpm_linear(), 100)], ids=["32", "100"])
def test_a_batch_costs_its_variational_bound(levels: NDArray[np.float64]) -> None:
    """Of a denoiser that knows as much as one can of pixels: what it says of each fits what they are."""
    pixels, latents = crops(4), levels_of(levels)
    ledger = Ledger(RoundedDenoiser(well_informed(pixels)), pixels)
    stack = borrowed()
    before = stack.bits()
    encode(stack, pixels, ledger, latents)
    bound = ledger.bits + float(prior_bits(ledger.pixels, latents[-1].s, PRIOR_STD).sum())
    assert stack.bits() - before == pytest.approx(bound, rel=0.01)


def well_informed(pixels: Pixels) -> Denoiser:
    """Knows each pixel but for an error of three grey levels, which it is aware of."""
    noise = torch.from_numpy(np.random.default_rng(8).logistic(size=pixels.shape)).permute(0, 3, 1, 2)
    mean, log_scale = first(pixels) + 3 * noise, math.log(3)
    return lambda c_t, s_t: Prediction(mean, torch.full_like(mean, log_scale), torch.zeros_like(mean))


def test_the_cost_is_that_of_the_densities_at_the_latents(gaussian_model: GaussianModel) -> None:
    """Of the integers nothing is lost: one level, and the code length is log q - log p at the latent that was drawn."""
    pixels, (latent,) = crops(2), levels_of([20.0])
    stack, drawn = borrowed(), borrowed()
    c = bits_back._pop_forward(drawn, pixels - 127.5, latent)
    before = stack.bits()
    encode(stack, pixels, gaussian_model, [latent])
    c_1 = first(c * latent.spacing)
    q = torch.distributions.Normal(first(pixels) - 127.5, 20.0).log_prob(c_1).sum()
    p = torch.distributions.Normal(0.0, math.hypot(20.0, PRIOR_STD)).log_prob(c_1).sum()
    final = term_bits(
        floats(gaussian_model.predict(c, latent.spacing, latent.level)), first(pixels), c_1, 20.0, 0.0
    ).sum()
    assert stack.bits() - before == pytest.approx(float((q - p) / math.log(2) + final), rel=1e-3)


def blank(c_t: Tensor, s_t: float) -> Prediction:
    """Knows that every pixel is black, so that the images cost nothing and pay nothing back."""
    return Prediction(*(torch.full_like(c_t, value) for value in (0.0, -4.0, 0.0)))


@pytest.mark.parametrize(("T", "most"), [(1, 6.1), (8, 12.5), (300, 14.5)])
def test_two_latents_are_initial_bits_however_many_levels_there_are(T: int, most: float) -> None:
    levels = levels_of(np.geomspace(0.7, 400, T))
    pixels = np.zeros((2, 6, 6, 3), np.uint8)
    assert initial_bits(levels) < most
    enough = borrowed(2 + int(1.03 * initial_bits(levels) * pixels.size) // 32)
    encode(enough, pixels, RoundedDenoiser(blank), levels)
    with pytest.raises(TruncatedError):
        encode(
            borrowed(2 + int(0.9 * initial_bits(levels) * pixels.size) // 32), pixels, RoundedDenoiser(blank), levels
        )


def test_a_thousand_levels_need_hardly_more_initial_bits_than_32() -> None:
    few, many = (initial_bits(levels_of(np.geomspace(0.7, 400, T))) for T in (32, 1000))
    assert few < 13 < many < 15.5


def test_a_stack_without_initial_bits_is_an_error(gaussian_model: GaussianModel) -> None:
    with pytest.raises(TruncatedError, match="stack ends"):
        encode(Stack.empty(), crops(1), gaussian_model, LEVELS)


# --- the parts


def test_grids_have_powers_of_two_of_about_a_tenth_of_a_standard_deviation() -> None:
    for latent in levels_of(ddpm_linear()):
        assert math.frexp(latent.spacing)[0] == 0.5
        assert 8 <= latent.std / latent.spacing < 16
        assert latent.s == latent.level / 1024


def test_latents_are_markov() -> None:
    variances = [latent.std**2 for latent in LEVELS]
    assert np.allclose(np.cumsum(variances), [latent.s**2 for latent in LEVELS])


@pytest.mark.parametrize("levels", [[0], [5, 5], [7, 3], [1, 1 << 27]])
def test_levels_must_increase(levels: list[int]) -> None:
    with pytest.raises(ValueError, match="67108864"):
        hierarchy(levels)


def test_scales_are_eight_an_octave() -> None:
    assert np.allclose(bits_back.SCALES, 2 ** ((np.arange(128) - 48) / 8), rtol=1e-15)
    assert bits_back.SCALES[[0, 48, 56]].tolist() == [1 / 64, 1, 2]


def test_channels_of_a_pixel_follow_each_other_as_in_training(gaussian_model: GaussianModel) -> None:
    pixels = crops(2)
    found = gaussian_model.predict(np.zeros(pixels.shape, np.int64), 1.0, 50 * 1024)
    means = np.stack([m.reshape(2, 16, 16) for m in bits_back._pixel_means(found, pixels.astype(np.int64))], -1)
    expected = conditional_means(floats(found), first(pixels)).permute(0, 2, 3, 1).numpy()
    assert np.abs(means / 64 - expected).max() < 3 / 64


def test_means_stay_where_pixels_are_coded() -> None:
    """Whatever a network says, and before blue follows green: a rule of the format."""
    shape = 1, 2, 1, 3
    pixels = np.array([255, 255, 0, 0, 0, 255]).reshape(shape)
    mean = np.array([-MEAN_LIMIT, MEAN_LIMIT, 0, MEAN_LIMIT, -MEAN_LIMIT, 0], np.int32).reshape(shape)
    prediction = IntegerPrediction(mean, np.zeros(shape, np.int32), np.full(shape, COEFFICIENT_LIMIT, np.int32))
    _, green, blue = bits_back._pixel_means(prediction, pixels)
    assert green.tolist() == [MEAN_LIMIT, -MEAN_LIMIT]
    red_and_green = [255 * 64 + MEAN_LIMIT + 255 * 64 - MEAN_LIMIT, -MEAN_LIMIT + MEAN_LIMIT]
    expected = [COEFFICIENT_LIMIT * following >> 6 for following in red_and_green]
    assert blue.tolist() == np.clip(expected, -MEAN_LIMIT, MEAN_LIMIT).tolist()


def test_the_reverse_kernel_is_that_of_the_diffusion(gaussian_model: GaussianModel) -> None:
    upper, lower = LEVELS[2], LEVELS[1]
    c_t = np.random.default_rng(4).integers(-2000, 2000, (2, 5, 6, 3))
    prediction = gaussian_model.predict(c_t, upper.spacing, upper.level)
    kernel, predicted = bits_back._kernel(prediction, c_t, upper, lower), floats(prediction)
    expected = diffusion.reverse(
        first(c_t * upper.spacing),
        predicted.mean - 127.5,
        torch.exp(predicted.log_scale),
        predicted.coefficients,
        upper.s,
        lower.s,
    )
    for found, wanted in zip(kernel, expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-12)


# --- damage


def test_damaged_words_give_garbage_or_errors_of_the_project(gaussian_model: GaussianModel) -> None:
    pixels, stack = crops(1, 6, 6), borrowed(400)
    encode(stack, pixels, gaussian_model, LEVELS)
    words = stack.to_words()
    survived = 0
    for place in range(0, 20, 2):
        damaged = words.copy()
        damaged[place] ^= 0x00010000
        try:
            found = decode(Stack.from_words(damaged), (1, 6, 6, 3), gaussian_model, LEVELS)
            survived += bool(np.array_equal(found, pixels))
        except (DdpmError, ValueError):
            continue
    assert not survived
