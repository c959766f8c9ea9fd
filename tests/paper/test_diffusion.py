"""The transitions against the algebra they come from: joint Gaussians, the paper's own formulas, and draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.ans import LOGISTIC_PRECISION, encode_values
from ddpmcodec.paper.diffusion import (
    Gaussian,
    Prediction,
    Reverse,
    conditional_means,
    kl_gaussian,
    pixel_bits,
    posterior,
    reverse,
    reverse_conditionals,
    step_kl,
    to_floats,
    to_integers,
)
from ddpmcodec.paper.schedule import alpha_sigma, ddpm_linear

Array = npt.NDArray[np.float64]

LEVELS = [(12.0, 5.0), (12.0, 11.9), (1e4, 0.5), (math.inf, 40.0)]  # (s_t, s_u)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(6)


def pixels(generator: torch.Generator, side: int = 4, n: int = 1) -> Tensor:
    """v of integer pixels, [n, 3, side, side] float64."""
    return torch.randint(256, (n, 3, side, side), generator=generator).double() - 127.5


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)


def draw(transition: Gaussian, generator: torch.Generator) -> Tensor:
    return transition.mean + transition.variance.sqrt() * normal_like(transition.mean, generator)


class Denoised:
    """A made-up p(v | c_t) round the pixels v, with strong correlation between channels."""

    def __init__(self, v: Tensor, generator: torch.Generator, scale: float = 3.0) -> None:
        self.mean = v + scale * normal_like(v, generator)
        self.scale = scale * torch.exp(0.5 * normal_like(v, generator))
        self.coefficients = normal_like(v, generator)

    def reverse(self, c_t: Tensor, s_t: float, s_u: float) -> Reverse:
        return reverse(c_t, self.mean, self.scale, self.coefficients, s_t, s_u)


# posterior and forward


def forward(c_u: Tensor, s_u: float, s_t: float) -> Gaussian:
    """q(c_t | c_u), Markov; s_t finite."""
    return Gaussian(c_u, torch.tensor(s_t * s_t - s_u * s_u, dtype=c_u.dtype))


@pytest.mark.parametrize(("s_t", "s_u"), LEVELS)
def test_posterior_averaged_over_c_t_is_the_marginal_of_c_u(s_t: float, s_u: float) -> None:
    """Mean rho v + (1 - rho) v = v; variance rho^2 s_t^2 + s_u^2 (1 - rho) = s_u^2."""
    v = torch.tensor([-127.5, 0.5, 127.5], dtype=torch.float64).view(1, 3, 1, 1)
    q = posterior(v, v, s_t, s_u)
    rho = (posterior(v + 1, v, s_t, s_u).mean - q.mean)[0, 0, 0, 0].item()
    torch.testing.assert_close(q.mean, v)
    carried = rho**2 * s_t**2 if rho else 0.0
    assert carried + q.variance.item() == pytest.approx(s_u**2)


def test_draws_of_the_posterior_have_the_noise_of_their_level(generator: torch.Generator) -> None:
    v = torch.full((1, 3, 200, 200), 17.5, dtype=torch.float64)
    c_t = v + 12 * normal_like(v, generator)
    noise = draw(posterior(c_t, v, 12.0, 5.0), generator) - v
    assert noise.mean().item() == pytest.approx(0, abs=0.06)  # four standard errors of 120,000 draws
    assert noise.std().item() == pytest.approx(5, abs=0.04)


@pytest.mark.parametrize(("s_t", "s_u"), LEVELS[:3])
def test_posterior_is_bayes_rule_of_forward(s_t: float, s_u: float, generator: torch.Generator) -> None:
    """q(c_u | v) q(c_t | c_u) = q(c_t | v) q(c_u | c_t, v) at every point."""
    v = pixels(generator)
    c_u = v + s_u * normal_like(v, generator)
    c_t = draw(forward(c_u, s_u, s_t), generator)

    def log_density(x: Tensor, transition: Gaussian) -> Tensor:
        return -((x - transition.mean) ** 2 / transition.variance + torch.log(transition.variance)) / 2

    def marginal(s: float) -> Gaussian:
        return Gaussian(v, torch.tensor(s * s, dtype=torch.float64))

    there = log_density(c_u, marginal(s_u)) + log_density(c_t, forward(c_u, s_u, s_t))
    back = log_density(c_t, marginal(s_t)) + log_density(c_u, posterior(c_t, v, s_t, s_u))
    torch.testing.assert_close(there, back)


@pytest.mark.parametrize("t", [2, 10, 500, 1000])
def test_posterior_is_equation_7_of_the_paper(t: int, generator: torch.Generator) -> None:
    levels = ddpm_linear()
    beta = 1e-4 + (0.02 - 1e-4) * (t - 1) / 999
    (alpha_u, _), (alpha_t, _) = (alpha_sigma(levels[i]) for i in (t - 2, t - 1))
    bar_u, bar_t = float(alpha_u**2), float(alpha_t**2)
    v = pixels(generator)
    x_0, x_t = v / 127.5, normal_like(v, generator)
    mu = math.sqrt(bar_u) * beta / (1 - bar_t) * x_0 + math.sqrt(1 - beta) * (1 - bar_u) / (1 - bar_t) * x_t
    beta_tilde = (1 - bar_u) / (1 - bar_t) * beta

    q = posterior(127.5 * x_t / math.sqrt(bar_t), v, float(levels[t - 1]), float(levels[t - 2]))
    torch.testing.assert_close(q.mean * math.sqrt(bar_u) / 127.5, mu)
    assert q.variance.item() * bar_u / 127.5**2 == pytest.approx(beta_tilde, rel=1e-9)


def test_each_image_of_a_batch_may_have_its_own_levels(generator: torch.Generator) -> None:
    v = pixels(generator, n=2)
    c_t, denoised = v + 9 * normal_like(v, generator), Denoised(v, generator)
    s_t, s_u = (torch.tensor(s, dtype=torch.float64).view(2, 1, 1, 1) for s in ([12.0, math.inf], [5.0, 40.0]))
    q, p = posterior(c_t, v, s_t, s_u), reverse(c_t, denoised.mean, denoised.scale, denoised.coefficients, s_t, s_u)
    for i in range(2):
        one = posterior(c_t[i], v[i], s_t[i].item(), s_u[i].item())
        torch.testing.assert_close(q.mean[i], one.mean)
        assert q.variance[i].item() == pytest.approx(one.variance.item())
    torch.testing.assert_close(p.variance[0], denoised.reverse(c_t, 12.0, 5.0).variance[0])
    torch.testing.assert_close(p.mean[1], denoised.reverse(c_t, math.inf, 40.0).mean[1])


# reverse transition


def covariance(denoised: Denoised, s_t: float, s_u: float) -> Array:
    """3x3 covariance of c_u at the single pixel of `denoised`, multiplied out."""
    rho = (s_u / s_t) ** 2
    a, b, c = denoised.coefficients.flatten().numpy()
    mix = np.array([[1, 0, 0], [a, 1, 0], [b, c, 1]])
    of_v = mix @ np.diag(denoised.scale.flatten().numpy() ** 2 * np.pi**2 / 3) @ mix.T
    total: Array = (1 - rho) ** 2 * of_v + s_u**2 * (1 - rho) * np.eye(3)
    return total


@pytest.mark.parametrize(("s_t", "s_u"), LEVELS)
def test_reverse_conditionals_are_those_of_the_joint_gaussian(
    s_t: float, s_u: float, generator: torch.Generator
) -> None:
    v = pixels(generator, side=1)
    denoised = Denoised(v, generator)
    c_t, c_u = v + 9 * normal_like(v, generator), v + 5 * normal_like(v, generator)
    given = reverse_conditionals(c_u, denoised.reverse(c_t, s_t, s_u))

    mean, x = posterior(c_t, denoised.mean, s_t, s_u).mean.flatten().numpy(), c_u.flatten().numpy()
    joint = covariance(denoised, s_t, s_u)
    for i in range(3):
        weights = np.linalg.solve(joint[:i, :i], joint[:i, i])
        assert given.mean[0, i].item() == pytest.approx(mean[i] + weights @ (x - mean)[:i])
        assert given.variance[0, i].item() == pytest.approx(joint[i, i] - weights @ joint[:i, i])


def test_a_conditional_mean_does_not_see_its_own_or_later_channels(generator: torch.Generator) -> None:
    v = pixels(generator)
    transition = Denoised(v, generator).reverse(v, 12.0, 5.0)
    whole = reverse_conditionals(v, transition).mean
    for known in range(3):
        partial = torch.where(torch.arange(3).view(1, 3, 1, 1) < known, v, 0.0)
        assert torch.equal(reverse_conditionals(partial, transition).mean[:, known], whole[:, known])


def test_reverse_has_the_moments_of_the_posterior_averaged_over_the_logistics(generator: torch.Generator) -> None:
    n = 200
    shape, s_t, s_u = (1, 3, n, n), 12.0, 9.0
    mean, scale, coefficients, c_t = (
        torch.tensor(x, dtype=torch.float64).view(1, 3, 1, 1).expand(shape)
        for x in ([3.0, -5.0, 8.0], [2.0, 1.0, 4.0], [0.8, 0.5, -0.6], [10.0, -20.0, 0.0])
    )
    red, green, blue = (scale * torch.logit(torch.rand(shape, generator=generator, dtype=torch.float64))).unbind(1)
    a, b, c = coefficients.unbind(1)
    v = mean + torch.stack([red, a * red + green, b * red + c * green + blue], 1)
    c_u = draw(posterior(c_t, v, s_t, s_u), generator)

    transition = reverse(c_t, mean, scale, coefficients, s_t, s_u)
    given = reverse_conditionals(c_u, transition)
    whitened = ((c_u - given.mean) / given.variance.sqrt()).view(3, -1)
    np.testing.assert_allclose(whitened.mean(1), 0, atol=4 / n)
    np.testing.assert_allclose(torch.cov(whitened), np.eye(3), atol=8 / n)


# what a step costs


def step_cost(c_u: Tensor, q: Gaussian, p: Reverse) -> Tensor:
    """Bits, per dimension, that bits back pays for c_u: log2 q(c_u | c_t, v) - log2 p(c_u | c_t). [N, 3, H, W]."""
    of_q, of_p = (
        torch.distributions.Normal(mean, variance.sqrt()).log_prob(c_u)
        for mean, variance in (q, reverse_conditionals(c_u, p))
    )
    return (of_q - of_p) / math.log(2)


def test_kl_of_gaussians_is_torchs(generator: torch.Generator) -> None:
    m1, m2 = torch.randn(2, 50, generator=generator, dtype=torch.float64)
    v1, v2 = torch.exp(torch.randn(2, 50, generator=generator, dtype=torch.float64))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(m1, v1.sqrt()), normal(m2, v2.sqrt()))
    torch.testing.assert_close(kl_gaussian(m1, v1, m2, v2), expected)


def test_a_denoiser_that_knows_the_pixels_pays_nothing(generator: torch.Generator) -> None:
    v = pixels(generator)
    c_t = v + 12 * normal_like(v, generator)
    q, p = posterior(c_t, v, 12.0, 5.0), reverse(c_t, v, torch.zeros_like(v), torch.ones_like(v), 12.0, 5.0)
    c_u = draw(q, generator)
    torch.testing.assert_close(step_kl(q, p), torch.zeros_like(v))
    torch.testing.assert_close(step_cost(c_u, q, p), torch.zeros_like(v))


@pytest.mark.parametrize(("s_t", "s_u"), LEVELS)
def test_step_kl_is_the_kl_of_the_joint_gaussians(s_t: float, s_u: float, generator: torch.Generator) -> None:
    v = pixels(generator, side=1)
    denoised = Denoised(v, generator)
    c_t = v + 9 * normal_like(v, generator)
    q, p = posterior(c_t, v, s_t, s_u), denoised.reverse(c_t, s_t, s_u)

    normal = torch.distributions.MultivariateNormal
    expected = torch.distributions.kl_divergence(
        normal(q.mean.flatten(), q.variance * torch.eye(3, dtype=torch.float64)),
        normal(p.mean.flatten(), torch.as_tensor(covariance(denoised, s_t, s_u))),
    )
    assert step_kl(q, p).sum().item() == pytest.approx(expected.item() / math.log(2))


def test_step_cost_of_drawn_latents_averages_to_step_kl(generator: torch.Generator) -> None:
    v = pixels(generator)
    denoised = Denoised(v, generator)
    q, p = posterior(v + 7, v, 12.0, 5.0), denoised.reverse(v + 7, 12.0, 5.0)
    costs = torch.stack([step_cost(draw(q, generator), q, p) for _ in range(2000)])
    standard_error = costs.std(0) / math.sqrt(len(costs))
    assert (step_kl(q, p) > 0).all()
    assert ((costs.mean(0) - step_kl(q, p)).abs() < 4 * standard_error).all()


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 1e3])
def test_costs_and_gradients_are_finite_in_single_precision(scale: float, generator: torch.Generator) -> None:
    v = pixels(generator).float()
    c_t = v + 5 * normal_like(v, generator)
    q = posterior(c_t, v, 5.0, 0.6)
    mean, log_scale, coefficients = (
        x.requires_grad_() for x in (v + 1, torch.full_like(v, math.log(scale)), 3 * normal_like(v, generator))
    )
    p = reverse(c_t, mean, log_scale.exp(), coefficients, 5.0, 0.6)
    loss = step_kl(q, p).mean() + step_cost(draw(q, generator), q, p).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    for leaf in (mean, log_scale, coefficients):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


# --- the distribution of the clean pixels: it is one, it is stable, and its integers say the same

MEANS, COEFFICIENTS = (100.0, 80.0, 125.5), (0.8, -0.5, 1.5)


def prediction(mean: tuple[float, ...], scale: float, coefficients: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Prediction:
    """Of one pixel."""
    log_scale = torch.full((1, 3, 1, 1), math.log(scale), dtype=torch.float64)
    return Prediction(dim(*mean), log_scale, dim(*coefficients))


def dim(*rgb: float) -> Tensor:
    """[1, 3, 1, 1] of a pixel's numbers; one for all three channels."""
    return torch.tensor(rgb * (3 // len(rgb)), dtype=torch.float64).view(1, 3, 1, 1)


def expanded(of: Prediction, like: Tensor) -> Prediction:
    """The same for all pixels."""
    return Prediction(*(x.expand_as(like) for x in of))


# --- a distribution


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("mean", [-300.0, 0.0, 100.3, 255.0])
def test_probabilities_of_all_values_add_up_to_one(mean: float, scale: float) -> None:
    pixels = torch.arange(256, dtype=torch.float64).expand(1, 3, 1, 256)
    cost = pixel_bits(expanded(prediction((mean,) * 3, scale), pixels), pixels)
    assert (2.0**-cost).sum(3).flatten().tolist() == pytest.approx([1, 1, 1])


def test_probabilities_of_all_colours_add_up_to_one() -> None:
    coupled = prediction(MEANS, 0.4, COEFFICIENTS)
    colours = itertools.product(range(94, 107), range(70, 91), range(112, 139))
    pixels = torch.tensor(list(colours), dtype=torch.float64).view(-1, 3, 1, 1)
    total = (2 ** -pixel_bits(expanded(coupled, pixels), pixels).sum(1)).sum().item()
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("mean", [-500.0, 128.0, 500.0])
@pytest.mark.parametrize("scale", [2**-6, 1.0, 2.0**9])
def test_costs_and_gradients_are_finite_far_in_the_tails(mean: float, scale: float) -> None:
    of = Prediction(*(t.float().requires_grad_() for t in prediction((mean,) * 3, scale, COEFFICIENTS)))
    for pixel in (0.0, 4.0, 255.0):
        cost = pixel_bits(of, dim(pixel).float())
        cost.sum().backward()
        assert cost.isfinite().all()
        assert (cost > -0.01).all()
        assert all(t.grad is not None and t.grad.isfinite().all() for t in of)


def test_costs_in_the_tail_are_those_of_the_exponential_it_is() -> None:
    cost = pixel_bits(prediction((-500.0,) * 3, 4.0), dim(8.0)).flatten().tolist()
    geometric = -math.log2(math.exp(-8 / 4) * (1 - math.exp(-1 / 4)))
    assert cost == pytest.approx([geometric] * 3, abs=1e-6)


# --- inside a pixel


def test_green_follows_red_and_blue_follows_both() -> None:
    red, green, blue = MEANS
    a, b, c = COEFFICIENTS
    found = conditional_means(prediction(MEANS, 1.0, COEFFICIENTS), dim(110, 95, 130)).flatten().tolist()
    follows = green + a * (110 - red)
    assert found == pytest.approx([red, follows, blue + b * (110 - red) + c * (95 - follows)])


# --- integers


def test_integers_are_the_float_prediction_rounded() -> None:
    drawn = torch.randn(3, 2, 3, 9, 7, generator=torch.Generator().manual_seed(2))
    real = Prediction(100 + 300 * drawn[0], 1 + 4 * drawn[1], 9 * drawn[2])
    integers = to_integers(real)
    found = to_floats(integers, real.mean)
    assert to_integers(found).sha256() == integers.sha256()
    inside, low, small = real.mean.abs() < 511, real.log_scale.abs() < 4, real.coefficients.abs() < 15
    for ours, theirs, where, unit in zip(
        found, real, (inside, low, small), (1 / 64, math.log(2) / 8, 1 / 64), strict=True
    ):
        assert (ours - theirs)[where].abs().max() <= unit / 2 + 1e-4
    assert (found.mean[~inside].abs() > 510).all()


def test_the_coder_charges_what_training_optimises() -> None:
    rng = np.random.default_rng(4)
    pixel = rng.integers(0, 256, 3000)
    mean, scale = rng.integers(-640, 64 * 265, 3000), rng.integers(16, 100, 3000)
    _, freqs = encode_values(0 * pixel, 0 * pixel + 255, pixel, pixel, mean, scale)
    pixels, means, scales = (torch.from_numpy(a).double().view(-1, 1, 1, 1) for a in (pixel, mean / 64, scale - 48))
    of = Prediction(*(x.expand(-1, 3, 1, 1) for x in (means, scales * (math.log(2) / 8), 0 * means)))
    real = pixel_bits(of, pixels.expand(-1, 3, 1, 1))[:, 0, 0, 0].numpy()
    likely = real < 12  # below, the coder's least frequencies show
    assert likely.mean() > 0.3
    error = np.abs(LOGISTIC_PRECISION - np.log2(freqs) - real)[likely]
    assert error.max() < 0.05
    assert error.mean() < 1e-3
