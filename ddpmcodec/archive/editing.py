"""Makes an archive of others: how images are added to one, and taken out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ddpmcodec.archive.restorer import restored
from ddpmcodec.archive.sources import Source
from ddpmcodec.archive.writer import create
from ddpmcodec.content import File
from ddpmcodec.errors import FormatError, ImageError, TruncatedError
from ddpmcodec.format.block import LEVEL_UNIT, Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import Archive, Packed, Parts, assemble, find_images, packed, split
from ddpmcodec.models import registry


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
    archive = _whole(data)
    gone = {entry.number for entry in find_images(archive.index, list(names))}
    blocks: list[Packed] = []
    for block, parts in zip(archive.index.blocks, archive.parts, strict=True):
        stays = [place for place, entry in enumerate(block.entries) if entry.number not in gone]
        entries = tuple(block.entries[place] for place in stays)
        if len(stays) == len(block.entries):
            blocks.append(_moved(block, parts, 0))
        elif block.coding is None and stays:
            files = [bytes(parts.sections[place]) for place in stays]
            blocks.append(packed(replace(block, entries=entries), [], files))
        elif block.coding is not None and stays:
            blocks += _coded_again(Archive.of_block(block, parts), block.coding, entries, model)
    if not blocks:
        raise ImageError("no image would be left: remove the file itself")
    numbers = sorted(entry.number for block in blocks for entry in block.head.entries)
    ranks = {number: rank for rank, number in enumerate(numbers)}
    return assemble([_renumbered(block, lambda entry: ranks[entry.number]) for block in blocks])


def _coded_again(archive: Archive, coding: BlockCoding, entries: Sequence[Entry], model: Source) -> list[Packed]:
    """Blocks of some images of a stack, which keep their numbers."""
    images = dict(restored(archive, entries, model))
    numbers = {entry.name: entry.number for entry in entries}
    if model is None and not coding.latent_levels:
        model = registry.name_of_number(coding.model_number)
    again = create(
        ((entry.name, images[entry.name]) for entry in entries), effort=coding.effort, levels=coding.levels,
        bits_back=[level / LEVEL_UNIT for level in coding.latent_levels] or None, model=model,
    )  # fmt: skip
    made = split(again)
    blocks = [_moved(*block, 0) for block in zip(made.index.blocks, made.parts, strict=True)]
    return [_renumbered(block, lambda entry: numbers[entry.name]) for block in blocks]


def _renumbered(block: Packed, number: Callable[[Entry], int]) -> Packed:
    entries = tuple(replace(entry, number=number(entry)) for entry in block.head.entries)
    return block._replace(head=replace(block.head, entries=entries))


def _whole(data: File | Archive) -> Archive:
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
    copied = Packed(block, b"".join(map(bytes, (*parts.values, *parts.sections, *parts.streams))))
    return _renumbered(copied, lambda entry: first + entry.number)
