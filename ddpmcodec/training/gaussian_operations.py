"""The exact network's operations in training on a CPU: PyTorch's convolutions, and fused kernels with gradients.

The same as `EagerOperations(params, train=True)`, which is the reference, except that gradients of activations and of
sums are rounded to bfloat16. One pass over memory in each direction: on one core a step takes a third of the time that
`torch.compile` makes of the eager operations, whose kernels for the gradients of per-channel parameters are slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.gaussian.architecture import PIXEL_OUTPUTS
from ddpmcodec.paper.gaussian.eager import convolution
from ddpmcodec.paper.gaussian.fused import fused_blend, fused_local_mean
from ddpmcodec.parallel import run_all
from ddpmcodec.training import gaussian_kernels as kernels

Array = NDArray[Any]
Gradients = tuple[Tensor | None, ...]
Kernel = Callable[..., None]


def array_of(x: Tensor) -> Array:
    """[N, H, W, C] of a tensor [N, C, H, W]: uint16 of bfloat16, else as it is. Shares memory where it is channels
    last."""
    rows = x.detach().permute(0, 2, 3, 1).contiguous()
    return rows.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else rows.numpy()


def tensor_of(array: Array) -> Tensor:
    """The inverse of `array_of`."""
    bits = array.dtype == np.uint16
    tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if bits else torch.from_numpy(array)
    return tensor.permute(0, 3, 1, 2)


def _vectors(*parameters: Tensor) -> list[Array]:
    return [p.detach().numpy() for p in parameters]


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _in_parts(work: Callable[[slice], Any], images: int) -> list[Any]:
    """What the work returns for parts of a batch, one for each of PyTorch's threads, side by side."""
    count = min(torch.get_num_threads(), images)
    return run_all(work, [slice(images * k // count, images * (k + 1) // count) for k in range(count)])


def _summed(work: Callable[[slice, Array], None], images: int, vectors: int, channels: int) -> tuple[Tensor, ...]:
    """Gradients of per-channel parameters, [channels] each, which the work adds up for a part of the batch."""

    def part(images: slice) -> Array:
        sums = np.zeros((vectors, channels), np.float32)
        work(images, sums)
        return sums

    return torch.from_numpy(np.sum(_in_parts(part, images), 0)).unbind()


class _Activation(torch.autograd.Function):
    """The activation of a stream (`kernels.norm_act`) or of sums (`kernels.act`), with three parameters a channel."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, gradient_kernel: Kernel, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(x, *parameters)
        ctx.kernel = gradient_kernel
        inputs, vectors = array_of(x), _vectors(*parameters)
        out = np.empty(inputs.shape, np.uint16)
        _in_parts(lambda part: kernel(_rows(inputs[part]), *vectors, _rows(out[part])), len(out))
        return tensor_of(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        x, *parameters = ctx.saved_tensors
        inputs, gradient, vectors = array_of(x), array_of(gradients[0]), _vectors(*parameters)
        out = np.empty_like(inputs)

        def work(part: slice, sums: Array) -> None:
            ctx.kernel(_rows(inputs[part]), *vectors, _rows(gradient[part]), _rows(out[part]), sums)

        return None, None, tensor_of(out), *_summed(work, len(out), len(vectors), out.shape[3])


class _Sum(torch.autograd.Function):
    """A stream plus scaled sums, at its resolution (`kernels.add`, over `_rows`) or half of it (`kernels.add_up`)."""

    @staticmethod
    def forward(
        ctx: Any, kernel: Kernel, gradient_kernel: Kernel, view: Callable[[Array], Array],
        x: Tensor, y: Tensor, factor: Tensor, bias: Tensor,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(y, factor)
        ctx.kernel, ctx.view = gradient_kernel, view
        stream, values, vectors = array_of(x), array_of(y), _vectors(factor, bias)
        out = np.empty_like(stream)
        _in_parts(lambda part: kernel(view(stream[part]), view(values[part]), *vectors, view(out[part])), len(out))
        return tensor_of(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        y, factor = ctx.saved_tensors
        values, gradient, vectors = array_of(y), array_of(gradients[0]), _vectors(factor)
        out = np.empty_like(values)

        def work(part: slice, sums: Array) -> None:
            ctx.kernel(ctx.view(values[part]), *vectors, ctx.view(gradient[part]), ctx.view(out[part]), sums)

        sums = _summed(work, len(out), 2, out.shape[3])
        return None, None, None, gradients[0], tensor_of(out), *sums


class _Numbers(torch.autograd.Function):
    """The network's numbers in patches, and estimates [N, H, W, 3]: the first of them, [N, PIXEL_OUTPUTS, H, W], and
    what neighbours add to the means, [N, 3, H, W]."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, estimate: Array) -> tuple[Tensor, Tensor]:
        numbers, middle, around = array_of(outputs), fused_local_mean(estimate), np.empty_like(estimate)
        fused_blend(numbers, estimate, middle, around)
        ctx.estimate, ctx.middle, ctx.shape = estimate, middle, numbers.shape
        first = _by_pixel(torch.from_numpy(numbers))[..., :PIXEL_OUTPUTS].permute(0, 5, 1, 3, 2, 4)
        return first.reshape(len(first), PIXEL_OUTPUTS, *estimate.shape[1:3]), tensor_of(around).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        of_first, of_around = gradients
        out = np.empty(ctx.shape, np.float32)
        kernels.blend_gradient(ctx.estimate, ctx.middle, array_of(of_around), out)
        n, height, width, _ = ctx.shape
        first = of_first.reshape(n, PIXEL_OUTPUTS, height, 2, width, 2).permute(0, 2, 4, 3, 5, 1)
        _by_pixel(torch.from_numpy(out))[..., :PIXEL_OUTPUTS] = first
        return tensor_of(out), None


def _by_pixel(numbers: Tensor) -> Tensor:
    """A view [N, H/2, W/2, 2, 2, numbers of a pixel]."""
    n, height, width, _ = numbers.shape
    return numbers.view(n, height, width, 2, 2, -1)


def numbers(outputs: Tensor, estimate: Array) -> tuple[Tensor, Tensor]:
    """The first numbers of every pixel, [N, PIXEL_OUTPUTS, H, W], and the `blend` of its others, [N, 3, H, W].

    outputs: what `denoise` returns, [N, 4 OUTPUTS_PER_PIXEL, H/2, W/2]. estimate: float32 [N, H, W, 3], centred grey
    levels.
    """
    numbers_and_blend: tuple[Tensor, Tensor] = _Numbers.apply(outputs, estimate)  # type: ignore[no-untyped-call]
    return numbers_and_blend


class TrainingOperations:
    """`Operations` over the parameters of `EagerOperations`: streams are float32, activations and sums bfloat16."""

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.params = params

    def _take(self, name: str, *keys: str) -> list[Tensor]:
        return [self.params[f"{name}.{key}"] for key in keys]

    def conv(self, name: str, q: Tensor) -> Tensor:
        return convolution(q, self.params[f"{name}.weight"].to(q.dtype, memory_format=torch.channels_last))

    def head(self, name: str, q: Tensor) -> Tensor:
        factor, bias = (vector.view(1, -1, 1, 1) for vector in self._take(name, "factor", "bias"))
        return convolution(q.float(), self.params[f"{name}.weight"]) * factor + bias

    def start(self, name: str, y: Tensor) -> Tensor:
        return self.add(name, torch.zeros_like(y, dtype=torch.float32), y)

    def add(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return self._sum(kernels.add, kernels.add_gradient, _rows, x, y, name)

    def add_up(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        return self._sum(kernels.add_up, kernels.add_up_gradient, lambda images: images, x, y, name)

    def norm_act(self, name: str, x: Tensor) -> Tensor:
        return self._activation(kernels.norm_act, kernels.norm_act_gradient, x, name, "gain")

    def act(self, name: str, y: Tensor) -> Tensor:
        return self._activation(kernels.act, kernels.act_gradient, y, name, "factor")

    def _sum(
        self, kernel: Kernel, gradient: Kernel, view: Callable[[Array], Array], x: Tensor, y: Tensor, name: str
    ) -> Tensor:
        parameters = self._take(name, "factor", "bias")
        stream: Tensor = _Sum.apply(kernel, gradient, view, x, y, *parameters)  # type: ignore[no-untyped-call]
        return stream

    def _activation(self, kernel: Kernel, gradient: Kernel, x: Tensor, name: str, slope: str) -> Tensor:
        parameters = self._take(name, slope, "bias", "levels")
        activations: Tensor = _Activation.apply(kernel, gradient, x, *parameters)  # type: ignore[no-untyped-call]
        return activations
