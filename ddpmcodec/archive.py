"""Archives of many images (.ddpma): their colours on ANS stacks, without loss, by either channel.

The uniform channel (`channels.stacked`) spares every image the header and state of a file; bits back
(`channels.bits_back`) reaches the variational bound of the paper. Images of 65536 pixels or fewer (4096 or fewer, where
embedded models code each size) with three colours share a stack with up to 511 others, of any size; larger and grey
ones stand in the archive as the .ddpm files they would be alone. Everything is kept: names, modes, alpha, ICC, EXIF.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddpmcodec import batches, codec
from ddpmcodec.ans.stack import Words
from ddpmcodec.archive_block import Coder, decode_block, encode_block, image_check
from ddpmcodec.archive_format import (
    MAX_IMAGES,
    STACKED_MODES,
    Block,
    Entry,
    Index,
    Run,
    assemble,
    check_name,
    find_images,
    split,
    stack_order,
)
from ddpmcodec.archive_network import Network, Source, find_network, network_of, watched
from ddpmcodec.archive_reader import ArchiveReader, Extracted
from ddpmcodec.channels.bits_back import Pixels, Rung
from ddpmcodec.container import MODEL_ID_BYTES
from ddpmcodec.errors import ChecksumError, ImageError
from ddpmcodec.images import Planes, to_planes
from ddpmcodec.sections import pack_alpha, pack_metadata

__all__ = ["create", "extract", "names", "read_index", "test"]

Named = tuple[str, codec.Picture]
Progress = batches.Progress

BLOCK_IMAGES = 512  # on one stack: damage goes no further, nor does the search for one image
WAITING_FILES = 256  # images that become files of their own, coded together


def create(
    images: Iterable[Named],
    *,
    levels: npt.ArrayLike | int | None = None,
    model: Source = None,
    effort: int = 7,
    strip: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """The archive of (name, image) pairs, images as `codec.encode` takes them; they are taken one by one.

    levels: the noise levels s_1 < ... < s_T of bits back in grey levels, one network call each; or how many the network
    is to choose. None: the uniform channel, or all levels of a network that has none. model: None (embedded ones), an
    exported model, or a checkpoint of the paper's network; embedded models then code what needs the uniform channel.
    effort: of the uniform channel. strip: without ICC profile and EXIF. verify: decode every block and compare.

    Raises ImageError for no images at all, for what cannot be coded, and for a name that is taken or no relative path;
    ModelError; DdpmError for levels that cannot be; ChecksumError when the result does not decode.
    """
    network = find_network(model)
    writer = _Writer(network, network.chain(levels), effort, strip, verify, progress)
    for name, image in images:
        writer.add(name, image)
    return writer.finish()


def read_index(data: bytes) -> Index:
    """What an archive says of itself, without decoding an image. Raises FormatError."""
    return split(data).index


def names(data: bytes) -> list[str]:
    """The names of the images in the order they were given. Raises FormatError."""
    return [entry.name for entry in read_index(data).entries]


def extract(
    data: bytes, names: Iterable[str] | None = None, *, model: Source = None, progress: Progress | None = None
) -> Iterator[Extracted]:
    """(name, image) of all images, or of those named, in the order in which they are decoded.

    Of a damaged archive it yields every image whose checks are right, and then raises TruncatedError or ChecksumError
    with the names of those that are lost, or FormatError where bytes follow its end.

    Raises at once DdpmError for a name that is not there, FormatError where there is no index or it has names that lead
    out of a folder, and ModelError.
    """
    archive = split(data)
    wanted = find_images(archive.index, None if names is None else list(names))
    return ArchiveReader(archive, network_of(archive.index, model), progress).images(wanted)


def test(data: bytes, *, model: Source = None, progress: Progress | None = None) -> int:  # noqa: PT028
    """Decode and check all images and return their number. Raises as `extract`."""
    return sum(1 for _ in extract(data, model=model, progress=progress))


class _Waiting(NamedTuple):
    """An image that others are waited for to be coded with."""

    number: int
    image: codec.Picture
    planes: Planes


class _Writer:
    """Takes images one by one, and keeps no more of them than one block needs."""

    def __init__(
        self, network: Network, chain: Sequence[Rung], effort: int, strip: bool, verify: bool, progress: Progress | None
    ) -> None:
        self.network, self.strip, self.verify, self.progress = network, strip, verify, progress
        predictor = watched(network.predictor, len(chain), progress)
        self.coder = Coder(predictor, chain, network.files, effort, progress, network.model)
        self.taken: set[str] = set()
        self.entries: list[Entry] = []
        self.sections: list[bytes] = []
        self.values: dict[bytes, int] = {b"": 0}
        self.blocks: list[tuple[Block, bytes]] = []
        self.stackable: list[_Waiting] = []
        self.others: list[_Waiting] = []

    def add(self, name: str, image: codec.Picture) -> None:
        if problem := check_name(name):
            raise ImageError(f"{name!r}: cannot be the name of an image in an archive: {problem}")
        if name in self.taken:
            raise ImageError(f"{name}: there is an image of this name already: give each its own")
        if len(self.taken) == MAX_IMAGES:
            raise ImageError(f"{name}: an archive holds {MAX_IMAGES} images at most: make another one for the rest")
        planes = to_planes(image, strip=self.strip)
        height, width, _ = planes.colour.shape
        waiting = _Waiting(len(self.entries), image, planes)
        self.taken.add(name)
        self.entries.append(Entry(name, planes.mode, width, height))
        self.sections.append(b"")
        if height * width > self.network.stack_pixels:
            self._write_files([waiting])
        elif planes.mode in STACKED_MODES:
            self.stackable.append(waiting)
        else:
            self.others.append(waiting)
        if len(self.stackable) == BLOCK_IMAGES:
            self._write_block()
        if len(self.others) == WAITING_FILES:
            self._write_others()

    def finish(self) -> bytes:
        if not self.entries:
            raise ImageError("there is no image to put into the archive: name one at least")
        self._write_block()
        self._write_others()
        index = Index(self.network.files_id[:MODEL_ID_BYTES], entries=tuple(self.entries))
        if self.blocks:
            index = replace(
                index,
                model_id=self.network.id[:MODEL_ID_BYTES],
                levels=tuple(rung.level for rung in self.coder.chain),
                effort=0 if self.coder.chain else self.coder.effort,
                profile=self.network.profile,
                blocks=tuple(block for block, _ in self.blocks),
            )
        return assemble(index, list(self.values)[1:], self.sections, [words for _, words in self.blocks])

    def _write_others(self) -> None:
        waiting, self.others = self.others, []
        self._write_files(waiting)

    def _write_files(self, waiting: Sequence[_Waiting]) -> None:
        files = codec.encode_many(
            [image for _, image, _ in waiting],
            effort=self.coder.effort,
            model=self.coder.files,
            strip=self.strip,
            verify=self.verify,
            progress=self.progress,
        )
        for (number, _, _), file in zip(waiting, files, strict=True):
            self.sections[number] = file

    def _write_block(self) -> None:
        """A stack of all that wait for it; of so few that none of them could be lent bits, a file each."""
        by_number = {waiting.number: waiting for waiting in self.stackable}
        self.stackable = []
        order = [by_number[number] for number in stack_order(list(by_number), self.entries)]
        colours = [waiting.planes.colour for waiting in order]
        runs, words = encode_block(colours, self.coder)
        if all(run.file_bytes for run in runs):
            self._write_files(order)
            return
        if self.verify:
            _verify(words, runs, colours, self.coder)
        self.blocks.append((Block(runs, len(words)), words.astype("<u4").tobytes()))
        for waiting in order:
            self._enter(waiting)

    def _enter(self, waiting: _Waiting) -> None:
        """The entry of an image whose colours are on a stack, and what the stack does not have of it."""
        number, _, planes = waiting
        self.entries[number] = replace(
            self.entries[number],
            stacked=True,
            check=image_check(planes.colour),
            icc=self._value(pack_metadata(planes.icc, b"")),
            exif=self._value(pack_metadata(b"", planes.exif)),
        )
        self.sections[number] = b"" if planes.alpha is None else pack_alpha(planes.alpha)

    def _value(self, section: bytes) -> int:
        return self.values.setdefault(section, len(self.values))


def _verify(words: Words, runs: Sequence[Run], colours: Sequence[Pixels], coder: Coder) -> None:
    """Raises ChecksumError unless the words decode to the images."""
    end = len(colours)
    for found in decode_block(words, runs, [(image.shape[1], image.shape[0]) for image in colours], coder):
        expected = colours[end - len(found) : end]
        end -= len(found)
        if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
            raise ChecksumError("a block does not decode to what was encoded; this is a defect, please report it")
