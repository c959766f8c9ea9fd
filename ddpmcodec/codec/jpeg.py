"""JPEG files, which come back byte for byte: networks code their quantised coefficients, from low to high frequencies.

The recipe rebuilds the rest of the file. Tiles of whole MCUs do not depend on each other, and run on all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from ddpmcodec import _native
from ddpmcodec._native import BLOCK_SIDE, CRC16_BYTES, CRC32_BYTES, CoefficientModel, CoefficientTile
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import CALL_SECONDS, Progress
from ddpmcodec.errors import CorruptError, FormatError, ImageError
from ddpmcodec.format.ddpm import assemble, crc16
from ddpmcodec.format.header import COEFFICIENTS, Box, Header
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.tiles import TILE_PIXELS, plan_jpeg_index
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.formats.image_files import claimed_shape, load_image
from ddpmcodec.formats.images import Planes, shown_mode, shown_planes
from ddpmcodec.models.registry import short_id
from ddpmcodec.parallel import interruptible, run_all, side_by_side, stop_if_abandoned


class JpegFacts(NamedTuple):
    """What the header of a file says of its JPEG."""

    mode: str
    width: int
    height: int
    orientation: int


def encode_jpeg(
    jpeg: bytes, facts: JpegFacts, model: CoefficientModel, coding: Coding, side: int | None, progress: Progress | None
) -> bytes:
    """Return the .ddpm file of a JPEG file.

    Parameters:
        coding: of its levels, as many are taken as suit the JPEG's steps.
        side: of square tiles, if the caller chose it.
        progress: called with the pixels' worth of work done since the last call.

    Raises:
        FormatError: it cannot be rebuilt from coefficients (see `can_rebuild`).
    """
    image, frame, recipe = interruptible(_native.parse_jpeg, jpeg)
    header = _header(facts, image, model, coding, side)
    chunks = _encoded(image, header, model, progress)
    return assemble(header, crc16(frame).to_bytes(CRC16_BYTES, "little") + frame, chunks, _deflated(recipe))


def _header(
    facts: JpegFacts, image: _native.Coefficients, model: CoefficientModel, coding: Coding, side: int | None
) -> Header:
    levels = image.suited_levels(coding.levels)
    horizontal, vertical = (max(factors) * BLOCK_SIDE for factors in zip(*image.factors, strict=True))
    return Header(
        facts.mode, facts.width, facts.height, max(coding.effort, 1), levels, model.number, short_id(model),
        kind=COEFFICIENTS, orientation=facts.orientation, frame_length=1, recipe_length=1,
        index=plan_jpeg_index(facts.width, facts.height, (horizontal, vertical), side),
    )  # fmt: skip


def _encoded(
    image: _native.Coefficients, header: Header, model: CoefficientModel, progress: Progress | None
) -> list[bytes]:
    """The chunks of all tiles, segment after segment."""

    def encode_tile(box: Box) -> Sequence[bytes]:
        rows, columns = box
        corners = columns.start, rows.start, columns.stop, rows.stop
        tile = CoefficientTile(model, header.effort, header.levels, image, corners)
        share = _pixels(corners) / header.segments
        for segment in range(header.segments):
            _run(tile, segment + 1)
            if progress is not None:
                progress(share)
        return tile.chunks()

    tiles = run_all(encode_tile, header.boxes(), side_by_side(TILE_PIXELS))
    return [chunk for segment in zip(*tiles, strict=True) for chunk in segment]


def _run(tile: CoefficientTile, segment: int) -> None:
    while not tile.advance(segment, CALL_SECONDS):
        stop_if_abandoned()


def _pixels(box: tuple[int, int, int, int]) -> int:
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def _deflated(recipe: bytes) -> bytes:
    """The recipe with its items deflated, if that is shorter."""
    reader = Reader(recipe, "the recipe")
    size = reader.varint()
    check = reader.take(CRC32_BYTES)
    items = recipe[reader.position :]
    return min(recipe, pack_varint(size | 1) + check + deflate(items), key=len)


def can_rebuild(jpeg: bytes, size: tuple[int, int]) -> bool:
    """Return whether coefficients and a recipe give a JPEG file back, byte for byte. Arithmetic coding is not read.

    Parameters:
        size: width and height of its pixels, as they are decoded.
    """
    try:
        image, _, _ = interruptible(_native.parse_jpeg, jpeg)
    except FormatError:
        return False
    return (image.width, image.height) == size


# --- pixels


def planes_of_jpeg(jpeg: bytes, expected: tuple[str, int, int]) -> Planes:
    """The image of a JPEG file by this machine's decoder. expected: mode, width and height. Raises CorruptError."""
    pixels = expected[1] * expected[2]  # which were allowed
    shape = claimed_shape(BytesIO(jpeg), ("JPEG",), pixels)  # before there are many pixels, or those of another format
    if shape is None:
        raise CorruptError("the JPEG inside the file is none: get the file again")
    width, height, mode = shape
    if (shown_mode(mode), width, height) != expected:
        raise CorruptError(f"the JPEG inside the file is {width} x {height} {mode}: get the file again")
    try:
        return shown_planes(load_image(jpeg, "the JPEG inside the file", max_pixels=pixels))
    except ImageError as error:
        raise CorruptError(f"{error}; get the file again") from error
