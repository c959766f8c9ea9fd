"""The network's topology and its operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.paper.gaussian_features import PER_PIXEL
from ddpmcodec.paper.gaussian_model import GaussianModel, GaussianPredictor
from ddpmcodec.paper.gaussian_network import (
    OUTPUTS_PER_PIXEL,
    Architecture,
    Operations,
    TrainableGaussian,
    activation,
    denoise,
    patches,
    square_root,
    unpatch,
)


@pytest.fixture
def params(network: TrainableGaussian) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in network.integer_parameters().items()}


@pytest.fixture
def features() -> torch.Tensor:
    """Patches of integer features, [2, 4 PER_PIXEL, 6, 4] bfloat16."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(-127, 128, (2, 12, 8, PER_PIXEL), generator=generator)
    return patches(drawn.to(torch.bfloat16)).contiguous(memory_format=torch.channels_last)


def integers(shape: tuple[int, ...], limit: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(-limit, limit + 1, shape, generator=torch.Generator().manual_seed(seed)).float()


def test_patches_hold_two_by_two_pixels_row_by_row() -> None:
    x = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3)
    y = patches(x)
    assert y.shape == (2, 12, 2, 3)
    corners = [x[1, 2, 4], x[1, 2, 5], x[1, 3, 4], x[1, 3, 5]]
    assert torch.equal(y[1, :, 1, 2], torch.cat(corners))
    assert torch.equal(unpatch(y), x)


def test_activation_has_the_shape_of_silu() -> None:
    x = torch.linspace(-40, 40, 801, dtype=torch.float64)
    y = activation(x)
    assert abs(y[400]) < 1e-12
    assert torch.allclose(y - activation(-x), x)
    assert (y - torch.nn.functional.silu(x)).abs().max() < 0.25


def test_square_roots_are_correctly_rounded() -> None:
    x = torch.logspace(0, 9, 100_000, dtype=torch.float32).view(10, 100, 100).permute(2, 0, 1)
    exact = torch.tensor([math.sqrt(value) for value in x.flatten().tolist()], dtype=torch.float64)
    assert torch.equal(square_root(x).flatten(), exact.float())


def test_a_branch_at_every_block() -> None:
    architecture = Architecture(width=96, inner_width=192, down=2, bottom=4, up=3)
    assert Architecture(**architecture.to_json()) == architecture
    names = [name for name, _ in architecture.blocks()]
    assert names == ["down0", "down1", "bottom0", "bottom1", "bottom2", "bottom3", "up0", "up1", "up2"]
    shapes = architecture.convolutions()
    assert len(shapes) == 4 + 2 * 9
    assert shapes["bottom3.conv2"] == (192, 192, 3)
    assert shapes["stem"] == (96, 4 * PER_PIXEL, 3)
    assert len(architecture.norms()) == 3 + 9


def test_outputs_are_nine_numbers_a_pixel_and_those_of_its_neighbours(
    architecture: Architecture, params: dict[str, torch.Tensor], features: torch.Tensor
) -> None:
    outputs = denoise(architecture, Operations(params), features)
    assert OUTPUTS_PER_PIXEL == 9 + 3 + 32
    assert outputs.shape == (2, 4 * OUTPUTS_PER_PIXEL, 6, 4)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("low_precision", [False, True])
@pytest.mark.parametrize(("name", "padding", "stride"), [("down0.conv1", 1, 1), ("descend", 0, 2), ("ascend", 0, 1)])
def test_a_convolution_is_the_exact_sum_rounded_once(
    params: dict[str, torch.Tensor], name: str, padding: int, stride: int, low_precision: bool
) -> None:
    weight = params[f"{name}.weight"]
    q = integers((3, weight.shape[1], 8, 6), 127)
    exact = torch.nn.functional.conv2d(q.long(), weight.long(), padding=padding, stride=stride)
    ops = Operations(params, low_precision=low_precision)
    found = ops.conv(name, q.to(torch.bfloat16 if low_precision else torch.float32))
    assert torch.equal(found, exact.float().bfloat16().float())


def test_the_stream_holds_integers_and_saturates(params: dict[str, torch.Tensor]) -> None:
    ops, y = Operations(params), integers((1, 8, 4, 4), 3000)
    x, full = ops.start("down0.conv2", y), torch.full_like(y, 32767)
    assert torch.equal(x, x.round())
    assert ops.start("down0.conv2", 1e9 * y).abs().max() == 32767
    assert torch.equal(ops.add("down0.conv2", full, y), full + x.clamp(max=0))


