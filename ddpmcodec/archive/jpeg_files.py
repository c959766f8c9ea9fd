"""JPEG files that an archive holds as such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ddpmcodec.archive.reader import whole_file
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.codec.originals import unpack
from ddpmcodec.errors import FormatError
from ddpmcodec.format.block import FILES
from ddpmcodec.format.ddpma import Archive, find_images, split


def originals(
    data: bytes, names: Iterable[str] | None = None, *, max_pixels: int | None = DEFAULT_MAX_PIXELS
) -> Iterator[tuple[str, bytes]]:
    """The JPEG files of an archive, byte for byte as they were given; images of which it holds pixels are left out.

    Parameters:
        data: the bytes of a .ddpma file.
        names: of the images that are wanted; None: all.
        max_pixels: as in `extract`.

    Returns:
        An iterator over (name, bytes of the JPEG file). Every undamaged file comes, then the first error.

    Raises:
        DdpmError: at once, for a name that is not there; for the first file, where imagecodecs is missing.
        FormatError, ImageError, TypeError, ValueError: as `extract`.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> list(archive.originals(archive.create([("a.png", np.zeros((4, 6), np.uint8))])))
    []
    """
    check_limits(max_pixels=max_pixels)
    if isinstance(names, str):
        raise TypeError(f"originals() takes a list of names: [{names!r}]")
    archive = split(data)
    wanted = find_images(archive.index, None if names is None else list(names))
    for entry in wanted:
        check_pixels(entry.name, entry.width, entry.height, max_pixels)
    return _originals(archive, {entry.number for entry in wanted})


def _originals(archive: Archive, wanted: set[int]) -> Iterator[tuple[str, bytes]]:
    errors: list[FormatError] = []
    for block, parts in zip(archive.index.blocks, archive.parts, strict=True):
        for position, entry in enumerate(block.entries):
            if block.kind != FILES or entry.number not in wanted:
                continue
            try:
                file = whole_file(entry, parts.sections[position])
                jpeg = unpack(file.payload, file.header) if file.header.is_jpeg else None
            except FormatError as error:
                errors.append(type(error)(f"{entry.name}: {error}"))
                continue
            if jpeg is not None:
                yield entry.name, jpeg
    if errors:
        raise errors[0]
