"""Sampling from Gaussian data, whose best denoiser is known: what comes out has the mean and covariance of the data."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper import sampling
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.diffusion import Prediction, posterior, reverse, reverse_conditionals
from ddpmcodec.paper.sampling import Method, Sampler, ancestral, ddim, draw, grid, shown
from ddpmcodec.paper.schedule import Levels, alpha_sigma, ddpm_linear, log_linear, respace

pytestmark = pytest.mark.usefixtures("one_thread")

Matrix = npt.NDArray[np.float64]

LEVELS = log_linear(1.0, 300.0, 5)


@pytest.fixture
def data(coupled: Any) -> Any:
    """conftest.GaussianData"""
    return coupled


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def latents(data: Any, s: float, n: int = 2500) -> Tensor:
    """c_t of the data [n, 3, 4, 4]."""
    c_t: Tensor = data.latents((n, 4, 4), s, seed=3)
    return c_t


def sampler(data: Any, levels: Levels, generator: torch.Generator, method: Method = ancestral) -> Sampler:
    return Sampler(data, levels, generator, method)


def moments(images: Tensor) -> tuple[Matrix, Matrix]:
    pixels = images.permute(1, 0, 2, 3).reshape(3, -1).double().numpy()
    return pixels.mean(1), np.cov(pixels)


def check_moments(images: Tensor, mean: Matrix, covariance: Matrix) -> None:
    """40,000 pixels: the mean within five standard errors, 0.75 grey levels; variances within seven, 5%."""
    found_mean, found_covariance = moments(images)
    np.testing.assert_allclose(found_mean, mean + 127.5, atol=0.75)
    np.testing.assert_allclose(found_covariance, covariance, atol=0.05 * covariance.max())


@pytest.mark.parametrize("levels", [log_linear(1.0, 300.0, 2), log_linear(1.0, 300.0, 12)])
def test_ancestral_samples_have_the_moments_of_the_data(data: Any, levels: Levels, generator: torch.Generator) -> None:
    """Exact for any number of levels here, but for the noise at s_1, whose posterior's mean is shown."""
    images = sampler(data, levels, generator).finish(latents(data, 300.0))
    check_moments(images, data.mean, data.weight(1.0) @ data.covariance)


def test_from_pure_noise_too(data: Any, generator: torch.Generator) -> None:
    """The start knows nothing of the data; at 5000 grey levels this makes no difference."""
    noise = sampler(data, log_linear(1.0, 5000.0, 12), generator)
    images = noise.finish(noise.start(2500, 4, 4))
    check_moments(images, data.mean, data.weight(1.0) @ data.covariance)


@pytest.mark.parametrize(("eta", "steps"), [(0.0, 60), (1.0, 150)])
def test_ddim_samples_have_the_moments_of_the_data_after_many_small_steps(
    data: Any, eta: float, steps: int, generator: torch.Generator
) -> None:
    images = sampler(data, log_linear(1.0, 300.0, steps), generator, ddim(eta)).finish(latents(data, 300.0))
    check_moments(images, data.mean, data.weight(1.0) @ data.covariance)


def test_draws_have_the_conditionals_of_the_reverse_kernel(data: Any, generator: torch.Generator) -> None:
    """Channel by channel, what is left of a draw in units of its standard deviation is the noise it was made of."""
    c_t = latents(data, 20.0, 2)
    mean, log_scale, coefficients = data(c_t, 20.0)
    transition = reverse(c_t, mean - 127.5, torch.exp(log_scale), coefficients, 20.0, 7.0)
    state = generator.get_state()
    c_u = draw(transition, generator)
    given = reverse_conditionals(c_u, transition)
    noise = torch.randn(c_u.shape, generator=generator.set_state(state), dtype=torch.float64)
    torch.testing.assert_close((c_u - given.mean) / given.variance.sqrt(), noise)


@pytest.mark.parametrize("method", [ancestral, ddim(1.0)])
def test_a_certain_denoiser_draws_from_the_posterior(data: Any, method: Method, generator: torch.Generator) -> None:
    """Algorithm 2 with the small variance, and DDIM at eta = 1, are the same."""
    c_t = latents(data, 20.0, 2)
    certain = Prediction(c_t * 0 + 100, c_t * 0 - 40, c_t * 0)
    state = generator.get_state()
    c_u = method(c_t, certain, 20.0, 7.0, generator)
    q = posterior(c_t, certain.mean - 127.5, 20.0, 7.0)
    noise = torch.randn(c_t.shape, generator=generator.set_state(state), dtype=torch.float64)
    torch.testing.assert_close(c_u, q.mean + q.variance.sqrt() * noise)


def test_ddim_without_fresh_noise_keeps_the_noise_it_has(generator: torch.Generator) -> None:
    v = torch.full((1, 3, 2, 2), 10.0)
    noise = torch.randn(v.shape, generator=generator)
    knows = Prediction(v + 127.5, v, v)
    torch.testing.assert_close(ddim()(v + 20 * noise, knows, 20.0, 7.0, generator), v + 7 * noise)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_eta_is_from_0_to_1(eta: float) -> None:
    with pytest.raises(ValueError, match=f"eta .*{eta:g}"):
        ddim(eta)


