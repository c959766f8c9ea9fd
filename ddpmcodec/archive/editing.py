"""Makes an archive of others: how images are added to one, and taken out."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ddpmcodec.archive.restorer import Source
from ddpmcodec.archive.writer import Writer
from ddpmcodec.content import File
from ddpmcodec.errors import FormatError, ImageError
from ddpmcodec.format.ddpma import Archive, whole


def join(archives: Iterable[File]) -> bytes:
    """One archive of the images of several, in their order. Their blocks are copied: nothing is decoded.

    Parameters:
        archives: .ddpma files as `ddpmcodec.decode` takes files, one or more, all of them whole.

    Raises:
        ImageError: there is no archive, or two images have one name.
        FormatError: not an archive, or damaged where that shows without decoding; TruncatedError where its end is
            missing; or they hold more together than an archive may. Messages name paths, and number other archives
            from 1 on.
        DdpmError: a file cannot be read.
        TypeError: no list of files.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> old, new = (archive.create({name: np.zeros((4, 6), np.uint8)}) for name in ("a.png", "b.png"))
    >>> archive.names(archive.join([old, new]))
    ['a.png', 'b.png']
    """
    writer = Writer()
    join_into(writer, archives)
    return writer.to_bytes()


def join_into(writer: Writer, archives: Iterable[File]) -> None:
    """`Writer.copy` of several archives. Raises as `join`, and OutputError."""
    if isinstance(archives, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"join() takes a list of archives, not {type(archives).__name__}")
    origins: dict[str, str] = {}  # of names
    for number, data in enumerate(archives, start=1):
        source = os.fspath(data) if isinstance(data, (str, os.PathLike)) else f"archive {number}"
        try:
            archive = whole(data)
        except FormatError as error:
            raise type(error)(f"{source}: {error}") from error
        names = [entry.name for entry in archive.index.entries]
        if taken := [name for name in names if name in origins]:
            others = f" and {len(taken) - 1} more" if taken[1:] else ""
            raise ImageError(f"{origins[taken[0]]} and {source} both hold {taken[0]}{others}: leave one of them out")
        origins |= dict.fromkeys(names, source)
        writer.copy(archive)
    if not origins:
        raise ImageError("there is no archive to join: name one at least")


def remove(data: File | Archive, names: Iterable[str], *, model: Source = None) -> bytes:
    """An archive without the images of these names; the others keep their order.

    Images that share a stream with one that goes are coded again, in the same way; all others are copied.

    Parameters:
        data: a .ddpma file, as `ddpmcodec.decode` takes a file, whole.
        names: of the images that go.
        model: as in `extract`, for images that are coded again.

    Raises:
        DdpmError: the file cannot be read, or there is no image of a name.
        ImageError: no image would be left.
        FormatError: as `join`, or images that are coded again are damaged.
        ModelError: as `extract`.
        TypeError: names that are one text.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> data = archive.create((f"{n}.png", np.full((4, 4), n, np.uint8)) for n in range(3))
    >>> archive.names(archive.remove(data, ["1.png"]))
    ['0.png', '2.png']
    """
    if isinstance(names, str):
        raise TypeError(f"remove() takes a list of names: [{names!r}]")
    writer = Writer()
    remove_into(writer, data, names, model=model)
    return writer.to_bytes()


def remove_into(writer: Writer, data: File | Archive, names: Iterable[str], *, model: Source = None) -> None:
    """`Writer.copy` of what is left of an archive. Raises as `remove`, and OutputError."""
    writer.copy(data, without=names, model=model)
    if not len(writer):
        raise ImageError("no image would be left: remove the file itself")
