"""The paper's network under the denoiser contract: its transitions are the paper's, in the paper's own notation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.paper import schedule
from ddpmcodec.paper.diffusion import posterior, reverse
from ddpmcodec.paper.paper_denoiser import PaperDenoiser, Variance
from ddpmcodec.paper.unet import UNet, UNetConfig

CONFIG = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)
LEARNED = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, learned_variance=True)
LEVELS = schedule.ddpm_linear()
BETAS = np.linspace(1e-4, 0.02, 1000)
ALPHABARS = np.cumprod(1 - BETAS)


def constant_network(*outputs: float) -> UNet:
    """A U-Net that answers these numbers, three or six, everywhere."""
    unet = UNet(LEARNED if len(outputs) == 6 else CONFIG)
    unet.conv_out.bias.data[:] = torch.tensor(outputs)
    return unet


def random_network(config: UNetConfig = CONFIG) -> UNet:
    torch.manual_seed(2)
    unet = UNet(config)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)
    return unet


def step_variance(denoiser: PaperDenoiser, t: int, u: int) -> NDArray[np.float64]:
    """Variance of z_u given z_t under the transitions, in the paper's units, of the three channels of a pixel."""
    s_t, s_u = float(denoiser.levels[t - 1]), float(denoiser.levels[u - 1])
    c_t = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    mean, log_scale, coefficients = denoiser(c_t, s_t)
    variance = reverse(c_t, mean - 127.5, torch.exp(log_scale), coefficients, s_t, s_u).variance[0, :, 0, 0].numpy()
    alpha, _ = schedule.alpha_sigma(s_u)
    return np.asarray(variance * (alpha / 127.5) ** 2)


def betas_of(t: int, u: int) -> tuple[float, float]:
    """beta and beta~ of the step from t to u, arXiv 2006.11239, section 3.2, for any u < t."""
    beta = 1 - ALPHABARS[t - 1] / ALPHABARS[u - 1]
    return beta, beta * (1 - ALPHABARS[u - 1]) / (1 - ALPHABARS[t - 1])


# --- the mean


def test_noise_that_is_known_leaves_the_clean_pixels() -> None:
    v = torch.randint(0, 256, (2, 3, 4, 6)) - 127.5
    eps = torch.tensor([0.5, -1.0, 0.25]).view(1, 3, 1, 1)
    denoiser = PaperDenoiser(constant_network(0.5, -1.0, 0.25))
    for t in (1, 10, 500):
        s_t = float(LEVELS[t - 1])
        mean, _, coefficients = denoiser(v + s_t * eps, s_t)
        assert torch.allclose(mean, v + 127.5, atol=1e-3)
        assert coefficients.eq(0).all()


def test_the_mean_stays_what_a_pixel_can_be() -> None:
    mean, _, _ = PaperDenoiser(constant_network(-1.0, 0.0, 1.0))(torch.zeros(1, 3, 2, 2), float(LEVELS[-1]))
    assert mean[0, :, 0, 0].tolist() == [255, 127.5, 0]


