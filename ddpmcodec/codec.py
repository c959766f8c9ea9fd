"""Encoder and decoder: images to .ddpm bytes and back, whole, from a prefix, or many at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.channels import uniform
from ddpmcodec.container import MODEL_ID_BYTES, PROGRESSIVE, Box, Header, Sections, assemble, plan_index, split
from ddpmcodec.errors import ChecksumError, FormatError, ModelError, OutputError, TruncatedError
from ddpmcodec.images import Planes, to_image, to_planes
from ddpmcodec.information import info
from ddpmcodec.networks import default_model, find_model, load_model
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step
from ddpmcodec.sections import pack_alpha, pack_metadata, preview_alpha, unpack_alpha, unpack_metadata

__all__ = ["Decoded", "decode", "decode_details", "decode_many", "encode", "encode_many", "info", "truncate"]

Picture = Image.Image | NDArray[np.uint8]
ModelSource = Model | str | Path | None
Progress = Callable[[float], object]  # told how many pixels' worth of work was done since the last call
BatchKey = tuple[int, Hashable]  # pixels of an image, and all that images of a batch have in common

WORD_BYTES = 4  # of a pixel stream
BATCH_PIXELS = 1 << 18  # of images that share network calls: 256 images of 32 x 32


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and how much of it the data held."""

    planes: Planes
    exact: bool  # all of the file was there and its checks passed
    damaged: bool  # every pixel is decoded, and is not what the checks say
    steps_done: int  # steps that every pixel has been through
    steps: int
    bytes_used: int  # of the data, up to the last byte that was needed

    @property
    def image(self) -> Image.Image:
        return to_image(self.planes)


