"""Local networks: what a step has told so far refines what it tells next.

The denoiser predicts all dimensions that a step moves from one state, as if they were independent given it. They are
not: a pixel's neighbours that the same step told a moment before say more about it than all the rest. So the reverse
kernel is autoregressive inside a step, as it is inside a pixel: in raster order, a small network looks at the ranges
around a pixel, those just told among them, and at the denoiser's prediction, and moves that prediction.

Exact by construction: integers in, integer weights, sums that float32 holds in any order, then IEEE operations one at a
time, integers out. All kernels are here; `training.local` trains what they compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES, SCALES
from ddpmcodec.networks.features import LARGEST_WEIGHT, SCALE_UNIT, uniform_spread, weights
from ddpmcodec.networks.glue import kernel, quantised, rounded
from ddpmcodec.schedule import LEVEL_UNIT, Step

REACH = 3
OFFSETS = tuple((y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1))
WINDOW = len(OFFSETS)
CAUSAL = WINDOW // 2  # the offsets before it come earlier in raster order; it is the pixel itself
INPUTS = 4 * WINDOW + 12  # differences, how much is known, middle, and the denoiser's means, scales and couplings
OUTPUTS = 12 + WINDOW  # offsets, scales, couplings, shares of the denoiser's mean; a weight for every difference
# Outputs are in these shares of a scale, a coupling, the denoiser's mean, a difference; scales in eighths of octaves.
OFFSET_UNIT, COUPLING_UNIT, SHARE_UNIT, WEIGHT_UNIT = 64, 64, 256, 1024
MEAN_LIMIT, COUPLING_LIMIT, OUTPUT_LIMIT = 32767, 1023, 32767
CONTEXTS, GAINS = 52, 14  # of the law that a step begins to adapt from: `channels.adaptation`
CANARIES, LARGEST_GAIN = 8, 8
LARGEST_INPUT = 127


class Shape(NamedTuple):
    """Sizes of a network: channels, residual blocks, and the levels of its activations, per 1.0 and at most; whether
    its steps adapt to an image.

    At most 256 channels of 508 levels, with weights up to 127: sums stay below 2^24.
    """

    width: int = 256
    depth: int = 3
    levels: int = 64
    limit: int = 508
    adapts: bool = True

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """(outputs, inputs) by name, in order."""
        blocks = {f"block{i}": (self.width, self.width) for i in range(self.depth)}
        return {"enter": (self.width, INPUTS), **blocks, "leave": (OUTPUTS, self.width)}

    def largest_input(self, layer: str) -> int:
        return LARGEST_INPUT if layer == "enter" else self.limit


FIRST_SHAPE = Shape(width=128, depth=3, levels=24, limit=127, adapts=False)  # of models that do not say


class Local(NamedTuple):
    """One network as the kernels take it. dilation 0: there is none. Weights [inputs, outputs]."""

    dilation: int
    gain: int
    levels: np.float32  # of activations, per 1.0
    limit: np.float32  # the largest
    enter: NDArray[np.int8]
    blocks: NDArray[np.int8]  # [depth, inputs, outputs]
    leave: NDArray[np.int8]
    factors: NDArray[np.float32]  # [depth + 1, width]
    biases: NDArray[np.float32]
    out_factor: NDArray[np.float32]
    out_bias: NDArray[np.float32]
    law: NDArray[np.int64]  # [3, CONTEXTS + GAINS]; nothing: the step does not adapt


def dilation(step: Step) -> int:
    """Distance of the places a network looks at: that of the lattice which is told after the step."""
    d = 1
    while 4 * d * d * step.last <= step.period * step.period:
        d *= 2
    return d


def gain(step: Step) -> int:
    """What the differences of places are multiplied by, to be seen although they say little: 1 where they are exact."""
    told = uniform_spread(torch.tensor([1 + 12**0.5 * step.level / LEVEL_UNIT]))
    return max(1, min(LARGEST_GAIN, LARGEST_WEIGHT // int(weights(told))))


def _blank(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


_NONE = np.float32(0)
_NO_WEIGHTS = np.zeros((0, 0), np.int8)
NO_LOCAL = Local(
    0, 1, _NONE, _NONE, _NO_WEIGHTS, np.zeros((0, 0, 0), np.int8), _NO_WEIGHTS, _blank(0, 0), _blank(0, 0),
    _blank(0), _blank(0), np.zeros((0, 0), np.int64),
)  # fmt: skip


class Trace(NamedTuple):
    """What a network computed at some places, for its learning (`networks.learning`)."""

    row: NDArray[np.float32]  # its inputs [places, INPUTS]
    ahead: NDArray[np.int64]  # the denoiser's mean less the local one [places, 3], 1/64 grey level
    scale: NDArray[np.int64]  # the denoiser's, indices [places, 3]
    taken: NDArray[np.float32]  # what blocks and outputs take [depth + 1, places, width]
    real: NDArray[np.float32]  # sums of the blocks, scaled [depth, places, width]


def new_trace(places: int, depth: int, width: int) -> Trace:
    """Of so many places of a network."""
    return Trace(
        _blank(places, INPUTS), np.zeros((places, 3), np.int64), np.zeros((places, 3), np.int64),
        _blank(depth + 1, places, width), _blank(depth, places, width),
    )  # fmt: skip


def trace_of(local: Local) -> Trace:
    """For one place, where a network does not learn."""
    depth, width, _ = local.blocks.shape
    return new_trace(1, depth, width)


def local_network(params: Mapping[str, Any], prefix: str, step: Step, shape: Shape) -> Local:
    """From the tensors '<prefix><layer>.weight' int8 [outputs, inputs], '.factor' and '.bias' float32 [outputs],
    '<prefix>law' int32 [3, CONTEXTS + GAINS]."""

    def weight(layer: str) -> NDArray[np.int8]:
        return np.ascontiguousarray(params[f"{prefix}{layer}.weight"].numpy().T)

    *inner, _ = shape.layers

    def stacked(key: str) -> NDArray[np.float32]:
        return np.stack([params[f"{prefix}{layer}.{key}"].float().numpy() for layer in inner])

    blocks = np.stack([weight(layer) for layer in inner[1:]])
    out_factor, out_bias = (params[f"{prefix}leave.{key}"].float().numpy() for key in ("factor", "bias"))
    enter, leave = weight("enter"), weight("leave")
    levels, limit = np.float32(shape.levels), np.float32(shape.limit)
    law = params[f"{prefix}law"].long().numpy() if shape.adapts else NO_LOCAL.law
    weights_of = enter, blocks, leave, stacked("factor"), stacked("bias"), out_factor, out_bias
    return Local(dilation(step), gain(step), levels, limit, *weights_of, law)


# How much a range of a width says, 1..255, as everywhere (features.weights); and how near an offset is.
_KNOWN = weights(uniform_spread(torch.arange(1, 257).float())).numpy().astype(np.int64)
_NEAR = np.array([{0: 64, 1: 64, 2: 32}.get(y * y + x * x, 1) for y, x in OFFSETS], np.int64)
_LIMIT = np.float32(OUTPUT_LIMIT)
_SIDE = 2 * REACH + 1


@kernel
def look(lo, hi, new_lo, new_hi, prediction, y, x, dilation, gain, row, middle):  # type: ignore[no-untyped-def]
    """Inputs of the network at a pixel, into row float32 [INPUTS]; its local mean, 0..255, into middle int64 [3].

    lo, hi: uint8 [H, W, 3] before the step; new_lo, new_hi: what is told of earlier places of the window is read there.
    (A coder moves its ranges as it goes and gives them twice.) prediction: mean, scale, coupling [H, W, 3].
    """
    means, scales, coupling = prediction
    height, width, _ = lo.shape
    estimates, known = np.zeros(3 * WINDOW, np.int64), np.zeros(3 * WINDOW, np.int64)
    for j in range(WINDOW):
        v, u = y + dilation * (j // _SIDE - REACH), x + dilation * (j % _SIDE - REACH)
        if v < 0 or u < 0 or v >= height or u >= width:
            continue
        for c in range(3):
            low = np.int64(new_lo[v, u, c]) if j < CAUSAL else np.int64(lo[v, u, c])
            high = np.int64(new_hi[v, u, c]) if j < CAUSAL else np.int64(hi[v, u, c])
            estimates[3 * j + c], known[3 * j + c] = low + high, _KNOWN[high - low]
    for c in range(3):
        total, count = np.int64(0), np.int64(0)
        for j in range(WINDOW):
            weight = _NEAR[j] * known[3 * j + c]
            total, count = total + weight * estimates[3 * j + c], count + weight
        middle[c] = (total + count) // (2 * count)
    for j in range(WINDOW):
        for c in range(3):
            i = 3 * j + c
            difference = gain * known[i] * (estimates[i] - 2 * middle[c])
            row[i] = np.float32(min(max((difference + LARGEST_WEIGHT) // (2 * LARGEST_WEIGHT), -127), 127))
        told = known[3 * j : 3 * j + 3].sum()
        row[3 * WINDOW + j] = np.float32(min(127 * gain * told // (3 * LARGEST_WEIGHT), 127))
    for c in range(3):
        row[4 * WINDOW + c] = np.float32(middle[c] - 128)
        ahead = (np.int64(means[y, x, c]) - 64 * middle[c] + 4) >> 3
        row[4 * WINDOW + 3 + c] = min(max(ahead, -127), 127)
        row[4 * WINDOW + 6 + c] = np.float32(np.int64(scales[y, x, c]) - SCALE_UNIT)
        row[4 * WINDOW + 9 + c] = min(max(np.int64(coupling[y, x, c]), -127), 127)


@kernel
def _multiply(weight, x, sums):  # type: ignore[no-untyped-def]
    """sums = x weight: integers below 2^24, exact in any order.

    Eight rows at a time, so that sums stay in registers; weights of one byte, so that they stay in the cache.
    """
    inputs, outputs = weight.shape
    real = np.float32
    sums[:] = np.float32(0)
    whole = inputs - inputs % 8
    for i in range(0, whole, 8):
        a, b, c, d, e, f, g, h = x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        for o in range(outputs):
            sums[o] += (
                (a * real(weight[i, o]) + b * real(weight[i + 1, o]))
                + (c * real(weight[i + 2, o]) + d * real(weight[i + 3, o]))
            ) + (
                (e * real(weight[i + 4, o]) + f * real(weight[i + 5, o]))
                + (g * real(weight[i + 6, o]) + h * real(weight[i + 7, o]))
            )
    for i in range(whole, inputs):
        for o in range(outputs):
            sums[o] += x[i] * real(weight[i, o])


@kernel
def run(local, trace, place, out):  # type: ignore[no-untyped-def]
    """The network: its inputs, in the row of this place of the trace, to out int64 [OUTPUTS]."""
    width = local.enter.shape[1]
    sums, last = np.empty(width, np.float32), np.empty(OUTPUTS, np.float32)
    q = trace.taken[0, place]
    _multiply(local.enter, trace.row[place], sums)
    for o in range(width):
        q[o] = quantised(sums[o] * local.factors[0, o] + local.biases[0, o], local.levels, local.limit)
    for k in range(len(local.blocks)):
        real, after = trace.real[k, place], trace.taken[k + 1, place]
        _multiply(local.blocks[k], q, sums)
        factors, biases = local.factors[k + 1], local.biases[k + 1]
        for o in range(width):
            real[o] = sums[o] * factors[o] + biases[o]
            after[o] = min(max(q[o] + quantised(real[o], local.levels, local.limit), -local.limit), local.limit)
        q = after
    _multiply(local.leave, q, last)
    for o in range(OUTPUTS):
        real_out = last[o] * local.out_factor[o] + local.out_bias[o]
        out[o] = np.int64(rounded(real_out, _LIMIT))


def fingerprint(local: Local) -> bytes:
    """What the network makes of seeded inputs (numpy's Philox 4x64, key 0): the same on every machine, or it must not
    decode."""
    raw = np.random.Philox(key=0).random_raw(CANARIES * INPUTS).reshape(CANARIES, INPUTS)
    outs, trace = np.empty((CANARIES, OUTPUTS), np.int64), trace_of(local)
    for row, out in zip((raw % 255).astype(np.float32) - np.float32(127), outs, strict=True):
        trace.row[0] = row
        run(local, trace, 0, out)
    return outs.astype("<i8").tobytes()


@kernel
def refine(local, lo, hi, prediction, y, x, trace, place):  # type: ignore[no-untyped-def]
    """Move the prediction of a pixel, in place, by what is told around it. trace: keeps how, at this place."""
    means, scales, coupling = prediction
    row, middle, out = trace.row[place], np.empty(3, np.int64), np.empty(OUTPUTS, np.int64)
    look(lo, hi, lo, hi, prediction, y, x, local.dilation, local.gain, row, middle)
    run(local, trace, place, out)
    for c in range(3):
        around = np.int64(0)
        for j in range(WINDOW):
            around += out[12 + j] * np.int64(row[3 * j + c])
        scale, ahead = np.int64(scales[y, x, c]), np.int64(means[y, x, c]) - 64 * middle[c]
        trace.scale[place, c], trace.ahead[place, c] = scale, ahead
        share = (out[9 + c] * ahead) // SHARE_UNIT
        offset = (out[c] * EIGHT_SCALES[scale]) // (8 * OFFSET_UNIT)
        mean = 64 * middle[c] + share + offset + (64 * around) // WEIGHT_UNIT
        means[y, x, c] = min(max(mean, -MEAN_LIMIT), MEAN_LIMIT)
        scales[y, x, c] = min(max(scale + out[3 + c], 0), SCALES - 1)
        coupling[y, x, c] = min(max(np.int64(coupling[y, x, c]) + out[6 + c], -COUPLING_LIMIT), COUPLING_LIMIT)


@kernel
def look_everywhere(lo, hi, new_lo, new_hi, prediction, places, dilation, gain, rows, middles):  # type: ignore[no-untyped-def]
    """`look` at the places int64 [K, 2] of one image, for training: rows int8 [K, INPUTS], middles uint8 [K, 3]."""
    row, middle = np.empty(INPUTS, np.float32), np.empty(3, np.int64)
    for k in range(len(places)):
        look(lo, hi, new_lo, new_hi, prediction, places[k, 0], places[k, 1], dilation, gain, row, middle)
        for i in range(INPUTS):
            rows[k, i] = np.int8(row[i])
        for c in range(3):
            middles[k, c] = np.uint8(middle[c])
