"""The bound against closed forms: Gaussian data under the denoiser that is optimal for it, and errors made on purpose.

Where v ~ N(m, S) inside a pixel and the denoiser answers with the posterior of v (conftest.GaussianData), the reverse
transitions are the true ones, so that a step costs the information it brings:
    E L_{t-1} = I(v; c_{t-1}) - I(v; c_t),   I(v; c_s) = log det(1 + S / s^2) / 2
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.bound import Bound, Estimate, Row, evaluate, prior_bits, term_bits
from ddpmcodec.paper.diffusion import Prediction
from ddpmcodec.paper.schedule import Levels, check_levels, ddpm_linear, log_linear, respace

pytestmark = pytest.mark.usefixtures("one_thread")

GaussianData = Any  # conftest.GaussianData
Matrix = npt.NDArray[np.float64]


@pytest.fixture(params=["independent", "coupled"])
def data(request: pytest.FixtureRequest) -> GaussianData:
    return request.getfixturevalue(request.param)


def draws(data: GaussianData, n: int = 64, side: int = 12) -> Tensor:
    """Pixels of n images, not integers."""
    pixels: Tensor = data.latents((n, side, side)) + 127.5
    return pixels


def information(data: GaussianData, s: float) -> float:
    """I(v; v + s n), bits/dim."""
    return float(np.linalg.slogdet(np.eye(3) + data.covariance / s**2)[1]) / 2 / math.log(2) / 3


def bound_of(data: GaussianData, levels: Levels, pixels: Tensor) -> Bound:
    return evaluate(data, pixels, levels, torch.Generator().manual_seed(1), prior_std=127.5)


def check(found: Estimate, expected: float) -> None:
    """Within five standard errors, which must be small: at most 1% of a bit/dim."""
    assert found.standard_error is not None
    assert found.standard_error < 0.01
    assert found.mean == pytest.approx(expected, abs=5 * found.standard_error)


LEVELS = log_linear(2.0, 300.0, 6)


def test_a_step_costs_the_information_it_brings(data: GaussianData) -> None:
    bound = bound_of(data, LEVELS, draws(data))
    for t in range(2, 7):
        gained = information(data, LEVELS[t - 2]) - information(data, LEVELS[t - 1])
        check(bound.term(t - 1), gained)


@pytest.mark.parametrize("levels", [log_linear(3.0, 200.0, 2), log_linear(3.0, 200.0, 40)])
def test_steps_add_up_to_the_same_information_however_many_they_are(coupled: GaussianData, levels: Levels) -> None:
    bound = bound_of(coupled, levels, draws(coupled, side=8))
    steps = bound.bits[1:-1].sum(0)
    error = steps.std().item() / 8
    assert error < 0.02
    assert steps.mean().item() == pytest.approx(information(coupled, 3.0) - information(coupled, 200.0), abs=5 * error)


def test_the_prior_term_is_its_divergence(coupled: GaussianData) -> None:
    """L_T has no noise: exact for every image. The default is the paper's KL(q(z_T | x) || N(0, 1))."""
    pixels, levels = draws(coupled, n=3), respace(ddpm_linear(), 4)
    found = bound_of(coupled, levels, pixels).bits[4]
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


def test_the_bound_on_integers_is_their_entropy(data: GaussianData) -> None:
    """The prior term starts from another variance than the data's: its divergence there is known too."""
    pixels = torch.round(draws(data, n=100))
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    rounded = type(data)(data.mean, data.covariance + np.eye(3) / 12)
    bound = bound_of(rounded, check_levels([3.0, 10.0, 40.0, 400.0]), pixels)
    excess_of_prior = bound.term(4).mean - information(data, 400.0)
    check(bound.total(), entropy_of_rounded(data.covariance) + logistic_excess() + excess_of_prior)


def test_the_table_is_what_a_receiver_has_at_each_latent(coupled: GaussianData) -> None:
    """The closed forms within five standard errors: the rate is the information in c_t and the prior's excess, the
    error that of the posterior."""
    bound = bound_of(coupled, LEVELS, draws(coupled))
    rows = bound.table()
    assert [row.t for row in rows] == [6, 5, 4, 3, 2, 1, 0]
    excess_of_prior = bound.term(6).mean - information(coupled, LEVELS[5])
    for row in rows[:-1]:
        check(row.rate, information(coupled, row.level) + excess_of_prior)
        left = np.linalg.inv(np.linalg.inv(coupled.covariance) + np.eye(3) / row.level**2)
        error = math.sqrt(np.trace(left) / 3)
        assert row.rmse.standard_error < 0.01 * error
        assert row.rmse.mean == pytest.approx(error, abs=5 * row.rmse.standard_error)
        assert row.psnr.mean == pytest.approx(20 * math.log10(255 / error), abs=5 * row.psnr.standard_error)
    assert rows[-1] == Row(0, 0.0, pytest.approx(bound.total()), Estimate(0.0, 0.0), None)


