""".ddpm bytes to images: whole, from a prefix, or many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, bytes_of, check_limits, check_pixels
from ddpmcodec.codec import graphics, originals
from ddpmcodec.codec.batching import BATCH_PIXELS, Progress, batches, reporting
from ddpmcodec.codec.contents import (
    Side,
    check_segments,
    end_of_segment,
    model_for,
    require_step,
    segments_of_steps,
    side_sections,
    steps_done,
    steps_of,
)
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import DAMAGED, SHORT, DecodedTile, Report, decode_tiles, whole_tiles
from ddpmcodec.codec.previews import Canvas
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, TruncatedError
from ddpmcodec.format.ddpm import Box, Header, Sections, covered_by_stream, split
from ddpmcodec.format.sections import preview_alpha
from ddpmcodec.format.streams import WORD_BYTES, Stream, join_lanes, parse_stream
from ddpmcodec.images import Planes, exif_of, to_array, to_image
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import ModelSource, find
from ddpmcodec.parallel import run_all, side_by_side, thread_count


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and how much of it the data held."""

    planes: Planes
    exact: bool  # all of the file was there and its checks passed
    damaged: bool  # a check failed: some of it is not what was encoded, or is left out
    steps_done: int  # steps that every pixel has been through
    steps: int
    bytes_used: int  # of the data, up to the last byte that was needed
    lossy: bool = False  # the file says that it was cut on purpose

    @property
    def image(self) -> Image.Image:
        return to_image(self.planes)


@overload
def decode(
    data: bytes, *, partial: bool = ..., max_bytes: int | None = ..., step: int | None = ..., model: ModelSource = ...,
    max_pixels: int | None = ..., as_array: Literal[False] = ...,
) -> Image.Image: ...  # fmt: skip


@overload
def decode(
    data: bytes, *, partial: bool = ..., max_bytes: int | None = ..., step: int | None = ..., model: ModelSource = ...,
    max_pixels: int | None = ..., as_array: Literal[True],
) -> NDArray[np.uint8]: ...  # fmt: skip


def decode(
    data: bytes,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    as_array: bool = False,
) -> Image.Image | NDArray[np.uint8]:
    """The image, exactly as it was encoded; or a preview. Of a lossy file (`truncate(..., mark=True)`) what it shows.

    Parameters:
        data: the bytes of a .ddpm file.
        partial: accept any prefix of a file that holds its header. A damaged file is shown up to the damage, or without
            its damaged alpha or metadata.
        max_bytes: a preview from so many bytes only; implies `partial`.
        step: a preview after so many steps of the schedule, 0 or more. The data may end behind them.
        model: for files of a model that is not embedded: the path of its file, or a loaded one.
        max_pixels: refuse an image that claims more, before anything of its size is made: a few bytes can claim many,
            and decoding takes time and memory accordingly (docs/reliability.md). None: as many as the format allows.
        as_array: return an array in place of a Pillow image.

    Returns:
        A Pillow image of the mode that was encoded (palettes: RGB or RGBA), with `icc_profile` and `exif` in its
        `info`; or an array uint8 [H, W] (grey, and bilevel as 0 and 255) or [H, W, C] (LA, RGB, RGBA) that can be
        written to. Previews are not exact: they may differ between machines. Of a stored JPEG file it is what
        Pillow's decoder makes of it, and a prefix shows its mean colour only; `decode_original` gives the file.

    Raises:
        TruncatedError: bytes are missing, and no preview is asked for.
        ChecksumError, CorruptError: the data is damaged.
        FormatError: not a .ddpm file, or another version of the format. The three above derive from it.
        ImageError: more than `max_pixels`.
        ModelError: the model is missing, or is not the one the file was written with.
        DdpmError: the file is a JPEG that JPEG XL codes, and imagecodecs is missing.
        TypeError, ValueError: an argument of another kind; a negative limit.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> noise = np.random.default_rng(0).integers(0, 9, (24, 32, 3))
    >>> image = (noise + 5 * np.arange(32)[:, None]).astype(np.uint8)
    >>> data = ddpmcodec.encode(image)
    >>> np.array_equal(ddpmcodec.decode(data, as_array=True), image)
    True
    >>> ddpmcodec.decode(data, max_bytes=len(data) // 2).size
    (32, 24)
    """
    decoded = decode_details(data, partial=partial, max_bytes=max_bytes, step=step, model=model, max_pixels=max_pixels)
    return to_array(decoded.planes) if as_array else decoded.image


def decode_details(
    data: bytes,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    report: Report | None = None,
    denoise: bool = True,
) -> Decoded:
    """`decode`, with an account of how much was there. denoise: previews by the model's denoiser; report: what every
    segment took."""
    check_limits(max_bytes=max_bytes, step=step, max_pixels=max_pixels)
    data = bytes_of(data)
    if max_bytes is not None:
        data, partial = data[:max_bytes], True
    file = split(data)
    _check_size(file, max_pixels)
    if not partial and step is None and not file.is_lossy:
        return decode_files([file], find(model), progress, report)[0]
    return _preview(file, find(model), partial or file.is_lossy, step, progress, report, denoise)


