"""Predictions from latents of the Gaussian channel: the kernel against eager operations, both against training."""

from __future__ import annotations

import hashlib
import lzma
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.eager import patches
from ddpmcodec.networks.features import (
    LARGEST_WEIGHT,
    PER_PIXEL,
    gaussian_estimate,
    inverse_spread,
    own_features,
    pixel_features,
    scale_origin,
    spread_features,
    weights,
)
from ddpmcodec.networks.gaussian import ExactDenoiser, ExactPredictor, RoundedDenoiser, predict_gaussian
from ddpmcodec.networks.gaussian_features import (
    ESTIMATE_LIMIT,
    eager_features,
    estimate_of,
    gaussian_features,
    level_constants,
)
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.model import EagerPredictor, FusedPredictor, Model, padded
from ddpmcodec.networks.prediction import LN2, Prediction
from ddpmcodec.training.objective import LatentPredictor

LEVELS = [1, 40, 300, 1024, 2400, 6000, 20_000, 100_000, 20_000_000]  # 0.001 to 20,000 grey levels
SHAPES = [(1, 1, 1), (3, 1, 9), (2, 6, 3), (1, 17, 23)]
GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "tiny.safetensors.xz"

Latents = NDArray[np.int64]


def spacing_of(level: int) -> float:
    """A power of two about an eighth of the noise level."""
    return math.ldexp(1.0, math.frexp(level / 1024)[1] - 4)


def draw_latents(n: int, height: int, width: int, level: int, seed: int = 0) -> Latents:
    """c_t of smooth pictures, [n, height, width, 3], in units of `spacing_of(level)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    slopes = rng.normal(size=(2, n, 1, 1, 3)) * 8
    pixels = np.clip(np.rint(slopes[0] * y[..., None] + slopes[1] * x[..., None] + 100), 0, 255) - 127.5
    c_t = pixels + level / 1024 * rng.normal(size=pixels.shape)
    return np.rint(c_t / spacing_of(level)).astype(np.int64)


def channels_first(a: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(a).permute(0, 3, 1, 2)


# --- constants of a level


@pytest.mark.parametrize("level", [*LEVELS, *range(1000, 4000, 37)])
def test_constants_of_a_level_are_those_of_training(level: int) -> None:
    found, s = level_constants(level), torch.tensor(level / 1024, dtype=torch.float64)
    shrunk, spread = gaussian_estimate(torch.ones((), dtype=torch.float64), s)
    assert found.shrink == pytest.approx(shrunk.item(), rel=1e-7)
    assert found.spread == pytest.approx(spread.item(), rel=1e-7)
    assert found.inverse == pytest.approx(inverse_spread(spread).item(), rel=1e-7)
    assert found.weight == weights(spread).item()
    assert found.origin == pytest.approx(scale_origin(spread).item(), rel=1e-6)
    np.testing.assert_array_equal(found.hats, spread_features(spread).numpy())


def test_constants_of_a_level_never_change() -> None:
    digest = hashlib.sha256()
    for level in [*range(1, 200), *LEVELS]:
        for number in level_constants(level):
            digest.update(np.asarray(number).tobytes())
    assert digest.hexdigest() == "c61706efa78080ad0fd581e8086c8e8a802d5e83451dc4c4f9c897673b44785a"


@pytest.mark.parametrize("level", [0, -5])
def test_a_level_without_noise_is_refused(model: Model, level: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1/1024 grey level, got {level}"):
        predict_gaussian(model, np.zeros((1, 2, 2, 3), np.int64), 1.0, level)


# --- features


@pytest.mark.parametrize("level", LEVELS)
def test_features_are_those_of_training(level: int) -> None:
    """Rounding may go the other way here and there: training computes the spread's part in float32."""
    c = draw_latents(2, 16, 12, level)
    constants = level_constants(level)
    ours = eager_features(channels_first(estimate_of(c, spacing_of(level), constants)), constants)
    c_t = channels_first((c * spacing_of(level)).astype(np.float32))
    estimate, spread = gaussian_estimate(c_t, torch.tensor(level / 1024))
    theirs = pixel_features(estimate, spread, torch.ones(2))
    assert ours.shape == theirs.shape == (2, 16, 12, PER_PIXEL)
    # A coarse part that rounds the other way takes its fine part from end to end: the sum is what counts.
    differs = (ours != theirs).float().mean()
    assert differs < 0.02
    assert torch.equal(ours[..., -1], theirs[..., -1])


