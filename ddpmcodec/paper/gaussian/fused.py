"""The exact network on a CPU: PyTorch's convolutions, and fused kernels of everything else, bit for bit `eager`.

One pass over memory instead of ten. fastmath stays off and every constant is float32: each operation rounds once, as in
PyTorch. Positions and channels are flattened: streams are int16 [P, C], activations and sums uint16 [P, C], the bits of
bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper import compiled
from ddpmcodec.paper.gaussian.architecture import BLENDS as _BLENDS
from ddpmcodec.paper.gaussian.architecture import NEAR as _NEAR
from ddpmcodec.paper.gaussian.architecture import NEIGHBOUR_OFFSETS
from ddpmcodec.paper.gaussian.architecture import PIXEL_OUTPUTS as _PIXEL_OUTPUTS
from ddpmcodec.paper.gaussian.eager import LARGEST_INTEGER as _LARGEST_INTEGER
from ddpmcodec.paper.gaussian.eager import STREAM_LIMIT as _STREAM_LIMIT
from ddpmcodec.paper.gaussian.eager import exact_convolution
from ddpmcodec.paper.gaussian.features import ESTIMATE_LIMIT, ESTIMATE_UNIT, PER_VALUE, PERIODS, WINDOWS

HALF, ONE = np.float32(0.5), np.float32(1.0)
LARGEST_INTEGER, STREAM_LIMIT = np.float32(_LARGEST_INTEGER), np.float32(_STREAM_LIMIT)
ROUNDER = np.float32(1.5 * 2**23)  # adding and subtracting it rounds |x| < 2^22 to the nearest integer, ties to even
SIXTEEN = np.uint32(16)

kernel = compiled.kernel(allocates=True, error_model="numpy")
inline = compiled.kernel(allocates=True, error_model="numpy", inline="always")


@inline
def rounded(x, limit):  # type: ignore[no-untyped-def]
    return (min(max(x, -limit), limit) + ROUNDER) - ROUNDER


@inline
def quantised(x, levels, limit):  # type: ignore[no-untyped-def]
    return rounded((x * (HALF + (HALF * x) / np.sqrt(ONE + x * x))) * levels, limit)


@kernel
def norm_act(x, gain, bias, levels, out):  # type: ignore[no-untyped-def]
    """RMS over channels, gain and bias, activation, quantisation: int16 stream -> bfloat16 integers."""
    positions, channels = x.shape
    share = np.float32(1 / channels)
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for p in range(positions):
        total = np.int64(0)
        for c in range(channels):
            total += np.int64(np.int32(x[p, c]) * np.int32(x[p, c]))
        root = np.sqrt(np.float32(total) * share + ONE)
        for c in range(channels):
            row[c] = quantised((np.float32(x[p, c]) / root) * gain[c] + bias[c], levels[c], LARGEST_INTEGER)
        for c in range(channels):
            out[p, c] = np.uint16(bits[c] >> SIXTEEN)


@kernel
def act(y, factor, bias, levels, out):  # type: ignore[no-untyped-def]
    """Scaled sums, activation, quantisation: bfloat16 -> bfloat16 integers."""
    positions, channels = y.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for p in range(positions):
        for c in range(channels):
            bits[c] = np.uint32(y[p, c]) << SIXTEEN
        for c in range(channels):
            row[c] = quantised(row[c] * factor[c] + bias[c], levels[c], LARGEST_INTEGER)
        for c in range(channels):
            out[p, c] = np.uint16(bits[c] >> SIXTEEN)


@kernel
def add(x, y, factor, bias):  # type: ignore[no-untyped-def]
    """Stream += scaled sums, in place, both integers in [-32767, 32767]."""
    positions, channels = x.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for p in range(positions):
        for c in range(channels):
            bits[c] = np.uint32(y[p, c]) << SIXTEEN
        for c in range(channels):
            branch = rounded(row[c] * factor[c] + bias[c], STREAM_LIMIT)
            x[p, c] = np.int16(min(max(np.float32(x[p, c]) + branch, -STREAM_LIMIT), STREAM_LIMIT))


@kernel
def add_up(x, y, factor, bias):  # type: ignore[no-untyped-def]
    """`add` from half the resolution: x [N, 2 H, 2 W, C], y [N, H, W, 4 C] in patch order."""
    images, height, width, channels = x.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * channels
                source, target = y[n, i >> 1, j >> 1], x[n, i, j]
                for c in range(channels):
                    bits[c] = np.uint32(source[first + c]) << SIXTEEN
                for c in range(channels):
                    branch = rounded(row[c] * factor[first + c] + bias[first + c], STREAM_LIMIT)
                    target[c] = np.int16(min(max(np.float32(target[c]) + branch, -STREAM_LIMIT), STREAM_LIMIT))


@kernel
def box_sums(values, window):  # type: ignore[no-untyped-def]
    """Sums over window x window squares of int32 [H, W, 3], nothing outside: running sums down, then along."""
    height, width, channels = values.shape
    reach = window // 2
    out = np.empty_like(values)
    column = np.zeros((width, channels), np.int32)
    for y in range(-reach, height):
        if y + reach < height:
            column += values[y + reach]
        if y - reach - 1 >= 0:
            column -= values[y - reach - 1]
        if y < 0:
            continue
        for channel in range(channels):
            total = np.int32(0)
            for x in range(-reach, width):
                if x + reach < width:
                    total += column[x + reach, channel]
                if x - reach - 1 >= 0:
                    total -= column[x - reach - 1, channel]
                if x >= 0:
                    out[y, x, channel] = total
    return out


QUARTERS_LIMIT = np.float32(ESTIMATE_UNIT * ESTIMATE_LIMIT)
QUARTER, FOUR, THIRTY_TWO, FINE = np.float32(0.25), np.float32(4), np.float32(32), np.float32(254)
_PERIODS = np.array(PERIODS, np.float32)


@kernel
def quarters(estimate):  # type: ignore[no-untyped-def]
    """int32, in quarters of a grey level, as neighbourhoods are averaged."""
    out = np.empty(estimate.shape, np.int32)
    for y in range(estimate.shape[0]):
        for x in range(estimate.shape[1]):
            for c in range(3):
                out[y, x, c] = np.int32(rounded(FOUR * estimate[y, x, c], QUARTERS_LIMIT))
    return out


@inline
def inside(position, window, side):  # type: ignore[no-untyped-def]
    """How many of a window's rows (or columns) around `place` lie inside the image."""
    half = window // 2
    return min(position + half, side - 1) - max(position - half, 0) + 1


