"""Images to .ddpm bytes, one or many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpmcodec.channels.progressive import segments
from ddpmcodec.codec import decoder, graphics, known_answer
from ddpmcodec.codec.batching import ModelSource, Progress, batches, given_model, reporting
from ddpmcodec.codec.efforts import DEFAULT_EFFORT, EFFORTS, QUICK_EFFORT, check_effort
from ddpmcodec.codec.tiles import Report, encode_tiles
from ddpmcodec.errors import ChecksumError, FormatError, ImageError
from ddpmcodec.format.ddpm import MODEL_ID_BYTES, Box, Header, assemble, plan_index, split
from ddpmcodec.format.sections import pack_alpha, pack_metadata
from ddpmcodec.images import Planes, load_image, to_planes
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import default_model
from ddpmcodec.parallel import run_all

Picture = Image.Image | NDArray[np.uint8] | Tensor | str | os.PathLike[str] | BinaryIO


def encode(
    image: Picture,
    *,
    effort: int = DEFAULT_EFFORT,
    model: ModelSource = None,
    strip: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    report: Report | None = None,
) -> bytes:
    """Compress an image without loss; every prefix of the result is a preview.

    Parameters:
        image: a Pillow image of mode 1, L, LA, P, PA, RGB or RGBA; an array uint8 [H, W] or [H, W, C]; a tensor uint8
            [H, W] or [C, H, W], as of `torchvision.io` (C is 1 to 4: grey, LA, RGB, RGBA); the path of an image file;
            or a binary file. 1 to 2^28 pixels.
        effort: 1 (no noise levels: the quickest and smallest), 2 (noise levels: good previews), or 3 (more of them: the
            best previews).
        model: None (the embedded one for images of this size), the name of an embedded one, the path of a model file,
            or a loaded one.
        strip: leave out ICC profile and EXIF.
        verify: decode the result and compare it with the image.
        progress: called with the number of pixels done since the last call.
        report: called with a `SegmentCost` (bits, seconds) after every segment.

    Returns:
        The bytes of a .ddpm file. The same image, effort and model give the same bytes on every machine; alpha,
        metadata and graphics also need the same zlib and libwebp for that.

    Raises:
        ImageError: the image cannot be coded (16 bits a sample, CMYK, several frames, too large, unreadable).
        ModelError: the model is missing, or does not compute exactly here.
        ChecksumError: the result does not decode to the image.
        TypeError, ValueError: an argument of another kind; an effort that there is not.

    Source: Ho, Jain & Abbeel 2020, arXiv 2006.11239, section 4.3 (progressive lossy compression); rANS: Duda 2013,
    arXiv 1311.2540.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> data = ddpmcodec.encode(np.zeros((4, 4, 3), np.uint8), effort=1)
    >>> data[:2]
    b'\\xdd\\n'
    """
    planes = [planes_of(image, strip)]
    return _encode(planes, check_effort(effort), given_model(model), verify, progress, report)[0]


def encode_many(
    images: Iterable[Picture],
    *,
    effort: int = DEFAULT_EFFORT,
    model: ModelSource = None,
    strip: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    report: Report | None = None,
) -> list[bytes]:
    """`encode` for each image; small ones of the same size are coded together, which is quicker.

    Parameters:
        images: as `encode` takes them, of any sizes; all of them are held in memory.
        effort, model, strip, verify, progress, report: as of `encode`.

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
    check_effort(effort)
    given = given_model(model)
    return _encode(list(_numbered(images, strip)), effort, given, verify, progress, report)


def planes_of(image: Picture, strip: bool) -> Planes:
    if isinstance(image, (Image.Image, np.ndarray)):
        return to_planes(image, strip=strip)
    if isinstance(image, Tensor):
        return to_planes(_array_of(image))
    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise ImageError(f"{name}: cannot be read ({error.strerror}); give the path of an image") from error
        return to_planes(load_image(data, name), strip=strip)
    if hasattr(image, "read"):
        return to_planes(load_image(image.read(), str(getattr(image, "name", "the file"))), strip=strip)
    raise TypeError(
        f"encode() takes a Pillow image, a uint8 array or tensor, a path or a binary file, not {type(image).__name__}"
    )


def _array_of(tensor: Tensor) -> NDArray[np.uint8]:
    """[H, W] or [H, W, C] of a tensor [H, W] or [C, H, W], on any device. Raises ImageError."""
    channels_last = tensor.movedim(0, -1) if tensor.ndim == 3 else tensor
    if tensor.dtype != torch.uint8 or tensor.ndim not in (2, 3) or not 1 <= channels_last.shape[2:].numel() <= 4:
        raise ImageError(
            f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)} is not an image:"
            " uint8 of shape (H, W) or (C, H, W) is, with 1 to 4 channels"
        )
    return channels_last.squeeze(2).cpu().numpy() if channels_last.shape[2:] == (1,) else channels_last.cpu().numpy()


def _numbered(images: Iterable[Picture], strip: bool) -> Iterator[Planes]:
    if isinstance(images, (str, bytes)):  # which would be taken for a list of letters
        raise TypeError(f"encode_many() takes a list of images, not {type(images).__name__}")
    for number, image in enumerate(images, start=1):
        try:
            yield planes_of(image, strip)
        except ImageError as error:
            raise ImageError(f"image {number}: {error}") from error


