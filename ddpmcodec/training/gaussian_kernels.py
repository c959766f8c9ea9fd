"""CPU kernels of everything between convolutions in training: what `EagerOperations` compute, and the gradients.

Positions and channels are flattened: streams are float32 [P, C], activations and sums uint16 [P, C], the bits of
bfloat16. Sums over channels may be taken in any order here, and rounding has the gradient of the identity inside its
limits. `sums` [*, C] take the gradients of per-channel parameters.
"""

from __future__ import annotations

import numpy as np

from ddpmcodec.paper import compiled
from ddpmcodec.paper.gaussian.architecture import BLENDS as _BLENDS
from ddpmcodec.paper.gaussian.architecture import NEIGHBOUR_OFFSETS
from ddpmcodec.paper.gaussian.architecture import PIXEL_OUTPUTS as _PIXEL_OUTPUTS
from ddpmcodec.paper.gaussian.eager import LARGEST_INTEGER as _LARGEST_INTEGER
from ddpmcodec.paper.gaussian.eager import STREAM_LIMIT as _STREAM_LIMIT

HALF, ONE = np.float32(0.5), np.float32(1.0)
LARGEST_INTEGER, STREAM_LIMIT = np.float32(_LARGEST_INTEGER), np.float32(_STREAM_LIMIT)
SIXTEEN, ROUND_DOWN, LAST = np.uint32(16), np.uint32(0x7FFF), np.uint32(1)
_OFFSETS = np.array(NEIGHBOUR_OFFSETS)
_FIRST = _PIXEL_OUTPUTS + _BLENDS

kernel = compiled.kernel(allocates=True, error_model="numpy", fastmath=True)
inline = compiled.kernel(allocates=True, error_model="numpy", fastmath=True, inline="always")


@inline
def widen(source, bits):  # type: ignore[no-untyped-def]
    """bfloat16 to float32, whose bits are `bits`."""
    for c in range(len(source)):
        bits[c] = np.uint32(source[c]) << SIXTEEN


@inline
def narrow(bits, target):  # type: ignore[no-untyped-def]
    """float32 to the nearest bfloat16."""
    for c in range(len(target)):
        target[c] = np.uint16((bits[c] + ROUND_DOWN + ((bits[c] >> SIXTEEN) & LAST)) >> SIXTEEN)


@inline
def clipped(x, limit):  # type: ignore[no-untyped-def]
    return min(max(x, -limit), limit)


@inline
def inverse_root(x):  # type: ignore[no-untyped-def]
    """1 / sqrt(1 + the mean square of a row)"""
    total = np.float32(0)
    for c in range(len(x)):
        total += x[c] * x[c]
    return ONE / np.sqrt(total / np.float32(len(x)) + ONE)


@inline
def activated(z, levels):  # type: ignore[no-untyped-def]
    return np.rint(clipped(z * (HALF + HALF * z / np.sqrt(ONE + z * z)) * levels, LARGEST_INTEGER))


@kernel
def norm_act(x, gain, bias, levels, out):  # type: ignore[no-untyped-def]
    row = np.empty(x.shape[1], np.float32)
    bits = row.view(np.uint32)
    for p in range(len(x)):
        inverse = inverse_root(x[p])
        for c in range(len(row)):
            row[c] = activated(x[p, c] * inverse * gain[c] + bias[c], levels[c])
        narrow(bits, out[p])


@kernel
def norm_act_gradient(x, gain, bias, levels, gradient, out, sums):  # type: ignore[no-untyped-def]
    """Gradients: `out` that of x; `sums` those of gain, bias and levels."""
    channels = x.shape[1]
    normal, row = np.empty(channels, np.float32), np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    # Arrays of the kernel's own: LLVM does not vectorise the loop over those that may overlap with x.
    of_gain, of_bias, of_levels = np.zeros_like(row), np.zeros_like(row), np.zeros_like(row)
    for p in range(len(x)):
        inverse = inverse_root(x[p])
        widen(gradient[p], bits)
        for c in range(channels):
            normal[c] = x[p, c] * inverse
        for c in range(channels):
            z = normal[c] * gain[c] + bias[c]
            t = z / np.sqrt(ONE + z * z)
            a = z * (HALF + HALF * t)
            g = row[c] if abs(a * levels[c]) <= LARGEST_INTEGER else np.float32(0)
            of_z = g * levels[c] * (HALF + t - HALF * t * t * t)
            of_gain[c] += of_z * normal[c]
            of_bias[c] += of_z
            of_levels[c] += g * a
            row[c] = of_z * gain[c]
        total = np.float32(0)
        for c in range(channels):
            total += row[c] * normal[c]
        mean = total / np.float32(channels)
        for c in range(channels):
            out[p, c] = (row[c] - normal[c] * mean) * inverse
    sums[0], sums[1], sums[2] = of_gain, of_bias, of_levels