def test_the_network_sees_z_and_a_time_that_counts_from_zero() -> None:
    unet, t = random_network(), 300
    c_t = 100 * torch.randn(2, 3, 4, 4)
    mean, _, _ = PaperDenoiser(unet)(c_t, float(LEVELS[t - 1]))
    z = math.sqrt(ALPHABARS[t - 1]) * c_t / 127.5
    with torch.no_grad():
        eps = unet(z, torch.tensor([299, 299]))
    x = (z - math.sqrt(1 - ALPHABARS[t - 1]) * eps) / math.sqrt(ALPHABARS[t - 1])
    assert eps.std() > 0.1
    assert torch.allclose(mean, 127.5 * x.clamp(-1, 1) + 127.5, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_size_and_precision(dtype: torch.dtype) -> None:
    c_t = torch.randn(2, 3, 5, 3, dtype=dtype)
    found = PaperDenoiser(random_network())(c_t, float(LEVELS[20]))
    assert {(tensor.shape, tensor.dtype) for tensor in found} == {((2, 3, 5, 3), dtype)}
    assert all(tensor.isfinite().all() for tensor in found)


def test_sides_are_continued_with_the_last_row_and_column() -> None:
    denoiser, s_t = PaperDenoiser(random_network()), float(LEVELS[50])
    c_t = torch.randn(1, 3, 4, 4)
    c_t[:, :, 3], c_t[:, :, :, 3] = c_t[:, :, 2], c_t[:, :, :, 2]
    assert torch.equal(denoiser(c_t[:, :, :3, :3], s_t).mean, denoiser(c_t, s_t).mean[:, :, :3, :3])


# --- the variance


@pytest.mark.parametrize(("t", "u"), [(2, 1), (3, 2), (40, 39), (500, 499), (1000, 999), (1000, 700), (60, 1)])
def test_fixed_variances_are_the_papers_for_any_step(t: int, u: int) -> None:
    beta, beta_tilde = betas_of(t, u)
    unet = constant_network(0.0, 0.0, 0.0)
    assert step_variance(PaperDenoiser(unet, variance="large"), t, u) == pytest.approx([beta] * 3, rel=1e-9)
    assert step_variance(PaperDenoiser(unet, variance="small"), t, u) == pytest.approx([beta_tilde] * 3, rel=1e-7)


@pytest.mark.parametrize("t", [2, 3, 40, 500, 1000])
def test_a_learned_variance_lies_between_them_in_log(t: int) -> None:
    beta, beta_tilde = betas_of(t, t - 1)
    denoiser = PaperDenoiser(constant_network(0.0, 0.0, 0.0, -1.0, 0.2, 1.0), variance="learned")
    expected = [beta_tilde, beta_tilde**0.4 * beta**0.6, beta]
    assert step_variance(denoiser, t, t - 1) == pytest.approx(expected, rel=1e-6)


def test_a_variance_below_the_small_one_is_taken_for_it() -> None:
    denoiser = PaperDenoiser(constant_network(0.0, 0.0, 0.0, -5.0, -1.0, -1.1), variance="learned")
    assert step_variance(denoiser, 30, 29) == pytest.approx([betas_of(30, 29)[1]] * 3, rel=1e-7)


@pytest.mark.parametrize(
    ("variance", "expected"),
    [
        ("large", [betas_of(2, 1)[1]] * 3),
        ("small", [betas_of(2, 1)[1]] * 3),
        ("learned", [betas_of(2, 1)[1], math.sqrt(betas_of(2, 1)[1] * BETAS[0]), BETAS[0]]),
    ],
)
def test_the_pixels_themselves_are_coded_at_the_first_level(variance: Variance, expected: list[float]) -> None:
    denoiser = PaperDenoiser(constant_network(0.0, 0.0, 0.0, -1.0, 0.0, 1.0), variance=variance)
    log_scale = denoiser(torch.zeros(1, 3, 2, 2, dtype=torch.float64), float(LEVELS[0])).log_scale[0, :, 0, 0]
    deviation = torch.exp(log_scale) * math.pi / math.sqrt(3)
    assert deviation.tolist() == pytest.approx([127.5 * math.sqrt(beta) for beta in expected])


def test_the_kernel_has_the_papers_mean() -> None:
    """arXiv 2006.11239, equation 11: (z_t - beta_t / sigma_t eps) / sqrt(1 - beta_t)."""
    t, eps = 200, torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64).view(1, 3, 1, 1)
    s_t, s_u = float(LEVELS[t - 1]), float(LEVELS[t - 2])
    c_t = 20 * torch.randn(1, 3, 2, 2, dtype=torch.float64)
    mean, log_scale, coefficients = PaperDenoiser(constant_network(0.1, -0.2, 0.3))(c_t, s_t)
    found = reverse(c_t, mean - 127.5, torch.exp(log_scale), coefficients, s_t, s_u).mean
    z_t = math.sqrt(ALPHABARS[t - 1]) * c_t / 127.5
    of_u = (z_t - BETAS[t - 1] / math.sqrt(1 - ALPHABARS[t - 1]) * eps) / math.sqrt(1 - BETAS[t - 1])
    assert torch.allclose(found * math.sqrt(ALPHABARS[t - 2]) / 127.5, of_u, atol=1e-6)
    assert torch.allclose(posterior(c_t, mean - 127.5, s_t, s_u).mean, found)


