"""One band of one step, for a batch of images of one size: predict, code, adapt, wave after wave.

The context of a position reaches three columns right of it in the row above. Positions with the same x + 4 y depend on
none of each other: a wave. All positions of a wave, of all images, go through the network together, and are then coded
in a fixed order. Encoder and decoder are this one loop, with a coder that pushes or pops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans import reweighted
from ddpmcodec.ans.logistic import EIGHT_SCALES, SCALE_COUNT, find_in, interval_of, truncate
from ddpmcodec.ans.stream import advance, needs_word, refill, slot
from ddpmcodec.channels import colors as image_colors
from ddpmcodec.channels import gamut
from ddpmcodec.networks.context import last_layers
from ddpmcodec.networks.context.adaptation import NOT_CODED, Learner, adapt, contexts, corrected, normalised
from ddpmcodec.networks.context.network import run
from ddpmcodec.networks.context.shape import CROSS_CHANNEL, OFFSET, SCALE, WEIGHTS
from ddpmcodec.networks.context.window import CHANNELS, PLACES, REACH, gather, kernel
from ddpmcodec.transform.cells import ESTIMATE_NUM, ESTIMATE_SHIFT, FRACTION

INEXACT = -1  # of a coarse image that is an estimate: it says nothing for certain of the finer one
DELAY = REACH + 1  # waves that a row is behind the row above


class BandState(NamedTuple):
    """What both sides know of a band, in N images. Margins as in `window`."""

    coarse: NDArray[np.int16]  # with margin
    estimate: NDArray[np.int16]  # of the differences, with margin
    lo: NDArray[np.int16]  # [N, h, w, 3]
    hi: NDArray[np.int16]
    mean: NDArray[np.int16]  # in 1/64: distributions that coefficients were coded under last
    scale: NDArray[np.uint8]
    residual: NDArray[np.int16]  # normalised, of this step, in 1/64; NOT_CODED elsewhere
    pixels: NDArray[np.int64]  # the two finer ones of a position, as far as they are known [2, 3]
    slack: int  # `gamut.slack_of`; or INEXACT


class Coder(NamedTuple):
    """Where the N images' symbols go to, or come from: one of S streams each."""

    decoding: bool
    stream: NDArray[np.int64]  # of each image [N]
    values: NDArray[np.int16]  # encoder: what is coded [N, h, w, 3]
    starts: NDArray[np.uint32]  # encoder: intervals of symbols [S, capacity]
    freqs: NDArray[np.uint32]
    counts: NDArray[np.int64]  # encoder: symbols so far [S]
    state: NDArray[np.uint64]  # decoder: rANS states [S]
    words: NDArray[np.uint32]  # decoder: of all streams, one after another
    position: NDArray[np.int64]  # decoder: of the next word, and where a stream's words end [S]
    limit: NDArray[np.int64]
    ended: NDArray[np.bool_]  # decoder: the words have run out [S]


class Learning(NamedTuple):
    """What both sides learn from the images while they code."""

    adapts: bool  # whether scales and means do
    learner: Learner
    kind: int  # of its coefficients (`adaptation.kind_of`)
    last: last_layers.LastLayers  # may be empty
    colors: image_colors.Colors  # the same; used where the finest band becomes exact


class Workspace(NamedTuple):
    """Of a wave: M positions."""

    at: NDArray[np.int64]  # [M, 3]: image, y, x
    rows: NDArray[np.uint8]  # [M, INPUTS]
    around: NDArray[np.int16]  # [M, 3, PLACES]
    outputs: NDArray[np.int32]  # [M, OUTPUTS]
    middle: NDArray[np.int16]  # [ROW], of `window.gather`
    kept: NDArray[np.uint8]  # [2, M, width], activations for last layers that learn; or [2, 0, width]


@kernel
def _cell(value, lo, hi, width):  # type: ignore[no-untyped-def]
    """The range that a value's cell leaves of lo..hi; see `transform.cells`. width: in 2^-16."""
    size = abs(value)
    index = (size << FRACTION) // width
    far = -((-(index + 1) * width) >> FRACTION) - 1
    if index == 0:
        return max(lo, -far), min(hi, far)
    near = -((-index * width) >> FRACTION)
    if value > 0:
        return max(lo, near), min(hi, far)
    return max(lo, -far), min(hi, -near)


@kernel
def _estimate(lo, hi):  # type: ignore[no-untyped-def]
    inward = ((hi - lo) * ESTIMATE_NUM) >> ESTIMATE_SHIFT
    if lo > 0:
        return lo + inward
    return hi - inward if hi < 0 else np.int64(0)


@kernel
def _residual(mean, lo, hi):  # type: ignore[no-untyped-def]
    """The mean (1/64) drawn into the inner half of a range, minus the mean: see `training.context.residual`."""
    quarter = 16 * (hi - lo)
    return min(max(mean, 64 * lo + quarter), 64 * hi - quarter) - mean


