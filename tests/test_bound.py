"""The bound against closed forms: Gaussian data under the denoiser that is optimal for it, and errors made on purpose.

Where v ~ N(m, S) inside a pixel and the denoiser answers with the posterior of v, the reverse kernels are the true
ones, so that a step costs the information it brings:
    E L_{t-1} = I(v; c_{t-1}) - I(v; c_t),   I(v; c_s) = log det(1 + S / s^2) / 2
"""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ddpmcodec.bound import Bound, Estimate, Row, evaluate, prior_bits, term_bits
from ddpmcodec.networks.prediction import Prediction
from ddpmcodec.schedule import Levels, check_levels, ddpm_linear, log_linear, respace

Matrix = npt.NDArray[np.float64]

MEAN = np.array([-12.0, 3.0, 9.0])
INDEPENDENT = np.diag([20.0, 31.0, 9.0]) ** 2
COUPLED = np.array([[900.0, 740.0, 500.0], [740.0, 800.0, 600.0], [500.0, 600.0, 700.0]])


class GaussianDenoiser:
    """The posterior of pixels v ~ N(MEAN, S), given c_t; it counts its calls."""

    def __init__(self, covariance: Matrix) -> None:
        self.covariance, self.calls = covariance, 0

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        self.calls += 1
        centre = torch.from_numpy(MEAN).view(3, 1, 1)
        weight = self.covariance @ np.linalg.inv(self.covariance + s_t**2 * np.eye(3))
        root = np.linalg.cholesky(s_t**2 * weight)  # of the posterior's covariance
        lower, std = root / root.diagonal(), root.diagonal()
        mean = centre + torch.einsum("ij,njhw->nihw", torch.from_numpy(weight), c_t.double() - centre)
        of_pixel = np.stack([np.log(std * math.sqrt(3) / math.pi), [lower[1, 0], lower[2, 0], lower[2, 1]]])
        log_scale, coupling = (torch.from_numpy(row).view(3, 1, 1).expand_as(mean) for row in of_pixel)
        return Prediction(mean + 127.5, log_scale, coupling)


def draws(covariance: Matrix, n: int = 64, side: int = 12) -> Tensor:
    """Pixels (not integers) of n images with that covariance inside a pixel."""
    v = np.random.default_rng(7).multivariate_normal(MEAN, covariance, (n, side, side))
    return torch.from_numpy(v + 127.5).permute(0, 3, 1, 2)


def information(covariance: Matrix, s: float) -> float:
    """I(v; v + s n), bits/dim."""
    return float(np.linalg.slogdet(np.eye(3) + covariance / s**2)[1]) / 2 / math.log(2) / 3


def bound_of(covariance: Matrix, levels: Levels, pixels: Tensor) -> Bound:
    return evaluate(GaussianDenoiser(covariance), pixels, levels, torch.Generator().manual_seed(1))


def check(found: Estimate, expected: float) -> None:
    """Within five standard errors, which must be small: at most 1% of a bit/dim."""
    assert found.standard_error is not None
    assert found.standard_error < 0.01
    assert found.mean == pytest.approx(expected, abs=5 * found.standard_error)


LEVELS = log_linear(2.0, 300.0, 6)


@pytest.mark.parametrize("covariance", [INDEPENDENT, COUPLED])
def test_a_step_costs_the_information_it_brings(covariance: Matrix) -> None:
    bound = bound_of(covariance, LEVELS, draws(covariance))
    for t in range(2, 7):
        gained = information(covariance, LEVELS[t - 2]) - information(covariance, LEVELS[t - 1])
        check(bound.term(t - 1), gained)


@pytest.mark.parametrize("levels", [log_linear(3.0, 200.0, 2), log_linear(3.0, 200.0, 40)])
def test_steps_add_up_to_the_same_information_however_many_they_are(levels: Levels) -> None:
    bound = bound_of(COUPLED, levels, draws(COUPLED, side=8))
    steps = bound.bits[1:-1].sum(0)
    error = steps.std().item() / 8
    assert error < 0.02
    assert steps.mean().item() == pytest.approx(information(COUPLED, 3.0) - information(COUPLED, 200.0), abs=5 * error)