def test_progressive_generation_gets_closer_to_the_image_at_every_state(data: Any, generator: torch.Generator) -> None:
    c_T = latents(data, 300.0, 50)
    states = list(sampler(data, LEVELS, generator).descend(c_T))
    assert [state.t for state in states] == [5, 4, 3, 2, 1]
    assert states[0].c is c_T
    for state in states:
        torch.testing.assert_close(state.prediction.mean, data(state.c, float(LEVELS[state.t - 1])).mean)
    image = states[-1].prediction.mean
    errors = [(state.prediction.mean - image).std().item() for state in states]
    assert all(later < earlier for earlier, later in pairwise(errors))


def test_samples_of_one_latent_have_the_moments_of_what_it_leaves_open(data: Any, generator: torch.Generator) -> None:
    """Mean and covariance of p(v | c_4); shallow latents leave less open."""
    s, weight = float(LEVELS[3]), data.weight(float(LEVELS[3]))
    c_t = latents(data, s, 1)[0, :, :1, :1]
    images = sampler(data, LEVELS, generator).share(c_t, 4, 40_000)
    assert images.shape == (40_000, 3, 1, 1)
    last = data.weight(1.0)
    mean = data.mean + weight @ (c_t.flatten().numpy() - data.mean)
    check_moments(images, mean, last @ (s**2 * weight + np.eye(3)) @ last.T)
    assert (sampler(data, LEVELS, generator).share(c_t, 2, 1000).std(0) < images.std(0) / 2).all()


def test_an_image_is_noised_to_a_latent(data: Any, generator: torch.Generator) -> None:
    image = torch.full((1, 3, 200, 200), 145, dtype=torch.uint8)
    c_t = sampler(data, LEVELS, generator).noised(image, 3)
    assert c_t.mean().item() == pytest.approx(17.5, abs=5 * LEVELS[2] / math.sqrt(120_000))
    assert c_t.std().item() == pytest.approx(LEVELS[2], rel=0.01)


def test_the_start_is_standard_normal_in_the_papers_form(data: Any, generator: torch.Generator) -> None:
    c_T = sampler(data, LEVELS, generator).start(2, 100, 150)
    assert c_T.shape == (2, 3, 100, 150)
    assert (shown(c_T, 300.0) - 127.5).std().item() == pytest.approx(127.5, rel=0.01)


@pytest.mark.parametrize("method", [ancestral, ddim(0.0), ddim(0.7)])
def test_a_seed_repeats_samples(data: Any, method: Method) -> None:
    def of(seed: int) -> Tensor:
        seeded = sampler(data, LEVELS, torch.Generator().manual_seed(seed), method)
        return seeded.finish(seeded.start(1, 4, 4))

    assert of(1).equal(of(1))
    assert not of(1).equal(of(2))


def test_many_images_take_the_memory_of_one_large_one(data: Any, generator: torch.Generator) -> None:
    """One of 256 x 256 pixels, the largest that the paper samples; and no GPU waits for more."""
    pixels = []

    def watched(c_t: Tensor, s_t: float) -> Prediction:
        pixels.append(c_t[:, 0].numel())
        return Prediction(c_t, c_t, c_t)

    Sampler(watched, LEVELS, generator).predict(torch.zeros(1, 3, 32, 32).expand(130, -1, -1, -1), 20.0)
    assert 2 <= len(pixels) <= 4
    assert max(pixels) <= 256 * 256


