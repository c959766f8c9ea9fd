"""Encodes images to .ddpm bytes, one or many at a time. The core does (`_core/encoder`); what images are taken, and by
which models, is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np

from ddpmcodec import _native
from ddpmcodec._native import Event
from ddpmcodec.arguments import whole_number
from ddpmcodec.codec.passes import CALL_SECONDS, Progress, Report, SegmentCost
from ddpmcodec.codec.reading import Picture, Reading, numbered, planes_of
from ddpmcodec.format.header import DEFAULT_EFFORT
from ddpmcodec.formats.images import Planes
from ddpmcodec.models import registry
from ddpmcodec.models.registry import ModelSource
from ddpmcodec.parallel import interruptible, stop_if_abandoned, thread_count


class EncodeKeywords(TypedDict, total=False):
    """The fields of `EncodeOptions`, as keywords of `encode`."""

    effort: int
    levels: int | None
    model: ModelSource
    tile: int | None
    strip: bool
    any_format: bool
    pixels: bool
    strict: bool
    verify: bool
    progress: Progress | None
    report: Report | None


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How images are encoded.

    Attributes:
        effort: 1, 2 or 3: small, medium or large networks. Larger ones make smaller files, and take more time in both
            directions. 0 is the fastest: without noise levels it takes a quarter of the time of 1. With them, for JPEG
            files, and by models without a network of effort 0, it is as 1.
        levels: noise levels before exact pixels. 0: none, the smallest file, whose prefixes show the upper part of the
            image; 1: the first tenth of the file shows all of it; 2: longer prefixes are better everywhere; 5: the best
            previews. None: 1, but 0 at effort 0, for graphics that repeat themselves, and for smooth drawings. A JPEG
            file has at most so many levels of cells, three, nine or 27 steps wide, as its steps are small; with 0,
            prefixes become sharp frequency after frequency.
        model: None (an embedded one: `photo`, or for a thumbnail of up to 4,096 pixels `cifar10`, or `photo` if that
            clearly takes fewer bytes; it is not tried at effort 2 with noise levels, where its networks are much
            smaller), the name of an embedded one, the path of a model file, or a loaded one. A model of JPEG
            coefficients codes JPEG files, one of pixels all other images; the rest is coded by embedded models.
        tile: cut an image into square tiles of so many pixels a side, a multiple of 16 from 64 to 1,024, of which
            `decode(..., box=)` reads and decodes those that it touches. Small tiles make larger files. None: tiles of
            up to 2^19 pixels.
        strip: leave out ICC profile, XMP, and EXIF but for its orientation; of a JPEG file, code its pixels without
            them.
        any_format: take files of all formats that Pillow reads, even if it may leave out some of what they hold.
        pixels: code the pixels of a JPEG file or a lossy WebP, which takes several times its bytes. False: of a path or
            binary file that is a JPEG, networks code the coefficients, and a lossy WebP is kept whole with a small
            preview; `decode_original` gives them back byte for byte.
        strict: refuse image files whose pixels cannot be coded. False: a path or binary file of several frames, more
            than 16 bits a sample, CMYK, a format that is not read or read in part, or one that is damaged, is kept
            whole with a small preview; `decode_original` gives it back. With `strip` they are refused, too.
        verify: decode the result, by a decoder that sees its bytes alone, and compare it with the image.
        progress: called with the number of pixels done since the last call. If they are verified, all are counted
            twice: coded, and decoded.
        report: called with a `codec.SegmentCost` (bits, seconds) after every segment.
    """

    effort: int = DEFAULT_EFFORT
    levels: int | None = None
    model: ModelSource = None
    tile: int | None = None
    strip: bool = False
    any_format: bool = False
    pixels: bool = False
    strict: bool = False
    verify: bool = True
    progress: Progress | None = None
    report: Report | None = None

    @property
    def reading(self) -> Reading:
        return Reading(self.strip, self.any_format, self.pixels, strict=self.strict)


