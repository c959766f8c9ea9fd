""".ddpm bytes to images: whole, from a prefix, or many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.batches import BatchKey, ModelSource, Progress, batches, steps_of, watched
from ddpmcodec.channels import uniform
from ddpmcodec.container import MODEL_ID_BYTES, Box, Header, Sections, split
from ddpmcodec.errors import FormatError, ModelError, OutputError, TruncatedError
from ddpmcodec.images import Planes, to_image
from ddpmcodec.networks import find_model, load_model
from ddpmcodec.networks.model import Model
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step
from ddpmcodec.sections import preview_alpha, unpack_alpha, unpack_metadata

WORD_BYTES = 4  # of a pixel stream


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and how much of it the data held."""

    planes: Planes
    exact: bool  # all of the file was there and its checks passed
    damaged: bool  # a check failed: some of it is not what was encoded, or is left out
    steps_done: int  # steps that every pixel has been through
    steps: int
    bytes_used: int  # of the data, up to the last byte that was needed

    @property
    def image(self) -> Image.Image:
        return to_image(self.planes)


def decode(
    data: bytes,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    model: ModelSource = None,
) -> Image.Image:
    """The image, exactly as it was encoded; or a preview.

    `partial` accepts any prefix of a file that holds its header, and shows a file in chunks up to one that is damaged,
    or without the alpha or the metadata that is damaged; a damaged stream that is the only one shows what it decodes
    to. `max_bytes` looks at that many bytes only, and implies `partial`. `step` stops after that many steps. `model` is
    needed for files of a model that is not embedded.

    Raises FormatError (TruncatedError, ChecksumError) for data that is not a whole, undamaged file, and ModelError
    when its model is missing or another one.
    """
    return decode_details(data, partial=partial, max_bytes=max_bytes, step=step, model=model).image


def decode_details(
    data: bytes,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    model: ModelSource = None,
    progress: Progress | None = None,
) -> Decoded:
    """`decode`, with an account of how much was there."""
    _refuse_negative(max_bytes=max_bytes, step=step)
    if max_bytes is not None:
        data, partial = data[:max_bytes], True
    file = split(data)
    return _decode_batch([file], _model_of(file.header, model), partial, step, progress)[0]


def decode_many(
    datas: Iterable[bytes], *, model: ModelSource = None, progress: Progress | None = None
) -> list[Image.Image]:
    """`decode` for each file; those of the same size and settings share network calls."""
    return [decoded.image for decoded in decode_files([split(data) for data in datas], model, progress)]


def truncate(
    data: bytes,
    *,
    bytes: int | None = None,
    bpp: float | None = None,
    step: int | None = None,
    model: ModelSource = None,
) -> bytes:
    """A prefix of the file that `decode(..., partial=True)` shows as a preview: of at most so many bytes, or so many
    bits per pixel, or the shortest one with the first `step` steps. A shorter file comes back whole.

    Raises OutputError when the header alone is longer, FormatError for damaged data, TruncatedError when it does not
    reach that step, and ModelError (a file that is one stream is decoded to find the end of a step).
    """
    if sum(limit is not None for limit in (bytes, bpp, step)) != 1:
        raise TypeError("truncate() takes exactly one of bytes, bpp and step")
    _refuse_negative(bytes=bytes, bpp=bpp, step=step)
    file = split(data)
    if step is not None:
        return data[: _end_of_step(file, step, model)]
    size = bytes if bytes is not None else int((bpp or 0) * file.header.width * file.header.height / 8)
    if size < file.start:
        raise OutputError(f"{size} bytes are too few: the header alone takes {file.start}, ask for more")
    return data[:size]


def _refuse_negative(**limits: float | None) -> None:
    for name, limit in limits.items():
        if limit is not None and not 0 <= limit < inf:
            raise ValueError(f"{name} must be a number from 0 on, not {limit}")


def decode_files(files: Sequence[Sections], model: ModelSource, progress: Progress | None) -> list[Decoded]:
    found: dict[int, Decoded] = {}

    def decode_batch(batch: list[int]) -> None:
        members = [files[i] for i in batch]
        decoded = _decode_batch(members, _model_of(members[0].header, model), False, None, progress)
        found.update(zip(batch, decoded, strict=True))

    run_all(decode_batch, batches([_batch_key(file.header) for file in files]))
    return [found[i] for i in range(len(files))]


def _batch_key(header: Header) -> BatchKey:
    """Files with the same key are decoded by the same network calls."""
    grid = header.index and replace(header.index, lengths=())
    alike = (header.height, header.width, header.channels, header.effort, header.model_id, grid)
    return header.height * header.width, alike