@kernel
def act(y, factor, bias, levels, out):  # type: ignore[no-untyped-def]
    row = np.empty(y.shape[1], np.float32)
    bits = row.view(np.uint32)
    for p in range(len(y)):
        widen(y[p], bits)
        for c in range(len(row)):
            row[c] = activated(row[c] * factor[c] + bias[c], levels[c])
        narrow(bits, out[p])


@kernel
def act_gradient(y, factor, bias, levels, gradient, out, sums):  # type: ignore[no-untyped-def]
    """Gradients: `out` that of y; `sums` those of factor, bias and levels."""
    row, incoming = np.empty(y.shape[1], np.float32), np.empty(y.shape[1], np.float32)
    bits, incoming_bits = row.view(np.uint32), incoming.view(np.uint32)
    for p in range(len(y)):
        widen(y[p], bits)
        widen(gradient[p], incoming_bits)
        for c in range(len(row)):
            z = row[c] * factor[c] + bias[c]
            t = z / np.sqrt(ONE + z * z)
            a = z * (HALF + HALF * t)
            g = incoming[c] if abs(a * levels[c]) <= LARGEST_INTEGER else np.float32(0)
            of_z = g * levels[c] * (HALF + t - HALF * t * t * t)
            sums[0, c] += of_z * row[c]
            sums[1, c] += of_z
            sums[2, c] += g * a
            row[c] = of_z * factor[c]
        narrow(bits, out[p])


@kernel
def add(x, y, factor, bias, out):  # type: ignore[no-untyped-def]
    """Stream plus scaled sums, both integers in [-32767, 32767]."""
    row = np.empty(y.shape[1], np.float32)
    bits = row.view(np.uint32)
    for p in range(len(x)):
        widen(y[p], bits)
        for c in range(len(row)):
            branch = np.rint(clipped(row[c] * factor[c] + bias[c], STREAM_LIMIT))
            out[p, c] = clipped(x[p, c] + branch, STREAM_LIMIT)


@kernel
def add_gradient(y, factor, gradient, out, sums):  # type: ignore[no-untyped-def]
    """Gradients: `out` that of y; `sums` those of factor and bias. Limits, which streams do not reach, are left out;
    the gradient of x is `gradient`."""
    row = np.empty(y.shape[1], np.float32)
    bits = row.view(np.uint32)
    for p in range(len(y)):
        widen(y[p], bits)
        for c in range(len(row)):
            g = gradient[p, c]
            sums[0, c] += g * row[c]
            sums[1, c] += g
            row[c] = g * factor[c]
        narrow(bits, out[p])


@kernel
def add_up(x, y, factor, bias, out):  # type: ignore[no-untyped-def]
    """`add` from half the resolution: x [N, 2 H, 2 W, C], y [N, H, W, 4 C] in patch order."""
    images, height, width, channels = x.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * channels
                widen(y[n, i >> 1, j >> 1, first : first + channels], bits)
                for c in range(channels):
                    branch = np.rint(clipped(row[c] * factor[first + c] + bias[first + c], STREAM_LIMIT))
                    out[n, i, j, c] = clipped(x[n, i, j, c] + branch, STREAM_LIMIT)


@kernel
def add_up_gradient(y, factor, gradient, out, sums):  # type: ignore[no-untyped-def]
    images, height, width, channels = gradient.shape
    row = np.empty(channels, np.float32)
    bits = row.view(np.uint32)
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * channels
                widen(y[n, i >> 1, j >> 1, first : first + channels], bits)
                for c in range(channels):
                    g = gradient[n, i, j, c]
                    sums[0, first + c] += g * row[c]
                    sums[1, first + c] += g
                    row[c] = g * factor[first + c]
                narrow(bits, out[n, i >> 1, j >> 1, first : first + channels])


@kernel
def blend_gradient(estimate, middle, gradient, out):  # type: ignore[no-untyped-def]
    """The gradient of `fused_blend`: that of the weights into `out`, in patches, from that of the sums [N, H, W, 3]."""
    images, height, width, _ = estimate.shape
    each = out.shape[3] // 4
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * each
                target, g, m = out[n, i >> 1, j >> 1], gradient[n, i, j], middle[n, i, j]
                for c in range(3):
                    target[first + _PIXEL_OUTPUTS + c] = g[c] * (m[c] - estimate[n, i, j, c])
                for k in range(len(_OFFSETS)):
                    y, x = i + _OFFSETS[k, 0], j + _OFFSETS[k, 1]
                    total = np.float32(0)
                    if 0 <= y < height and 0 <= x < width:
                        for c in range(3):
                            total += g[c] * (estimate[n, y, x, c] - m[c])
                    target[first + _FIRST + k] = total
