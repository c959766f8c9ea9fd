"""The codec's channel: a batch of images of one size, from nothing to exact, step by step of a coding schedule.

x_T is nothing, x_0 all exact. A noise level's cells are functions of the image (`transform.cells`), so that a step
costs -log2 p(x_u | x_s), and the steps add up to -log2 p(x): the bound is tight. Encoder and decoder share this pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.stream import PRECISION
from ddpmcodec.channels import band_coder, colors, gamut
from ddpmcodec.channels.band_coder import BandState, Coder
from ddpmcodec.coding_schedule import COARSEST_GROUP, CodingStep
from ddpmcodec.networks.context import adaptation, last_layers
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.network import workspace
from ddpmcodec.networks.context.shape import OUTPUTS, band_kind, situation
from ddpmcodec.networks.context.window import CHANNELS, INPUTS, PLACES, ROW, padded
from ddpmcodec.parallel import stop_if_abandoned
from ddpmcodec.transform import cells, pyramid
from ddpmcodec.transform.cells import EXACT
from ddpmcodec.transform.pyramid import Band, Planes

CALL_POSITIONS = 1 << 11  # that a call of the kernel codes: a tenth of a second or less
NO_SCALE = 255  # of a coefficient that was never coded


class Segment(NamedTuple):
    """Bands of a step that stand together in a file, in coding order."""

    step: CodingStep
    bands: tuple[Band, ...]


def segments(schedule: Sequence[CodingStep], height: int, width: int) -> list[Segment]:
    """The segments of an image: as many for every size, though those of a tiny one may have no bands.

    Bands from `COARSEST_GROUP` on are one segment, each finer band is one.
    """
    geometry = pyramid.bands(height, width)[::-1]
    found = []
    for step in schedule:
        for group in range(max(COARSEST_GROUP, step.finest), step.finest - 1, -1):
            inside = (b for b in geometry if b.number == group or (group == COARSEST_GROUP and b.number > group))
            found.append(Segment(step, tuple(inside)))
    return found


class BandRanges:
    """What is known of a band's coefficients in N images, all [N, h, w, 3] as stored, and how they were predicted."""

    def __init__(self, images: int, band: Band, channels: int) -> None:
        shape = (images, band.height, band.width, CHANNELS)
        self.lo, self.hi = cells.unknown(shape)
        self.lo[..., channels:] = self.hi[..., channels:] = 0
        self.mean, self.scale = np.zeros(shape, np.int16), np.full(shape, NO_SCALE, np.uint8)

    @property
    def is_exact(self) -> bool:
        return bool((self.lo == self.hi).all())

    def estimates(self) -> Planes:
        return cells.estimates(self.lo, self.hi)