@kernel
def _predicted(output, around, channel, luma, orange):  # type: ignore[no-untyped-def]
    """(mean in 1/64, scale index) of a channel, given the residuals (1/64) of those before it."""
    scale = np.int64(min(max(output[SCALE + channel], 0), SCALE_COUNT - 1))
    first = WEIGHTS + (PLACES if channel else 0)
    weights, values, total = output[first : first + PLACES], around[channel], np.int32(0)
    for j in range(PLACES):  # at most 2^15 2^10 30 < 2^30, so that 32 bits do
        total = np.int32(total + np.int32(weights[j] * np.int32(values[j])))
    mean = (np.int64(total) >> 2) + ((np.int64(output[OFFSET + channel]) * EIGHT_SCALES[scale]) >> 9)
    if channel == 1:
        mean += (np.int64(output[CROSS_CHANNEL]) * luma) >> 6
    elif channel == 2:
        mean += (np.int64(output[CROSS_CHANNEL + 1]) * luma + np.int64(output[CROSS_CHANNEL + 2]) * orange) >> 6
    return min(max(mean, np.int64(-32767)), np.int64(32767)), scale


@kernel
def _has_ended(coder, n):  # type: ignore[no-untyped-def]
    """Whether the words of an image have run out."""
    return coder.decoding and coder.ended[coder.stream[n]]


@kernel
def _put(coder, stream, start, freq):  # type: ignore[no-untyped-def]
    count = coder.counts[stream]
    coder.starts[stream, count], coder.freqs[stream, count] = start, freq
    coder.counts[stream] = count + 1


@kernel
def _take(coder, stream, start, freq):  # type: ignore[no-untyped-def]
    state = advance(coder.state[stream], start, freq)
    if needs_word(state):
        if coder.position[stream] < coder.limit[stream]:
            state = refill(state, coder.words[coder.position[stream]])
            coder.position[stream] += 1
        else:
            coder.ended[stream] = True
    coder.state[stream] = state


@kernel
def _push(coder, stream, value, known, truncated, width):  # type: ignore[no-untyped-def]
    """Encode the cell of a value: its range."""
    new = _cell(value, known[0], known[1], width)
    if new[0] > known[0] or new[1] < known[1]:
        start, freq = interval_of(truncated, new[0], new[1])
        _put(coder, stream, start, freq)
    return new


@kernel
def _pop(coder, stream, known, truncated, width):  # type: ignore[no-untyped-def]
    """Decode a cell: its range."""
    value = find_in(truncated, known[1], np.int64(slot(coder.state[stream])))
    new = _cell(value, known[0], known[1], width)
    if new[0] > known[0] or new[1] < known[1]:
        start, freq = interval_of(truncated, new[0], new[1])
        _take(coder, stream, start, freq)
    return new


@kernel
def _code(coder, place, channel, known, truncated, width):  # type: ignore[no-untyped-def]
    """The new range of a coefficient that is known to a wider one. truncated: from `logistic.truncate`."""
    n, y, x = place
    if coder.decoding:
        return _pop(coder, coder.stream[n], known, truncated, width)
    return _push(coder, coder.stream[n], np.int64(coder.values[n, y, x, channel]), known, truncated, width)


@kernel
def _coarse_at(band, place, channel):  # type: ignore[no-untyped-def]
    n, y, x = place
    return np.int64(band.coarse[n, y + REACH, CHANNELS * (x + REACH) + channel])


@kernel
def _code_weighed(coder, band, colors, place, channel, known, truncated):  # type: ignore[no-untyped-def]
    """The same of a coefficient that becomes exact, its values weighed by the colours that they make."""
    n, y, x = place
    window = image_colors.weigh(colors, channel, _coarse_at(band, place, channel), band.pixels, known, truncated)
    stream = coder.stream[n]
    if coder.decoding:
        found = np.int64(slot(coder.state[stream]))
        value = reweighted.find_in(truncated, known[1], window, colors.sums, found)
        start, freq = reweighted.interval_of(truncated, window, colors.sums, value)
        _take(coder, stream, start, freq)
    else:
        value = np.int64(coder.values[n, y, x, channel])
        start, freq = reweighted.interval_of(truncated, window, colors.sums, value)
        _put(coder, stream, start, freq)
    image_colors.learn(colors, channel, value, window, truncated)
    return value, value


@kernel
def code_root(coder, lo, hi):  # type: ignore[no-untyped-def]
    """The root of each image, int16 [N, 1, 1, 3], exactly, under the widest distribution."""
    for n in range(len(lo)):
        for channel in range(CHANNELS):
            known = np.int64(lo[n, 0, 0, channel]), np.int64(hi[n, 0, 0, channel])
            if known[0] < known[1] and not _has_ended(coder, n):
                truncated = truncate(known[0], known[1], 32 * (known[0] + known[1]), np.int64(SCALE_COUNT - 1))
                new = _code(coder, (n, 0, 0), channel, known, truncated, np.int64(1 << FRACTION))
                lo[n, 0, 0, channel], hi[n, 0, 0, channel] = new