class _Tile(NamedTuple):
    """A part of one of the pictures that is coded on its own."""

    picture: int
    box: Box
    model: ContextModel


def _encode(
    pictures: Sequence[Planes], effort: int, given: ContextModel | None, verify: bool, progress: Progress | None,
    report: Report | None,
) -> list[bytes]:  # fmt: skip
    models = [given or default_model(_pixels(planes)) for planes in pictures]
    graphic = run_all(lambda n: graphics.is_clearly_graphics(pictures[n], models[n]), range(len(pictures)))
    headers = [_header(planes, effort, model) for planes, model in zip(pictures, models, strict=True)]
    tiles = [_Tile(n, box, models[n]) for n, skip in enumerate(graphic) if not skip for box in headers[n].boxes()]
    chunks: list[list[list[bytes]]] = [[] for _ in pictures]
    for tile, stream in zip(tiles, _encode_tiles(tiles, pictures, effort, progress, report), strict=True):
        chunks[tile.picture].append(stream)
    files = run_all(lambda n: _smallest(pictures[n], headers[n], chunks[n]), range(len(pictures)))
    if progress is not None and any(graphic):
        progress(sum(_pixels(planes) for planes, skip in zip(pictures, graphic, strict=True) if skip))
    if verify:
        verify_coder(models)
        _verify(files, pictures, given, progress)
    return files


def _smallest(planes: Planes, header: Header, tiles: Sequence[Sequence[bytes]]) -> bytes:
    """The file of these streams, or of a lossless WebP where that is smaller. No tiles: of the WebP."""
    coded = _assembled(planes, header, tiles) if tiles else None
    if coded is not None and graphics.is_clearly_larger(planes, len(coded), quick=header.effort == QUICK_EFFORT):
        return coded
    webp = Header(planes.mode, header.width, header.height, webp=True, mean_colour=graphics.mean_colour(planes))
    stored = assemble(webp, b"", graphics.pack(planes), pack_metadata(planes.icc, planes.exif))
    return stored if coded is None or len(stored) < len(coded) else coded


def _pixels(planes: Planes) -> int:
    height, width, _ = planes.colour.shape
    return int(height * width)


def _header(planes: Planes, effort: int, model: ContextModel) -> Header:
    height, width, _ = planes.colour.shape
    index = plan_index(width, height, len(segments(EFFORTS[effort], height, width)))
    return Header(planes.mode, width, height, effort, model.id[:MODEL_ID_BYTES], index=index)


def _encode_tiles(
    tiles: Sequence[_Tile], pictures: Sequence[Planes], effort: int, progress: Progress | None, report: Report | None
) -> list[list[bytes]]:
    """The stream of each tile, in segments."""
    found: dict[int, list[bytes]] = {}

    def encode_batch(batch: list[int]) -> None:
        pixels = np.stack([pictures[tiles[i].picture].colour[tiles[i].box] for i in batch])
        reported = reporting(progress, pixels[0, ..., 0].size, report)
        found.update(zip(batch, encode_tiles(pixels, tiles[batch[0]].model, effort, reported), strict=True))

    run_all(encode_batch, batches([_key(tile, pictures[tile.picture]) for tile in tiles]))
    return [found[i] for i in range(len(tiles))]


def _key(tile: _Tile, planes: Planes) -> tuple[int, tuple[object, ...]]:
    height, width, channels = planes.colour[tile.box].shape
    return height * width, (height, width, channels, tile.model.id)


def _assembled(planes: Planes, header: Header, tiles: Sequence[Sequence[bytes]]) -> bytes:
    alpha = b"" if planes.alpha is None else pack_alpha(planes.alpha)
    metadata = pack_metadata(planes.icc, planes.exif)
    if header.index is None:
        return assemble(header, alpha, b"".join(tiles[0]), metadata)
    return assemble(header, alpha, [chunk for segment in zip(*tiles, strict=True) for chunk in segment], metadata)


def verify_coder(models: Iterable[ContextModel]) -> None:
    """Raises ModelError where encoder and decoder may be wrong alike, which decoding does not show."""
    known_answer.require()
    for model in {id(model): model for model in models}.values():
        model.require_unchanged()


def _verify(
    files: Sequence[bytes], pictures: Sequence[Planes], given: ContextModel | None, progress: Progress | None
) -> None:
    """Raises ChecksumError unless a decoder that knows only the bytes finds every image."""
    remedy = "nothing was kept of it; this is a defect, please report it with the image"
    try:
        found = decoder.decode_files([split(file) for file in files], given, progress)
    except FormatError as error:
        raise ChecksumError(f"an encoded image does not decode ({error}): {remedy}") from error
    for number, (decoded, picture) in enumerate(zip(found, pictures, strict=True), start=1):
        if not _equal(decoded.planes, picture):
            raise ChecksumError(f"image {number} of {len(files)} does not decode to what was encoded: {remedy}")


def _equal(a: Planes, b: Planes) -> bool:
    same = (a.mode, a.icc, a.exif, a.alpha is None) == (b.mode, b.icc, b.exif, b.alpha is None)
    pairs = [(a.colour, b.colour)] + ([(a.alpha, b.alpha)] if a.alpha is not None and b.alpha is not None else [])
    return same and all(np.array_equal(x, y) for x, y in pairs)
