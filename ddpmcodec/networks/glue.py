"""Fused CPU kernels of everything between convolutions, bit for bit the eager operations (`networks.eager`).

One pass over memory instead of ten. fastmath stays off and every constant is float32: each operation rounds once, as in
PyTorch. Positions and channels are flattened: streams are int16 [P, C], activations and sums uint16 [P, C], the bits of
bfloat16.
"""

from __future__ import annotations

import numpy as np

from ddpmcodec import compiled
from ddpmcodec.networks.eager import LEVELS as _LEVELS
from ddpmcodec.networks.eager import STREAM_LIMIT as _STREAM_LIMIT
from ddpmcodec.networks.features import CONTEXT, LARGEST_WEIGHT, WINDOWS

HALF, ONE = np.float32(0.5), np.float32(1.0)
LEVELS, STREAM_LIMIT = np.float32(_LEVELS), np.float32(_STREAM_LIMIT)
ROUNDER = np.float32(1.5 * 2**23)  # adding and subtracting it rounds |x| < 2^22 to the nearest integer, ties to even
SIXTEEN = np.uint32(16)

kernel = compiled.kernel(error_model="numpy")
inline = compiled.kernel(error_model="numpy", inline="always")


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
            row[c] = quantised((np.float32(x[p, c]) / root) * gain[c] + bias[c], levels[c], LEVELS)
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
            row[c] = quantised(row[c] * factor[c] + bias[c], levels[c], LEVELS)
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
def _box_sums(values, window):  # type: ignore[no-untyped-def]
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


@kernel
def _weighted_sums(lo, hi, weights, window):  # type: ignore[no-untyped-def]
    """Sums of weights, and of weights times estimates in quarters of a grey level, around each dimension."""
    width = hi - lo
    weight = np.empty(lo.shape, np.int32)
    estimate = np.empty(lo.shape, np.int32)
    for y in range(lo.shape[0]):
        for x in range(lo.shape[1]):
            for c in range(3):
                weight[y, x, c] = np.int32(weights[width[y, x, c]])
                estimate[y, x, c] = (2 * (np.int32(lo[y, x, c]) + np.int32(hi[y, x, c])) - 510) * weight[y, x, c]
    return _box_sums(weight, window), _box_sums(estimate, window)


FOUR, THIRTY_TWO, FINE, CENTRE = np.float32(4), np.float32(32), np.float32(254), np.float32(127.5)
FADE = np.float32(1 / LARGEST_WEIGHT)


@inline
def _bfloat16(q, table):  # type: ignore[no-untyped-def]
    return table[np.int32(q) + 127]


@kernel
def range_features(lo, hi, own, weights, inverses, bits, out):  # type: ignore[no-untyped-def]
    """`features.pixel_features` of ranges [N, H, W, 3], into patches [N, H'/2, W'/2, 4 PER_PIXEL] of bfloat16 bits.

    own: the table of own features, bfloat16 bits [256, 256, D]. weights, inverses: float32 [256] by hi - lo. bits: of
    -127..127. `out` comes zeroed: zero is what lies outside the image.
    """
    images, height, width, _ = lo.shape
    depth = own.shape[2]
    each = depth + CONTEXT
    for n in range(images):
        near_weight, near = _weighted_sums(lo[n], hi[n], weights, WINDOWS[0])
        wide_weight, wide = _weighted_sums(lo[n], hi[n], weights, WINDOWS[1])
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * (3 * each + 1)
                target = out[n, i >> 1, j >> 1]
                for c in range(3):
                    low, high = np.int32(lo[n, i, j, c]), np.int32(hi[n, i, j, c])
                    place = first + c * each
                    for d in range(depth):
                        target[place + d] = own[low, high, d]
                    place += depth
                    estimate = HALF * np.float32(low + high) - CENTRE
                    wide_mean = np.float32(wide[i, j, c]) / (FOUR * np.float32(wide_weight[i, j, c]))
                    near_mean = np.float32(near[i, j, c]) / (FOUR * np.float32(near_weight[i, j, c]))
                    faded = (FOUR * (estimate - wide_mean)) * (weights[high - low] * FADE)
                    target[place] = _bfloat16(rounded(faded, LEVELS), bits)
                    near_offset = THIRTY_TWO * ((near_mean - estimate) * inverses[high - low])
                    coarse = rounded(near_offset, LEVELS)
                    target[place + 1] = _bfloat16(coarse, bits)
                    target[place + 2] = _bfloat16(rounded(FINE * (near_offset - coarse), LEVELS), bits)
                    wide_offset = THIRTY_TWO * ((wide_mean - estimate) * inverses[high - low])
                    coarse = rounded(wide_offset, LEVELS)
                    target[place + 3] = _bfloat16(coarse, bits)
                    target[place + 4] = _bfloat16(rounded(FINE * (wide_offset - coarse), LEVELS), bits)


MEAN_UNITS, EIGHT, COUPLING_UNITS = np.float32(64), np.float32(8), np.float32(64)
MEAN_LIMIT, COUPLING_LIMIT, LAST_SCALE = np.float32(32767), np.float32(1023), np.float32(127)


@kernel
def integer_prediction(outputs, lo, hi, spreads, origins, around, mean, scale, coupling):  # type: ignore[no-untyped-def]
    """Network numbers in patches to integers [N, H, W, 3]: the fused form of `model.integers_of`.

    outputs: [N, H'/2, W'/2, 4 n], of which the first `OUTPUTS` of n a pixel are used; around: what neighbours add to
    the mean, float32 [N, H, W, 3].
    """
    images, height, width, _ = lo.shape
    each = outputs.shape[3] // 4
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * each
                source = outputs[n, i >> 1, j >> 1]
                for c in range(3):
                    low, high = np.int32(lo[n, i, j, c]), np.int32(hi[n, i, j, c])
                    centre = HALF * np.float32(low + high)
                    whole = (centre + spreads[high - low] * source[first + c]) + around[n, i, j, c]
                    mean[n, i, j, c] = np.int32(rounded(MEAN_UNITS * whole, MEAN_LIMIT))
                    index = origins[high - low] + EIGHT * source[first + 3 + c]
                    scale[n, i, j, c] = np.uint8((min(max(index, np.float32(0)), LAST_SCALE) + ROUNDER) - ROUNDER)
                    coupling[n, i, j, c] = np.int16(rounded(COUPLING_UNITS * source[first + 6 + c], COUPLING_LIMIT))