# --- levels


@pytest.mark.parametrize("t", [1, 2, 377, 1000])
def test_a_level_is_found_to_a_thousandth(t: int) -> None:
    denoiser = PaperDenoiser(random_network())
    assert [denoiser.time(LEVELS[t - 1] * factor) for factor in (1, 0.9995, 1.0005)] == [t] * 3


@pytest.mark.parametrize("s_t", [0.5, 1.28, 2.0, 30000.0, math.inf, math.nan])
def test_a_level_that_was_not_trained_on_is_refused(s_t: float) -> None:
    with pytest.raises(ModelError, match="of the 1000"):
        PaperDenoiser(random_network())(torch.zeros(1, 3, 4, 4), s_t)


@pytest.mark.parametrize("T", [2, 100, 1000, None])
def test_levels_to_code_at_are_the_networks_own_in_whole_units(T: int | None) -> None:
    denoiser = PaperDenoiser(random_network(), schedule.cosine(4000))
    levels, own = denoiser.coding_levels(T), denoiser.levels[denoiser.levels <= 65536]
    assert (len(own), levels.size) == (3995, T or 3995)
    assert (levels * 1024 % 1 == 0).all()
    np.testing.assert_allclose(levels, own if T is None else schedule.respace(own, T), atol=1 / 2048, rtol=0)
    assert len({denoiser.time(level) for level in levels.tolist()}) == levels.size


def test_all_levels_to_code_at_may_be_fewer_than_there_are() -> None:
    """Of a cosine schedule the last ones are noise alone."""
    denoiser = PaperDenoiser(random_network(), schedule.cosine(1000))
    assert (denoiser.coding_levels(1000).size, denoiser.coding_levels(998).size) == (998, 998)
    for T in (1, 1001):
        with pytest.raises(ValueError, match=f"998 .*not {T}"):
            denoiser.coding_levels(T)


def test_other_schedules() -> None:
    levels = schedule.cosine(50)
    denoiser = PaperDenoiser(random_network(), levels)
    assert [denoiser.time(float(s)) for s in levels] == list(range(1, 51))


# --- identity


def test_the_id_names_everything_that_a_prediction_depends_on() -> None:
    def variants() -> list[PaperDenoiser]:
        learned = random_network(LEARNED)
        moved = random_network()
        moved.conv_in.bias.data[0] += 1e-6
        kinds: tuple[Variance, ...] = ("large", "small", "learned")
        return [PaperDenoiser(learned, variance=kind) for kind in kinds] + [
            PaperDenoiser(random_network()),
            PaperDenoiser(moved),
            PaperDenoiser(random_network(), schedule.cosine(1000)),
        ]

    ids = [denoiser.id for denoiser in variants()]
    assert {len(found) for found in ids} == {32}
    assert len(set(ids)) == 6
    assert [denoiser.id for denoiser in variants()] == ids


def test_a_denoiser_does_not_drop_out() -> None:
    unet = random_network().train()
    denoiser, c_t = PaperDenoiser(unet), torch.randn(1, 3, 4, 4)
    assert torch.equal(denoiser(c_t, float(LEVELS[9])).mean, denoiser(c_t, float(LEVELS[9])).mean)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"variance": "learned"}, "predicts no variance"),
        ({"variance": "fixed"}, "not fixed"),
        ({"levels": [3.0]}, "two noise levels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        PaperDenoiser(random_network(), **options)


def test_predictions_carry_no_gradient() -> None:
    c_t: Tensor = torch.zeros(1, 3, 4, 4, requires_grad=True)
    assert not PaperDenoiser(random_network())(c_t, float(LEVELS[5])).mean.requires_grad