@inline
def _wave(amplitude, phase):  # type: ignore[no-untyped-def]
    return rounded(amplitude * (FOUR * abs((phase - np.floor(phase)) - HALF) - ONE), LARGEST_INTEGER)


@inline
def _bfloat16(q, table):  # type: ignore[no-untyped-def]
    return table[np.int32(q) + 127]


@kernel
def fused_features(estimate, inverse, fade, visible, hats, bits, out):  # type: ignore[no-untyped-def]
    """`eager_features` of estimates [N, H, W, 3], into patches [N, H'/2, W'/2, 4 PER_PIXEL] of bfloat16 bits.

    bits: of -127..127. `out` comes zeroed: zero is what lies outside the image.
    """
    images, height, width, _ = estimate.shape
    for n in range(images):
        units = quarters(estimate[n])
        near, wide = box_sums(units, WINDOWS[0]), box_sums(units, WINDOWS[1])
        for i in range(height):
            near_rows, wide_rows = inside(i, WINDOWS[0], height), inside(i, WINDOWS[1], height)
            for j in range(width):
                near_count = np.float32(near_rows * inside(j, WINDOWS[0], width))
                wide_count = np.float32(wide_rows * inside(j, WINDOWS[1], width))
                first = ((i & 1) * 2 + (j & 1)) * (3 * PER_VALUE + 1)
                target = out[n, i >> 1, j >> 1]
                for c in range(3):
                    feature, e = first + c * PER_VALUE, estimate[n, i, j, c]
                    coarse = rounded(e, LARGEST_INTEGER)
                    target[feature] = _bfloat16(coarse, bits)
                    target[feature + 1] = _bfloat16(rounded(FINE * (e - coarse), LARGEST_INTEGER), bits)
                    feature += 2
                    for period in range(len(PERIODS)):
                        phase = e / _PERIODS[period]
                        target[feature] = _bfloat16(_wave(visible[period], phase), bits)
                        target[feature + 1] = _bfloat16(_wave(visible[period], phase + QUARTER), bits)
                        feature += 2
                    for d in range(len(hats)):
                        target[feature + d] = _bfloat16(hats[d], bits)
                    feature += len(hats)
                    wide_mean = np.float32(wide[i, j, c]) / (FOUR * wide_count)
                    near_mean = np.float32(near[i, j, c]) / (FOUR * near_count)
                    target[feature] = _bfloat16(rounded((FOUR * (e - wide_mean)) * fade, LARGEST_INTEGER), bits)
                    offset = THIRTY_TWO * ((near_mean - e) * inverse)
                    coarse = rounded(offset, LARGEST_INTEGER)
                    target[feature + 1] = _bfloat16(coarse, bits)
                    target[feature + 2] = _bfloat16(rounded(FINE * (offset - coarse), LARGEST_INTEGER), bits)
                    offset = THIRTY_TWO * ((wide_mean - e) * inverse)
                    coarse = rounded(offset, LARGEST_INTEGER)
                    target[feature + 3] = _bfloat16(coarse, bits)
                    target[feature + 4] = _bfloat16(rounded(FINE * (offset - coarse), LARGEST_INTEGER), bits)
                target[first + 3 * PER_VALUE] = bits[254]


_OFFSETS = np.array(NEIGHBOUR_OFFSETS)
_FIRST = _PIXEL_OUTPUTS + _BLENDS
NEAR, UNIT = np.int64(_NEAR), np.int64(ESTIMATE_UNIT)


