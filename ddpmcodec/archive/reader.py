"""Reads an archive: its index, its images, or the JPEG files that it stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, overload

from ddpmcodec.archive.restorer import Extracted, Restored, Restorer
from ddpmcodec.archive.sources import Source
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.codec.batching import Progress
from ddpmcodec.codec.regions import scale_of
from ddpmcodec.content import File
from ddpmcodec.format.ddpma import Archive, Index, find_images, split


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
        original: JPEG files that are stored as such come as their bytes, in place of images.
        model: for archives of models that are not embedded: by name, path or object.
        max_pixels: refuse an archive where a wanted image claims more, as `ddpmcodec.decode` does; None: no limit.
        progress: called with the number of pixels done since the last call, from several threads at a time.

    Returns:
        An iterator over (name, Pillow image or bytes), in the order in which they are decoded. Of a damaged archive
        every undamaged image comes first, then one of the errors.

    Raises:
        DdpmError: at once, for a name that is not there.
        FormatError: at once, where there is no index and no block, or a name leads out of a folder; at the end, where
            bytes follow the archive.
        TruncatedError, ChecksumError, CorruptError: at the end; names the images that are lost, or says that the index
            or a head is damaged though no image is.
        ImageError: at once, for an image of more than `max_pixels`.
        ModelError: at once, when a model is missing or another one.
        DdpmError: for a JPEG file that JPEG XL codes, where imagecodecs is missing.
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
        raise ValueError("stored files come as they are: give reduce or original")
    archive = split(data)
    wanted = find_images(archive.index, None if names is None else list(names))
    for entry in wanted:
        check_pixels(entry.name, entry.width, entry.height, max_pixels)
    everything = names is None
    restorer = Restorer(
        archive, wanted, everything=everything, model=model, progress=progress, scale=scale, original=original
    )
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
