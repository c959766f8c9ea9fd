"""Every fused kernel against the eager operations it stands for: the same numbers, bit for bit.

One thing may differ: an eager operation can round to -0 where a kernel rounds to 0. A convolution sees no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.paper.gaussian.eager import EagerOperations
from ddpmcodec.paper.gaussian.fused import FusedOperations
from ddpmcodec.paper.gaussian.model import GaussianModel

Params = dict[str, torch.Tensor]

SHAPES = [(1, 1, 1, 1), (2, 3, 5, 16), (1, 7, 2, 33), (4, 64, 50, 96)]  # N, H, W, C: the last finds an ulp


class Draw:
    """Seeded tensors with ordinary and extreme values side by side."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def log_uniform(self, *shape: int, least: float, most: float) -> torch.Tensor:
        """Of either sign, sizes log-uniform between the two, one in ten zero."""
        size = np.exp(self.rng.uniform(np.log(least), np.log(most), shape)) * self.rng.choice([-1, 1], shape)
        return torch.from_numpy(np.where(self.rng.random(shape) < 0.1, 0, size)).float()

    def stream(self, *shape: int) -> NDArray[np.int16]:
        drawn = np.clip(self.log_uniform(*shape, least=0.6, most=1e5).numpy(), -32767, 32767).astype(np.int16)
        drawn[self.rng.random(shape) < 0.05] = 32767
        return drawn

    def sums(self, *shape: int) -> torch.Tensor:
        """What convolutions return: integers rounded to bfloat16."""
        return self.log_uniform(*shape, least=0.6, most=2.0**24).round().bfloat16()


@pytest.fixture(params=range(4))
def draw(request: pytest.FixtureRequest) -> Draw:
    return Draw(request.param)


def layer(draw: Draw, channels: int) -> Params:
    """Parameters of a layer named 'x', of an output layer, and a convolution, small and huge."""
    names = ("x.gain", "x.factor", "x.bias", "x.levels", "leave.factor", "leave.bias")
    vectors = {name: draw.log_uniform(channels, least=1e-4, most=1e3) for name in names}
    return vectors | {"leave.weight": torch.zeros(1, 1, 1, 1)}


def stream_tensor(x: NDArray[np.int16]) -> torch.Tensor:
    """As the eager operations take it: float32 [N, C, H, W], channels last."""
    return torch.from_numpy(x).float().permute(0, 3, 1, 2)


def bits(x: torch.Tensor) -> NDArray[np.uint16]:
    """bfloat16 [N, H, W, C] as the kernels take it."""
    return x.contiguous().view(torch.int16).numpy().view(np.uint16)


def values(x: NDArray[np.uint16]) -> torch.Tensor:
    return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16).float()


def assert_same(eager: torch.Tensor, fused: torch.Tensor) -> None:
    assert torch.equal(eager.float().permute(0, 2, 3, 1), fused.float())


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest) -> tuple[int, ...]:
    found: tuple[int, ...] = request.param
    return found


def test_norm_act(draw: Draw, shape: tuple[int, ...]) -> None:
    params, x = layer(draw, shape[-1]), draw.stream(*shape)
    eager = EagerOperations(params).norm_act("x", stream_tensor(x))
    assert_same(eager, values(FusedOperations(params).norm_act("x", x)))


def test_act(draw: Draw, shape: tuple[int, ...]) -> None:
    params, y = layer(draw, shape[-1]), draw.sums(*shape)
    eager = EagerOperations(params).act("x", y.float().permute(0, 3, 1, 2))
    assert_same(eager, values(FusedOperations(params).act("x", bits(y))))


def test_start_and_add(draw: Draw, shape: tuple[int, ...]) -> None:
    params, x, y = layer(draw, shape[-1]), draw.stream(*shape), draw.sums(*shape)
    eager, fused = EagerOperations(params), FusedOperations(params)
    sums = y.float().permute(0, 3, 1, 2)
    assert_same(eager.start("x", sums), torch.from_numpy(fused.start("x", bits(y))))
    assert_same(eager.add("x", stream_tensor(x), sums), torch.from_numpy(fused.add("x", x.copy(), bits(y))))


def test_add_up(draw: Draw, shape: tuple[int, ...]) -> None:
    n, height, width, channels = shape
    x, y = draw.stream(n, 2 * height, 2 * width, channels), draw.sums(n, height, width, 4 * channels)
    params = layer(draw, 4 * channels)
    eager = EagerOperations(params).add_up("x", stream_tensor(x), y.float().permute(0, 3, 1, 2))
    assert_same(eager, torch.from_numpy(FusedOperations(params).add_up("x", x.copy(), bits(y))))


@pytest.mark.parametrize("low_precision", [False, True])
def test_conv_and_head(gaussian_model: GaussianModel, draw: Draw, low_precision: bool) -> None:
    params = {k: v.float() for k, v in gaussian_model.params.items()}
    q = torch.from_numpy(draw.rng.integers(-127, 128, (2, 5, 3, 16))).bfloat16()
    eager, fused = (kind(params, low_precision=low_precision) for kind in (EagerOperations, FusedOperations))
    nchw = q.permute(0, 3, 1, 2).to(torch.bfloat16 if low_precision else torch.float32)
    assert_same(eager.conv("down0.conv1", nchw), values(fused.conv("down0.conv1", bits(q))))
    assert_same(eager.head("leave", nchw), torch.from_numpy(fused.head("leave", bits(q))))


@pytest.fixture
def without_onednn() -> Iterator[None]:
    with torch.backends.mkldnn.flags(enabled=False):
        yield


@pytest.mark.usefixtures("without_onednn")
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("kind", [EagerOperations, FusedOperations])
def test_large_batches_are_exact_where_pytorch_has_no_onednn(draw: Draw, kind: Any) -> None:
    """And whatever PyTorch is set to: NNPACK is on unless somebody turned it off."""
    assert torch.backends.nnpack.is_available()
    q = torch.from_numpy(draw.rng.integers(-127, 128, (16, 16, 16, 32)))
    weight = torch.from_numpy(draw.rng.integers(-127, 128, (32, 32, 3, 3)))
    params = {"x.weight": weight.float()} | layer(draw, 32)
    exact = torch.nn.functional.conv2d(q.permute(0, 3, 1, 2), weight, padding=1)
    ops = kind(params, low_precision=False)
    if kind is EagerOperations:
        assert torch.equal(ops.conv("x", q.permute(0, 3, 1, 2).float()), exact.float().bfloat16().float())
    else:
        assert_same(exact.float().bfloat16(), values(ops.conv("x", bits(q.bfloat16()))))