def encode(image: Picture, **options: Unpack[EncodeKeywords]) -> bytes:
    """Compress an image without loss; every prefix of the result is a preview.

    Parameters:
        image: a Pillow image of mode 1, L, LA, P, PA, RGB, RGBA or I;16; an array uint8 or uint16, [H, W] or
            [H, W, C]; a tensor uint8 [H, W] or [C, H, W], as `torchvision.io` has them (C is 1 to 4: grey, LA, RGB,
            RGBA); the path of an image file (PNG, JPEG, WebP, GIF, TIFF, BMP, PNM, QOI); or a binary file. 1 to 2^28
            pixels; of files as many as Pillow takes, twice `PIL.Image.MAX_IMAGE_PIXELS`.
        options: fields of `EncodeOptions`.

    Returns:
        The bytes of a .ddpm file. The same image and options give the same bytes on every machine.

    Raises:
        ImageError: the image cannot be coded (32 bits a sample, CMYK, several frames, too large, unreadable), and no
            file is given that is kept whole.
        MissingFileError: no file has that path.
        ModelError: the model is missing, or does not compute exactly here.
        ChecksumError: the result does not decode to the image.
        TypeError, ValueError: an argument has a wrong type, or a value that does not exist.

    Warns:
        UserWarning: an image file holds something that is not kept, such as bytes after its end.

    Source: Ho, Jain & Abbeel 2020, arXiv 2006.11239, section 4.3 (progressive lossy compression); rANS: Duda 2013,
    arXiv 1311.2540.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> data = ddpmcodec.encode(np.zeros((4, 4, 3), np.uint8), effort=1)
    >>> data[:2]
    b'\\xdd\\n'
    """
    chosen = EncodeOptions(**options)
    encoder = encoder_of(chosen)
    return _encoded(encoder, [planes_of(image, chosen.reading)], chosen)[0]


def encode_many(images: Iterable[Picture], **options: Unpack[EncodeKeywords]) -> list[bytes]:
    """`encode` for each image; small ones of the same size are coded together, which is quicker.

    Parameters:
        images: as `encode` takes them, of any sizes; all of them are held in memory.
        options: fields of `EncodeOptions`.

    Returns:
        The bytes of a .ddpm file for each image, in order: the same as one by one.

    Raises:
        ImageError: an image cannot be coded; the error names it by its number, from 1 on.
        ModelError, ChecksumError, TypeError, ValueError: as `encode`.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> images = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 200)]
    >>> files = ddpmcodec.encode_many(images)
    >>> files == [ddpmcodec.encode(image) for image in images]
    True
    """
    chosen = EncodeOptions(**options)
    encoder = encoder_of(chosen)
    return _encoded(encoder, list(numbered(images, chosen.reading)), chosen)


def encode_with(pictures: Sequence[Planes], options: EncodeOptions) -> list[bytes]:
    """Encode images that are read already: `encode_many`, by one value of options."""
    return _encoded(encoder_of(options), pictures, options)


def encoder_of(options: EncodeOptions) -> _native.Encoder:
    """Return an encoder without images. Raises ModelError, TypeError or ValueError, as `encode`."""
    effort, levels, tile = (_whole(name, getattr(options, name)) for name in ("effort", "levels", "tile"))
    if tile == 0 or effort is None:
        raise ValueError("tile must be a multiple of 16 from 64 to 1024, not 0" if tile == 0 else "effort is missing")
    encoder = _native.Encoder(effort=effort, levels=levels, tile=tile or 0, verify=options.verify)
    if (model := registry.find(options.model)) is not None:
        encoder.use_model(model)
    return encoder


def _whole(name: str, value: int | None) -> int | None:
    return None if value is None else whole_number(name, value)


def _encoded(encoder: _native.Encoder, pictures: Sequence[Planes], options: EncodeOptions) -> list[bytes]:
    if not pictures:
        return []
    for planes in pictures:
        _add(encoder, planes)
    _run(encoder, options, is_long=any(planes.kept or planes.original for planes in pictures))
    return [encoder.file(number) for number in range(len(pictures))]


def _add(encoder: _native.Encoder, planes: Planes) -> None:
    if planes.original:
        return encoder.add_jpeg(planes.parsed or _native.read_jpeg(planes.original))
    height, width, _ = planes.colour.shape
    samples = planes.samples
    encoder.add(
        mode=planes.mode, size=(width, height),
        colour=None if samples else np.ascontiguousarray(planes.colour),
        alpha=None if samples or planes.alpha is None else np.ascontiguousarray(planes.alpha),
        samples=np.ascontiguousarray(samples.values) if samples else None,
        sample_bits=samples.source_bits if samples else _native.SAMPLE_BITS,
        metadata=planes.metadata, kept=planes.kept,
    )  # fmt: skip


def _run(encoder: _native.Encoder, options: EncodeOptions, *, is_long: bool) -> None:
    done, event = 0.0, Event.MORE
    while event != Event.DONE:
        stop_if_abandoned()
        event = _advanced(encoder, is_long=is_long)
        if event == Event.NEED_MODEL:
            name = registry.name_of_number(encoder.needed_model)
            encoder.set_model(registry.find(name or ""))
        if options.report is not None:
            for cost in encoder.take_costs():
                options.report(SegmentCost(*cost))
        if options.progress is not None and encoder.done > done:
            options.progress(encoder.done - done)
            done = encoder.done


def _advanced(encoder: _native.Encoder, *, is_long: bool) -> Event:
    """Work for a while. A large file that is kept whole is deflated in one call, however long that takes."""
    if is_long:
        return interruptible(encoder.advance, CALL_SECONDS, thread_count())
    return encoder.advance(CALL_SECONDS, thread_count())