class PyramidState:
    """What is known of N images: the root, int16 [N, 1, 1, 3], once it is coded, and ranges of all bands."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        """shape: [N, H, W, C]; grey images (C = 1) have chroma that is known to be 0."""
        self.shape = shape
        images, height, width, channels = shape
        self.geometry = pyramid.bands(height, width)
        self.bands = {band: BandRanges(images, band, channels) for band in self.geometry}
        self.root_lo = np.zeros((images, 1, 1, CHANNELS), np.int16)
        self.root_lo[..., 1:channels] = -255
        self.root_hi = np.where(np.arange(CHANNELS) < channels, 255, 0).astype(np.int16) + np.zeros_like(self.root_lo)

    @property
    def is_exact(self) -> bool:
        roots = (self.root_lo == self.root_hi).all()
        return bool(roots) and all(ranges.is_exact for ranges in self.bands.values())

    def planes(self) -> Planes:
        """The images [N, H, W, C], once everything is exact."""
        _, height, width, channels = self.shape
        differences = [self.bands[band].lo for band in self.geometry]
        return pyramid.synthesise(self.root_lo, differences, height, width)[..., :channels]


class CodingPass:
    """The steps of a schedule over one batch."""

    def __init__(
        self, model: ContextModel, schedule: Sequence[CodingStep], shape: tuple[int, int, int, int], adapts: bool,
        learns: bool = False,
    ) -> None:  # fmt: skip
        """adapts: scales and means, of each image on its own. learns: last layers and colours, which images of a batch
        share; only where scales and means adapt, too."""
        if learns and not adapts:
            raise ValueError("last layers learn only where scales and means adapt")
        images, height, width, _ = shape
        self.schedule, self.adapts = schedule, adapts
        self.state = PyramidState(shape)
        self.segments = segments(schedule, height, width)
        self.learner = adaptation.start(model.initial, images)
        largest = (band_coder.positions_of_wave(images, b.height, b.width) for b in self.state.geometry)
        positions = max(largest, default=images)
        self.networks = [last_layers.start(network, positions if learns else 0) for network in model.networks]
        self.colors, self.no_colors = colors.start(learns), colors.start(False)
        self.wave = _wave_space(positions, model.shape.width if learns else 0)
        self.layers = workspace(model.shape)

    @property
    def most_symbols(self) -> int:
        """Of one image: a coefficient takes one a step at most."""
        _, height, width, channels = self.state.shape
        return height * width * channels * len(self.schedule)

    def run(self, coder: Coder, values: Sequence[Planes] | None = None) -> Iterator[Segment]:
        """Code segment by segment, the root before the first; yields after each. values: an encoder's differences, of
        the finest band first."""
        coarse = step = None
        band_coder.code_root(coder, self.state.root_lo, self.state.root_hi)
        for segment in self.segments:
            if segment.step is not step:
                step, coarse = segment.step, self.state.root_lo
            assert coarse is not None
            for band in segment.bands:
                own = coder._replace(values=values[band.number - 1]) if values is not None else coder
                coarse = self._code_band(own, segment.step, band, coarse)
            yield segment

    def _code_band(self, coder: Coder, step: CodingStep, band: Band, coarse: Planes) -> Planes:
        """Takes a band to the step's level; the image that is one halving finer."""
        ranges, stored = self.state.bands[band], pyramid.turned(coarse, band)
        if not ranges.is_exact:
            network, last = self.networks[band_kind(band.number)]
            residual = np.full(ranges.lo.shape, adaptation.NOT_CODED, np.int16)
            state = BandState(
                padded(stored, True), padded(ranges.estimates(), False), ranges.lo, ranges.hi, ranges.mean,
                ranges.scale, residual, np.zeros((2, CHANNELS), np.int64),
                gamut.slack_of(band.number) if step.level == EXACT else band_coder.INEXACT,
            )  # fmt: skip
            becomes_image = band.number == 1 and step.level == EXACT
            learning = band_coder.Learning(
                self.adapts, self.learner, adaptation.kind_of(step.number, band.number), last,
                self.colors if becomes_image else self.no_colors,
            )  # fmt: skip
            widths = cells.cell_widths(band.number, step.level, CHANNELS)
            for start, stop in self._parts(band):
                stop_if_abandoned()
                band_coder.code_waves(
                    coder, state, network, situation(step.number, band.number), self.wave, self.layers, learning,
                    widths, start, stop,
                )  # fmt: skip
        return pyramid.synthesise_band(stored, ranges.estimates(), band)

    def _parts(self, band: Band) -> Iterator[tuple[int, int]]:
        """Waves that are coded in one call: between two calls Python sees Ctrl-C."""
        waves = band_coder.waves_of(band.height, band.width)
        count = max(1, CALL_POSITIONS // band_coder.positions_of_wave(self.state.shape[0], band.height, band.width))
        return ((start, min(start + count, waves)) for start in range(0, waves, count))


def _wave_space(positions: int, kept: int) -> band_coder.Workspace:
    """kept: activations that each of the last layers learns from, of each position."""
    return band_coder.Workspace(
        np.empty((positions, 3), np.int64),
        np.empty((positions, INPUTS), np.uint8),
        np.empty((positions, CHANNELS, PLACES), np.int16),
        np.empty((positions, OUTPUTS), np.int32),
        np.empty(ROW, np.int16),
        np.empty((2, positions if kept else 0, kept), np.uint8),
    )


class Symbols(NamedTuple):
    """Intervals of one stream in decoding order, in 2^-24, and how many there are at the end of each segment."""

    starts: NDArray[np.uint32]
    freqs: NDArray[np.uint32]
    ends: tuple[int, ...]


def encoder(images: int, streams: NDArray[np.int64], capacity: int) -> Coder:
    """streams: [N], which stream each image's symbols go to, from 0; capacity: symbols of a stream at most."""
    count = int(streams.max()) + 1
    return Coder(
        False, streams, np.zeros((images, 0, 0, CHANNELS), np.int16), np.empty((count, capacity), np.uint32),
        np.empty((count, capacity), np.uint32), np.zeros(count, np.int64), np.zeros(count, np.uint64),
        np.zeros(0, np.uint32), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.bool_),
    )  # fmt: skip


