"""JPEG files whose quantised coefficients networks code, from low to high frequencies.

The recipe says what else rebuilds the file byte for byte. Tiles of whole MCUs depend on none of each other, and run on
all threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ddpmcodec import _native
from ddpmcodec._native import (
    CRC16_BYTES,
    CRC32_BYTES,
    RECIPE_TAG,
    CoefficientModel,
    CoefficientTile,
    Container,
)
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import CALL_SECONDS, Progress
from ddpmcodec.errors import FormatError
from ddpmcodec.format.ddpm import assemble, crc16
from ddpmcodec.format.header import COEFFICIENTS, Box, Header
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.tiles import TILE_PIXELS, plan_jpeg_index
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.models.registry import short_id
from ddpmcodec.parallel import interruptible, run_all, side_by_side, stop_if_abandoned

BLOCK_SIDE = 8  # pixels


class JpegFacts(NamedTuple):
    """What the header of a file says of its JPEG."""

    mode: str
    width: int
    height: int
    orientation: int


def encode_jpeg(
    jpeg: bytes, facts: JpegFacts, model: CoefficientModel, coding: Coding, side: int | None, progress: Progress | None
) -> bytes | None:
    """Return the .ddpm file of a JPEG file, or None if it cannot be rebuilt from coefficients.

    Parameters:
        coding: with levels, as many are taken as suit the JPEG's steps.
        side: of square tiles, if the caller chose it.
        progress: called with the pixels' worth of work done since the last call.
    """
    try:
        image, frame, recipe = interruptible(_native.parse_jpeg, jpeg)
    except FormatError:
        return None
    if (image.width, image.height) != (facts.width, facts.height):
        return None
    header = _header(facts, image, model, coding, side)
    chunks = _encoded(image, header, model, progress)
    return assemble(header, crc16(frame).to_bytes(CRC16_BYTES, "little") + frame, chunks, _deflated(recipe))


def length_of(file: Container) -> int | None:
    """Return how many bytes the JPEG file has; None if its recipe is not there."""
    try:
        return Reader(file.bytes(*file.header.section(RECIPE_TAG)), "the recipe of the JPEG file").varint() >> 1
    except FormatError:
        return None


def _header(
    facts: JpegFacts, image: _native.Coefficients, model: CoefficientModel, coding: Coding, side: int | None
) -> Header:
    levels = image.suited_levels if coding.levels else 0
    horizontal, vertical = (max(factors) * BLOCK_SIDE for factors in zip(*image.factors, strict=True))
    return Header(
        facts.mode, facts.width, facts.height, coding.effort, levels, model.number, short_id(model), kind=COEFFICIENTS,
        orientation=facts.orientation, frame_length=1, recipe_length=1,
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