@kernel
def _code_position(coder, band, learning, widths, place, output, around):  # type: ignore[no-untyped-def]
    n, y, x = place
    adapts, learner, kind, last, colors = learning
    colored, learns = image_colors.are_used(colors), last_layers.learns(last)
    if learns:
        last_layers.begin(last)
    luma = orange = np.int64(0)
    for channel in range(CHANNELS):
        known = np.int64(band.lo[n, y, x, channel]), np.int64(band.hi[n, y, x, channel])
        coarse = _coarse_at(band, place, channel)
        coded = not _has_ended(coder, n)
        if coded and band.slack != INEXACT:
            known = gamut.narrowed(known, channel, coarse, band.pixels, band.slack)
        plain = _predicted(output, around, channel, luma, orange)
        new, slope = known, (0.0, 0.0)
        where, mean, scale = (0, 0, 0), plain[0], plain[1]
        if coded and known[0] < known[1]:
            here = band.residual[n, y, x]
            if adapts:
                where = contexts(learner.near, band.residual[n], scale, y, x, channel)
                mean, scale = corrected(
                    learner.biases[n, kind, channel], learner.weights[n, kind, channel], learner.near, where, mean,
                    scale, here, channel,
                )  # fmt: skip
            truncated = truncate(known[0], known[1], mean, scale)
            if colored and scale <= image_colors.LARGEST_SCALE and reweighted.is_near(truncated):
                new = _code_weighed(coder, band, colors, place, channel, known, truncated)
            else:
                new = _code(coder, place, channel, known, truncated, widths[channel])
            if adapts:
                slope = adapt(
                    learner.biases[n, kind, channel], learner.counts[n, kind, channel],
                    learner.weights[n, kind, channel], learner.near, where, known, new, mean, scale, here, channel,
                )  # fmt: skip
                here[channel] = normalised(_residual(plain[0], new[0], new[1]), plain[1])
            band.mean[n, y, x, channel], band.scale[n, y, x, channel] = mean, scale
        band.lo[n, y, x, channel], band.hi[n, y, x, channel] = new
        band.estimate[n, y + REACH, CHANNELS * (x + REACH) + channel] = _estimate(new[0], new[1])
        band.pixels[0, channel], band.pixels[1, channel] = gamut.pair(coarse, new[0])
        residual = _residual(plain[0], new[0], new[1])
        if learns:
            last_layers.coded(last, channel, new, slope, scale, residual)
        if channel == 0:
            luma = residual
        elif channel == 1:
            orange = residual
    if colored and not _has_ended(coder, n):
        image_colors.count(colors, band.pixels)


@kernel
def _gather_wave(coder, band, wave, space):  # type: ignore[no-untyped-def]
    """Contexts of a wave's positions that are not exact yet; how many."""
    images, height, width, _ = band.lo.shape
    count = 0
    for n in range(images):
        if _has_ended(coder, n):
            continue
        for y in range(max(0, -((width - 1 - wave) // DELAY)), min(height, wave // DELAY + 1)):
            x = wave - DELAY * y
            lo, hi = band.lo[n, y, x], band.hi[n, y, x]
            if lo[0] == hi[0] and lo[1] == hi[1] and lo[2] == hi[2]:
                continue
            estimate = band.estimate[n]
            gather(band.coarse[n], estimate, estimate, y, x, space.rows[count], space.around[count], space.middle)
            space.at[count, 0], space.at[count, 1], space.at[count, 2] = n, y, x
            count += 1
    return count


def waves_of(height: int, width: int) -> int:
    """How many waves a band of this size has."""
    return width + DELAY * (height - 1)


def positions_of_wave(images: int, height: int, width: int) -> int:
    """How many positions the largest one has."""
    return images * min(height, -(-width // DELAY))


@kernel
def code_waves(coder, band, network, situation, space, layers, learning, widths, start, stop):  # type: ignore[no-untyped-def]
    """Take waves of a band, from `start` on and before `stop`, to a step's cells; all of them in order take the band.
    widths: int64 [3] in 2^-16 of a unit.
    """
    _, height, width, _ = band.lo.shape
    last = learning.last
    for wave in range(start, stop):
        count = _gather_wave(coder, band, wave, space)
        run(network, situation, space.rows, space.outputs, layers, count, space.kept)
        for k in range(count):
            place = space.at[k, 0], space.at[k, 1], space.at[k, 2]
            output, around = space.outputs[k], space.around[k]
            _code_position(coder, band, learning, widths, place, output, around)
            if last_layers.learns(last):
                last_layers.finish(last, network, output, around, space.kept[:, k])
        if last.filled[0] >= last_layers.LEAST:
            last_layers.update(last, network)
    if last.filled[0] and stop == width + DELAY * (height - 1):
        last_layers.update(last, network)


assert NOT_CODED < 0