def _decode_batch(
    files: Sequence[Sections], network: Model, partial: bool, step: int | None, progress: Progress | None
) -> list[Decoded]:
    """Images of files of one `_batch_key`. A preview (`partial`, `step`) is a batch of one."""
    header = files[0].header
    steps = steps_of(network, header.effort)
    if header.index and header.index.steps != len(steps):
        raise FormatError(f"the header claims {header.index.steps} steps, its model takes {len(steps)}: it is damaged")
    if not partial:
        for file in files:
            _refuse_missing(file, step)
    sides = [_side_sections(file, partial) for file in files]  # before the network runs: damage is reported at once
    colour = _decode_colour(files, watched(network, len(steps), progress), steps, partial, step)
    return [
        Decoded(
            Planes(file.header.mode, pixels, side.alpha, side.icc, side.exif),
            colour.exact and not side.damaged and not file.missing,
            colour.damaged or side.damaged or (colour.steps_done == len(steps) and not colour.exact),
            colour.steps_done,
            len(steps),
            _bytes_used(file, step, len(steps) - colour.steps_done, stream_bytes),
        )
        for file, pixels, stream_bytes, side in zip(files, colour.pixels, colour.bytes_used, sides, strict=True)
    ]


def _decode_colour(
    files: Sequence[Sections], network: Model, steps: Sequence[Step], partial: bool, step: int | None
) -> uniform.Decoded:
    """Colour planes (N, H, W, C), group of pixels by group."""
    header = files[0].header
    colour = np.empty((len(files), header.height, header.width, header.channels), np.uint8)

    def decode_group(numbered: tuple[int, Box]) -> uniform.Decoded:
        number, box = numbered
        view = colour[(slice(None), *box)]
        part = uniform.decode_group(
            [file.group_chunks(number) for file in files],
            (view.shape[1], view.shape[2], view.shape[3]),
            network,
            steps,
            group=number,
            per_step=header.index is not None,
            partial=partial,
            cut=not files[0].ends_whole(number),
            last_step=step,
        )
        view[...] = part.pixels
        return replace(part, pixels=view)

    parts = run_all(decode_group, enumerate(header.boxes()))
    exact, damaged = all(part.exact for part in parts), any(part.damaged for part in parts)
    return uniform.Decoded(colour, exact, min(part.steps_done for part in parts), parts[-1].bytes_used, damaged)


class _Side(NamedTuple):
    """What a file holds beside its colours."""

    alpha: NDArray[np.uint8] | None
    icc: bytes
    exif: bytes
    damaged: bool


def _side_sections(file: Sections, partial: bool) -> _Side:
    """What a cut section tells of the alpha, and nothing of cut metadata; of damaged ones nothing, in a preview."""
    header, alpha, metadata, damaged = file.header, None, dict[str, bytes](), False
    if header.has_alpha:
        unpack = unpack_alpha if len(file.alpha) == header.alpha_length else preview_alpha
        try:
            alpha = unpack(file.alpha, header.height, header.width)
        except FormatError:
            if not partial:
                raise
            alpha, damaged = preview_alpha(b"", header.height, header.width), True
    try:
        if len(file.metadata) == header.metadata_length:
            metadata = unpack_metadata(file.metadata)
    except FormatError:
        if not partial:
            raise
        damaged = True
    return _Side(alpha, metadata.get("icc_profile", b""), metadata.get("exif", b""), damaged)


def _refuse_missing(file: Sections, step: int | None) -> None:
    """Raises TruncatedError when the sections that are asked for are known to be incomplete."""
    missing = file.missing if step is None else _pixels_end(file, step) - file.size
    if missing > 0:
        raise TruncatedError(
            f"the data ends after {file.size} bytes, {missing} before the end of what is asked for:"
            " get the rest, or decode a preview with --partial"
        )
    if not file.header.index and len(file.chunks[0]) % WORD_BYTES:
        raise TruncatedError("the data ends inside a word: get the rest, or decode a preview with --partial")


def _pixels_end(file: Sections, step: int) -> int:
    """Where the last chunk of that step ends; of a single stream, where the stream starts: it keeps no index."""
    index = file.header.index
    lengths = index.lengths[: step * file.header.group_count()] if index else ()
    return file.start + file.header.alpha_length + sum(lengths)


def _bytes_used(file: Sections, step: int | None, steps_left: int, stream_bytes: int) -> int:
    if not steps_left:
        return file.size
    if file.header.index:
        return file.size if step is None else min(file.size, _pixels_end(file, step))
    return min(file.size, _pixels_end(file, 0) + stream_bytes)


def _end_of_step(file: Sections, step: int, model: ModelSource) -> int:
    """Bytes of the file that its first `step` steps need."""
    if file.header.index:
        _refuse_missing(file, step)
        return file.size if step >= file.header.index.steps else _pixels_end(file, step)
    decoded = _decode_batch([file], _model_of(file.header, model), False, step, None)[0]
    return file.size if step >= decoded.steps else decoded.bytes_used


def _model_of(header: Header, model: ModelSource) -> Model:
    """The model that the file was written with. Raises ModelError when it is missing, or `model` is another one."""
    if model is None:
        return find_model(header.model_id)
    network = model if isinstance(model, Model) else load_model(model)
    if network.id[:MODEL_ID_BYTES] != header.model_id:
        raise ModelError(
            f"the file was written with model {header.model_id.hex()}, and the given model {network.name!r} is"
            f" {network.id[:MODEL_ID_BYTES].hex()}: decode with the model that wrote it (--model PATH)"
        )
    return network