def test_rates_of_the_table_are_sums_of_terms(coupled: GaussianData) -> None:
    bound = bound_of(coupled, LEVELS, draws(coupled, n=5, side=4))
    for row in bound.table():
        paid = bound.bits[row.t :].sum(0)
        assert row.rate == pytest.approx((paid.mean().item(), paid.std().item() / math.sqrt(5)))


def test_standard_errors_of_the_distortion_are_those_of_repetition() -> None:
    """400 tables of 50 images each: the reported errors are the standard deviations of what is reported."""
    errors = torch.from_numpy(np.random.default_rng(2).gamma(4, 30, (400, 1, 50)))
    tables = [Bound(check_levels([9.0]), torch.zeros(2, 50), error).table()[0] for error in errors]
    for name in ("rmse", "psnr"):
        values = np.array([getattr(row, name) for row in tables])
        assert values[:, 1].mean() == pytest.approx(values[:, 0].std(), rel=0.1)


def test_one_network_call_a_level_serves_all_terms_and_the_table(coupled: GaussianData) -> None:
    calls = []

    def counted(c_t: Tensor, s_t: float) -> Prediction:
        calls.append((len(c_t), s_t))
        return coupled(c_t, s_t)

    reported: list[int] = []
    pixels = draws(coupled, n=5, side=2)
    evaluate(counted, pixels, LEVELS, torch.Generator(), prior_std=127.5, batch=2, progress=reported.append).table()
    assert calls == [(n, s_t) for n in (2, 2, 1) for s_t in LEVELS]
    assert reported == [n for n, _ in calls]


def test_reconstructions_are_clipped_to_grey_levels() -> None:
    def too_bright(c_t: Tensor, s_t: float) -> Prediction:
        return Prediction(c_t * 0 + 300, c_t * 0, c_t * 0)

    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert evaluate(too_bright, white, LEVELS, torch.Generator(), prior_std=127.5).table()[0].rmse.mean == 0


def test_a_seed_repeats_the_bound(coupled: GaussianData) -> None:
    pixels = draws(coupled, n=2, side=4)
    assert bound_of(coupled, LEVELS, pixels).bits.equal(bound_of(coupled, LEVELS, pixels).bits)
    other = evaluate(coupled, pixels, LEVELS, torch.Generator().manual_seed(2), prior_std=127.5)
    assert not bound_of(coupled, LEVELS, pixels).bits.equal(other.bits)


def test_standard_errors_are_over_images() -> None:
    bound = Bound(check_levels([1.0]), torch.tensor([[2.0, 4.0, 6.0], [0.0, 0.0, 0.0]]), torch.ones(1, 3))
    assert bound.total() == Estimate(4.0, pytest.approx(2 / math.sqrt(3)))
    assert bound.term(1) == Estimate(0.0, 0.0)


def test_it_is_json_also_for_a_single_image(coupled: GaussianData) -> None:
    found = bound_of(coupled, LEVELS, draws(coupled, n=1, side=4)).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["images"] == 1
    assert found["bits_per_dim"]["standard_error"] is None
    assert [term["t"] for term in found["terms"]] == list(range(7))
    assert sum(term["mean"] for term in found["terms"]) == pytest.approx(found["bits_per_dim"]["mean"])
    first = found["table"][0]
    assert first.keys() == {"t", "level", "rate", "rmse", "psnr"}
    assert first["psnr"].keys() == {"mean", "standard_error"}


def test_no_images_and_falling_levels_are_errors(coupled: GaussianData) -> None:
    pixels = draws(coupled, n=1, side=2)
    with pytest.raises(ValueError, match="tensor"):
        bound_of(coupled, LEVELS, pixels[:0])
    with pytest.raises(ValueError, match="increase"):
        evaluate(coupled, pixels, LEVELS[::-1], torch.Generator(), prior_std=127.5)


def test_rows_come_back_from_json(coupled: Any) -> None:
    table = bound_of(coupled, LEVELS, draws(coupled, n=2, side=2)).table()
    assert [Row.from_json(json.loads(json.dumps(row.to_json()))) for row in table] == table
