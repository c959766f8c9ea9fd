"""Local networks that learn: what a step has told so far trains the network that predicts the rest.

A network has seen thousands of photographs; the one being coded is another. So both sides train it on every batch of
places that the step has told, by the gradient of their code length, before it predicts the next: the weights of its
blocks and of its outputs, with momentum, each output's gradient divided by its own root mean square (Adam's, Kingma &
Ba 2015, with one second moment for all weights of an output). Weights move in steps of their integers; the network runs
with the nearest. What an image taught is forgotten after the step.

Exact by construction, like `networks.glue`: IEEE operations in a written order. Sums are as long as a batch or as wide
as a layer, their terms in trees of eight, and only what does not depend on each other is done side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES, slopes
from ddpmcodec.networks.glue import kernel, rounded
from ddpmcodec.networks.local import (
    COUPLING_UNIT,
    INPUTS,
    OFFSET_UNIT,
    OUTPUTS,
    SHARE_UNIT,
    WEIGHT_UNIT,
    WINDOW,
    Local,
    Trace,
    new_trace,
    run,
    trace_of,
)

BATCH = 32  # places
CANARY_BATCHES = 2
RATE = np.float32(0.03)  # steps of a weight that it moves by in a batch, where all batches agree
MOMENTUM, SQUARES = np.float32(0.9), np.float32(0.99)  # how much of the past averages keep
LARGEST = 127  # weight
SCORE_LIMIT = 8.0  # of slopes by the scale: a value far out, which costs no more than 24 bits, must not drown the rest
TINY = np.float32(1e-20)
SCALE_INDICES = 11.541560327111707  # per unit of the logarithm: 8 / log 2
GREY = 512  # EIGHT_SCALES of one grey level

_ONE, _HALF, _LARGEST = np.float32(1), np.float32(0.5), np.float32(LARGEST)


class Learner(NamedTuple):
    """What training keeps, beside the network itself. Weights [inputs, outputs], as in `Local`."""

    blocks: NDArray[np.float32]  # weights with their fractions
    leave: NDArray[np.float32]
    block_momentum: NDArray[np.float32]
    leave_momentum: NDArray[np.float32]
    block_squares: NDArray[np.float32]  # [depth, outputs]
    leave_squares: NDArray[np.float32]  # [1, outputs]
    powers: NDArray[np.float32]  # MOMENTUM and SQUARES to the number of batches
    filled: NDArray[np.int64]  # places of the batch so far [1]
    traces: Trace  # of the batch, [BATCH, ...]
    slopes: NDArray[np.float32]  # of the code length by the outputs [BATCH, OUTPUTS], nats
    by_mean: NDArray[np.float64]  # of this place, by channel [3]: slopes by the mean, nats a grey level
    by_scale: NDArray[np.float64]  # and by the logarithm of the scale
    residual: NDArray[np.float64]  # as later channels see it, grey levels
    moves: NDArray[np.float64]  # 1 where it falls as the mean rises, 0 where it stays


def learner(local: Local) -> tuple[Local, Learner]:
    """A network that may learn, a copy, and what its learning keeps."""
    own = local._replace(blocks=local.blocks.copy(), leave=local.leave.copy())
    blocks, leave = (weight.astype(np.float32) for weight in (local.blocks, local.leave))
    depth, width, _ = blocks.shape
    return own, Learner(
        blocks, leave, np.zeros_like(blocks), np.zeros_like(leave),
        np.zeros((depth, width), np.float32), np.zeros((1, OUTPUTS), np.float32),
        np.ones(2, np.float32), np.zeros(1, np.int64), new_trace(BATCH, depth, width),
        np.zeros((BATCH, OUTPUTS), np.float32), *np.zeros((4, 3)),
    )  # fmt: skip


def no_learner(local: Local) -> Learner:
    """Of a network that does not learn."""
    none, nothing = np.zeros((0, 0), np.float32), np.zeros((0, 0, 0), np.float32)
    return Learner(
        nothing, none, nothing, none, none, none, np.ones(2, np.float32), np.zeros(1, np.int64), trace_of(local), none,
        *np.zeros((4, 3)),
    )  # fmt: skip


@kernel
def told(learner, channel, law, known, new, residual):  # type: ignore[no-untyped-def]
    """A channel of the place is told: new = (lo, hi), from known, under law = (mean, scale index).

    residual: in 1/64 grey level, as the channels after it see it.
    """
    mean, scale = law
    by_mean, by_scale = slopes(known[0], known[1], new[0], new[1], mean, scale)
    learner.by_mean[channel] = by_mean * GREY / EIGHT_SCALES[scale]
    learner.by_scale[channel] = min(max(by_scale, -SCORE_LIMIT), SCORE_LIMIT)
    learner.residual[channel] = residual / 64
    learner.moves[channel] = 1.0 if residual != 0 or new[0] == new[1] else 0.0


@kernel
def learn(local, learner, coupling):  # type: ignore[no-untyped-def]
    """All channels of a place are told: into the batch, from which the network learns when it is full.

    coupling: int [3] that it was told with, in 1/64.
    """
    place = learner.filled[0]
    row, ahead, scale = learner.traces.row[place], learner.traces.ahead[place], learner.traces.scale[place]
    by_mean, by_scale, residual, moves = learner.by_mean, learner.by_scale, learner.residual, learner.moves
    out = learner.slopes[place]
    blue = by_mean[2]
    green = by_mean[1] - moves[1] * blue * coupling[2] / 64
    red = by_mean[0] - moves[0] * (green * coupling[0] + blue * coupling[1]) / 64
    total = (red, green, blue)
    for c in range(3):
        out[c] = total[c] * EIGHT_SCALES[scale[c]] / (GREY * OFFSET_UNIT)
        out[3 + c] = by_scale[c] / SCALE_INDICES
        out[9 + c] = total[c] * ahead[c] / (64 * SHARE_UNIT)
    out[6] = green * residual[0] / COUPLING_UNIT
    out[7] = blue * residual[0] / COUPLING_UNIT
    out[8] = blue * residual[1] / COUPLING_UNIT
    for j in range(WINDOW):
        around = (red * row[3 * j] + green * row[3 * j + 1]) + blue * row[3 * j + 2]
        out[12 + j] = around / WEIGHT_UNIT
    learner.filled[0] = place + 1
    if place + 1 == BATCH:
        learner.filled[0] = 0
        _update(local, learner)


def fingerprint(local: Local) -> bytes:
    """The weights that seeded batches teach (numpy's Philox 4x64, key 1): the same on every machine, or a step that
    learns must not decode."""
    raw = np.random.Philox(key=1).random_raw(BATCH * (INPUTS + OUTPUTS)).reshape(BATCH, INPUTS + OUTPUTS)
    own, learning = learner(local)
    learning.traces.row[:] = (raw[:, :INPUTS] % 255).astype(np.float32) - np.float32(127)
    for _ in range(CANARY_BATCHES):
        for place in range(BATCH):
            run(own, learning.traces, place, np.empty(OUTPUTS, np.int64))
        learning.slopes[:] = (raw[:, INPUTS:] % 4095).astype(np.float32) / np.float32(2048) - _ONE
        _update(own, learning)
    return learning.blocks.astype("<f4").tobytes() + learning.leave.astype("<f4").tobytes()


@kernel
def _transposed(a):  # type: ignore[no-untyped-def]
    out = np.empty((a.shape[1], a.shape[0]), a.dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j, i] = a[i, j]
    return out


@kernel
def _add_product(left, right, sums):  # type: ignore[no-untyped-def]
    """sums += left right, [I, K] and [K, J], in trees of eight along K."""
    rows, inner = left.shape
    columns = right.shape[1]
    whole = inner - inner % 8
    real = np.float32
    for i in range(rows):
        target, a = sums[i], left[i]
        for k in range(0, whole, 8):
            r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            r4, r5, r6, r7 = right[k + 4], right[k + 5], right[k + 6], right[k + 7]
            a0, a1, a2, a3 = real(a[k]), real(a[k + 1]), real(a[k + 2]), real(a[k + 3])
            a4, a5, a6, a7 = real(a[k + 4]), real(a[k + 5]), real(a[k + 6]), real(a[k + 7])
            for j in range(columns):
                target[j] += ((a0 * r0[j] + a1 * r1[j]) + (a2 * r2[j] + a3 * r3[j])) + (
                    (a4 * r4[j] + a5 * r5[j]) + (a6 * r6[j] + a7 * r7[j])
                )
        for k in range(whole, inner):
            a0 = real(a[k])
            for j in range(columns):
                target[j] += a0 * right[k, j]


@kernel
def _move(fine, momentum, squares, gradient, powers, weight):  # type: ignore[no-untyped-def]
    """Weights against their gradient [inputs, outputs]; `weight` int8 becomes the nearest."""
    inputs, outputs = gradient.shape
    total = np.zeros(outputs, np.float32)
    for i in range(inputs):
        for o in range(outputs):
            total[o] += gradient[i, o] * gradient[i, o]
    rate = np.empty(outputs, np.float32)
    share = _ONE / np.float32(inputs)
    for o in range(outputs):
        squares[o] = SQUARES * squares[o] + (_ONE - SQUARES) * (total[o] * share)
        size = np.sqrt(squares[o] / (_ONE - powers[1]) + TINY)
        rate[o] = RATE / ((_ONE - powers[0]) * size)
    for i in range(inputs):
        for o in range(outputs):
            moment = MOMENTUM * momentum[i, o] + (_ONE - MOMENTUM) * gradient[i, o]
            momentum[i, o] = moment
            moved = min(max(fine[i, o] - rate[o] * moment, -_LARGEST), _LARGEST)
            fine[i, o] = moved
            weight[i, o] = np.int8(rounded(moved, _LARGEST))


@kernel
def _update(local, learner):  # type: ignore[no-untyped-def]
    """One step of the optimiser, by backpropagation through the batch."""
    depth, width, _ = local.blocks.shape
    powers, traces = learner.powers, learner.traces
    powers[0] *= MOMENTUM
    powers[1] *= SQUARES
    back = np.zeros((width, BATCH), np.float32)
    slope = np.empty((BATCH, OUTPUTS), np.float32)
    for b in range(BATCH):
        for o in range(OUTPUTS):
            slope[b, o] = learner.slopes[b, o] * local.out_factor[o]
    _add_product(local.leave, _transposed(slope), back)
    gradient = np.zeros((width, OUTPUTS), np.float32)
    _add_product(_transposed(traces.taken[depth]), slope, gradient)
    _move(learner.leave, learner.leave_momentum, learner.leave_squares[0], gradient, powers, local.leave)
    for k in range(depth - 1, -1, -1):
        slope, upon = _transposed(back), np.empty((BATCH, width), np.float32)
        factors = local.factors[k + 1]
        for b in range(BATCH):
            for o in range(width):
                x = traces.real[k, b, o]
                square = _ONE + x * x
                curve = _HALF + (_HALF * (x / np.sqrt(square))) * (_ONE + _ONE / square)
                upon[b, o] = slope[b, o] * (curve * (local.levels * factors[o]))
        if k:
            _add_product(local.blocks[k], _transposed(upon), back)
        gradient = np.zeros((width, width), np.float32)
        _add_product(_transposed(traces.taken[k]), upon, gradient)
        _move(learner.blocks[k], learner.block_momentum[k], learner.block_squares[k], gradient, powers, local.blocks[k])
