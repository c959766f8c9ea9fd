"""Reads an archive: its index, facts of it, its images, or the JPEG files that it stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Literal, overload

from ddpmcodec import _native
from ddpmcodec._native import ARCHIVE_VERSION, DEFAULT_MAX_PIXELS, SAMPLE_BITS
from ddpmcodec.archive.restorer import Extracted, Restored, Restorer, Source
from ddpmcodec.arguments import check_limits, check_pixels
from ddpmcodec.codec.decoding import scale_of
from ddpmcodec.codec.passes import Progress
from ddpmcodec.content import File, Part
from ddpmcodec.errors import FormatError
from ddpmcodec.format.block import BITS_BACK, FILES, LEVEL_UNIT, BlockCoding
from ddpmcodec.format.ddpma import Archive, Index, find_images, split
from ddpmcodec.format.header import CODINGS, KEPT_WHOLE, PIXELS

BY_BITS_BACK = "bits back"  # what images that a Gaussian model codes are said to be coded by


def read_index(data: File | Archive) -> Index:
    """What an archive says of itself, as an `Index` of blocks and entries. No image is decoded.

    Parameters:
        data: a .ddpma file, as `ddpmcodec.decode` takes a file, or a prefix of one that holds its index.

    Raises:
        FormatError: not an archive, or neither its index nor a block is found.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> index = archive.read_index(archive.create([("a.png", np.zeros((4, 6), np.uint8))]))
    >>> [(entry.name, entry.width, entry.height) for entry in index.entries]
    [('a.png', 6, 4)]
    """
    return split(data).index


def names(data: File | Archive) -> list[str]:
    """The names of an archive's images, in the order they were given. No image is decoded.

    Raises:
        FormatError: as `read_index`.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> archive.names(archive.create([("b.png", np.zeros((4, 6), np.uint8))]))
    ['b.png']
    """
    return [entry.name for entry in read_index(data).entries]


def describe(data: File | Archive) -> dict[str, Any]:
    """Facts of an archive for people and scripts. No image is decoded.

    Parameters:
        data: a .ddpma file, as `ddpmcodec.decode` takes a file, or a prefix of one that holds its index.

    Returns:
        Facts by name, all of them JSON values. Sizes are bytes; `model_numbers`, `model_ids` and
        `latent_model_ids` are all models that its images need: embedded ones, others, and Gaussian ones. `settings` are
        efforts and numbers of noise levels of images that are coded together, `latent_levels` the levels of latents, in
        grey levels. `images` has the name, mode, width, height, bits (of a sample), coding, effort, levels, model and
        bytes of each: the coding as `ddpmcodec.info` has it, or "bits back", or None where it is lost to damage;
        `model_number` of an embedded model, `model_id` of another; the bytes None for images that are coded together.
        What an image does not have is None.

    Raises:
        FormatError: not an archive, or neither its index nor a block is found.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> facts = archive.describe(archive.create([("a.png", np.zeros((4, 6), np.uint8))]))
    >>> image = facts["images"][0]
    >>> image["name"], image["coding"], image["effort"], image["bytes"]
    ('a.png', 'context model', 2, None)
    """
    archive = split(data)
    index, images = archive.index, [facts for _, facts in sorted(_images(archive), key=itemgetter(0))]
    facts = index_facts(index, archive.size + archive.missing - archive.following)
    for key in ("model_number", "model_id"):
        own = {image[key] for image in images if image["coding"] != BY_BITS_BACK and image[key] is not None}
        facts[f"{key}s"] = sorted(own.union(facts[f"{key}s"]))
    return {
        "format_version": ARCHIVE_VERSION,
        "bytes": archive.size,
        "missing_bytes": archive.missing,
        "following_bytes": archive.following,
        "index_bytes": archive.index_bytes,
        "index_damaged": archive.damage is not None,
        "images_lost": index.total - len(index.entries),
        **facts,
        "images": images,
    }


def index_facts(index: Index, size: int) -> dict[str, Any]:
    """What `describe` says of an archive of this size, but for its images and for what is missing or damaged."""
    dims = sum(entry.pixels * (entry.channels + entry.has_alpha) for entry in index.entries)
    return {
        "bits_per_dim": 8 * size / max(dims, 1),
        **_codings([block.coding for block in index.blocks if block.coding is not None]),
        "blocks": len(index.blocks),
        "images_on_stacks": sum(len(block.entries) for block in index.blocks if block.kind != FILES),
        "images_by_bits_back": sum(
            run.images for block in index.blocks if block.kind == BITS_BACK for run in block.runs if not run.initial
        ),
    }


def _images(archive: Archive) -> Iterator[tuple[int, dict[str, Any]]]:
    """Facts of each image, with its number."""
    for block, parts in zip(archive.index.blocks, archive.parts, strict=True):
        for entry, section in zip(block.entries, parts.sections, strict=True):
            shape = {"name": entry.name, "mode": entry.mode, "width": entry.width, "height": entry.height}
            coding = _coding_of_file(section) if block.coding is None else _coding_of_block(block.coding)
            yield entry.number, {**shape, **coding, "bytes": entry.length if block.kind == FILES else None}


def _coding_of_block(coding: BlockCoding) -> dict[str, Any]:
    return {"bits": SAMPLE_BITS, **_coding_of_run(coding)}


def _coding_of_run(coding: BlockCoding) -> dict[str, Any]:
    if not coding.latent_levels:
        return _coding(CODINGS[PIXELS], coding)
    levels, model_id = len(coding.latent_levels), coding.latent_id.hex()
    return {"coding": BY_BITS_BACK, "effort": None, "levels": levels, "model_number": None, "model_id": model_id}


def _coding_of_file(file: Part) -> dict[str, Any]:
    try:
        header = _native.Container(file).header
    except FormatError:
        return {"bits": None, **_coding(None, None)}
    name = KEPT_WHOLE if header.kept_length else CODINGS[header.kind]
    return {"bits": header.source_bits, **_coding(name, header)}


def _coding(name: str | None, coding: BlockCoding | _native.FileHeader | None) -> dict[str, Any]:
    """coding: None where there is no context model."""
    if coding is None:
        return {"coding": name, "effort": None, "levels": None, "model_number": None, "model_id": None}
    model = {"model_number": coding.model_number or None, "model_id": coding.model_id.hex() or None}
    return {"coding": name, "effort": coding.effort, "levels": coding.levels, **model}


def _codings(codings: Sequence[BlockCoding]) -> dict[str, Any]:
    """Facts of images that are not files of their own. Blocks have several efforts and levels where archives were
    joined, or images added, and Gaussian models, of which the first block's levels are given."""
    latent = next((coding for coding in codings if coding.latent_levels), None)
    return {
        "model_numbers": sorted({coding.model_number for coding in codings if coding.model_number}),
        "model_ids": sorted({coding.model_id.hex() for coding in codings if coding.model_id}),
        "settings": [
            {"effort": effort, "levels": levels}
            for effort, levels in sorted({(coding.effort, coding.levels) for coding in codings})
        ],
        "latent_model_ids": sorted({coding.latent_id.hex() for coding in codings if coding.latent_levels}),
        "latent_levels": [level / LEVEL_UNIT for level in latent.latent_levels] if latent else [],
        "profile": (latent.profile or None) if latent else None,
    }


