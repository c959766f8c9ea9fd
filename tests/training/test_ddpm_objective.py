"""The paper's losses against its own formulas, in its own units, and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.bound import term_bits
from ddpmcodec.paper.paper_denoiser import PaperDenoiser, Variance
from ddpmcodec.paper.schedule import cosine, ddpm_linear
from ddpmcodec.paper.unet import UNet, UNetConfig
from ddpmcodec.training.ddpm_objective import (
    NoiseEstimate,
    NoiseSchedule,
    NoisyBatch,
    bound_terms,
    estimate_noise,
    log_pixel_mass,
    losses,
    noisy_batch,
    simple_loss,
)

Array = npt.NDArray[np.float64]
Network = Callable[[Tensor, Tensor], Tensor]

T = 1000
BETA = np.linspace(1e-4, 0.02, T)
ALPHABAR = np.cumprod(1 - BETA)
TIMES = (2, 3, 40, 500, 1000)


@pytest.fixture(scope="module")
def schedule() -> NoiseSchedule:
    return NoiseSchedule(ddpm_linear(T))


def batch_at(*times: int, side: int = 4, v: Tensor | None = None) -> NoisyBatch:
    """Integer pixels and noise, one image for each t."""
    generator = torch.Generator().manual_seed(3)
    shape = len(times), 3, side, side
    pixels = torch.randint(256, shape, generator=generator).float() - 127.5
    noise = torch.randn(shape, generator=generator)
    return NoisyBatch(pixels if v is None else v.expand(shape), torch.tensor(times), noise)


def approximate_noise(batch: NoisyBatch, error: float = 0.1) -> Tensor:
    """The noise, missed by so many standard deviations."""
    return batch.noise + error * torch.randn(batch.noise.shape, generator=torch.Generator().manual_seed(4))


def answers(outputs: Tensor) -> Network:
    return lambda z, t: outputs


def estimated(eps: Tensor, fraction: float) -> NoiseEstimate:
    return NoiseEstimate(eps, torch.tensor(fraction))


def column(values: Array, batch: NoisyBatch) -> Array:
    """Of a list over t = 1..T, the values of a batch: [N, 1, 1, 1]."""
    return values[batch.t.numpy() - 1][:, None, None, None]


# --- what the network is asked


def test_the_network_sees_z_t_and_time_steps_from_zero(schedule: NoiseSchedule) -> None:
    batch, seen = batch_at(1, 2, 500, 1000), []

    def network(z: Tensor, t: Tensor) -> Tensor:
        seen.append((z, t))
        return torch.zeros_like(z)

    estimate_noise(network, schedule, batch)
    [(z, t)] = seen
    assert t.tolist() == [0, 1, 499, 999]
    alphabar = column(ALPHABAR, batch)
    expected = np.sqrt(alphabar) * batch.v.numpy() / 127.5 + np.sqrt(1 - alphabar) * batch.noise.numpy()
    np.testing.assert_allclose(z.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_six_channels_are_the_noise_and_a_place_between_two_variances(schedule: NoiseSchedule) -> None:
    batch = batch_at(7)
    eps, place = approximate_noise(batch), torch.full_like(batch.noise, -0.5)
    estimate = estimate_noise(answers(torch.cat([eps, place], 1)), schedule, batch)
    assert estimate.eps.equal(eps)
    assert estimate.fraction.equal(torch.full_like(eps, 0.25))


def test_a_network_without_variances_gets_the_larger_one_but_for_the_pixels(schedule: NoiseSchedule) -> None:
    batch = batch_at(2, 1, 1000)
    assert estimate_noise(answers(batch.noise), schedule, batch).fraction.flatten().tolist() == [1, 0, 1]


def test_pixels_cost_what_the_paper_says(schedule: NoiseSchedule) -> None:
    """Its distortion on CIFAR-10 is 1.97 bits/dim at a root mean square error of 0.95 grey levels (section 4.3)."""
    batch = batch_at(1, side=200, v=torch.tensor(0.5))
    s_1 = 127.5 * math.sqrt(BETA[0] / (1 - BETA[0]))
    eps = approximate_noise(batch, 0.95 / s_1)
    found = bound_terms(estimate_noise(answers(eps), schedule, batch), schedule, batch)
    assert found.item() == pytest.approx(1.97, abs=0.02)


def test_the_bound_needs_two_levels() -> None:
    with pytest.raises(ValueError, match="two noise levels"):
        NoiseSchedule(ddpm_linear(1))


# --- L_simple


def test_the_simple_loss_is_the_squared_error_of_the_noise(schedule: NoiseSchedule) -> None:
    batch = batch_at(1, 600)
    assert simple_loss(estimated(batch.noise, 1.0), batch).tolist() == [0, 0]
    assert simple_loss(estimated(batch.noise + 0.5, 1.0), batch).tolist() == pytest.approx([0.25, 0.25])
    found = losses("simple", answers(torch.zeros_like(batch.noise)), schedule, batch)
    assert found.tolist() == pytest.approx((batch.noise**2).mean((1, 2, 3)).tolist())


# --- L_{t-1}


def paper_kl(batch: NoisyBatch, eps: Tensor, variance: Array) -> Array:
    """KL of two normals around equations 7 and 11 of arXiv 2006.11239, in its units, bits/dim."""
    alphabar, beta, before = (
        column(values, batch) for values in (ALPHABAR, BETA, np.concatenate([[1.0], ALPHABAR[:-1]]))
    )
    x = batch.v.numpy().astype(float) / 127.5
    z = np.sqrt(alphabar) * x + np.sqrt(1 - alphabar) * batch.noise.numpy()
    posterior_mean = (np.sqrt(before) * beta * x + np.sqrt(1 - beta) * (1 - before) * z) / (1 - alphabar)
    reverse_mean = (z - beta / np.sqrt(1 - alphabar) * eps.numpy()) / np.sqrt(1 - beta)
    small, variance = beta * (1 - before) / (1 - alphabar), column(variance, batch)
    nats = ((posterior_mean - reverse_mean) ** 2 + small) / variance - 1 - np.log(small / variance)
    return np.asarray(nats.mean((1, 2, 3)) / (2 * math.log(2)))


def beta_tilde() -> Array:
    return BETA * (1 - np.concatenate([[1.0], ALPHABAR[:-1]])) / (1 - ALPHABAR)


@pytest.mark.parametrize(
    ("fraction", "variance"),
    [
        (1.0, BETA),
        (0.0, beta_tilde()),
        (0.3, np.exp(0.3 * np.log(BETA) + 0.7 * np.log(np.maximum(beta_tilde(), 1e-9)))),
    ],
    ids=["large", "small", "learned"],
)
def test_a_term_of_the_bound_is_the_papers(schedule: NoiseSchedule, fraction: float, variance: Array) -> None:
    batch = batch_at(*TIMES)
    eps = approximate_noise(batch)
    found = bound_terms(estimated(eps, fraction), schedule, batch)
    np.testing.assert_allclose(found.numpy(), paper_kl(batch, eps, variance), rtol=2e-3, atol=2e-6)


def test_a_term_of_the_bound_is_the_integral_that_defines_it(schedule: NoiseSchedule) -> None:
    """q log(q / p) summed over a fine grid of z_{t-1}, for one dimension."""
    v, noise, eps, t = 40.5, 0.7, 0.4, 30
    one = torch.ones(1, 3, 1, 1)
    found = bound_terms(estimated(eps * one, 1.0), schedule, NoisyBatch(v * one, torch.tensor([t]), noise * one))
    alphabar, before, beta = ALPHABAR[t - 1], ALPHABAR[t - 2], BETA[t - 1]
    z = math.sqrt(alphabar) * v / 127.5 + math.sqrt(1 - alphabar) * noise
    posterior_mean = (math.sqrt(before) * beta * v / 127.5 + math.sqrt(1 - beta) * (1 - before) * z) / (1 - alphabar)
    reverse_mean = (z - beta / math.sqrt(1 - alphabar) * eps) / math.sqrt(1 - beta)
    grid = np.linspace(posterior_mean - 1, posterior_mean + 1, 200_001)

    def density(mean: float, variance: float) -> Array:
        return np.asarray(np.exp(-((grid - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance))

    q, p = density(posterior_mean, beta_tilde()[t - 1]), density(reverse_mean, beta)
    integral = float(np.sum(np.where(q > 1e-200, q * np.log2(q / p, where=q > 1e-200, out=np.zeros_like(q)), 0))) * 1e-5
    assert found.item() == pytest.approx(integral, rel=1e-4)


@pytest.mark.parametrize("times", [(2, 3, 5), (100, 400, 1000)])
def test_data_as_wide_as_the_prior_costs_the_information_of_each_step(
    schedule: NoiseSchedule, times: tuple[int, ...]
) -> None:
    """x ~ N(0, I), eps = sigma_t z_t is optimal and beta_t its variance: E L_{t-1} = I(x; z_{t-1}) - I(x; z_t)."""
    v = 127.5 * torch.randn(1, 3, 300, 300, generator=torch.Generator().manual_seed(1))
    batch = batch_at(*times, side=300, v=v)
    sigma = torch.from_numpy(np.sqrt(1 - ALPHABAR)).float()

    def optimal(z: Tensor, t: Tensor) -> Tensor:
        return sigma[t].view(-1, 1, 1, 1) * z

    found = bound_terms(estimate_noise(optimal, schedule, batch), schedule, batch)
    information = -np.log2(1 - ALPHABAR) / 2  # I(x; z_t) = log(1 + alphabar / (1 - alphabar)) / 2
    at = np.array(times) - 1
    np.testing.assert_allclose(found.numpy(), information[at - 1] - information[at], rtol=0.02)


@pytest.mark.parametrize("levels", [ddpm_linear(T), cosine(T)], ids=["linear", "cosine"])
def test_knowing_the_noise_makes_every_step_free(levels: Array) -> None:
    batch = batch_at(*TIMES)
    found = bound_terms(estimated(batch.noise, 0.0), NoiseSchedule(levels), batch)
    np.testing.assert_allclose(found.numpy(), 0, atol=1e-5)


@pytest.mark.parametrize("variance", ["large", "small", "learned"])
def test_the_bound_in_training_is_that_of_the_coded_network(variance: Variance) -> None:
    torch.manual_seed(2)
    learned = variance == "learned"
    unet = UNet(UNetConfig(8, (1, 2), (1,), blocks=1, groups=4, dropout=0.0, learned_variance=learned))
    torch.nn.init.normal_(unet.conv_out.weight, std=0.01)
    levels = ddpm_linear(T)
    batch = batch_at(5, side=8, v=torch.tensor([[[[-20.5]], [[3.5]], [[50.5]]]]))
    schedule = NoiseSchedule(levels)
    s_t, s_u = levels[4], levels[3]
    c_t = batch.v + s_t * batch.noise
    with torch.no_grad():
        estimate = estimate_noise(unet, schedule, batch)
        if variance == "small":
            estimate = estimate._replace(fraction=torch.zeros(1))
        found = bound_terms(estimate, schedule, batch)
        prediction = PaperDenoiser(unet, levels, variance)(c_t.double(), s_t)
    coded = term_bits(prediction, batch.v.double() + 127.5, c_t.double(), s_t, s_u)
    assert found.item() == pytest.approx(coded.mean().item(), rel=1e-3)


# --- L_0


def mass(pixel: Tensor | float, mean: float, std: float) -> Tensor:
    return torch.exp(log_pixel_mass(torch.as_tensor(pixel).double(), torch.tensor(mean), torch.tensor(math.log(std))))


@pytest.mark.parametrize(("mean", "std"), [(100.2, 1.3), (0.4, 3.0), (-20.0, 5.0), (255.0, 0.05), (400.0, 60.0)])
def test_the_pixels_share_all_of_the_normal(mean: float, std: float) -> None:
    assert mass(torch.arange(256), mean, std).sum().item() == pytest.approx(1, rel=1e-6)


def test_a_pixel_has_the_mass_of_its_cell() -> None:
    def below(x: float) -> float:
        return math.erfc(-(x - 100.2) / (1.3 * math.sqrt(2))) / 2

    for pixel in (96, 100, 103):
        assert mass(pixel, 100.2, 1.3).item() == pytest.approx(below(pixel + 0.5) - below(pixel - 0.5), rel=1e-5)


def test_the_cells_at_the_ends_reach_to_infinity() -> None:
    assert mass(0.0, -30.0, 2.0).item() == mass(255.0, 290.0, 2.0).item() == 1.0
    assert mass(0.0, 0.5, 2.0).item() == mass(255.0, 254.5, 2.0).item() == pytest.approx(0.5)


@pytest.mark.parametrize("pixel", [0.0, 1.0, 128.0, 254.0, 255.0])
@pytest.mark.parametrize("mean", [-5000.0, 0.0, 128.0, 255.0, 5000.0])
def test_pixels_far_from_their_mean_have_finite_costs_and_gradients(pixel: float, mean: float) -> None:
    variables = torch.tensor(mean, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    found = log_pixel_mass(torch.tensor(pixel), *variables)
    found.backward()
    assert found.isfinite()
    assert variables[0].grad is not None
    assert variables[1].grad is not None
    assert variables[0].grad.isfinite()
    assert variables[1].grad.isfinite()
    if abs(pixel - mean) > 1000 and pixel != min(max(mean, 0.0), 255.0):
        away = abs(pixel - mean) - 0.5
        assert found.item() == pytest.approx(-(away**2) * math.exp(2) / 2, rel=1e-3)
        assert variables[0].grad.item() == pytest.approx(math.copysign(away, pixel - mean) * math.exp(2), rel=1e-3)


@pytest.mark.parametrize(("fraction", "std"), [(1.0, 127.5 * 0.01), (0.0, 127.5 * math.sqrt(beta_tilde()[1]))])
def test_at_t_one_the_pixels_are_reported(schedule: NoiseSchedule, fraction: float, std: float) -> None:
    """With the standard deviation sigma_1 of beta_1, or of beta~_2 in the place of beta~_1 = 0."""
    batch = batch_at(1)
    eps = approximate_noise(batch)
    s_1 = 127.5 * math.sqrt(BETA[0] / (1 - BETA[0]))
    mean = batch.v + 127.5 + s_1 * (batch.noise - eps)
    expected = -log_pixel_mass(batch.v + 127.5, mean, torch.tensor(math.log(std))).mean() / math.log(2)
    assert bound_terms(estimated(eps, fraction), schedule, batch).item() == pytest.approx(expected.item(), rel=1e-4)


# --- what is trained on


def test_the_bound_as_a_loss_is_one_term_an_image(schedule: NoiseSchedule) -> None:
    batch = batch_at(1, 2, 900)
    network = answers(approximate_noise(batch))
    found = losses("bound", network, schedule, batch)
    assert found.equal(bound_terms(estimate_noise(network, schedule, batch), schedule, batch))


def test_the_hybrid_is_the_simple_loss_and_a_thousandth_of_the_bound(schedule: NoiseSchedule) -> None:
    batch = batch_at(1, 2, 900)
    eps, place = approximate_noise(batch), torch.zeros_like(batch.noise)
    found = losses("hybrid", answers(torch.cat([eps, place], 1)), schedule, batch)
    estimate = estimated(eps, 0.5)
    torch.testing.assert_close(found, simple_loss(estimate, batch) + bound_terms(estimate, schedule, batch))


def test_the_bound_of_the_hybrid_moves_variances_only(schedule: NoiseSchedule) -> None:
    batch = batch_at(1, 2, 900)
    outputs = torch.cat([approximate_noise(batch), torch.zeros_like(batch.noise)], 1).requires_grad_()
    losses("hybrid", answers(outputs), schedule, batch).sum().backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    of_eps, of_variance = outputs.grad.chunk(2, 1)
    torch.testing.assert_close(of_eps, 2 * (outputs[:, :3].detach() - batch.noise) / batch.noise[0].numel())
    assert of_variance.flatten(1).abs().sum(1).min() > 0


@pytest.mark.parametrize("objective", ["bound", "hybrid"])
@pytest.mark.parametrize("levels", [ddpm_linear(T), cosine(T)], ids=["linear", "cosine"])
@pytest.mark.parametrize("size", [0.0, 1.0, 50.0])
def test_gradients_are_finite_at_every_t(objective: str, levels: Array, size: float) -> None:
    batch = batch_at(*range(1, T + 1, 37), T, side=2)
    channels = 6 if objective == "hybrid" else 3
    outputs = size * torch.randn(len(batch.t), channels, 2, 2, generator=torch.Generator().manual_seed(8))
    outputs.requires_grad_()
    found = losses(objective, answers(outputs), NoiseSchedule(levels), batch)  # type: ignore[arg-type]
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert found.isfinite().all()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


# --- draws


PIXELS = torch.arange(12 * 3 * 4.0).view(12, 3, 2, 2)


def test_parts_of_a_batch_are_the_whole() -> None:
    whole = noisy_batch(PIXELS, T, (5, 17))
    for tensor, *pieces in zip(whole, whole.part(slice(0, 5)), whole.part(slice(5, None)), strict=True):
        assert tensor.equal(torch.cat(pieces))


@pytest.mark.parametrize("key", [(6, 17), (5, 18), (17, 5)])
def test_every_seed_and_step_draws_anew(key: tuple[int, int]) -> None:
    one, other = noisy_batch(PIXELS, T, (5, 17)), noisy_batch(PIXELS, T, key)
    assert not one.t.equal(other.t)
    assert not (one.noise == other.noise).any()


def test_images_are_centred_and_t_and_noise_are_distributed_as_they_should() -> None:
    batch = noisy_batch(torch.zeros(3000, 3, 2, 2), 10, (0, 0))
    assert (batch.v == -127.5).all()
    assert batch.noise.dtype == torch.float32
    counts = np.bincount(batch.t.numpy(), minlength=11)
    assert counts[0] == 0
    assert abs(counts[1:] - 300).max() < 5 * math.sqrt(300)
    assert abs(batch.noise.mean().item()) < 5 / math.sqrt(36000)
    assert abs(batch.noise.var().item() - 1) < 5 * math.sqrt(2 / 36000)
    correlation = np.corrcoef(batch.noise.flatten(1).numpy().T)
    assert abs(correlation - np.eye(12)).max() < 0.1


@pytest.mark.parametrize("process", [0, 1, 2])
def test_noise_has_nothing_to_do_with_the_dropout_of_any_process(process: int) -> None:
    """`ddpm_trainer` seeds it with (seed, step, process)."""
    seed = int(np.random.SeedSequence((5, 17, process)).generate_state(1, np.uint64)[0])
    dropout = torch.randn(PIXELS.shape, generator=torch.Generator().manual_seed(seed))
    assert not torch.isin(dropout, noisy_batch(PIXELS, T, (5, 17)).noise).any()
