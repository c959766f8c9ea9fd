"""Fused CPU kernels of what neighbours add to the means, bit for bit the eager operations (`neighbours`)."""

from __future__ import annotations

import numpy as np

from ddpmcodec.paper.gaussian.elementwise import box_sums, kernel
from ddpmcodec.paper.gaussian.exact_features import inside, quarters
from ddpmcodec.paper.gaussian.features import ESTIMATE_UNIT, WINDOWS
from ddpmcodec.paper.gaussian.neighbours import BLENDS as _BLENDS
from ddpmcodec.paper.gaussian.neighbours import NEAR as _NEAR
from ddpmcodec.paper.gaussian.neighbours import NEIGHBOUR_OFFSETS
from ddpmcodec.paper.gaussian.neighbours import PIXEL_OUTPUTS as _PIXEL_OUTPUTS

_OFFSETS = np.array(NEIGHBOUR_OFFSETS)
_FIRST = _PIXEL_OUTPUTS + _BLENDS
NEAR, UNIT = np.int64(_NEAR), np.int64(ESTIMATE_UNIT)


@kernel
def fused_local_mean(estimate):  # type: ignore[no-untyped-def]
    """`neighbours.local_mean` of estimates float32 [N, H, W, 3]."""
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
    """`neighbours.blend` into `out`, float32 [N, H, W, 3]; outputs: the network's numbers, in patches."""
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