def test_the_prior_term_is_its_divergence() -> None:
    """L_T has no noise: exact for every image. The default is the paper's KL(q(z_T | x) || N(0, 1))."""
    pixels, levels = draws(COUPLED, n=3), respace(ddpm_linear(), 4)
    found = bound_of(COUPLED, levels, pixels).bits[4]
    ratio = (float(levels[-1]) / 127.5) ** 2
    alphabar = 1 / (1 + ratio)
    x_0 = (pixels - 127.5) / 127.5
    divergence = (alphabar * x_0**2 + (1 - alphabar) - 1 - math.log(1 - alphabar)) / 2 / math.log(2)
    torch.testing.assert_close(found, divergence.mean((1, 2, 3)), rtol=1e-6, atol=1e-12)


def test_a_prior_of_the_data_costs_the_information_in_the_latent() -> None:
    pixels = torch.tensor([-50.0, 50.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4) + 127.5  # standard deviation 50
    found = prior_bits(pixels.double(), 80.0, 50.0).mean().item()
    assert found == pytest.approx(math.log2(1 + 50**2 / 80**2) / 2)
    assert prior_bits(pixels.double(), 80.0, 127.5).mean().item() > found


@pytest.mark.parametrize(("s_t", "s_u"), [(12.0, 5.0), (300.0, 290.0)])
def test_a_certain_denoiser_pays_for_its_error(s_t: float, s_u: float) -> None:
    """Equation 8 of the paper: |mu~ - mu|^2 / (2 sigma^2), both means (1 - rho) times as far apart as the pixels."""
    pixels = torch.full((1, 3, 2, 2), 90.0, dtype=torch.float64)
    certain = Prediction(pixels + 2.5, torch.full_like(pixels, -40.0), torch.zeros_like(pixels))
    share = 1 - s_u**2 / s_t**2
    expected = (share * 2.5) ** 2 / (2 * s_u**2 * share) / math.log(2)
    found = term_bits(certain, pixels, pixels - 127.5 + 7, s_t, s_u)
    torch.testing.assert_close(found, torch.full_like(pixels, expected))


def test_the_pixels_cost_their_logistic_mass_between_0_and_255() -> None:
    pixels = torch.tensor([0.0, 100.0, 255.0], dtype=torch.float64).view(1, 3, 1, 1)
    mean = pixels.new_tensor([4, 97, 250]).view(1, 3, 1, 1)
    prediction = Prediction(mean, torch.full_like(mean, 1.5), torch.zeros_like(mean))

    def cumulative(x: float, centre: float) -> float:
        return 1 / (1 + math.exp(-(x - centre) / math.exp(1.5)))

    found = term_bits(prediction, pixels, pixels, 6.0, 0.0).flatten().tolist()
    for bits, pixel, centre in zip(found, (0, 100, 255), (4, 97, 250), strict=True):
        mass = cumulative(pixel + 0.5, centre) - cumulative(pixel - 0.5, centre)
        assert bits == pytest.approx(-math.log2(mass / (cumulative(255.5, centre) - cumulative(-0.5, centre))))


def entropy_of_rounded(covariance: Matrix) -> float:
    """Bits/dim of a Gaussian rounded to integers. Its density hardly changes within an integer: that of the density,
    with the twelfth that rounding adds to the variance."""
    rounded = covariance + np.eye(3) / 12
    return float(np.linalg.slogdet(2 * math.pi * math.e * rounded)[1]) / 2 / math.log(2) / 3


def logistic_excess() -> float:
    """KL(normal || logistic of the same variance) in bits: what L_0 loses because the contract says logistic."""
    z = np.linspace(-12, 12, 100001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    y = z * math.pi / math.sqrt(3)
    log_logistic = -y - 2 * np.log1p(np.exp(-y)) + math.log(math.pi / math.sqrt(3))
    return float(np.sum(density * (np.log(density) - log_logistic)) * (z[1] - z[0])) / math.log(2)


@pytest.mark.parametrize("covariance", [INDEPENDENT, COUPLED])
def test_the_bound_on_integers_is_their_entropy(covariance: Matrix) -> None:
    """The prior term starts from another variance than the data's: its divergence there is known too."""
    pixels = torch.round(draws(covariance, n=100))
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    levels = check_levels([3.0, 10.0, 40.0, 400.0])
    bound = bound_of(covariance + np.eye(3) / 12, levels, pixels)
    excess_of_prior = bound.term(4).mean - information(covariance, 400.0)
    total = bound.total()
    assert total.standard_error is not None
    assert total.standard_error < 0.01
    expected = entropy_of_rounded(covariance) + logistic_excess() + excess_of_prior
    assert total.mean == pytest.approx(expected, abs=5 * total.standard_error)


def test_the_table_is_what_a_receiver_has_at_each_latent() -> None:
    pixels = draws(COUPLED, n=40)
    bound = bound_of(COUPLED, LEVELS, pixels)
    rows = bound.table()
    assert [row.t for row in rows] == [6, 5, 4, 3, 2, 1, 0]
    assert rows[0].rate == pytest.approx(bound.term(6).mean)
    assert rows[-1].rate == pytest.approx(bound.total().mean)
    for row, before in zip(rows[1:], rows, strict=False):
        assert row.rate - before.rate == pytest.approx(bound.term(row.t).mean)
    for row in rows[:-1]:
        left = np.linalg.inv(np.linalg.inv(COUPLED) + np.eye(3) / row.level**2)
        assert row.rmse == pytest.approx(math.sqrt(np.trace(left) / 3), rel=0.02)
        assert row.psnr == pytest.approx(20 * math.log10(255 / row.rmse))
    assert rows[-1] == Row(0, 0.0, rows[-1].rate, 0.0, None)


def test_one_network_call_a_level_serves_all_terms_and_the_table() -> None:
    denoiser = GaussianDenoiser(COUPLED)
    evaluate(denoiser, draws(COUPLED, n=5, side=2), LEVELS, torch.Generator(), batch=2).table()
    assert denoiser.calls == 3 * len(LEVELS)


def test_reconstructions_are_clipped_to_grey_levels() -> None:
    def too_bright(c_t: Tensor, s_t: float) -> Prediction:
        return Prediction(c_t * 0 + 300, c_t * 0, c_t * 0)

    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert evaluate(too_bright, white, LEVELS, torch.Generator()).table()[0].rmse == 0


def test_a_seed_repeats_the_bound() -> None:
    pixels = draws(COUPLED, n=2, side=4)
    assert bound_of(COUPLED, LEVELS, pixels).bits.equal(bound_of(COUPLED, LEVELS, pixels).bits)
    other = evaluate(GaussianDenoiser(COUPLED), pixels, LEVELS, torch.Generator().manual_seed(2))
    assert not bound_of(COUPLED, LEVELS, pixels).bits.equal(other.bits)


def test_standard_errors_are_over_images() -> None:
    bound = Bound(check_levels([1.0]), torch.tensor([[2.0, 4.0, 6.0], [0.0, 0.0, 0.0]]), torch.ones(1, 3))
    assert bound.total() == Estimate(4.0, pytest.approx(2 / math.sqrt(3)))
    assert bound.term(1) == Estimate(0.0, 0.0)


def test_it_is_json_also_for_a_single_image() -> None:
    found = bound_of(COUPLED, LEVELS, draws(COUPLED, n=1, side=4)).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["images"] == 1
    assert found["bits_per_dim"]["standard_error"] is None
    assert [term["t"] for term in found["terms"]] == list(range(7))
    assert sum(term["mean"] for term in found["terms"]) == pytest.approx(found["bits_per_dim"]["mean"])
    assert found["table"][0].keys() == {"t", "level", "rate", "rmse", "psnr"}


def test_no_images_and_falling_levels_are_errors() -> None:
    pixels = draws(COUPLED, n=1, side=2)
    with pytest.raises(ValueError, match="the bound needs at least one image"):
        bound_of(COUPLED, LEVELS, pixels[:0])
    with pytest.raises(ValueError, match="noise levels must increase"):
        evaluate(GaussianDenoiser(COUPLED), pixels, LEVELS[::-1], torch.Generator())