@overload
def decode_many(
    datas: Iterable[bytes], *, model: ModelSource = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
    as_array: Literal[False] = ...,
) -> list[Image.Image]: ...  # fmt: skip


@overload
def decode_many(
    datas: Iterable[bytes], *, model: ModelSource = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
    as_array: Literal[True],
) -> list[NDArray[np.uint8]]: ...  # fmt: skip


def decode_many(
    datas: Iterable[bytes],
    *,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    as_array: bool = False,
) -> list[Image.Image] | list[NDArray[np.uint8]]:
    """`decode` for each file; small ones of the same size are decoded together, which is quicker.

    Parameters:
        datas: the bytes of whole .ddpm files, or of lossy ones.
        model, max_pixels: as of `decode`, for each file.
        progress: called with the number of pixels done since the last call.
        as_array: give arrays, as `decode` does.

    Returns:
        A Pillow image, or an array, for each file, in order.

    Raises:
        FormatError, ImageError, ModelError, TypeError: as `decode`, for the first file that is wrong.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> files = ddpmcodec.encode_many([np.full((4, 4), value, np.uint8) for value in (0, 100)])
    >>> [image.getpixel((0, 0)) for image in ddpmcodec.decode_many(files)]
    [0, 100]
    """
    check_limits(max_pixels=max_pixels)
    files = [split(bytes_of(data)) for data in datas]
    for file in files:
        _check_size(file, max_pixels)
    given = find(model)
    whole = iter(decode_files([file for file in files if not file.is_lossy], given, progress))
    found = [
        _preview(file, given, True, None, progress, None, True) if file.is_lossy else next(whole) for file in files
    ]
    return [to_array(decoded.planes) for decoded in found] if as_array else [decoded.image for decoded in found]


def _check_size(file: Sections, max_pixels: int | None) -> None:
    check_pixels("the header", file.header.width, file.header.height, max_pixels)


class _Tile(NamedTuple):
    """A part of one of the files that is decoded on its own."""

    file: int
    number: int
    box: Box
    model: ContextModel


def decode_files(
    files: Sequence[Sections], given: ContextModel | None, progress: Progress | None, report: Report | None = None
) -> list[Decoded]:
    """Whole files. Raises TruncatedError, ChecksumError or CorruptError for the first that is not."""
    for file in files:
        file.require_whole()
        check_segments(file.header)
    sides = [side_sections(file, False) for file in files]  # before the network runs: damage is reported at once
    colours = [_canvas(file.header) for file in files]
    tiles = []
    for n, file in enumerate(files):
        if file.header.stored:
            colours[n], sides[n] = _stored(file, sides[n])
            if progress is not None:
                progress(file.header.width * file.header.height)
        else:
            model = model_for(file.header, given)
            tiles += [_Tile(n, number, box, model) for number, box in enumerate(file.header.boxes())]

    def decode_batch(batch: list[int]) -> None:
        first = tiles[batch[0]]
        shape = colours[first.file][first.box].shape
        streams = [streams_of(files[tiles[i].file], tiles[i].number) for i in batch]
        covered = [covered_by_stream(files[tiles[i].file].header) for i in batch]
        reported = reporting(progress, shape[0] * shape[1], report)
        coding, size = Coding.of(files[first.file].header), (shape[0], shape[1], shape[2])
        images = whole_tiles(streams, size, first.model, coding, covered=covered, report=reported)
        for i, pixels in zip(batch, images, strict=True):
            colours[tiles[i].file][tiles[i].box] = pixels

    keys = [_key(tile, files[tile.file].header, colours[tile.file]) for tile in tiles]
    run_all(decode_batch, batches(keys), side_by_side(max([BATCH_PIXELS, *(pixels for pixels, _ in keys)])))
    return [
        Decoded(
            Planes(file.header.mode, colour, side.alpha, side.icc, side.exif, side.original), True, False,
            steps_of(file.header), steps_of(file.header), file.size,
        )
        for file, colour, side in zip(files, colours, sides, strict=True)
    ]  # fmt: skip


def _canvas(header: Header) -> NDArray[np.uint8]:
    return np.empty((header.height, header.width, header.channels), np.uint8)


def _key(tile: _Tile, header: Header, colour: NDArray[np.uint8]) -> tuple[int, tuple[object, ...]]:
    height, width, channels = colour[tile.box].shape
    return height * width, (height, width, channels, Coding.of(header), tile.model.id, header.index is None)


