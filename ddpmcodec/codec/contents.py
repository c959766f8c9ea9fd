"""What a file says beside its pixels: its steps and segments, model, alpha and metadata."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.codec.efforts import CELLS, Coding, noise_of, parts_of_segments, segments
from ddpmcodec.errors import CorruptError, FormatError, TruncatedError
from ddpmcodec.format.alpha import preview_alpha, unpack_alpha
from ddpmcodec.format.ddpm import Sections
from ddpmcodec.format.header import Box, Header
from ddpmcodec.format.sections import Metadata, unpack_metadata
from ddpmcodec.format.streams import Stream, join_lanes, parse_stream
from ddpmcodec.images import Planes
from ddpmcodec.metadata import exif_of
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import written_with


def steps_of(header: Header) -> int:
    return 1 if header.stored else Coding.of(header).steps


def segments_of_steps(header: Header, step: int) -> int:
    """How many segments the first `step` steps have. Stored files of other formats have none."""
    if header.stored:
        return 0
    return sum(part.step < step for part in segments(header.levels, header.height, header.width))


def steps_done(header: Header, done: int) -> int:
    """How many steps so many segments complete."""
    return max(step for step in range(steps_of(header) + 1) if segments_of_steps(header, step) <= done)


def noise_level(header: Header, step: int) -> float | None:
    """The standard deviation of what is unknown of coefficients after so many steps, in grey levels; 0: pixels are
    exact. None before the first step, and for stored files of other formats."""
    if header.stored or not step:
        return None
    return noise_of(CELLS[header.levels][step - 1])


def end_of_segment(file: Sections, segment: int) -> int:
    """The byte of a tiled file at which so many segments of all tiles end; of others that at which the payload
    begins."""
    index = file.header.index
    lengths = index.lengths[: segment * file.header.tile_count] if index else ()
    return file.start + file.header.lengths_before + sum(lengths)


def streams_of(file: Sections, tile: int, segments: int | None = None) -> list[Stream]:
    """The only stream of a tile, or its lanes, as far as they are there. segments: take only so many of the tile's
    segments. Raises TruncatedError where nothing is there, and CorruptError for what is no stream."""
    try:
        if file.header.index is None:
            return [parse_stream(file.payload, file.header.state_bytes)]
        chunks = file.tile_chunks(tile)[:segments]
        if not chunks:
            raise TruncatedError(f"tile {tile + 1} has not begun: get the rest, or decode a preview with partial=True")
        return join_lanes(chunks, parts_of_segments(file.header))
    except (TruncatedError, CorruptError):
        raise
    except FormatError as error:
        raise CorruptError(str(error)) from error


def is_cut(file: Sections, tile: int, segments: int | None = None) -> bool:
    """Return whether words of a tile are missing. segments: of its first ones; None: of all."""
    whole = file.header.segments if file.header.index else 1
    wanted = whole if segments is None or not file.header.index else min(segments, whole)
    return file.segments_of_tile(tile) < wanted


def require_step(file: Sections, step: int) -> None:
    """Raises TruncatedError where the steps are known to be incomplete. In a single stream only decoding shows it."""
    if step >= steps_of(file.header) or file.size < end_of_segment(file, segments_of_steps(file.header, step)):
        file.require_whole()


def model_for(header: Header, given: ContextModel | None) -> ContextModel:
    """The model that the file was written with. Raises ModelError when it is missing, or `given` is another one."""
    return written_with(header.model_number, header.model_id, given)


class Side(NamedTuple):
    """What a file holds beside its colours. damaged: which of alpha and metadata are, and left out."""

    alpha: NDArray[np.uint8] | None
    metadata: Metadata
    damaged: tuple[str, ...] = ()
    original: bytes = b""  # the JPEG file


def planes_of(header: Header, colour: NDArray[np.uint8], side: Side) -> Planes:
    """The planes of an image. Where no metadata have come, its EXIF says how it is turned, as the header does."""
    metadata = side.metadata
    turned = metadata if metadata.exif else metadata._replace(exif=exif_of(header.orientation))
    return Planes(header.mode, colour, side.alpha, turned, side.original)


def side_sections(file: Sections, partial: bool, part: Box | None = None) -> Side:
    """Alpha and metadata: of cut alpha what is there, of cut metadata nothing. partial: a damaged section counts as
    empty; otherwise it raises FormatError. part: of alpha, all by default."""
    header, alpha, metadata, damaged = file.header, None, Metadata(), list[str]()
    if header.has_alpha_section:
        unpack = unpack_alpha if len(file.alpha) == header.alpha_length else preview_alpha
        try:
            alpha = unpack(bytes(file.alpha), header.height, header.width, part)
        except FormatError:
            if not partial:
                raise
            alpha = preview_alpha(b"", header.height, header.width, part)
            damaged.append("alpha")
    try:
        if len(file.metadata) == header.metadata_length:
            metadata = unpack_metadata(bytes(file.metadata))
    except FormatError:
        if not partial:
            raise
        damaged.append("metadata")
    return Side(alpha, metadata, tuple(damaged))
