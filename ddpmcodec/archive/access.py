"""Random access: an archive on disk as a mapping from names to images, which decodes the block of one image only."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple, cast

from PIL import Image

from ddpmcodec.archive.reader import extract_from
from ddpmcodec.archive.sources import Source, split_source
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.errors import DdpmError, FormatError
from ddpmcodec.format.block import Entry
from ddpmcodec.format.ddpma import Archive, Index, Parts, split

KEPT_BLOCKS = 32  # of thumbnails, up to 2 MB each
Opened = str | os.PathLike[str] | bytes | BinaryIO


def open(
    source: Opened, *, model: Source = None, kept_blocks: int = KEPT_BLOCKS, max_pixels: int | None = DEFAULT_MAX_PIXELS
) -> ArchiveFile:
    """An archive as a mapping from names to Pillow images. Images are decoded when they are asked for.

    Parameters:
        source: the path of a .ddpma file, which is mapped into memory, so that only parts that are needed are read; or
            its bytes; or a binary file, which is read whole.
        model: as of `extract`.
        kept_blocks: decoded blocks to keep for images that follow: a block of thumbnails is decoded as a whole. Images
            that are files of their own are decoded one by one, and not kept.
        max_pixels: as of `extract`, for each image when it is asked for.

    Returns:
        An `ArchiveFile`. Names are in the order in which images were given. It is a context manager, it can be
        pickled, and it may be used after a fork.

    Raises:
        DdpmError: the file cannot be read.
        FormatError: not an archive, or neither its index nor a block is found.
        ModelError: the model is missing. Where it is another one than the archive's, the first image raises it.

    Images raise KeyError where there is none of that name, and FormatError where it is lost to damage.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> data = archive.create((f"{n}.png", np.full((4, 6, 3), n, np.uint8)) for n in range(3))
    >>> with archive.open(data) as images:
    ...     list(images), images["1.png"].getpixel((0, 0)), "7.png" in images
    (['0.png', '1.png', '2.png'], (1, 1, 1), False)
    """
    return ArchiveFile(source, model, kept_blocks, max_pixels)


class _Place(NamedTuple):
    """Of an image: its block, and what the archive says of it."""

    block: int
    entry: Entry


class _Found(NamedTuple):
    """What came out of a block, and what is wrong with the rest."""

    images: dict[str, Image.Image]
    error: FormatError | None


class ArchiveFile(Mapping[str, Image.Image]):
    """What `open` returns."""

    def __init__(self, source: Opened, model: Source, kept_blocks: int, max_pixels: int | None) -> None:
        check_limits(max_pixels=max_pixels)
        self._source: str | bytes = source.read() if hasattr(source, "read") else _path_or_bytes(source)
        self._kept_blocks, self._max_pixels = kept_blocks, max_pixels
        archive = split(cast(bytes, _Shared(_content(self._source))))
        self._archive: Archive | None = archive
        given = split_source(model, any(block.coding and block.coding.levels for block in archive.index.blocks))
        self._model = given.context or given.latent  # loaded once
        self._places = {
            entry.name: _Place(number, entry)
            for number, block in enumerate(archive.index.blocks)
            for entry in block.entries
        }
        self._stack = lru_cache(kept_blocks)(self._decode_stack)

    @property
    def index(self) -> Index:
        """Names, modes and sizes of all images, as `read_index` gives them."""
        return self._opened.index

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self.index.entries)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> Image.Image:
        blocks = self.index.blocks
        place = self._places[name]
        check_pixels(name, place.entry.width, place.entry.height, self._max_pixels)
        alone = blocks[place.block].coding is None
        found = self._decode(place.block, (place.entry,)) if alone else self._stack(place.block)
        if name not in found.images:
            raise found.error or FormatError(f"{name} is lost: the archive is damaged")
        return found.images[name].copy()

    def block_of(self, name: str) -> int:
        """The number of the block that an image is in: those of one block are decoded together."""
        return self._places[name].block

    def close(self) -> None:
        self._archive = None
        self._places = {}
        self._stack.cache_clear()

    def __enter__(self) -> ArchiveFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._source, self._model, self._kept_blocks, self._max_pixels

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def _opened(self) -> Archive:
        if self._archive is None:
            raise ValueError("the archive is closed")
        return self._archive

    def _decode_stack(self, number: int) -> _Found:
        return self._decode(number, self._opened.index.blocks[number].entries)

    def _decode(self, number: int, entries: tuple[Entry, ...]) -> _Found:
        whole = self._opened
        parts = _in_memory(whole.parts[number])
        block = Archive(Index((whole.index.blocks[number],)), (parts,), whole.missing, 0, 0)
        images = dict[str, Image.Image]()
        try:
            for name, image in extract_from(block, entries, model=self._model):
                images[name] = image
        except FormatError as error:
            return _Found(images, error)
        return _Found(images, None)


class _Shared:
    """Bytes whose slices share their memory, which is a file's."""

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self.find, self._view = content.find, memoryview(content)

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, place: slice) -> memoryview:
        return self._view[place]


def _path_or_bytes(source: Any) -> str | bytes:
    return source if isinstance(source, bytes) else os.path.abspath(source)


def _content(source: str | bytes) -> mmap.mmap | bytes:
    """The file, mapped into memory where it can be. Raises DdpmError."""
    if isinstance(source, bytes):
        return source
    try:
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if os.fstat(descriptor).st_size else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DdpmError(f"{source}: cannot be read ({error.strerror}); give the path of an archive") from error


def _in_memory(parts: Parts) -> Parts:
    values, sections = (tuple(map(bytes, each)) for each in (parts.values, parts.sections))
    return Parts(values, sections, bytes(parts.words), parts.intact)