def encode(
    image: Picture,
    *,
    effort: int = 7,
    progressive: bool = False,
    model: ModelSource = None,
    strip: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """Compress a Pillow image, or a uint8 array (H, W), (H, W, 3) or (H, W, 4), without loss.

    `effort` 1 to 9 picks the model's list of steps: more network calls, or networks that learn, for fewer bytes.
    `progressive` takes the list whose prefixes show the most instead; the whole takes more bytes. `model` is None (the
    embedded one for images of this size), the name of an embedded one, the path of an exported one, or a loaded model.
    `strip` leaves out ICC profile and EXIF. `verify` decodes the result and compares it with the image.

    Raises ImageError for what cannot be coded, ModelError for the model or an effort it does not have, ChecksumError
    when the result does not decode to the image.
    """
    options = {"progressive": progressive, "strip": strip, "verify": verify}
    return encode_many([image], effort=effort, model=model, progress=progress, **options)[0]


def encode_many(
    images: Iterable[Picture],
    *,
    effort: int = 7,
    progressive: bool = False,
    model: ModelSource = None,
    strip: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
) -> list[bytes]:
    """`encode` for each image; those of the same size share network calls. The bytes are the same as one by one."""
    effort = PROGRESSIVE if progressive else effort
    given = None if model is None else model if isinstance(model, Model) else load_model(model)
    if given:
        steps_of(given, effort)  # raises before an image is read
    pictures = [to_planes(image, strip=strip) for image in images]
    files: dict[int, bytes] = {}

    def encode_batch(batch: list[int]) -> None:
        network = given or default_model(_pixels(pictures[batch[0]]))
        encoded = _encode_batch([pictures[i] for i in batch], network, effort, steps_of(network, effort), progress)
        files.update(zip(batch, encoded, strict=True))

    run_all(encode_batch, _batches([(_pixels(p), p.colour.shape) for p in pictures]))
    ordered = [files[i] for i in range(len(pictures))]
    if verify:
        _verify(ordered, pictures, given, progress)
    return ordered


def decode(
    data: bytes,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    model: ModelSource = None,
) -> Image.Image:
    """The image, exactly as it was encoded; or a preview.

    `partial` accepts any prefix of a file that holds its header. `max_bytes` looks at that many bytes only, and implies
    `partial`. `step` stops after that many steps. `model` is needed for files of a model that is not embedded.

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
    return [decoded.image for decoded in _decode_many([split(data) for data in datas], model, progress)]


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


# --- encoding


def _pixels(picture: Planes) -> int:
    return picture.colour[..., 0].size


def _encode_batch(
    pictures: Sequence[Planes], network: Model, effort: int, steps: Sequence[Step], progress: Progress | None
) -> list[bytes]:
    """Files of images of one size; group of pixels by group, so that only uint8 planes are ever whole in memory."""
    height, width, _ = pictures[0].colour.shape
    index = plan_index(width, height, len(steps))
    headers = [Header(p.mode, width, height, effort, network.id[:MODEL_ID_BYTES], index=index) for p in pictures]
    observed = watched(network, len(steps), progress)

    def encode_group(numbered: tuple[int, Box]) -> list[list[bytes]]:
        number, box = numbered
        pixels = np.stack([picture.colour[box] for picture in pictures])
        return uniform.encode_group(pixels, observed, steps, group=number, per_step=index is not None)

    groups = run_all(encode_group, enumerate(headers[0].boxes()))  # [group][image][step, or one for all]
    return [
        _assemble(header, picture, [chunks[i] for chunks in groups])
        for i, (header, picture) in enumerate(zip(headers, pictures, strict=True))
    ]


def _assemble(header: Header, picture: Planes, groups: Sequence[Sequence[bytes]]) -> bytes:
    alpha = b"" if picture.alpha is None else pack_alpha(picture.alpha)
    step_major = [chunk for step in zip(*groups, strict=True) for chunk in step]
    return assemble(header, alpha, step_major, pack_metadata(picture.icc, picture.exif))


def _verify(
    files: Sequence[bytes], pictures: Sequence[Planes], network: Model | None, progress: Progress | None
) -> None:
    """Raises ChecksumError unless a decoder that knows only the bytes finds every image."""
    remedy = "nothing was kept of it; this is a defect, please report it with the image"
    try:
        found = _decode_many([split(file) for file in files], network, progress)
    except FormatError as error:
        raise ChecksumError(f"an encoded image does not decode ({error}): {remedy}") from error
    for number, (decoded, picture) in enumerate(zip(found, pictures, strict=True), start=1):
        if not _equal(decoded.planes, picture):
            raise ChecksumError(f"image {number} of {len(files)} does not decode to what was encoded: {remedy}")


def _equal(a: Planes, b: Planes) -> bool:
    same = (a.mode, a.icc, a.exif, a.alpha is None) == (b.mode, b.icc, b.exif, b.alpha is None)
    pairs = [(a.colour, b.colour)] + ([(a.alpha, b.alpha)] if a.alpha is not None and b.alpha is not None else [])
    return same and all(np.array_equal(x, y) for x, y in pairs)


# --- decoding


def _decode_many(files: Sequence[Sections], model: ModelSource, progress: Progress | None) -> list[Decoded]:
    found: dict[int, Decoded] = {}

    def decode_batch(batch: list[int]) -> None:
        members = [files[i] for i in batch]
        decoded = _decode_batch(members, _model_of(members[0].header, model), False, None, progress)
        found.update(zip(batch, decoded, strict=True))

    run_all(decode_batch, _batches([_batch_key(file.header) for file in files]))
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
    sides = [_side_sections(file) for file in files]  # before the network runs: damage there is reported at once
    colour = _decode_colour(files, watched(network, len(steps), progress), steps, partial, step)
    return [
        Decoded(
            Planes(file.header.mode, pixels, *side),
            colour.exact and not file.missing,
            colour.steps_done == len(steps) and not colour.exact,
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
            last_step=step,
        )
        view[...] = part.pixels
        return replace(part, pixels=view)

    parts = run_all(decode_group, enumerate(header.boxes()))
    exact, steps_done = all(part.exact for part in parts), min(part.steps_done for part in parts)
    return uniform.Decoded(colour, exact, steps_done, parts[-1].bytes_used)


def _side_sections(file: Sections) -> tuple[NDArray[np.uint8] | None, bytes, bytes]:
    """Alpha plane, ICC profile and EXIF; what a cut section tells of the alpha, and nothing of cut metadata."""
    header, alpha = file.header, None
    if header.has_alpha:
        unpack = unpack_alpha if len(file.alpha) == header.alpha_length else preview_alpha
        alpha = unpack(file.alpha, header.height, header.width)
    metadata = unpack_metadata(file.metadata) if len(file.metadata) == header.metadata_length else {}
    return alpha, metadata.get("icc_profile", b""), metadata.get("exif", b"")


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


# --- shared


def _batches(keys: Sequence[BatchKey]) -> Iterator[list[int]]:
    """Indices of equal keys, in batches of about BATCH_PIXELS."""
    alike: defaultdict[BatchKey, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        alike[key].append(i)
    for (pixels, _), members in alike.items():
        count = max(1, BATCH_PIXELS // pixels)
        yield from (members[start : start + count] for start in range(0, len(members), count))


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


def steps_of(network: Model, effort: int) -> Sequence[Step]:
    if effort not in network.presets:
        efforts = ", ".join(map(str, sorted(network.presets)))
        wanted = "progressive list" if effort == PROGRESSIVE else f"effort {effort}"
        raise ModelError(f"model {network.name!r} has no {wanted}: it has {efforts}")
    return network.presets[effort]


def watched(network: Model, calls: int, progress: Progress | None) -> Model:
    """The same model; every one of `calls` network calls an image takes reports that share of its pixels."""
    if progress is None:
        return network

    def predict(lo: NDArray[np.uint8], hi: NDArray[np.uint8]) -> IntegerPrediction:
        found = network.predict(lo, hi)
        progress(lo.shape[0] * lo.shape[1] * lo.shape[2] / calls)
        return found

    return replace(network, predict=predict)