def decoder(streams: NDArray[np.int64], states: Sequence[int], words: Sequence[NDArray[np.uint32]]) -> Coder:
    """streams: [N], which stream each image comes from; states and words of every stream, in decoding order."""
    images, count = len(streams), len(states)
    lengths = np.array([len(w) for w in words], np.int64)
    limit = np.cumsum(lengths)
    return Coder(
        True, streams, np.zeros((images, 0, 0, CHANNELS), np.int16), np.zeros((count, 0), np.uint32),
        np.zeros((count, 0), np.uint32), np.zeros(count, np.int64), np.array(states, np.uint64),
        np.ascontiguousarray(np.concatenate(words), np.uint32), limit - lengths, limit, np.zeros(count, np.bool_),
    )  # fmt: skip


OnSegment = Callable[[Segment, float], object]  # what each segment cost in bits (ideal code length), after it


def encode(
    planes: Planes,
    model: ContextModel,
    schedule: Sequence[CodingStep],
    streams: NDArray[np.int64],
    adapts: bool,
    learns: bool = False,
    on_segment: OnSegment | None = None,
) -> list[Symbols]:
    """Symbols of every stream for planes int16 [N, H, W, C] of the colour transform; `streams` as of `encoder`."""
    images, height, width, channels = planes.shape
    coding_pass = CodingPass(model, schedule, (images, height, width, channels), adapts, learns)
    return encode_with(coding_pass, planes, streams, on_segment)


def encode_with(
    coding_pass: CodingPass, planes: Planes, streams: NDArray[np.int64], on_segment: OnSegment | None = None
) -> list[Symbols]:
    """The same over a pass that the caller keeps, for what it learns."""
    images, height, width, channels = planes.shape
    wide = np.zeros((images, height, width, CHANNELS), np.int16)
    wide[..., :channels] = planes
    root, differences = pyramid.analyse(wide)
    capacity = int(np.bincount(streams).max()) * coding_pass.most_symbols
    coder = encoder(images, streams, capacity)._replace(values=root)
    ends = [np.zeros_like(coder.counts)]
    for segment in coding_pass.run(coder, differences):
        ends.append(coder.counts.copy())
        if on_segment:
            on_segment(segment, _bits(coder, ends[-2], ends[-1]))
    return [
        Symbols(coder.starts[s, : end[-1]], coder.freqs[s, : end[-1]], tuple(end.tolist()))
        for s, end in enumerate(np.stack(ends[1:], 1))
    ]


def _bits(coder: Coder, first: NDArray[np.int64], last: NDArray[np.int64]) -> float:
    parts = (freqs[a:b] for freqs, a, b in zip(coder.freqs, first, last, strict=True))
    return float(sum((PRECISION - np.log2(part)).sum() for part in parts))


def _bits_read(coder: Coder) -> float:
    """What a decoder has taken from its streams, up to a constant: whole words, less what is still in its states."""
    return float(32 * coder.position.sum() - np.log2(np.maximum(coder.state, 1).astype(np.float64)).sum())


class Decoded(NamedTuple):
    """A batch as far as it was decoded."""

    state: PyramidState
    segments_done: int
    learner: adaptation.Learner


def decode(
    coder: Coder,
    shape: tuple[int, int, int, int],
    model: ContextModel,
    schedule: Sequence[CodingStep],
    adapts: bool,
    learns: bool = False,
    last_segment: int | None = None,
    on_segment: OnSegment | None = None,
) -> Decoded:
    """Decode images of shape [N, H, W, C] from the streams of `decoder`, until the words of one of them run out.

    last_segment: stop after so many segments. on_segment: after each segment, with the bits that it took
    from the streams.
    """
    coding_pass = CodingPass(model, schedule, shape, adapts, learns)
    done = 0
    if last_segment != 0:
        before = _bits_read(coder)
        for number, segment in enumerate(coding_pass.run(coder), start=1):
            if on_segment:
                after = _bits_read(coder)
                on_segment(segment, after - before)
                before = after
            if coder.ended.any():
                break
            done = number
            if number == last_segment:
                break
    return Decoded(coding_pass.state, done, coding_pass.learner)
