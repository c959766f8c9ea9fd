"""Runs the core's decoder: the bytes of a file go in, an image and a verdict come out.

The core knows what a file is, what is needed of it, and whether it is sound. Python keeps what the core leaves to its
caller: models by name, files of other formats inside a file, progress, and Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, ParamSpec, TypeAlias, TypeVar

from PIL import Image

from ddpmcodec import _native
from ddpmcodec._native import REDUCTIONS, Event
from ddpmcodec.arguments import whole_number
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.jpeg import planes_of_jpeg
from ddpmcodec.codec.passes import BATCH_PIXELS, CALL_SECONDS, Progress, Report, SegmentCost, batches, reporting
from ddpmcodec.content import Content, Part
from ddpmcodec.errors import FormatError, OutputError, TruncatedError
from ddpmcodec.format.header import COEFFICIENTS
from ddpmcodec.format.sections import KeptFile, Metadata, kept_file, unpack_kept
from ddpmcodec.formats import png
from ddpmcodec.formats.deep import Samples, Values
from ddpmcodec.formats.images import Planes, to_image
from ddpmcodec.formats.metadata import exif_of
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import Model, jpeg_written_with, written_with
from ddpmcodec.parallel import interruptible, run_all, side_by_side, stop_if_abandoned, thread_count

P = ParamSpec("P")
T = TypeVar("T")
Edges: TypeAlias = Sequence[int]  # left, top, right and bottom of a part, as a caller gives them
Region: TypeAlias = tuple[int, int, int, int]  # the same; right and bottom are the first column and row outside


class DecodeOptions(NamedTuple):
    """What is wanted of a file.

    Attributes:
        given: the model, if it is not embedded.
        partial, step: as in `decode`.
        region: a part of the image; None: all of it.
        scale: 1, 2, 4, 8 or 16: make the image 1/scale of the size.
        max_pixels: refuse a larger image; None: no limit.
        progress: called with the pixels' worth of work done since the last call.
        report: called with the cost of every segment.
        each_segment: give previews after every segment, also if all bytes are there.
    """

    given: Model | None = None
    partial: bool = False
    step: int | None = None
    region: Region | None = None
    scale: int = 1
    max_pixels: int | None = None
    progress: Progress | None = None
    report: Report | None = None
    each_segment: bool = False


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded image, and the verdict on its file.

    Attributes:
        exact: all of the file was there, and its checks passed.
        damaged: a check failed. Some of the image is not what was encoded, or is left out.
        steps_done: steps that every pixel has been through, of `steps`.
        bytes_used: bytes of the data up to the last one that was needed.
        lossy: the file says that it was cut on purpose.
        following: bytes after the end, which are ignored.
        left_out: "alpha", "metadata": damaged, while the colours are exact.
    """

    planes: Planes
    exact: bool
    damaged: bool
    steps_done: int
    steps: int
    bytes_used: int
    lossy: bool
    following: int
    left_out: tuple[str, ...] = ()

    @property
    def image(self) -> Image.Image:
        return to_image(self.planes)


def region_of(box: Edges | None) -> Region | None:
    """Return the region of the argument `box`; None: all of the image. Raises TypeError unless it is four whole
    numbers."""
    if box is None:
        return None
    edges = [whole_number("an edge of box", edge) for edge in box]
    if len(edges) != 4:
        raise TypeError(f"box must be (left, top, right, bottom), not {len(edges)} numbers")
    return edges[0], edges[1], edges[2], edges[3]


def scale_of(reduce: int) -> int:
    """Return the argument of that name. Raises TypeError unless it is a whole number, ValueError unless it is one of
    REDUCTIONS."""
    scale = whole_number("reduce", reduce)
    if scale not in REDUCTIONS:
        raise ValueError(f"reduce must be {', '.join(map(str, REDUCTIONS))}, not {scale}")
    return scale


