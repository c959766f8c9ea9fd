"""Makes one archive of several, as they are: how images are added to one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from ddpmcodec.arguments import File
from ddpmcodec.errors import FormatError, ImageError, TruncatedError
from ddpmcodec.format.block import Block
from ddpmcodec.format.ddpma import Archive, Packed, Parts, assemble, split


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
    if isinstance(archives, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"join() takes a list of archives, not {type(archives).__name__}")
    blocks: list[Packed] = []
    origins: dict[str, str] = {}  # of names
    for number, data in enumerate(archives, start=1):
        source = os.fspath(data) if isinstance(data, (str, os.PathLike)) else f"archive {number}"
        try:
            archive = _whole(data)
        except FormatError as error:
            raise type(error)(f"{source}: {error}") from error
        first, taken = len(origins), [entry.name for entry in archive.index.entries if entry.name in origins]
        if taken:
            others = f" and {len(taken) - 1} more" if taken[1:] else ""
            raise ImageError(f"{origins[taken[0]]} and {source} both hold {taken[0]}{others}: leave one of them out")
        origins |= dict.fromkeys((entry.name for entry in archive.index.entries), source)
        blocks += [_moved(*block, first) for block in zip(archive.index.blocks, archive.parts, strict=True)]
    if not blocks:
        raise ImageError("there is no archive to join: name one at least")
    return assemble(blocks)


def _whole(data: File) -> Archive:
    archive = split(data)
    if archive.missing:
        raise TruncatedError(f"{archive.missing} bytes are missing at its end: get the file again")
    if archive.damage is not None:
        raise archive.damage
    if not all(parts.intact for parts in archive.parts):
        raise FormatError("the head of a block is damaged: extract its images, and archive them again")
    if archive.following:
        raise FormatError(f"{archive.following} bytes follow the end of the archive: cut them off")
    return archive


def _moved(block: Block, parts: Parts, first: int) -> Packed:
    """A block whose images are numbered from `first` on."""
    entries = tuple(replace(entry, number=first + entry.number) for entry in block.entries)
    return Packed(
        replace(block, entries=entries), b"".join(map(bytes, (*parts.values, *parts.sections, *parts.streams)))
    )