def test_the_network_sees_a_few_images_at_a_time(
    data: Any, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PIXELS", 40)
    sizes = []

    def watched(c_t: Tensor, s_t: float) -> Prediction:
        sizes.append(len(c_t))
        prediction: Prediction = data(c_t, s_t)
        return prediction

    c_t = latents(data, 20.0, 5)
    found = Sampler(watched, LEVELS, generator).predict(c_t, 20.0)
    assert sizes == [2, 2, 1]
    torch.testing.assert_close(found.mean, data(c_t, 20.0).mean)
    Sampler(watched, LEVELS, generator).predict(c_t.repeat(1, 1, 2, 2), 20.0)
    assert sizes[3:] == [1] * 5


# interpolation

ENDS = torch.stack([torch.full((3, 8, 8), 60.0), torch.full((3, 8, 8), 180.0)])
WEIGHTS = [0.0, 0.25, 1.0]


def between(data: Any, t: int, seed: int = 1) -> Tensor:
    return sampler(data, LEVELS, torch.Generator().manual_seed(seed)).interpolate(ENDS, t, WEIGHTS)


def test_without_noise_pixels_are_mixed(data: Any) -> None:
    assert between(data, 0).flatten(1).mean(1).tolist() == [60, 90, 180]
    assert between(data, 0).shape == (3, 3, 8, 8)


def test_a_little_noise_leaves_the_mixture(data: Any) -> None:
    torch.testing.assert_close(
        between(data, 1).mean((1, 2, 3)), torch.tensor([60.0, 90, 180]).double(), atol=1, rtol=0.01
    )


def test_the_more_noise_the_freer_the_images(data: Any) -> None:
    """Coarse to fine: Figure 9. At last nothing is left of the ends but the data's own mean."""
    distances = [(between(data, t) - between(data, 0)).square().mean().item() for t in (1, 2, 3, 5)]
    assert all(later > earlier for earlier, later in pairwise(distances))
    assert between(data, 5).mean().item() == pytest.approx(127.5, abs=12)


def test_both_ends_are_noised_once_for_all_weights(data: Any, generator: torch.Generator) -> None:
    """Mixtures lie on one line: with DDIM, which adds nothing, and a linear denoiser, so do the images."""
    first, quarter, second = sampler(data, LEVELS, generator, ddim()).interpolate(ENDS, 4, WEIGHTS)
    torch.testing.assert_close(quarter, torch.lerp(first, second, 0.25))


# pictures


def test_rows_of_progress_go_from_the_first_state_to_the_image(data: Any, generator: torch.Generator) -> None:
    c_T = latents(data, 300.0, 3)
    rows = sampler(data, LEVELS, generator, ddim()).progress_rows(c_T, 3)
    states = list(sampler(data, LEVELS, generator, ddim()).descend(c_T))
    assert rows.shape == (3, 3, 3, 4, 4)
    for column, state in enumerate((states[0], states[2], states[4])):
        torch.testing.assert_close(rows[:, column], state.prediction.mean)
    assert sampler(data, LEVELS, generator).progress_rows(c_T, 1).shape == (3, 1, 3, 4, 4)


def test_rows_of_shared_latents_show_the_latent_first(data: Any, generator: torch.Generator) -> None:
    of = {4: latents(data, float(LEVELS[3]), 1)[0], 2: latents(data, float(LEVELS[1]), 1)[0]}
    rows = sampler(data, LEVELS, generator).shared_rows(of, 6)
    assert rows.shape == (2, 7, 3, 4, 4)
    torch.testing.assert_close(rows[0, 0], shown(of[4], float(LEVELS[3])))
    deviation = rows[:, 1:].std(1).mean((1, 2, 3))
    assert deviation[0] > 2 * deviation[1] > 0


def test_a_latent_is_shown_from_black_to_white() -> None:
    alpha, sigma = alpha_sigma(50.0)
    v, noise = torch.tensor([-127.5, 20.0]), torch.tensor([0.5, -1.0])
    z = float(alpha) * v / 127.5 + float(sigma) * noise
    torch.testing.assert_close(shown(v + 50 * noise, 50.0), 127.5 + 127.5 * z)


def test_a_grid_has_rows_of_images_without_gaps() -> None:
    images = torch.arange(6.0).view(2, 3, 1, 1, 1).expand(2, 3, 3, 4, 5) + torch.tensor([0.0, 20, 40]).view(3, 1, 1)
    picture = np.asarray(grid(images))
    assert picture.shape == (8, 15, 3)
    assert (picture[4:, 5:10] == [4, 24, 44]).all()
    assert (picture[:4, 10:] == [2, 22, 42]).all()


def test_a_grid_rounds_and_clips() -> None:
    images = torch.tensor([-3.0, 0.6, 300.0]).view(1, 1, 3, 1, 1)
    assert np.asarray(grid(images)).tolist() == [[[0, 1, 255]]]


# --- levels of a denoiser


def test_an_exact_model_is_asked_at_levels_from_hardly_visible_to_all_noise(tiny_gaussian: Path) -> None:
    levels = find_denoiser(tiny_gaussian).sampling_levels(9)
    assert (len(levels), levels[0], levels[-1]) == (9, 0.75, 1000)
    assert (levels * 1024 % 1 == 0).all()  # as the exact network counts them
    np.testing.assert_allclose(levels[1:] / levels[:-1], (1000 / 0.75) ** (1 / 8), rtol=1e-3)


def test_the_papers_network_is_asked_at_its_own_levels(tiny_unet: Path) -> None:
    found = find_denoiser(tiny_unet)
    np.testing.assert_array_equal(found.sampling_levels(7), respace(ddpm_linear(20, 1e-3, 0.3), 7))
    for level in found.sampling_levels(20):
        assert found(torch.zeros(1, 3, 4, 4), float(level)).mean.isfinite().all()
    with pytest.raises(ValueError, match="20 noise levels, not 21"):
        found.sampling_levels(21)


def test_on_a_gpu_or_not_the_papers_network_is_asked_and_answers_where_the_latents_are(tiny_unet: Path) -> None:
    c_t = torch.linspace(-100, 100, 96).view(2, 3, 4, 4)
    denoiser = find_denoiser(tiny_unet)
    expected = denoiser(c_t, float(denoiser.sampling_levels(20)[9]))
    found = denoiser.accelerated()(c_t, float(denoiser.sampling_levels(20)[9]))
    for one, other in zip(found, expected, strict=True):
        assert one.device == c_t.device
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0.05)  # a GPU's convolutions may round to TF32


def test_an_exact_network_stays_where_it_is(tiny_gaussian: Path) -> None:
    found = find_denoiser(tiny_gaussian)
    assert found.accelerated() is found
