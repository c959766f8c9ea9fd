"""Fused CPU kernels of everything between convolutions, bit for bit the eager operations (`eager`).

One pass over memory instead of ten. fastmath stays off and every constant is float32: each operation rounds once, as in
PyTorch. Positions and channels are flattened: streams are int16 [P, C], activations and sums uint16 [P, C], the bits of
bfloat16.
"""

from __future__ import annotations

import numpy as np

from ddpmcodec.paper import compiled
from ddpmcodec.paper.gaussian.eager import LARGEST_INTEGER as _LARGEST_INTEGER
from ddpmcodec.paper.gaussian.eager import STREAM_LIMIT as _STREAM_LIMIT

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
    """The same from half the resolution: x [N, 2 H, 2 W, C], y [N, H, W, 4 C] in patch order."""
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