class Decoding:
    """A file that is decoded."""

    def __init__(self, options: DecodeOptions) -> None:
        self.options = options
        self.core = _native.Decoder(
            box=options.region, scale=options.scale, step=options.step, partial=options.partial,
            max_pixels=options.max_pixels, each_segment=options.each_segment,
        )  # fmt: skip
        self._inside: Planes | None = None  # of a JPEG file

    def until(self, *events: Event) -> Event:
        """Decode until one of these events, or until more bytes or a model are needed. Raises as `decode`."""
        while True:
            stop_if_abandoned()
            event = self._ended(self.core.advance, CALL_SECONDS, thread_count())
            _report(self.core.take_costs(), self.options.progress, self.options.report)
            if event in events or event == Event.NEED_BYTES or event == Event.DONE:
                return event
            if event == Event.NEED_MODEL:
                self._set_networks()
            elif event == Event.NEED_PIXELS:
                self._set_pixels_inside()

    def until_colours(self) -> None:
        """Decode until the networks of the colours are needed, or until all is done. Raises as `decode`."""
        while self.until(Event.NEED_MODEL) == Event.NEED_MODEL and self.core.needs_alpha_networks:
            self._set_networks()

    def _ended(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Return what a call of the core returns. One that writes a JPEG file, or shrinks its pixels, may take long."""
        header = self.core.header
        if header is None or header.kind != COEFFICIENTS:
            return call(*arguments, **options)
        return interruptible(call, *arguments, **options)

    @property
    def header(self) -> _native.FileHeader:
        header = self.core.header
        assert header is not None
        return header

    @property
    def model(self) -> ContextModel:
        """The model that the file was written with. Raises ModelError if it is missing."""
        return written_with(self.header.model_number, self.header.model_id, self.options.given)

    def _set_networks(self) -> None:
        if self.header.kind == COEFFICIENTS:
            model = jpeg_written_with(self.header.model_number, self.header.model_id, self.options.given)
            self.core.set_jpeg_networks(model, self.header.effort)
        elif self.core.needs_alpha_networks:
            self.core.set_alpha_networks(self.model.networks(self.header.effort, 0))
        else:
            self.core.set_networks(self.model.networks(self.header.effort, self.header.levels))

    def _set_pixels_inside(self) -> None:
        """Decode a JPEG file for the core. Raises FormatError, unless damage is accepted."""
        try:
            self._inside = planes_inside(self.core.file_inside(), self.core.box_inside, self.header)
            self.core.set_pixels(self._inside.colour)
        except FormatError:
            self._inside = None
            if not self.options.partial:
                raise

    def result(self) -> Decoded:
        """Return what is known now."""
        verdict = self.core.verdict
        damaged_parts = (("alpha", verdict.alpha_damaged), ("metadata", verdict.metadata_damaged))
        left_out = tuple(name for name, is_damaged in damaged_parts if is_damaged)
        return Decoded(
            planes=self.planes(), exact=verdict.is_exact, damaged=verdict.is_damaged, steps_done=verdict.steps_done,
            steps=self.header.steps, bytes_used=verdict.bytes_used, lossy=verdict.is_lossy,
            following=verdict.following, left_out=left_out if verdict.colours_exact else (),
        )  # fmt: skip

    def planes(self) -> Planes:
        """Return the image as far as it is known. Until its metadata have come, its EXIF says how it is turned."""
        mode, colour, alpha, values = self._ended(self.core.picture, thread_count())
        metadata, original = self._beside()
        if not metadata.exif:
            metadata = metadata._replace(exif=exif_of(self.header.orientation))
        whole = self.options.region is None and self.options.scale == 1
        kept = self._kept() if whole else None
        return Planes(mode, colour, alpha, metadata, original if whole else b"", kept, self._samples(values))

    def _samples(self, values: Values | None) -> Samples | None:
        header = self.header
        return None if values is None else Samples(values, header.source_bits, header.bits, header.scaling)

    def _kept(self) -> KeptFile | None:
        parsed = self.core.kept
        return None if parsed is None else kept_file(parsed)

    def original(self) -> bytes:
        """Return the JPEG file that was encoded. Raises as `decode_original`."""
        event = self.until(Event.NEED_MODEL, Event.NEED_PIXELS)
        if not self.header.has_coefficients:
            raise OutputError("the file holds no JPEG, but the pixels of an image: decode them")
        if event == Event.NEED_MODEL:
            self._set_networks()
        while self.until(Event.NEED_PIXELS) != Event.DONE:
            pass
        if self.core.verdict.is_lossy:
            raise TruncatedError("the file was cut on purpose, and holds a preview of the JPEG: get the whole file")
        return bytes(self.core.file_inside())

    def _beside(self) -> tuple[Metadata, bytes]:
        """Return the metadata, and the JPEG file, which holds its own."""
        if self._inside is None:
            return Metadata(*self.core.metadata), b""
        return self._inside.metadata, self._inside.original if self.core.verdict.colours_exact else b""


def planes_inside(file: bytes, box: tuple[int, int, int, int], header: _native.FileHeader) -> Planes:
    """Decode a JPEG file, whose pixels are those of a box of the image. Raises FormatError."""
    left, top, right, bottom = box
    return replace(planes_of_jpeg(file, (header.mode, right - left, bottom - top)), original=file)


def decode_file(file: Content | Part, options: DecodeOptions) -> Decoded:
    """Decode a file, or what is wanted of it. Raises as `decode`."""
    decoding = Decoding(options)
    decoding.core.open(file)
    decoding.until()
    return decoding.result()


def decode_original_file(file: Content | Part, options: DecodeOptions) -> bytes:
    """Return the file that was encoded. Raises as `decode_original`."""
    container = _native.Container(file)
    start, end = container.header.section(_native.KEPT_TAG)
    if end:
        container.require_whole()
        return unpack_kept(container.bytes(start, end)).content
    if _has_recipe(container):
        return restored_png(decode_file(file, options).planes)
    decoding = Decoding(options)
    decoding.core.open(file)
    return decoding.original()


def _has_recipe(container: _native.Container) -> bool:
    """Return whether a file states how a PNG file was made of its pixels."""
    section = container.bytes(*container.header.section(_native.METADATA_TAG))
    return bool(section) and not container.missing and bool(Metadata(*_native.parse_metadata(section)).png)


def restored_png(planes: Planes) -> bytes:
    """Return the PNG file of an image, chunk for chunk. Raises CorruptError."""
    samples = None if planes.samples is None else planes.samples.values
    return png.restored(planes.metadata.png, planes.colour, planes.alpha, samples)


def decode_files(
    files: Sequence[Content | Part], given: Model | None, progress: Progress | None,
    report: Report | None = None, *, max_pixels: int | None = None,
) -> list[Decoded]:  # fmt: skip
    """Decode whole files; small ones of one size are decoded together, which is quicker. Raises as `decode` for the
    first that is not whole."""
    options = DecodeOptions(given, max_pixels=max_pixels, progress=progress, report=report)
    decodings = [Decoding(options) for _ in files]
    for decoding, file in zip(decodings, files, strict=True):
        decoding.core.open(file)
        decoding.until_colours()  # damage is reported before their networks run

    def decode_together(batch: list[int]) -> None:
        if len(batch) == 1:
            decodings[batch[0]].until()
        else:
            _decode_batch([decodings[i] for i in batch])

    keys = [_key(decoding, number) for number, decoding in enumerate(decodings)]
    run_all(decode_together, batches(keys), side_by_side(max([BATCH_PIXELS, *(pixels for pixels, _ in keys)])))
    return [decoding.result() for decoding in decodings]


def _key(decoding: Decoding, number: int) -> tuple[int, tuple[object, ...]]:
    """What files that are decoded together have in common; other files are alone."""
    header = decoding.header
    if not decoding.core.is_batchable:
        return header.width * header.height, (number,)
    shape = header.height, header.width, header.channels
    return header.width * header.height, (shape, Coding.of(header), decoding.model.id)


def _decode_batch(decodings: Sequence[Decoding]) -> None:
    first, header = decodings[0], decodings[0].header
    shape = len(decodings), header.height, header.width, header.channels
    networks = first.model.networks(header.effort, header.levels)
    batch = _native.Batch(
        networks, header.levels, shape, is_shared=False, repeats=header.repeats, threads=thread_count()
    )
    for decoding in decodings:
        batch.add(decoding.core.payload(), decoding.header.state_bytes, decoding.core.covered())
    run_batch(batch, first.options.progress, first.options.report)
    for number, decoding in enumerate(decodings):
        decoding.core.set_tile(batch.image(number))


def run_batch(batch: _native.Batch, progress: Progress | None, report: Report | None = None) -> None:
    """Decode images of one size together."""
    reported, is_done = 0, False
    while not is_done:
        stop_if_abandoned()
        is_done = batch.advance(CALL_SECONDS)
        _report(batch.costs[reported:], progress, report)
        reported = len(batch.costs)


def _report(costs: list[_native.Cost], progress: Progress | None, report: Report | None) -> None:
    if call := reporting(progress, report):
        for cost in costs:
            call(SegmentCost(*cost))
