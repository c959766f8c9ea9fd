"""Random access: an archive on disk as a mapping from names to images, which decodes the run of one image only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from PIL import Image

from ddpmcodec._native import DEFAULT_MAX_PIXELS
from ddpmcodec.archive.blocks import run_ranges
from ddpmcodec.archive.restorer import ModelOverrides, Source, restored
from ddpmcodec.arguments import check_limits, check_pixels, whole_number
from ddpmcodec.codec.decoder import decode_details, small_part
from ddpmcodec.codec.decoding import Edges
from ddpmcodec.content import Content, File, FileView, SharedBytes, bytes_of, content_of
from ddpmcodec.errors import DdpmError, FormatError, TruncatedError, without_traceback
from ddpmcodec.format.block import CONTEXT, FILES, Block, Entry
from ddpmcodec.format.ddpma import Archive, Index, split
from ddpmcodec.models import THUMBNAIL_PIXELS, registry
from ddpmcodec.parallel import run_all, side_by_side

KEPT_BLOCKS = 64  # runs of thumbnails, up to 400 kB each
KEPT_THUMBNAILS = 1024  # that are files of their own, as drawings are: up to 12 kB each, 16 with alpha


def open(
    data: File, *, model: Source = None, kept_blocks: int = KEPT_BLOCKS, max_pixels: int | None = DEFAULT_MAX_PIXELS
) -> ArchiveFile:
    """An archive as a mapping from names to Pillow images. Images are decoded when they are asked for.

    Parameters:
        data: the path of a .ddpma file, which stays open, and of which only parts that are needed are read; or its
            bytes; or a binary file, which is read whole.
        model: as in `extract`.
        kept_blocks: how many decoded runs of thumbnails are kept for images that follow; by bits back, how many blocks,
            which are decoded as a whole. Images that are files of their own are decoded one by one, and not kept.
        max_pixels: as in `extract`, for each image when it is asked for.

    Returns:
        An `ArchiveFile`. Names are in the order in which images were given. It is a context manager, it can be
        pickled, and it may be used after a fork. Its images have the high 8 bits of samples of 9 to 16 bits, of which
        `extract` gives all.

    Raises:
        DdpmError: the file cannot be read.
        FormatError: not an archive, or neither its index nor a block is found.
        ModelError: the model is missing. Where it is another one than the archive's, the first image raises it.

    Images raise KeyError where there is none of that name, and FormatError where it is lost to damage, or the file
    became shorter (TruncatedError). Errors begin with the path of the archive, where it has one.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> data = archive.create((f"{n}.png", np.full((4, 6, 3), n, np.uint8)) for n in range(3))
    >>> with archive.open(data) as images:
    ...     list(images), images["1.png"].getpixel((0, 0)), "7.png" in images
    (['0.png', '1.png', '2.png'], (1, 1, 1), False)
    """
    return ArchiveFile(data, model, kept_blocks, max_pixels)


class _Group(NamedTuple):
    """Images that are decoded together: a run, or a block by bits back; or an image that is a file of its own."""

    block: int
    entries: tuple[Entry, ...]
    pixels: int  # of all of them
    is_file: bool = False

    @classmethod
    def of(cls, block: int, entries: tuple[Entry, ...], is_file: bool = False) -> _Group:
        return cls(block, entries, sum(entry.pixels for entry in entries), is_file)


class _Location(NamedTuple):
    """Where an image is: the number of its group, and what the archive says of it."""

    group: int
    entry: Entry


class _DecodedImages(NamedTuple):
    """The images of a group that could be decoded, and what is wrong with the rest."""

    images: dict[str, Image.Image]
    error: FormatError | None


@dataclass(frozen=True, eq=False)
class _ArchiveState:
    """What decoding needs. It does not refer to the `ArchiveFile`, whose cache refers to it: nothing here is a cycle,
    so that the file is closed as soon as nobody has the archive."""

    content: Content
    archive: Archive
    groups: list[_Group]
    locations: dict[str, _Location]
    model: Source

    def decoded(self, number: int) -> _DecodedImages:
        """The images of a group."""
        whole, group = self.archive, self.groups[number]
        block = Archive.of_block(whole.index.blocks[group.block], whole.parts[group.block], missing=whole.missing)
        images = dict[str, Image.Image]()
        try:
            for name, image in restored(block, group.entries, self.model):
                images[name] = image
        except FormatError as error:
            if _has_shrunk(self.content):
                raise  # which is not kept
            return _DecodedImages(images, without_traceback(error))
        return _DecodedImages(images, None)


class ArchiveFile(Mapping[str, Image.Image]):
    """An open archive, as `open` returns it: a mapping from names to Pillow images."""

    def __init__(self, data: File, model: Source, kept_blocks: int, max_pixels: int | None) -> None:
        check_limits(max_pixels=max_pixels, kept_blocks=whole_number("kept_blocks", kept_blocks))
        self._source = _path_or_bytes(data)
        self._kept_blocks, self._max_pixels = kept_blocks, max_pixels
        content = _content(self._source)
        with _naming(self._source, content):
            archive = split(content)
        latent = (block.coding is not None and block.coding.latent_levels for block in archive.index.blocks)
        given = ModelOverrides.of(model, any(latent))
        self._model = given.files or given.latent  # loaded once
        groups = [group for n, block in enumerate(archive.index.blocks) for group in _groups(n, block)]
        locations = {
            entry.name: _Location(number, entry) for number, group in enumerate(groups) for entry in group.entries
        }
        self._archive: _ArchiveState | None = _ArchiveState(content, archive, groups, locations, self._model)
        self._kept = lru_cache(kept_blocks)(_ArchiveState.decoded)
        self._kept_thumbnails = lru_cache(KEPT_THUMBNAILS if kept_blocks else 0)(_ArchiveState.decoded)

    @property
    def index(self) -> Index:
        """Names, modes and sizes of all images, as `read_index` gives them."""
        return self._opened.archive.index

    def __len__(self) -> int:
        return len(self._opened.locations)

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self.index.entries)

    def __contains__(self, name: object) -> bool:
        return name in self._opened.locations

    def __getitem__(self, name: str) -> Image.Image:
        with _naming(self._source, self._opened.content):
            return self._image(name)

    def _image(self, name: str) -> Image.Image:
        opened = self._opened
        number, entry = opened.locations[name]
        check_pixels(name, entry.width, entry.height, self._max_pixels)
        decoded = self._decoder_of(opened.groups[number])(opened, number)
        if name not in decoded.images:
            raise without_traceback(decoded.error or FormatError(f"{name} is lost: the archive is damaged"))
        return decoded.images[name].copy()

    def _decoder_of(self, group: _Group) -> Callable[[_ArchiveState, int], _DecodedImages]:
        """What decodes a group, and keeps it, or not."""
        if not group.is_file:
            return self._kept
        return self._kept_thumbnails if group.pixels <= THUMBNAIL_PIXELS else _ArchiveState.decoded

    def region(self, name: str, box: Edges | None = None, *, reduce: int = 1) -> Image.Image:
        """A part of an image, or a reduced one. Where the image is a file of its own, no more is read and decoded than
        is needed.

        Parameters:
            name: of the image.
            box: left, top, right and bottom edge in pixels of the whole image; None: all of it.
            reduce: 1, 2, 4, 8 or 16: each pixel is the mean of so many in either direction.

        Raises:
            KeyError: there is no image of that name. All that `decode` raises.

        >>> import numpy as np
        >>> from ddpmcodec import archive
        >>> images = archive.open(archive.create([("a.png", np.full((8, 6), 7, np.uint8))]))
        >>> images.region("a.png", (0, 0, 4, 4), reduce=2).size
        (2, 2)
        """
        opened = self._opened
        number, entry = opened.locations[name]
        group = opened.groups[number]
        if not group.is_file:
            return small_part(self[name], box, reduce)
        position = opened.archive.index.blocks[group.block].entries.index(entry)
        file = opened.archive.parts[group.block].sections[position]
        options: Any = {"model": ModelOverrides.of(self._model, False).context, "max_pixels": self._max_pixels}
        with _naming(self._source, opened.content, name):
            return decode_details(file, box=box, reduce=reduce, **options).image

    def block_of(self, name: str) -> int:
        """The number of the group that an image is in: images of one group are decoded together. An image that is a
        file of its own is alone in its group."""
        return self._opened.locations[name].group

    def is_file(self, name: str) -> bool:
        """Whether an image is a file of its own: it is decoded alone, and kept only where it is small."""
        return self._opened.groups[self.block_of(name)].is_file

    def prefetch(self, names: Iterable[str]) -> None:
        """Decode the runs that hold these images on all threads, and keep them for the images that are asked for next.

        Images that are files of their own are not decoded, nor anything where there are more runs than `kept_blocks`.
        Raises KeyError for a name that is not there, ImageError for an image of more than `max_pixels`, ModelError
        where the model is another one, TruncatedError where the file became shorter, ValueError where the archive is
        closed. What else is wrong with an image is raised when it is asked for.

        >>> import numpy as np
        >>> from ddpmcodec import archive
        >>> images = archive.open(archive.create((f"{n}.png", np.full((4, 4), n, np.uint8)) for n in range(3)))
        >>> images.prefetch(["0.png", "2.png"])
        """
        opened = self._opened
        with _naming(self._source, opened.content):
            self._decode_ahead(opened, [opened.locations[name] for name in names])

    def _decode_ahead(self, opened: _ArchiveState, wanted: list[_Location]) -> None:
        for _, entry in wanted:
            check_pixels(entry.name, entry.width, entry.height, self._max_pixels)
        runs = sorted({group for group, _ in wanted if not opened.groups[group].is_file})
        if not 0 < len(runs) <= self._kept_blocks:
            return
        given = ModelOverrides.of(self._model, False).context
        codings = [opened.archive.index.blocks[opened.groups[run].block].coding for run in runs]
        for number, model_id in {(coding.model_number, coding.model_id) for coding in codings if coding}:
            registry.written_with(number, model_id, given, "archive")  # read once, before threads ask for it
        largest = max(opened.groups[run].pixels for run in runs)
        run_all(lambda run: self._kept(opened, run), runs, side_by_side(largest))

    def close(self) -> None:
        """Close the file, and free the images that are kept."""
        self._archive = None
        self._kept.cache_clear()
        self._kept_thumbnails.cache_clear()

    def __enter__(self) -> ArchiveFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        return self._source, self._model, self._kept_blocks, self._max_pixels

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def _opened(self) -> _ArchiveState:
        if self._archive is None:
            raise ValueError("the archive is closed")
        return self._archive


def _groups(number: int, block: Block) -> list[_Group]:
    """The groups of a block."""
    if block.kind == FILES:
        return [_Group.of(number, (entry,), is_file=True) for entry in block.entries]
    ranges = run_ranges(block) if block.kind == CONTEXT else [range(len(block.entries))]
    return [_Group.of(number, block.entries[run.start : run.stop]) for run in ranges]


def _path_or_bytes(data: Any) -> str | bytes:
    """The absolute path of an archive, or its bytes. Raises DdpmError where a file cannot be read, TypeError for
    anything else."""
    if isinstance(data, (str, os.PathLike)):
        return os.path.abspath(data)
    return bytes_of(data)


def _content(data: str | bytes) -> Content:
    """A view of an archive's file, or of its bytes. Raises DdpmError where the file cannot be read."""
    return SharedBytes(data) if isinstance(data, bytes) else content_of(data)


@contextmanager
def _naming(source: str | bytes, content: Content, name: str = "") -> Iterator[None]:
    """Puts the archive's path, where it has one, and the image's name in front of what is wrong with them. Where the
    file became shorter, says so."""
    try:
        yield
    except DdpmError as error:
        kind, text = type(error), f"{name}: {error}" if name else str(error)
        if isinstance(error, FormatError) and _has_shrunk(content):
            kind, text = TruncatedError, "became shorter since it was opened: open it again"
        raise kind(f"{source}: {text}" if isinstance(source, str) else text) from error


def _has_shrunk(content: Content) -> bool:
    return isinstance(content, FileView) and content.has_shrunk