def _preview(
    file: Sections, given: ContextModel | None, partial: bool, step: int | None, progress: Progress | None,
    report: Report | None, denoise: bool,
) -> Decoded:  # fmt: skip
    """A file as far as it is there, or wanted."""
    header = file.header
    check_segments(header)
    if not partial:
        require_step(file, step or 0)
    side = side_sections(file, partial)
    if header.stored:
        return _stored_preview(file, side, partial)
    model, steps, coding = model_for(header, given), steps_of(header), Coding.of(header)
    last = None if step is None else segments_of_steps(header, step)
    canvas = Canvas(header.height, header.width, header.channels)

    def decode_tile(numbered: tuple[int, Box]) -> DecodedTile | None:
        number, box = numbered
        rows, columns = box
        shape = rows.stop - rows.start, columns.stop - columns.start, header.channels
        if last == 0:
            return None
        try:
            streams = streams_of(file, number)
        except TruncatedError:
            return None
        except CorruptError:
            if not partial:
                raise
            return None
        (tile,) = decode_tiles(
            [streams], shape, model, coding, covered=[covered_by_stream(header)], last_segment=last, for_previews=True,
            is_cut=_is_cut(file, number), report=reporting(progress, shape[0] * shape[1], report),
        )  # fmt: skip
        canvas.place(box, tile.coder, tile.pixels, threads=thread_count())
        return replace(tile, coder=None)

    boxes = header.boxes()
    width, height = header.tile_size
    found = run_all(decode_tile, list(enumerate(boxes)), side_by_side(width * height))
    exact = all(tile is not None and tile.pixels is not None for tile in found)
    done = min(steps_done(header, tile.segments_done) if tile else 0 for tile in found)
    unfinished = [last != 0 and (tile is None or (tile.pixels is None and last is None)) for tile in found]
    damaged = side.damaged or any(
        file.tile_is_damaged(n) or (tile is not None and tile.damaged) or (unfinished[n] and _is_all_there(file, n))
        for n, tile in enumerate(found)
    )
    if not partial and (damaged or done < min(step or 0, steps)):
        file.require_whole()
        raise TruncatedError(SHORT) if header.is_plain and not damaged else ChecksumError(DAMAGED)
    pixels = canvas.pixels(model.denoiser if denoise else None, thread_count())
    used = file.size if exact else _bytes_used(file, step, found)
    planes = Planes(header.mode, pixels, side.alpha, side.icc, side.exif or exif_of(header.orientation))
    whole = exact and not damaged and not file.missing and not file.ends_in_a_word
    return Decoded(planes, whole, damaged, done, steps, used, file.is_lossy)


def streams_of(file: Sections, tile: int, segments: int | None = None) -> list[Stream]:
    """Of a tile its only stream, or its lanes, as far as they are there; segments: as far as so many hold them. Raises
    TruncatedError where nothing is there, and CorruptError for what is no stream."""
    try:
        if file.header.index is None:
            return [parse_stream(file.payload, file.header.state_bytes)]
        chunks = file.tile_chunks(tile)[:segments]
        if not chunks:
            raise TruncatedError(f"tile {tile + 1} has not begun: get the rest, or decode a preview with partial=True")
        return join_lanes(chunks)
    except (TruncatedError, CorruptError):
        raise
    except FormatError as error:
        raise CorruptError(str(error)) from error


def _is_cut(file: Sections, tile: int) -> bool | None:
    """Whether words of a tile are missing; None of a plain file, which does not say."""
    segments = file.header.index.segments if file.header.index else 1
    return None if file.header.is_plain else file.segments_of_tile(tile) < segments


def _is_all_there(file: Sections, tile: int) -> bool:
    """As far as its lengths say: a plain file has none."""
    return not file.header.is_plain and not file.tile_is_cut(tile) and not file.tile_is_damaged(tile)


def _stored(file: Sections, side: Side) -> tuple[NDArray[np.uint8], Side]:
    """The colours of a whole file of another format, and all that is beside them."""
    if file.header.is_jpeg:
        jpeg = originals.unpack(file.payload, file.header)
        planes = originals.planes_of(jpeg, file.header)
        return planes.colour, Side(None, planes.icc, planes.exif, False, jpeg)
    colour, alpha = graphics.unpack(file.payload, file.header)
    return colour, side._replace(alpha=alpha)


def _stored_preview(file: Sections, side: Side, partial: bool) -> Decoded:
    header = file.header
    colour, exact, damaged = graphics.flat(header), False, side.damaged
    if len(file.payload) == header.payload_length:
        try:
            colour, side = _stored(file, side)
            exact = True
        except FormatError:
            if not partial:
                raise
            damaged = True
    if header.has_alpha and not exact:
        side = side._replace(alpha=preview_alpha(b"", header.height, header.width))
    whole = exact and not file.missing and not damaged
    exif = side.exif or exif_of(header.orientation)
    planes = Planes(header.mode, colour, side.alpha, side.icc, exif, side.original)
    return Decoded(planes, whole, damaged, int(exact), 1, file.size, file.is_lossy)


def _bytes_used(file: Sections, step: int | None, found: Sequence[DecodedTile | None]) -> int:
    header = file.header
    if header.index is None:
        stream = header.state_bytes + WORD_BYTES * found[0].words_used if found[0] else 0
        return min(file.size, end_of_segment(file, 0) + stream)
    return file.size if step is None else min(file.size, end_of_segment(file, segments_of_steps(header, step)))