def test_own_features_are_exactly_those_of_training_at_the_same_spread() -> None:
    constants = level_constants(2400)
    estimate = torch.linspace(-140, 140, 3 * 40 * 40).view(1, 3, 40, 40)
    theirs = own_features(estimate, torch.full_like(estimate, float(constants.spread)))
    ours = eager_features(estimate, constants)[..., :-1].unflatten(-1, (3, -1)).permute(0, 3, 1, 2, 4)
    assert torch.equal(ours[..., : theirs.shape[-1]], theirs)


def fused_features(model: Model, estimate: NDArray[np.float32], level: int) -> torch.Tensor:
    constants, bits = level_constants(level), FusedPredictor(model.architecture, model.params).bits
    n, height, width, _ = estimate.shape
    out = np.zeros((n, padded(height) // 2, padded(width) // 2, 4 * PER_PIXEL), np.uint16)
    fade = constants.weight * np.float32(1 / LARGEST_WEIGHT)
    gaussian_features(estimate, constants.inverse, fade, constants.visible, constants.hats, bits, out)
    return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16).float()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernels_features_are_the_eager_ones(model: Model, shape: tuple[int, int, int], level: int) -> None:
    n, height, width = shape
    estimate = estimate_of(draw_latents(*shape, level), spacing_of(level), level_constants(level))
    estimate[0, 0, 0] = [ESTIMATE_LIMIT, -ESTIMATE_LIMIT, 0]
    eager = torch.zeros(n, padded(height), padded(width), PER_PIXEL)
    eager[:, :height, :width] = eager_features(channels_first(estimate), level_constants(level))
    assert torch.equal(patches(eager).permute(0, 2, 3, 1), fused_features(model, estimate, level))


def test_estimates_are_cut_where_sums_would_round() -> None:
    c = np.array([[[[10**15, -(10**15), 3]]]])
    assert estimate_of(c, 1.0, level_constants(1)).tolist() == [[[[ESTIMATE_LIMIT, -ESTIMATE_LIMIT, 3.0]]]]
    assert 4 * ESTIMATE_LIMIT * LARGEST_WEIGHT * 49 < 2**24


# --- predictions


@pytest.mark.parametrize("level", [1, 1024, 6000, 20_000_000])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_path_gives_the_same_integers(model: Model, shape: tuple[int, int, int], level: int) -> None:
    c = draw_latents(*shape, level)
    c.flat[0] = 10**15
    kinds = (EagerPredictor, FusedPredictor)
    paths = [kind(model.architecture, model.params, low_precision=low) for kind in kinds for low in (False, True)]
    hashes = {path.gaussian(c, spacing_of(level), level).sha256() for path in paths}
    assert hashes == {predict_gaussian(model, c, spacing_of(level), level).sha256()}


def test_batches_and_threads_change_nothing(model: Model) -> None:
    c = draw_latents(17, 24, 24, 2400)
    whole = predict_gaussian(model, c, spacing_of(2400), 2400)
    torch.set_num_threads(2)
    try:
        on_two = predict_gaussian(model, c, spacing_of(2400), 2400)
    finally:
        torch.set_num_threads(1)
    assert on_two.sha256() == whole.sha256()
    for i in (0, 16):
        alone = predict_gaussian(model, c[i : i + 1], spacing_of(2400), 2400)
        for a, b in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(a[0], b[i])


def test_the_units_of_latents_change_nothing(model: Model) -> None:
    c = draw_latents(1, 6, 5, 2400)
    found = predict_gaussian(model, c, 0.25, 2400)
    assert found.sha256() == predict_gaussian(model, 64 * c, 0.25 / 64, 2400).sha256()
    assert found.sha256() == ExactPredictor(model).predict(c[:, ::-1, ::-1][:, ::-1, ::-1], 0.25, 2400).sha256()


def test_golden_predictions() -> None:
    """The same integers on every machine and for ever: archives depend on them."""
    golden = checkpoint.parse(lzma.decompress(GOLDEN.read_bytes()), "golden")
    digest = hashlib.sha256()
    for level in LEVELS:
        noise = np.random.Philox(key=level).random_raw(2 * 11 * 14 * 3).reshape(2, 11, 14, 3) >> 48
        digest.update(predict_gaussian(golden, noise.astype(np.int64) - 32768, 1 / 128, level).sha256().encode())
    assert digest.hexdigest() == "50a02fd90d9ca7ad47e75ee39706e222c74cde1c8220fb77e529b04b2b69cda9"


@pytest.mark.parametrize("level", [300, 2400, 20_000, 100_000])
def test_predictions_are_close_to_those_of_training(pristine: LatentNetwork, level: int) -> None:
    exact = checkpoint.parse(checkpoint.export(pristine, {}, name="pristine"), "pristine")
    c = draw_latents(4, 16, 16, level)
    found = ExactDenoiser(exact)(channels_first((c * spacing_of(level)).astype(np.float32)), level / 1024)
    c_t = channels_first((c * spacing_of(level)).astype(np.float32))
    estimate, spread = gaussian_estimate(c_t, torch.tensor(level / 1024))
    with torch.no_grad():
        trained = LatentPredictor(pristine)(estimate, spread, torch.ones(4))
    for ours, theirs, unit in zip(found, trained, (1 / 64, LN2 / 8, 1 / 64), strict=True):
        off = (ours - theirs).abs()
        assert off.mean() < 0.5 * unit  # rounding alone is a quarter of a unit
    assert (found.mean - trained.mean).abs().max() < 0.2 * spread.max() + 1


# --- adapters


def test_the_exact_denoiser_is_the_integers_in_floats(model: Model) -> None:
    c = draw_latents(2, 6, 5, 2400)
    integers = predict_gaussian(model, c, 0.25, 2400)
    found = ExactDenoiser(model)(torch.from_numpy(0.25 * c).permute(0, 3, 1, 2), 2400 / 1024 + 1e-5)
    assert found.mean.dtype == torch.float64
    assert np.array_equal(64 * found.mean.permute(0, 2, 3, 1).numpy(), integers.mean)
    assert np.allclose(48 + found.log_scale.permute(0, 2, 3, 1).numpy() * 8 / LN2, integers.scale)
    assert np.array_equal(64 * found.coupling.permute(0, 2, 3, 1).numpy(), integers.coupling)


def test_the_exact_denoiser_takes_any_latent(model: Model) -> None:
    c_t = torch.randn(1, 3, 4, 4) * 300
    nearby = ExactDenoiser(model)(torch.round(1024 * c_t) / 1024, 5.0)
    found = ExactDenoiser(model)(c_t, 5.0)
    assert found.mean.dtype == torch.float32
    for a, b in zip(found, nearby, strict=True):
        assert torch.equal(a, b)
    assert torch.isfinite(ExactDenoiser(model)(c_t, 1e-9).mean).all()


def test_an_exact_model_rounded_is_the_exact_model(model: Model) -> None:
    c = draw_latents(2, 6, 5, 2400)
    rounded = RoundedDenoiser(ExactDenoiser(model)).predict(c, 0.25, 2400)
    assert rounded.sha256() == predict_gaussian(model, c, 0.25, 2400).sha256()
    assert [a.dtype for a in rounded] == [np.int32, np.uint8, np.int16]


def test_numbers_of_any_size_are_rounded_into_the_coders_range() -> None:
    def wild(c_t: torch.Tensor, s_t: float) -> Prediction:
        assert (tuple(c_t.shape), s_t) == ((1, 3, 1, 1), 2.0)
        mean = torch.tensor([1e9, -1e9, 10.3]).view(1, 3, 1, 1)
        log_scale = torch.tensor([-torch.inf, 99.0, 8.2 * LN2 / 8]).view(1, 3, 1, 1)
        return Prediction(mean, log_scale, mean / 100)

    found = RoundedDenoiser(wild).predict(np.zeros((1, 1, 1, 3), np.int64), 0.5, 2048)
    assert found.mean.tolist() == [[[[32767, -32767, 659]]]]
    assert found.scale.tolist() == [[[[0, 127, 56]]]]
    assert found.coupling.tolist() == [[[[1023, -1023, 7]]]]