@overload
def extract(
    data: File | Archive, names: Iterable[str] | None = ..., *, reduce: int = ..., original: Literal[False] = ...,
    model: Source = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
) -> Iterator[Extracted]: ...  # fmt: skip


@overload
def extract(
    data: File | Archive, names: Iterable[str] | None = ..., *, reduce: int = ..., original: bool,
    model: Source = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
) -> Iterator[Restored]: ...  # fmt: skip


def extract(
    data: File | Archive,
    names: Iterable[str] | None = None,
    *,
    reduce: int = 1,
    original: bool = False,
    model: Source = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Iterator[Restored] | Iterator[Extracted]:
    """The images of an archive, or those of some names.

    Parameters:
        data: a .ddpma file, as `ddpmcodec.decode` takes a file.
        names: those of the images that are wanted; None: all. Only runs of images that hold one are decoded.
        reduce: as in `ddpmcodec.decode`: images of 1/2, 1/4, 1/8 or 1/16 of the size.
        original: JPEG files, and files that are kept whole, come as their bytes, in place of
            images.
        model: for archives of models that are not embedded: by name, path or object.
        max_pixels: refuse an archive where a wanted image claims more, as `ddpmcodec.decode` does; None: no limit.
        progress: called with the number of pixels done since the last call, from several threads at a time.

    Returns:
        An iterator over (name, Pillow image or bytes), in the order in which they are decoded. Images of 9 to 16 bits
        a sample are arrays `uint16`, or with original PNG files. Of a damaged archive
        every undamaged image comes first, then one of the errors.

    Raises:
        DdpmError: at once, for a name that is not there.
        FormatError: at once, where there is no index and no block, or a name leads out of a folder; at the end, where
            bytes follow the archive.
        TruncatedError, ChecksumError, CorruptError: at the end; names the images that are lost, or says that the index
            or a header is damaged though no image is.
        ImageError: at once, for an image of more than `max_pixels`.
        ModelError: at once, when a model is missing or another one.
        TypeError, ValueError: names that are one text; a limit that is no whole number, or negative; reduce and
            original.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> data = archive.create((f"{n}.png", np.full((4, 4, 3), n, np.uint8)) for n in range(3))
    >>> [(name, image.getpixel((0, 0))) for name, image in archive.extract(data, ["1.png"])]
    [('1.png', (1, 1, 1))]
    """
    check_limits(max_pixels=max_pixels)
    if isinstance(names, str):
        raise TypeError(f"extract() takes a list of names: [{names!r}]")
    scale = scale_of(reduce)
    if scale > 1 and original:
        raise ValueError("files come as they are: give reduce or original")
    archive = split(data)
    wanted = find_images(archive.index, None if names is None else list(names))
    for entry in wanted:
        check_pixels(entry.name, entry.width, entry.height, max_pixels)
    everything = names is None
    restorer = Restorer(
        archive, wanted, everything=everything, model=model, progress=progress, scale=scale, original=original,
        max_pixels=max_pixels,
    )  # fmt: skip
    return restorer.images()


def test(
    data: File | Archive, *, model: Source = None, max_pixels: int | None = DEFAULT_MAX_PIXELS,  # noqa: PT028
    progress: Progress | None = None,  # noqa: PT028
) -> int:  # fmt: skip
    """Decode and check all images of an archive.

    Parameters:
        data, model, max_pixels, progress: as in `extract`.

    Returns:
        The number of images.

    Raises:
        FormatError, ImageError, ModelError: as `extract`.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> archive.test(archive.create([("a.png", np.zeros((4, 6), np.uint8))]))
    1
    """
    return sum(1 for _ in extract(data, model=model, max_pixels=max_pixels, progress=progress))