def test_activations_are_integers_in_seven_bits(params: dict[str, torch.Tensor]) -> None:
    ops = Operations(params)
    normal, sums = integers((2, 8, 4, 4), 32767), integers((2, 8, 4, 4), 10**6)
    for q in (ops.norm_act("down0.norm", normal), ops.act("down0.conv1", sums)):
        assert q.dtype == torch.bfloat16
        assert torch.equal(q, q.round())
        assert 20 < q.abs().max() <= 127
    assert ops.act("down0.conv1", 1e6 * sums).max() == 127


def test_normalisation_takes_the_size_of_the_stream_away(params: dict[str, torch.Tensor]) -> None:
    ops = Operations(params)
    x = integers((1, 8, 4, 4), 200)
    assert (ops.norm_act("down0.norm", x) - ops.norm_act("down0.norm", 100 * x)).abs().max() <= 1


def test_gradients_pass_straight_through_rounding_to_every_parameter(
    architecture: Architecture, network: TrainableGaussian, features: torch.Tensor
) -> None:
    ops = Operations(network.integer_parameters(), train=True)
    denoise(architecture, ops, features).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_training_computes_nearly_what_the_coder_does(
    architecture: Architecture, params: dict[str, torch.Tensor], features: torch.Tensor
) -> None:
    training, coding = (denoise(architecture, Operations(params, train=t), features) for t in (True, False))
    assert torch.allclose(training, coding, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("low_precision", [False, True])
def test_an_image_is_predicted_the_same_alone_and_in_a_batch(
    gaussian_model: GaussianModel, draw_latents: Any, low_precision: bool
) -> None:
    predictor = GaussianPredictor(gaussian_model.architecture, gaussian_model.params, low_precision=low_precision)
    c, spacing = draw_latents(5, 10, 7, 5000)
    together = predictor.predict(c, spacing, 5000)
    for n in range(5):
        for whole, alone in zip(together, predictor.predict(c[n : n + 1], spacing, 5000), strict=True):
            assert np.array_equal(whole[n], alone[0])


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_large_batches_are_exact_where_pytorch_has_no_onednn() -> None:
    """And whatever PyTorch is set to: NNPACK is on unless somebody turned it off."""
    assert torch.backends.nnpack.is_available()
    q, weight = integers((16, 32, 16, 16), 127), integers((32, 32, 3, 3), 127, seed=2)
    exact = torch.nn.functional.conv2d(q.long(), weight.long(), padding=1)
    with torch.backends.mkldnn.flags(enabled=False):
        found = Operations({"x.weight": weight}, low_precision=False).conv("x", q)
    assert torch.equal(found, exact.float().bfloat16().float())


def extremes(seed: int, *shape: int, least: float, most: float) -> np.ndarray:
    """Float32 of either sign, sizes log-uniform between the two, one in ten zero."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(np.log(least), np.log(most), shape)) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < 0.1, 0, size).astype(np.float32)


def quantised(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    half, one = np.float32(0.5), np.float32(1)
    return np.clip(np.rint(x * (half + (half * x) / np.sqrt(one + x * x)) * levels), -127, 127)


@pytest.mark.parametrize("seed", range(3))
def test_operations_are_ieees_one_by_one(seed: int) -> None:
    """In numpy's float32, with ordinary and extreme values side by side."""
    channels, shape = 33, (2, 7, 5, 33)
    names = ("gain", "factor", "bias", "levels")
    vectors = {name: extremes(seed + n, channels, least=1e-4, most=1e3) for n, name in enumerate(names)}
    ops = Operations({f"x.{name}": torch.from_numpy(vector) for name, vector in vectors.items()})
    stream = np.clip(np.rint(extremes(seed, *shape, least=0.6, most=1e5)), -32767, 32767)
    sums = torch.from_numpy(np.rint(extremes(seed + 9, *shape, least=0.6, most=2.0**24))).bfloat16().float()

    def channels_last(x: torch.Tensor) -> np.ndarray:
        return x.float().permute(0, 2, 3, 1).numpy()

    x, y = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (stream, sums.numpy()))
    total = (stream.astype(np.int64) ** 2).sum(-1, keepdims=True).astype(np.float32)
    normal = stream / np.sqrt(total * np.float32(1 / channels) + np.float32(1))
    expected = quantised(normal * vectors["gain"] + vectors["bias"], vectors["levels"])
    np.testing.assert_array_equal(channels_last(ops.norm_act("x", x)), expected)
    scaled = sums.numpy() * vectors["factor"] + vectors["bias"]
    np.testing.assert_array_equal(channels_last(ops.act("x", y)), quantised(scaled, vectors["levels"]))
    branch = np.clip(np.rint(np.clip(scaled, -32767, 32767)), -32767, 32767)
    np.testing.assert_array_equal(channels_last(ops.start("x", y)), branch)
    np.testing.assert_array_equal(channels_last(ops.add("x", x, y)), np.clip(stream + branch, -32767, 32767))
