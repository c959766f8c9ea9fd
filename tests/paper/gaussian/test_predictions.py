"""Predictions from latents of the Gaussian channel: exact, and near to those of training."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.diffusion import LN2, Prediction, RoundedDenoiser
from ddpmcodec.paper.gaussian_features import (
    ESTIMATE_LIMIT,
    PER_PIXEL,
    estimate_of,
    fade,
    gaussian_estimate,
    level_constants,
    level_features,
    own_features,
    pixel_features,
    scale_origin,
    std_features,
)
from ddpmcodec.paper.gaussian_model import GaussianModel, GaussianPredictor
from ddpmcodec.paper.gaussian_network import TrainableGaussian
from ddpmcodec.training.gaussian_trainer import TrainingPredictor

LEVELS = [1, 40, 300, 1024, 2400, 6000, 20_000, 100_000, 20_000_000]  # 0.001 to 20,000 grey levels
SHAPES = [(1, 1, 1), (3, 1, 9), (2, 6, 3), (1, 17, 23)]
GOLDEN = Path(__file__).parent / "golden" / "tiny.safetensors.xz"

DrawLatents = Any  # conftest.DrawLatents


def channels_first(a: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(a).permute(0, 3, 1, 2)


# --- constants of a level


def test_constants_of_a_level_are_those_of_training() -> None:
    for level in (*LEVELS, *range(1000, 4000, 37)):
        found, s = level_constants(level), torch.tensor(level / 1024, dtype=torch.float64)
        shrunk, std = gaussian_estimate(torch.ones((), dtype=torch.float64), s)
        assert found.shrink == pytest.approx(shrunk.item(), rel=1e-7), level
        assert found.std == pytest.approx(std.item(), rel=1e-7), level
        assert found.inverse == pytest.approx(1 / std.item(), rel=1e-7), level
        assert found.fade == pytest.approx(fade(std).item(), rel=1e-6), level
        assert found.origin == pytest.approx(scale_origin(std).item(), rel=1e-6), level
        np.testing.assert_array_equal(found.hats, std_features(std).numpy())


def test_constants_of_a_level_never_change() -> None:
    digest = hashlib.sha256()
    for level in [*range(1, 200), *LEVELS]:
        for number in level_constants(level):
            digest.update(np.asarray(number).tobytes())
    assert digest.hexdigest() == "bf594ea895072859143f4501668e004247f489ba094b5b5181f5b1318332752f"


@pytest.mark.parametrize("level", [0, -5])
def test_a_level_without_noise_is_refused(gaussian_model: GaussianModel, level: int) -> None:
    with pytest.raises(ValueError, match=f"1/1024 .*{level}"):
        gaussian_model.predict(np.zeros((1, 2, 2, 3), np.int64), 1.0, level)


# --- features


@pytest.mark.parametrize("level", LEVELS)
def test_features_are_those_of_training(draw_latents: DrawLatents, level: int) -> None:
    """Rounding may go the other way here and there: training computes what depends on the level in float32."""
    c, spacing = draw_latents(2, 16, 12, level)
    constants = level_constants(level)
    ours = level_features(channels_first(estimate_of(c, spacing, constants)), constants)
    c_t = channels_first((c * spacing).astype(np.float32))
    theirs = pixel_features(*gaussian_estimate(c_t, torch.tensor(level / 1024)))
    assert ours.shape == theirs.shape == (2, 16, 12, PER_PIXEL)
    # A coarse part that rounds the other way takes its fine part from end to end: the sum is what counts.
    differs = (ours != theirs).float().mean()
    assert differs < 0.02
    assert torch.equal(ours[..., -1], theirs[..., -1])


def test_own_features_are_exactly_those_of_training_at_the_same_standard_deviation() -> None:
    constants = level_constants(2400)
    estimate = torch.linspace(-140, 140, 3 * 40 * 40).view(1, 3, 40, 40)
    theirs = own_features(estimate, torch.full_like(estimate, float(constants.std)))
    ours = level_features(estimate, constants)[..., :-1].unflatten(-1, (3, -1)).permute(0, 3, 1, 2, 4)
    assert torch.equal(ours[..., : theirs.shape[-1]], theirs)


def test_estimates_are_cut_where_sums_would_round() -> None:
    c = np.array([[[[10**15, -(10**15), 3]]]])
    assert estimate_of(c, 1.0, level_constants(1)).tolist() == [[[[ESTIMATE_LIMIT, -ESTIMATE_LIMIT, 3.0]]]]
    assert 4 * ESTIMATE_LIMIT * 49 < 2**24


# --- predictions


@pytest.mark.parametrize("level", [1, 1024, 6000, 20_000_000])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 40, 24)], ids=str)
def test_every_path_gives_the_same_integers(
    gaussian_model: GaussianModel, draw_latents: DrawLatents, shape: tuple[int, int, int], level: int
) -> None:
    c, spacing = draw_latents(*shape, level)
    c.flat[0] = 10**15
    architecture, params = gaussian_model.architecture, gaussian_model.params
    paths = [GaussianPredictor(architecture, params, low_precision=low) for low in (False, True)]
    assert len({path.predict(c, spacing, level).sha256() for path in (*paths, gaussian_model)}) == 1


def test_batches_and_threads_change_nothing(gaussian_model: GaussianModel, draw_latents: DrawLatents) -> None:
    c, spacing = draw_latents(17, 24, 24, 2400)
    whole = gaussian_model.predict(c, spacing, 2400)
    torch.set_num_threads(2)
    try:
        on_two = gaussian_model.predict(c, spacing, 2400)
    finally:
        torch.set_num_threads(1)
    assert on_two.sha256() == whole.sha256()
    for i in (0, 16):
        alone = gaussian_model.predict(c[i : i + 1], spacing, 2400)
        for a, b in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(a[0], b[i])


def test_the_units_and_the_layout_of_latents_change_nothing(
    gaussian_model: GaussianModel, draw_latents: DrawLatents
) -> None:
    c, spacing = draw_latents(1, 6, 5, 2400)
    found = gaussian_model.predict(c, spacing, 2400)
    assert found.sha256() == gaussian_model.predict(64 * c, spacing / 64, 2400).sha256()
    assert found.sha256() == gaussian_model.predict(np.asfortranarray(c), spacing, 2400).sha256()


def test_golden_predictions() -> None:
    """The same integers on every machine and for ever: archives depend on them."""
    golden = model_file.parse(lzma.decompress(GOLDEN.read_bytes()), "golden")
    digest = hashlib.sha256()
    for level in LEVELS:
        noise = np.random.Philox(key=level).random_raw(2 * 11 * 14 * 3).reshape(2, 11, 14, 3) >> 48
        digest.update(golden.predict(noise.astype(np.int64) - 32768, 1 / 128, level).sha256().encode())
    assert digest.hexdigest() == "21a25f1d0737810818c2c88d937dde31cd166750f14e01e9a1fb87db2c534609"


@pytest.mark.parametrize("level", [300, 2400, 20_000, 100_000])
def test_predictions_are_close_to_those_of_training(
    pristine: TrainableGaussian, draw_latents: DrawLatents, level: int
) -> None:
    exact = model_file.parse(model_file.export(pristine, name="pristine"), "pristine")
    c, spacing = draw_latents(4, 16, 16, level)
    c_t, s_t = channels_first((c * spacing).astype(np.float32)), torch.full((4, 1, 1, 1), level / 1024)
    found = exact(c_t, level / 1024)
    with torch.no_grad():
        trained = TrainingPredictor(pristine)(c_t, s_t)
    for ours, theirs, unit in zip(found, trained, (1 / 64, LN2 / 8, 1 / 64), strict=True):
        off = (ours - theirs).abs()
        assert off.mean() < 0.5 * unit  # rounding alone is a quarter of a unit
    assert (found.mean - trained.mean).abs().max() < 0.2 * gaussian_estimate(c_t, s_t)[1].max() + 1


# --- as a denoiser, and a denoiser as a predictor


def test_a_model_answers_with_its_integers_in_floats(gaussian_model: GaussianModel, draw_latents: DrawLatents) -> None:
    c, spacing = draw_latents(2, 6, 5, 2400)
    integers = gaussian_model.predict(c, spacing, 2400)
    found = gaussian_model(torch.from_numpy(spacing * c).permute(0, 3, 1, 2), 2400 / 1024 + 1e-5)
    assert found.mean.dtype == torch.float64
    assert np.array_equal(64 * found.mean.permute(0, 2, 3, 1).numpy(), integers.mean)
    assert np.allclose(48 + found.log_scale.permute(0, 2, 3, 1).numpy() * 8 / LN2, integers.scale)
    assert np.array_equal(64 * found.coefficients.permute(0, 2, 3, 1).numpy(), integers.coefficients)


def test_a_model_takes_any_latent(gaussian_model: GaussianModel) -> None:
    c_t = torch.randn(1, 3, 4, 4) * 300
    nearby = gaussian_model(torch.round(1024 * c_t) / 1024, 5.0)
    found = gaussian_model(c_t, 5.0)
    assert found.mean.dtype == torch.float32
    for a, b in zip(found, nearby, strict=True):
        assert torch.equal(a, b)
    assert torch.isfinite(gaussian_model(c_t, 1e-9).mean).all()


def test_a_model_rounded_is_the_model(gaussian_model: GaussianModel, draw_latents: DrawLatents) -> None:
    c, spacing = draw_latents(2, 6, 5, 2400)
    rounded = RoundedDenoiser(gaussian_model).predict(c, spacing, 2400)
    assert rounded.sha256() == gaussian_model.predict(c, spacing, 2400).sha256()
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
    assert found.coefficients.tolist() == [[[[1023, -1023, 7]]]]


def test_latents_of_other_channels_are_refused(gaussian_model: GaussianModel) -> None:
    with pytest.raises(ValueError, match=r"latents .*\[2, 4, 5, 1\]"):
        gaussian_model.predict(np.zeros((2, 4, 5, 1), np.int64), 1 / 128, 700)
