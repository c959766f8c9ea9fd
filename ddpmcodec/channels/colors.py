"""Online adaptation to colours: which of them an image has, and how much likelier those are that it had before.

Images do not use all colours alike. A photograph that once was YCC (Photo CD, JPEG), or whose levels were stretched,
has one RGB triple in some; everywhere, colours that were there come back. When the finest band becomes exact, each of
its coefficients decides on two pixels. The values that it may take near its mean are weighed by how often the image has
had what the two would be: their luma, then luma and orange chroma, then all three. Of all three it also counts whether
a level of red, green or blue was never there, which shows early what is no colour of this image, and whether JPEG's
conversion from YCbCr makes such a triple, as it does one in four (JFIF, ITU-T T.871).

A weight is observed over expected: how often values of a kind were true, over the probability that their
distributions gave to all of that kind, so far. Kinds are pairs of classes of counts. Everything is an integer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans import reweighted
from ddpmcodec.ans.reweighted import LARGEST_WEIGHT, ONE
from ddpmcodec.channels.gamut import pair
from ddpmcodec.networks.context.window import CHANNELS, kernel

REACH = 12  # values that are weighed on each side of the mean
LARGEST_SCALE = 72  # index of a scale of 8: of wider distributions few values are weighed, and little is won
CLASS_BEGINS = (0, 1, 2, 4, 16, 64)  # counts at which classes begin, from 1 on; 0 is of levels that were never there
JFIF = len(CLASS_BEGINS)  # what is added to the class of a triple that YCbCr makes
CLASSES = 1 + 2 * JFIF
KINDS = CLASSES * CLASSES
FIRST, LEAST = 4 << 24, 1 << 16  # observed and expected values of a kind, in 2^-24: at first, and at least
RENEWAL = 32  # coefficients of a channel after which weights are found anew
MEMORY = 2048  # and after which all that was observed and expected counts half

# Where counts stand: of luma, of luma and orange chroma, of all three (hashed), of levels of red, green and blue, and
# of what is no colour.
CHROMA_ROW, HASHED = 512, 1 << 20
PAIRS, TRIPLES = 256, 256 + 256 * CHROMA_ROW
LEVELS = TRIPLES + HASHED
NOWHERE = LEVELS + 3 * 256
LARGEST_COUNT = 255
_CLASS = np.searchsorted(CLASS_BEGINS, np.arange(LARGEST_COUNT + 1), side="right").astype(np.uint8)


class Colors(NamedTuple):
    """What images that are coded together have shown; empty counts where that is not used."""

    counts: NDArray[np.uint8]  # [NOWHERE + 1]
    observed: NDArray[np.int64]  # in 2^-24 [3, KINDS]
    expected: NDArray[np.int64]
    weights: NDArray[np.int64]  # in 1/256 [3, KINDS]
    coded: NDArray[np.int64]  # coefficients so far [3]
    classes: NDArray[np.int64]  # of what the two pixels may be, the first rising, the second falling [2, ...]
    kinds: NDArray[np.int64]  # of the values that are weighed, as all below
    masses: NDArray[np.int64]
    chosen: NDArray[np.int64]  # their weights
    sums: NDArray[np.int64]
    shares: NDArray[np.int64]  # mass of each kind [KINDS]


def start(learns: bool) -> Colors:
    """Before the first pixel."""
    size, most = (CHANNELS, KINDS), 2 * REACH + 1
    return Colors(
        counts=np.zeros(NOWHERE + 1 if learns else 0, np.uint8),
        observed=np.full(size, FIRST, np.int64),
        expected=np.full(size, FIRST, np.int64),
        weights=np.full(size, ONE, np.int64),
        coded=np.zeros(CHANNELS, np.int64),
        classes=np.zeros((2, REACH + 2), np.int64),
        kinds=np.zeros(most, np.int64),
        masses=np.zeros(most, np.int64),
        chosen=np.zeros(most, np.int64),
        sums=np.zeros(most + 1, np.int64),
        shares=np.zeros(KINDS, np.int64),
    )


@kernel
def are_used(colors):  # type: ignore[no-untyped-def]
    return len(colors.counts) > 0


@kernel
def _row(pixel, channel):  # type: ignore[no-untyped-def]
    """Where the counts of a channel's values begin, given a pixel's channels before it."""
    if channel == 0:
        return np.int64(0)
    if channel == 1:
        return np.int64(PAIRS + CHROMA_ROW // 2) + (pixel[0] & 255) * CHROMA_ROW
    return (((pixel[0] * 1021 + pixel[1]) * 0x9E3779B1) & 0xFFFFFFFF) >> 12


@kernel
def _place(row, value, channel):  # type: ignore[no-untyped-def]
    if channel == 2:
        return TRIPLES + ((row + value) & (HASHED - 1))
    if channel == 1:
        return row + value if -255 <= value <= 255 else np.int64(NOWHERE)
    return value if 0 <= value <= 255 else np.int64(NOWHERE)


@kernel
def _levels(luma, orange, green):  # type: ignore[no-untyped-def]
    """Red, green and blue, as `color.from_ycocg` makes them."""
    middle = luma - (green >> 1)
    blue = middle - (orange >> 1)
    return blue + orange, middle + green, blue


@kernel
def _level_place(level, channel):  # type: ignore[no-untyped-def]
    return LEVELS + 256 * channel + level if 0 <= level <= 255 else np.int64(NOWHERE)


@kernel
def is_from_ycbcr(red, green, blue):  # type: ignore[no-untyped-def]
    """Whether conversion to YCbCr and back, rounded as libjpeg does, leaves a colour as it is."""
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    b = (-11059 * red - 21709 * green + 32768 * blue + 32767) >> 16
    r = (32768 * red - 27439 * green - 5329 * blue + 32767) >> 16
    if luma + ((91881 * r + 32768) >> 16) != red or luma + ((116130 * b + 32768) >> 16) != blue:
        return False
    return luma + ((-22554 * b - 46802 * r + 32768) >> 16) == green


@kernel
def _class_of(counts, pixel, row, value, channel):  # type: ignore[no-untyped-def]
    found = np.int64(_CLASS[counts[_place(row, value, channel)]])
    if channel == 2:
        red, green, blue = _levels(pixel[0], pixel[1], value)
        if found == 1:
            for c, level in enumerate((red, green, blue)):
                if counts[_level_place(level, c)] == 0:
                    return np.int64(0)
        if is_from_ycbcr(red, green, blue):
            found += JFIF
    return found


@kernel
def _classify(colors, channel, pixels, least, most):  # type: ignore[no-untyped-def]
    """Classes of both pixels from `pair` of the least value that is weighed to that of the largest."""
    rows = _row(pixels[0], channel), _row(pixels[1], channel)
    for k in range(most[0] - least[0] + 1):
        colors.classes[0, k] = _class_of(colors.counts, pixels[0], rows[0], least[0] + k, channel)
    for k in range(least[1] - most[1] + 1):
        colors.classes[1, k] = _class_of(colors.counts, pixels[1], rows[1], least[1] - k, channel)


@kernel
def weigh(colors, channel, coarse, pixels, known, truncated):  # type: ignore[no-untyped-def]
    """The `reweighted.Window` of a coefficient. coarse: the coarse image there; pixels: the two that it decides on, the
    channels before it [2, 3]; known: (lo, hi), which its distribution is truncated to."""
    lo, hi = known
    centre = truncated[1] >> 6  # the mean, rounded
    first = min(max(centre - REACH, lo), hi)
    values = min(max(centre + REACH, lo), hi) + 1 - first
    _classify(colors, channel, pixels, pair(coarse, first), pair(coarse, first + values - 1))
    ones, others = colors.classes[0], colors.classes[1]
    weights, before = colors.weights[channel], reweighted.mass_before(truncated, first)
    for k in range(values):
        a, b = ones[(k + 1 - (first & 1)) >> 1], others[(k + (first & 1)) >> 1]
        kind = max(a, b) * CLASSES + min(a, b)
        after = reweighted.mass_before(truncated, first + k + 1)
        colors.kinds[k], colors.masses[k], colors.chosen[k] = kind, after - before, weights[kind]
        before = after
    return reweighted.reweighed(truncated, first, colors.masses, colors.chosen, colors.sums, values)


@kernel
def learn(colors, channel, value, window, truncated):  # type: ignore[no-untyped-def]
    """The value of a coefficient that was weighed is known."""
    observed, expected, shares = colors.observed[channel], colors.expected[channel], colors.shares
    for k in range(window.values):
        shares[colors.kinds[k]] += colors.masses[k]
    whole = reweighted.whole_mass(truncated)
    for k in range(window.values):
        kind = colors.kinds[k]
        if shares[kind]:
            expected[kind] += (shares[kind] << 24) // whole
            shares[kind] = 0
    if window.first <= value < window.first + window.values:
        observed[colors.kinds[value - window.first]] += 1 << 24
    colors.coded[channel] += 1
    if colors.coded[channel] % RENEWAL == 0:
        _renew(observed, expected, colors.weights[channel], colors.coded[channel] % MEMORY == 0)


@kernel
def _renew(observed, expected, weights, halves):  # type: ignore[no-untyped-def]
    for kind in range(KINDS):
        if halves:
            observed[kind] = max(observed[kind] >> 1, LEAST)
            expected[kind] = max(expected[kind] >> 1, LEAST)
        weights[kind] = min(max(ONE * observed[kind] // expected[kind], 1), LARGEST_WEIGHT)


@kernel
def count(colors, pixels):  # type: ignore[no-untyped-def]
    """Both pixels of a position are known."""
    for pixel in pixels:
        for channel in range(CHANNELS):
            _count(colors.counts, _place(_row(pixel, channel), pixel[channel], channel))
        for channel, level in enumerate(_levels(pixel[0], pixel[1], pixel[2])):
            _count(colors.counts, _level_place(level, channel))


@kernel
def _count(counts, place):  # type: ignore[no-untyped-def]
    if place != NOWHERE:
        counts[place] = min(np.int64(counts[place]) + 1, LARGEST_COUNT)
