"""Kernels of training against the eager reference: what they compute, and its gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.gaussian.architecture import PIXEL_OUTPUTS, blend
from ddpmcodec.paper.gaussian.eager import EagerOperations
from ddpmcodec.paper.gaussian.trainable import TrainableGaussian
from ddpmcodec.training.gaussian_operations import TrainingOperations, array_of, numbers, tensor_of
from ddpmcodec.training.gaussian_trainer import EagerTrainingPredictor, TrainingPredictor, draw, weighted_bits

Params = dict[str, Tensor]
WIDTH, INNER = 8, 12  # conftest.architecture


@pytest.fixture
def params(latent: TrainableGaussian) -> Params:
    """With levels low enough for some activations to reach their limit."""
    found = {name: p.detach() for name, p in latent.integer_parameters().items()}
    return found | {name: 4 * p for name, p in found.items() if name.endswith(".levels")}


def drawn(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    """Channels last."""
    x = scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def differentiated(
    operations: type[EagerOperations] | type[TrainingOperations], params: Params, call: Callable[..., Tensor],
    *inputs: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """The result of a call, and gradients of inputs and parameters of a sum of its values with random weights."""
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    given = [x.clone().requires_grad_() for x in inputs]
    eager = operations is EagerOperations
    out = call(operations(leaves, train=True) if eager else operations(leaves), *given)  # type: ignore[call-arg]
    (out.float() * drawn(9, *out.shape)).sum().backward()  # type: ignore[no-untyped-call]
    found = {f"input {n}": x.grad.float() for n, x in enumerate(given) if x.grad is not None}
    return out.detach().float(), found | {name: p.grad for name, p in leaves.items() if p.grad is not None}


STREAM, SUMS = drawn(1, 3, WIDTH, 6, 4, scale=90).round(), drawn(2, 3, WIDTH, 6, 4, scale=3000).bfloat16()
UP = drawn(3, 3, 4 * WIDTH, 3, 2, scale=3000).bfloat16()


@pytest.mark.parametrize(
    ("call", "inputs", "found"),
    [
        (lambda ops, x: ops.norm_act("down0.norm", x), (STREAM,), "norm.gain norm.bias norm.levels"),
        (lambda ops, y: ops.act("down0.conv1", y), (SUMS,), "conv1.factor conv1.bias conv1.levels"),
        (lambda ops, y: ops.start("down0.conv2", y), (SUMS,), "conv2.factor conv2.bias"),
        (lambda ops, x, y: ops.add("down0.conv2", x, y), (STREAM, SUMS), "conv2.factor conv2.bias"),
        (lambda ops, x, y: ops.add_up("ascend", x, y), (STREAM, UP), "factor bias"),
    ],
    ids=["norm_act", "act", "start", "add", "add_up"],
)
def test_a_kernel_and_its_gradients_are_those_of_the_reference(
    params: Params, call: Callable[..., Tensor], inputs: tuple[Tensor, ...], found: str
) -> None:
    """But for ties, and for sums in another order; gradients of sums have the eight bits of bfloat16."""
    (expected, theirs), (out, ours) = (
        differentiated(operations, params, call, *inputs) for operations in (EagerOperations, TrainingOperations)
    )
    assert (out != expected).float().mean() < 0.01
    assert (out - expected).abs().max() <= 1
    assert sorted(theirs) == sorted(ours)
    assert len(ours) == len(inputs) + len(found.split())
    for name, gradient in theirs.items():
        assert gradient.any(), name
        torch.testing.assert_close(ours[name], gradient, rtol=0.02, atol=0.005 * float(gradient.abs().max()))


def test_neighbours_are_blended_as_in_the_reference() -> None:
    estimate = drawn(4, 2, 3, 8, 6, scale=60)
    outputs = drawn(5, 2, 4 * (PIXEL_OUTPUTS + 3 + 32), 4, 3).requires_grad_()
    by_pixel = outputs.permute(0, 2, 3, 1).view(2, 4, 3, 2, 2, -1).permute(0, 5, 1, 3, 2, 4).reshape(2, -1, 8, 6)
    expected = by_pixel[:, :PIXEL_OUTPUTS], blend(estimate, by_pixel[:, PIXEL_OUTPUTS:])
    found = numbers(outputs, array_of(estimate))
    sums = []
    for first, around in (expected, found):
        value = (first * drawn(6, *first.shape)).sum() + (around * drawn(7, *around.shape)).sum()
        sums.append(torch.autograd.grad(value, outputs)[0])
    for one, other in zip((*expected, sums[0]), (*found, sums[1]), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_loss_and_its_gradients_are_those_of_the_reference(
    latent: TrainableGaussian, gradients: NDArray[np.uint8], threads: int
) -> None:
    """Of a whole network, whose roundings part the two: nearly."""
    batch = draw(torch.from_numpy(gradients[:10]).permute(0, 3, 1, 2).float(), torch.Generator().manual_seed(0))
    values, found = [], []
    for predictor in (EagerTrainingPredictor(latent), TrainingPredictor(latent)):
        torch.set_num_threads(threads)
        value = weighted_bits(predictor(batch.c_t, batch.s_t), batch).mean()
        found.append(torch.autograd.grad(value, list(latent.parameters())))
        values.append(value.item())
        torch.set_num_threads(1)
    assert values[1] == pytest.approx(values[0], rel=0.01)
    for one, other in zip(*found, strict=True):
        assert torch.cosine_similarity(one.flatten(), other.flatten(), 0) > 0.97
        assert float(other.norm()) == pytest.approx(float(one.norm()), rel=0.1)


def test_arrays_share_the_memory_of_tensors() -> None:
    for x in (STREAM, SUMS):
        array = array_of(x)
        assert array.shape == (3, 6, 4, WIDTH)
        assert tensor_of(array).equal(x)
        assert tensor_of(array).data_ptr() == x.data_ptr()
