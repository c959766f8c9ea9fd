"""Images to .ddpm bytes, one or many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import decoder
from ddpmcodec.batches import ModelSource, Progress, batches, steps_of, watched
from ddpmcodec.channels import uniform
from ddpmcodec.container import MODEL_ID_BYTES, PROGRESSIVE, Box, Header, assemble, plan_index, split
from ddpmcodec.errors import ChecksumError, FormatError, ImageError
from ddpmcodec.images import Planes, to_planes
from ddpmcodec.networks import default_model, load_model
from ddpmcodec.networks.model import Model
from ddpmcodec.parallel import run_all
from ddpmcodec.schedule import Step
from ddpmcodec.sections import pack_alpha, pack_metadata

Picture = Image.Image | NDArray[np.uint8]


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
    planes = (to_planes(picture, strip=strip) for picture in [image])
    return _encode(planes, PROGRESSIVE if progressive else effort, model, verify, progress)[0]


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
    """`encode` for each image; those of the same size share network calls. The bytes are the same as one by one.

    An ImageError names the image by its number, from 1 on.
    """
    planes = _numbered(images, strip)
    return _encode(planes, PROGRESSIVE if progressive else effort, model, verify, progress)


def _numbered(images: Iterable[Picture], strip: bool) -> Iterator[Planes]:
    for number, image in enumerate(images, start=1):
        try:
            yield to_planes(image, strip=strip)
        except ImageError as error:
            raise ImageError(f"image {number}: {error}") from error


def _encode(
    images: Iterable[Planes], effort: int, model: ModelSource, verify: bool, progress: Progress | None
) -> list[bytes]:
    given = None if model is None else model if isinstance(model, Model) else load_model(model)
    if given:
        steps_of(given, effort)  # raises before an image is read
    pictures = list(images)
    files: dict[int, bytes] = {}

    def encode_batch(batch: list[int]) -> None:
        network = given or default_model(_pixels(pictures[batch[0]]))
        encoded = _encode_batch([pictures[i] for i in batch], network, effort, steps_of(network, effort), progress)
        files.update(zip(batch, encoded, strict=True))

    run_all(encode_batch, batches([(_pixels(p), p.colour.shape) for p in pictures]))
    ordered = [files[i] for i in range(len(pictures))]
    if verify:
        _verify(ordered, pictures, given, progress)
    return ordered


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
        found = decoder.decode_files([split(file) for file in files], network, progress)
    except FormatError as error:
        raise ChecksumError(f"an encoded image does not decode ({error}): {remedy}") from error
    for number, (decoded, picture) in enumerate(zip(found, pictures, strict=True), start=1):
        if not _equal(decoded.planes, picture):
            raise ChecksumError(f"image {number} of {len(files)} does not decode to what was encoded: {remedy}")


def _equal(a: Planes, b: Planes) -> bool:
    same = (a.mode, a.icc, a.exif, a.alpha is None) == (b.mode, b.icc, b.exif, b.alpha is None)
    pairs = [(a.colour, b.colour)] + ([(a.alpha, b.alpha)] if a.alpha is not None and b.alpha is not None else [])
    return same and all(np.array_equal(x, y) for x, y in pairs)
