"""Encodes images to .ddpm bytes, one or many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ddpmcodec._native import CoefficientModel, encode_low_bits
from ddpmcodec.arguments import whole_number
from ddpmcodec.codec import graphics, known_answer
from ddpmcodec.codec.decoding import decode_files
from ddpmcodec.codec.efforts import Coding, check_coding, parts_of_segments, segments
from ddpmcodec.codec.jpeg import JpegFacts, encode_jpeg
from ddpmcodec.codec.model_selection import selected_models
from ddpmcodec.codec.passes import BATCH_PIXELS, Progress, Report, Tile, batches, encode_tiles, reporting
from ddpmcodec.codec.reading import Picture, Reading, numbered, planes_of
from ddpmcodec.errors import ChecksumError, FormatError
from ddpmcodec.format.ddpm import assemble, covered_by_stream, pack_coded_alpha
from ddpmcodec.format.header import (
    DEFAULT_EFFORT,
    DEFAULT_LEVELS,
    LEAST_SIDE,
    MOST_SIDE,
    SIDE_STEP,
    Box,
    Header,
)
from ddpmcodec.format.sections import pack_alpha, pack_kept, pack_low_bits, pack_metadata
from ddpmcodec.format.tiles import pack_chunk, pack_state, plan_index
from ddpmcodec.formats.deep import Samples
from ddpmcodec.formats.images import Planes
from ddpmcodec.formats.metadata import orientation_of
from ddpmcodec.models import THUMBNAIL_PIXELS, jpeg, registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import Model, ModelSource, find, short_id
from ddpmcodec.parallel import run_all, side_by_side


def encode(
    image: Picture,
    *,
    effort: int = DEFAULT_EFFORT,
    levels: int | None = None,
    model: ModelSource = None,
    strip: bool = False,
    any_format: bool = False,
    pixels: bool = False,
    tile: int | None = None,
    strict: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    report: Report | None = None,
) -> bytes:
    """Compress an image without loss; every prefix of the result is a preview.

    Parameters:
        image: a Pillow image of mode 1, L, LA, P, PA, RGB, RGBA or I;16; an array uint8 or uint16, [H, W] or
            [H, W, C]; a tensor uint8 [H, W] or [C, H, W], as `torchvision.io` has them (C is 1 to 4: grey, LA, RGB,
            RGBA); the path of an image file (PNG, JPEG, WebP, GIF, TIFF, BMP, PNM, QOI); or a binary file. A
            JPEG file may be CMYK, and decodes to the RGB that Pillow makes of it. 1 to 2^28 pixels; of files as many as
            Pillow takes, twice `PIL.Image.MAX_IMAGE_PIXELS`.
        effort: 1, 2 or 3: small, medium or large networks. Larger ones make smaller files, and take more time in both
            directions. 0 is the fastest: without noise levels it takes a quarter of the time of 1; with them, for JPEG
            files and by models without a network of effort 0 it is as 1.
        levels: noise levels before exact pixels. 0: none, the smallest file, whose prefixes show the upper part of the
            image; 1: the first tenth of the file shows all of it; 2: longer prefixes are better everywhere; 5: the best
            previews. None: 1, but 0 at effort 0, for graphics that repeat themselves and for smooth drawings. A
            JPEG file has at most so many levels of cells, three, nine or 27 steps wide, as its steps are small; with 0,
            prefixes become sharp frequency after frequency.
        model: None (an embedded one: `photo`, or for a thumbnail of up to 4,096 pixels `cifar10`, or `photo`
            where that clearly takes fewer bytes; it is not tried at effort 2 with noise levels, where its networks are
            much smaller), the name of an embedded one, the path of a model file, or a loaded one. A model of JPEG
            coefficients codes JPEG files, one of pixels all other images; the rest is coded by embedded models.
        strip: leave out ICC profile, XMP, and EXIF but for its orientation; of a JPEG file, code its pixels without
            them.
        any_format: take files of all formats that Pillow reads, even where it may leave out some of what they hold.
        pixels: code the pixels of a JPEG file or a lossy WebP, which takes several times its bytes; every prefix is a
            preview then. False: of a path or binary file that is a JPEG, networks code the coefficients, and a lossy
            WebP is kept whole with a small preview; `decode_original` gives them back byte for byte.
        tile: cut an image into square tiles of so many pixels a side, a multiple of 16 from 64 to 1,024, of which
            `decode(..., box=)` reads and decodes those that it touches. Small tiles make larger files. None: tiles of
            up to 2^19 pixels.
        strict: refuse image files whose pixels cannot be coded. False: a path or binary file of several frames, more
            than 16 bits a sample, CMYK, a JPEG that its coefficients do not rebuild, a format that is not read or read
            in part, or one that is damaged, is kept whole with a small preview; `decode_original` gives it back. With
            `strip` they are refused, too.
        verify: decode the result and compare it with the image.
        progress: called with the number of pixels done since the last call, from several threads at a time. Where they
            are verified, all are counted twice: coded, and decoded.
        report: called with a `codec.SegmentCost` (bits, seconds) after every segment.

    Returns:
        The bytes of a .ddpm file. The same image, effort, levels and model give the same bytes on every machine; alpha
        and metadata also need the same zlib for that, and files that are kept whole the same libwebp.

    Raises:
        ImageError: the image cannot be coded (32 bits a sample, CMYK, several frames, too large, unreadable), and no
            file is given that is kept whole.
        MissingFileError: no file has that path.
        ModelError: the model is missing, or does not compute exactly here.
        ChecksumError: the result does not decode to the image.
        TypeError, ValueError: an argument of another type; an effort or levels that there are not.

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
    wanted = _wanted(effort, levels, model, tile, verify, progress, report)
    return _encode([planes_of(image, Reading(strip, any_format, pixels, strict=strict))], wanted)[0]