@kernel
def fused_local_mean(estimate):  # type: ignore[no-untyped-def]
    """`architecture.local_mean` of estimates float32 [N, H, W, 3]."""
    middle = np.empty(estimate.shape, np.float32)
    images, height, width, _ = estimate.shape
    for n in range(images):
        units = quarters(estimate[n])
        near, wide = box_sums(units, WINDOWS[0]), box_sums(units, WINDOWS[1])
        for i in range(height):
            near_rows, wide_rows = inside(i, WINDOWS[0], height), inside(i, WINDOWS[1], height)
            for j in range(width):
                near_count = np.int64(near_rows * inside(j, WINDOWS[0], width))
                wide_count = np.int64(wide_rows * inside(j, WINDOWS[1], width))
                count = np.float64(UNIT * (NEAR * near_count + wide_count))
                for c in range(3):
                    total = NEAR * np.int64(near[i, j, c]) + np.int64(wide[i, j, c])
                    middle[n, i, j, c] = np.float32(np.float64(total) / count)
    return middle


@kernel
def fused_blend(outputs, estimate, middle, out):  # type: ignore[no-untyped-def]
    """`architecture.blend` into `out`, float32 [N, H, W, 3]; outputs: the network's numbers, in patches."""
    images, height, width, _ = estimate.shape
    each = outputs.shape[3] // 4
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * each
                source, total, m = outputs[n, i >> 1, j >> 1], out[n, i, j], middle[n, i, j]
                for c in range(3):
                    total[c] = source[first + _PIXEL_OUTPUTS + c] * (m[c] - estimate[n, i, j, c])
                for k in range(len(_OFFSETS)):
                    y, x = i + _OFFSETS[k, 0], j + _OFFSETS[k, 1]
                    if 0 <= y < height and 0 <= x < width:
                        weight = source[first + _FIRST + k]
                        for c in range(3):
                            total[c] += weight * (estimate[n, y, x, c] - m[c])


Array = NDArray[Any]


def _bits(x: Tensor) -> Array:
    """The bfloat16 bits of a channels_last tensor [N, C, H, W] as uint16 [N, H, W, C], sharing memory."""
    return x.permute(0, 2, 3, 1).contiguous().view(torch.int16).numpy().view(np.uint16)


def _tensor(bits: Array) -> Tensor:
    """The inverse view: uint16 [N, H, W, C] to a bfloat16 tensor [N, C, H, W]."""
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).permute(0, 3, 1, 2)


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


class FusedOperations:
    """`EagerOperations` for CPU inference. Activations and sums are bfloat16 bits [N, H, W, C], streams int16.

    low_precision: convolve in bfloat16; False convolves in float32 and rounds to bfloat16: the same bits.
    """

    def __init__(self, params: Mapping[str, Tensor], *, low_precision: bool = True) -> None:
        self.dtype = torch.bfloat16 if low_precision else torch.float32
        self.weights = {k.removesuffix(".weight"): self._weight(v) for k, v in params.items() if k.endswith(".weight")}
        self.weights = {k: v.float() if k == "leave" else v for k, v in self.weights.items()}
        self.params = {k: v.float().numpy() for k, v in params.items() if not k.endswith(".weight")}
        self.head_factor, self.head_bias = (params[f"leave.{k}"].view(1, -1, 1, 1) for k in ("factor", "bias"))

    def _weight(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype, memory_format=torch.channels_last)

    def _take(self, name: str, *keys: str) -> list[Array]:
        return [self.params[f"{name}.{key}"] for key in keys]

    def conv(self, name: str, q: Array) -> Array:
        y = exact_convolution(_tensor(q).to(self.dtype), self.weights[name])
        return _bits(y.to(torch.bfloat16))

    def head(self, name: str, q: Array) -> Array:
        y = exact_convolution(_tensor(q).float(), self.weights[name])
        return (y * self.head_factor + self.head_bias).permute(0, 2, 3, 1).contiguous().numpy()

    def start(self, name: str, y: Array) -> Array:
        return self.add(name, np.zeros(y.shape, np.int16), y)

    def add(self, name: str, x: Array, y: Array) -> Array:
        add(_rows(x), _rows(y), *self._take(name, "factor", "bias"))
        return x

    def add_up(self, name: str, x: Array, y: Array) -> Array:
        add_up(x, y, *self._take(name, "factor", "bias"))
        return x

    def norm_act(self, name: str, x: Array) -> Array:
        out = np.empty(x.shape, np.uint16)
        gain, bias, levels = self._take(name, "gain", "bias", "levels")
        norm_act(_rows(x), gain, bias, levels, _rows(out))
        return out

    def act(self, name: str, y: Array) -> Array:
        out = np.empty(y.shape, np.uint16)
        factor, bias, levels = self._take(name, "factor", "bias", "levels")
        act(_rows(y), factor, bias, levels, _rows(out))
        return out
