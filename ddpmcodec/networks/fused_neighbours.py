"""Fused CPU kernels of what neighbours add to the means, bit for bit the eager operations (`networks.neighbours`)."""

from __future__ import annotations

import numpy as np

from ddpmcodec.networks.exact import BLENDS as _BLENDS
from ddpmcodec.networks.exact import OUTPUTS as _OUTPUTS
from ddpmcodec.networks.features import ESTIMATE_UNIT, WINDOWS
from ddpmcodec.networks.gaussian_features import _quarters, _reach
from ddpmcodec.networks.glue import _box_sums, _weighted_sums, inline, kernel
from ddpmcodec.networks.neighbours import NEAR as _NEAR
from ddpmcodec.networks.neighbours import NEIGHBOURS

_OFFSETS = np.array(NEIGHBOURS)
_FIRST = _OUTPUTS + _BLENDS
NEAR, UNIT = np.int64(_NEAR), np.int64(ESTIMATE_UNIT)


@inline
def _quotient(near, wide, near_count, wide_count):  # type: ignore[no-untyped-def]
    return np.float32(np.float64(NEAR * near + wide) / np.float64(UNIT * (NEAR * near_count + wide_count)))


@kernel
def range_middle(lo, hi, weights):  # type: ignore[no-untyped-def]
    """`neighbours.local_mean` of ranges uint8 [N, H, W, 3]; weights: float32 [256] by hi - lo."""
    middle = np.empty(lo.shape, np.float32)
    for n in range(lo.shape[0]):
        near_weight, near = _weighted_sums(lo[n], hi[n], weights, WINDOWS[0])
        wide_weight, wide = _weighted_sums(lo[n], hi[n], weights, WINDOWS[1])
        for i in range(lo.shape[1]):
            for j in range(lo.shape[2]):
                for c in range(3):
                    middle[n, i, j, c] = _quotient(
                        np.int64(near[i, j, c]), np.int64(wide[i, j, c]),
                        np.int64(near_weight[i, j, c]), np.int64(wide_weight[i, j, c]),
                    )  # fmt: skip
    return middle


@kernel
def gaussian_middle(estimate):  # type: ignore[no-untyped-def]
    """`neighbours.local_mean` of estimates float32 [N, H, W, 3] of one weight, which cancels."""
    middle = np.empty(estimate.shape, np.float32)
    images, height, width, _ = estimate.shape
    for n in range(images):
        quarters = _quarters(estimate[n])
        near, wide = _box_sums(quarters, WINDOWS[0]), _box_sums(quarters, WINDOWS[1])
        for i in range(height):
            near_rows, wide_rows = _reach(i, WINDOWS[0], height), _reach(i, WINDOWS[1], height)
            for j in range(width):
                near_count = np.int64(near_rows * _reach(j, WINDOWS[0], width))
                wide_count = np.int64(wide_rows * _reach(j, WINDOWS[1], width))
                for c in range(3):
                    middle[n, i, j, c] = _quotient(
                        np.int64(near[i, j, c]), np.int64(wide[i, j, c]), near_count, wide_count
                    )
    return middle


@kernel
def neighbour_sums(outputs, estimate, visible, middle, out):  # type: ignore[no-untyped-def]
    """`neighbours.blend` into `out`, float32 [N, H, W, 3]; outputs: the network's numbers, in patches."""
    images, height, width, _ = estimate.shape
    each = outputs.shape[3] // 4
    for n in range(images):
        for i in range(height):
            for j in range(width):
                first = ((i & 1) * 2 + (j & 1)) * each
                source, total, m = outputs[n, i >> 1, j >> 1], out[n, i, j], middle[n, i, j]
                for c in range(3):
                    total[c] = source[first + _OUTPUTS + c] * (m[c] - estimate[n, i, j, c])
                for k in range(len(_OFFSETS)):
                    y, x = i + _OFFSETS[k, 0], j + _OFFSETS[k, 1]
                    if 0 <= y < height and 0 <= x < width:
                        weight = source[first + _FIRST + k]
                        for c in range(3):
                            total[c] += weight * (visible[n, y, x, c] * (estimate[n, y, x, c] - m[c]))