def encode_many(
    images: Iterable[Picture],
    *,
    effort: int = DEFAULT_EFFORT,
    levels: int | None = None,
    model: ModelSource = None,
    strip: bool = False,
    any_format: bool = False,
    pixels: bool = False,
    tile: int | None = None,
    strict: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    report: Report | None = None,
) -> list[bytes]:
    """`encode` for each image; small ones of the same size are coded together, which is quicker.

    Parameters:
        images: as `encode` takes them, of any sizes; all of them are held in memory.
        effort, levels, model, strip, any_format, pixels, tile, strict, verify, progress, report: as in `encode`.

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
    wanted = _wanted(effort, levels, model, tile, verify, progress, report)
    return _encode(list(numbered(images, Reading(strip, any_format, pixels, strict=strict))), wanted)


def tile_side(tile: int | None) -> int | None:
    """The side of tiles. Raises ValueError unless they can have it, and TypeError for what is no whole number."""
    if tile is None:
        return None
    side = whole_number("tile", tile)
    if not LEAST_SIDE <= side <= MOST_SIDE or side % SIDE_STEP:
        raise ValueError(f"tile must be a multiple of {SIDE_STEP} from {LEAST_SIDE} to {MOST_SIDE}, not {side}")
    return side


class _EncodeOptions(NamedTuple):
    """How images are to be encoded: arguments of `encode`, checked.

    given: the model; None: embedded ones. may_leave_levels: whether graphics may be coded without levels.
    """

    coding: Coding
    may_leave_levels: bool
    given: Model | None
    tile: int | None
    verify: bool
    progress: Progress | None
    report: Report | None

    @property
    def context(self) -> ContextModel | None:
        """The model of pixels; None: embedded ones."""
        return self.given if isinstance(self.given, ContextModel) else None

    @property
    def coefficients(self) -> CoefficientModel:
        """The model of JPEG coefficients."""
        return self.given if isinstance(self.given, CoefficientModel) else jpeg.embedded()


def _wanted(
    effort: int, levels: int | None, model: ModelSource, tile: int | None, verify: bool,
    progress: Progress | None, report: Report | None,
) -> _EncodeOptions:  # fmt: skip
    """Raises ModelError, TypeError or ValueError, as `encode`."""
    default = DEFAULT_LEVELS if effort else 0  # effort 0 is fast without levels only
    coding, side = check_coding(effort, default if levels is None else levels), tile_side(tile)
    return _EncodeOptions(coding, levels is None, find(model), side, verify, progress, report)


class _Part(NamedTuple):
    """A tile: a part of one of the pictures that is coded on its own."""

    picture: int
    box: Box
    model: ContextModel
    coding: Coding
    lanes: bool
    covered: bytes


def _encode(pictures: Sequence[Planes], wanted: _EncodeOptions) -> list[bytes]:
    models = [wanted.context] * len(pictures) if wanted.context else _models_of(pictures, wanted.coding)
    codings = run_all(lambda n: _coding(pictures[n], models[n], wanted), range(len(pictures)))
    files = _files(pictures, models, codings, wanted)
    if wanted.verify:
        known_answer.require()
        _verify(files, pictures, wanted.given, wanted.progress)
    return files


def _coding(planes: Planes, model: ContextModel, wanted: _EncodeOptions) -> Coding:
    """The coding of a picture: of graphics by repeats, and, unless the caller chose them, without noise levels."""
    if planes.original:
        return wanted.coding
    coding = wanted.coding._replace(repeats=graphics.has_repeats(planes.colour, model))
    if not coding.levels or not wanted.may_leave_levels:
        return coding
    is_costly = coding.repeats or graphics.are_levels_costly(planes.colour, model)
    return coding._replace(levels=0) if is_costly else coding


def _files(
    pictures: Sequence[Planes], models: Sequence[ContextModel], codings: Sequence[Coding], wanted: _EncodeOptions
) -> list[bytes]:
    headers = [
        _header(planes, coding, model, wanted.tile)
        for planes, coding, model in zip(pictures, codings, models, strict=True)
    ]
    tiles = _tiles(pictures, headers, models, wanted)
    alphas = _alphas(pictures, headers, models, wanted)
    return run_all(lambda n: _file(pictures[n], headers[n], tiles[n], alphas[n], wanted), range(len(pictures)))


def _tiles(
    pictures: Sequence[Planes], headers: Sequence[Header], models: Sequence[ContextModel], wanted: _EncodeOptions
) -> list[list[Tile]]:
    """The tiles of each picture, in coding order; none of a JPEG file."""
    coded = (n for n, planes in enumerate(pictures) if not planes.original)
    parts = [part for n in coded for part in _parts(n, headers[n], models[n])]
    tiles: list[list[Tile]] = [[] for _ in pictures]
    for part, tile in zip(parts, _encode_parts(parts, pictures, wanted), strict=True):
        tiles[part.picture].append(tile)
    return tiles


def _alphas(
    pictures: Sequence[Planes], headers: Sequence[Header], models: Sequence[ContextModel], wanted: _EncodeOptions
) -> list[bytes]:
    """The alpha section of each picture: deflated, or coded if that is smaller. A plane of one value is always
    deflated: decoders make small images of coarse bands then."""
    planes_of_alpha = [planes.alpha for planes in pictures]
    sections = run_all(lambda plane: b"" if plane is None else pack_alpha(plane), planes_of_alpha)
    varying = [n for n, plane in enumerate(planes_of_alpha) if plane is not None and plane.min() != plane.max()]
    greys = [Planes("L", np.ascontiguousarray(pictures[n].alpha)[..., None], None) for n in varying]
    chosen = [models[n] for n in varying]
    repeats = run_all(lambda k: graphics.has_repeats(greys[k].colour, chosen[k]), range(len(varying)))
    heads = [_header_of_alpha(headers[n], repeats=by) for n, by in zip(varying, repeats, strict=True)]
    quiet = wanted._replace(progress=None, report=None)
    tiles = _tiles(greys, heads, chosen, quiet)
    for n, head, of_plane in zip(varying, heads, tiles, strict=True):
        sections[n] = min(sections[n], pack_coded_alpha(head, _assembled(head, of_plane)), key=len)
    return sections


def _header_of_alpha(header: Header, *, repeats: bool) -> Header:
    """The header of the alpha plane of an image as grey levels, without noise levels, in the tiles of the image."""
    return Header(
        "L", header.width, header.height, header.effort, 0, header.model_number, header.model_id, index=header.index,
        repeats=repeats,
    )  # fmt: skip


def _models_of(pictures: Sequence[Planes], coding: Coding) -> list[ContextModel]:
    """The embedded model for each picture."""
    thumbnails = [planes.colour for planes in pictures if _is_tried(planes)]
    chosen = iter(selected_models(thumbnails, coding))
    return [next(chosen) if _is_tried(planes) else registry.default(_pixels(planes)) for planes in pictures]


def _is_tried(planes: Planes) -> bool:
    return _pixels(planes) <= THUMBNAIL_PIXELS and not planes.original


def _file(planes: Planes, header: Header, tiles: Sequence[Tile], alpha: bytes, wanted: _EncodeOptions) -> bytes:
    if planes.original:
        return _file_of_jpeg(planes, header, wanted)
    beside = TrailingSections(pack_metadata(planes.metadata), b"" if planes.kept is None else pack_kept(planes.kept))
    beside = beside._replace(low_bits=_low_bits(planes, header))
    return _assembled(header, tiles, alpha, beside)


class TrailingSections(NamedTuple):
    """Sections that follow the payload."""

    metadata: bytes = b""
    kept: bytes = b""
    low_bits: bytes = b""


NO_SECTIONS = TrailingSections()


def _low_bits(planes: Planes, header: Header) -> bytes:
    """The section of the low bits of samples that have more than 8 bits."""
    if planes.samples is None or not planes.samples.low_bits:
        return b""
    high, low, bits = planes.samples.high(), planes.samples.low(), planes.samples.low_bits

    def stream(box: Box) -> bytes:
        return encode_low_bits(np.ascontiguousarray(high[box]), np.ascontiguousarray(low[box]), bits)

    return pack_low_bits(run_all(stream, header.boxes()))


def _file_of_jpeg(planes: Planes, header: Header, wanted: _EncodeOptions) -> bytes:
    facts = JpegFacts(planes.mode, header.width, header.height, header.orientation)
    return encode_jpeg(planes.original, facts, wanted.coefficients, wanted.coding, wanted.tile, wanted.progress)


def _pixels(planes: Planes) -> int:
    height, width, _ = planes.colour.shape
    return int(height * width)


def _header(planes: Planes, coding: Coding, model: ContextModel, side: int | None) -> Header:
    """The header without lengths; that of metadata says only whether there are any. side: of tiles, where the caller
    chooses it."""
    height, width, _ = planes.colour.shape
    return Header(
        planes.mode, width, height, coding.effort, coding.levels, model.number, short_id(model),
        index=plan_index(width, height, len(segments(coding.levels, height, width)), side, repeats=coding.repeats),
        metadata_length=int(any(planes.metadata)), kept_length=int(planes.kept is not None),
        orientation=orientation_of(planes.metadata.exif), repeats=coding.repeats, **_of_samples(planes.samples),
    )  # fmt: skip


def _of_samples(samples: Samples | None) -> dict[str, Any]:
    """Fields of a header. The length of low bits says only whether there are any."""
    if samples is None:
        return {}
    facts = {"bits": samples.bits, "source_bits": samples.source_bits, "scaling": samples.scaling}
    return facts | {"low_bits_length": int(samples.low_bits > 0)}


def _parts(number: int, header: Header, model: ContextModel) -> list[_Part]:
    lanes, covered = header.index is not None, covered_by_stream(header)
    return [_Part(number, box, model, Coding.of(header), lanes, covered) for box in header.boxes()]


def _encode_parts(parts: Sequence[_Part], pictures: Sequence[Planes], wanted: _EncodeOptions) -> list[Tile]:
    tiles: dict[int, Tile] = {}

    def encode_batch(batch: list[int]) -> None:
        first, covered = parts[batch[0]], [parts[i].covered for i in batch]
        pixels = np.stack([pictures[parts[i].picture].colour[parts[i].box] for i in batch])
        reported = reporting(wanted.progress, wanted.report)
        encoded = encode_tiles(pixels, first.model, first.coding, lanes=first.lanes, covered=covered, report=reported)
        tiles.update(zip(batch, encoded, strict=True))

    keys = [_key(part, pictures[part.picture]) for part in parts]
    run_all(encode_batch, batches(keys), side_by_side(max([BATCH_PIXELS, *(pixels for pixels, _ in keys)])))
    return [tiles[i] for i in range(len(parts))]


def _key(part: _Part, planes: Planes) -> tuple[int, tuple[object, ...]]:
    height, width, channels = planes.colour[part.box].shape
    return height * width, (height, width, channels, part.model.id, part.coding, part.lanes)


def _assembled(
    header: Header, tiles: Sequence[Tile], alpha: bytes = b"", beside: TrailingSections = NO_SECTIONS
) -> bytes:
    if header.index is None:
        (state,), (words,) = tiles[0]
        packed = pack_state(state)
        return assemble(replace(header, state_bytes=len(packed)), alpha, packed + b"".join(words), *beside)
    parts = parts_of_segments(header)
    chunks = zip(*(_chunks(tile, parts) for tile in tiles), strict=True)
    return assemble(header, alpha, [chunk for segment in chunks for chunk in segment], *beside)


def _chunks(tile: Tile, parts: Sequence[int]) -> list[bytes]:
    """The chunks of a tile, one for each segment: what all lanes have of its parts. parts: of each segment."""
    lanes_of_parts = zip(*tile.words, strict=True)
    first, *others = [list(islice(lanes_of_parts, count)) for count in parts]
    return [pack_chunk(first, tile.states), *map(pack_chunk, others)]


def _verify(files: Sequence[bytes], pictures: Sequence[Planes], given: Model | None, progress: Progress | None) -> None:
    """Raises ChecksumError unless a decoder that knows only the bytes finds every image."""
    remedy = "nothing was kept of it; this is a defect, please report it with the image"
    try:
        decoded_files = decode_files(files, given, progress)
    except FormatError as error:
        raise ChecksumError(f"an encoded image does not decode ({error}): {remedy}") from error
    for number, (decoded, picture) in enumerate(zip(decoded_files, pictures, strict=True), start=1):
        if not decoded.planes.equals(picture):
            raise ChecksumError(f"image {number} of {len(files)} does not decode to what was encoded: {remedy}")
