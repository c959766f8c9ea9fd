"""Makes archives: takes images one by one, and keeps no more of them than the blocks that are coded together need."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy.typing as npt

from ddpmcodec._native import MAX_IMAGES, MAX_LETTERS, require_coder_answer
from ddpmcodec.archive.blocks import ContextCoder
from ddpmcodec.archive.packing import STACK_PIXELS, Job, Packer, Queue, QueuedImage, Spool
from ddpmcodec.archive.restorer import ModelOverrides, Source, latent_coder, restored
from ddpmcodec.codec.efforts import check_coding
from ddpmcodec.codec.encoder import EncodeOptions, encoder_of
from ddpmcodec.codec.passes import Progress
from ddpmcodec.codec.reading import Picture, planes_of
from ddpmcodec.content import File, Part
from ddpmcodec.errors import DdpmError, ImageError
from ddpmcodec.format.block import LEVEL_UNIT, Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import Archive, Index, PackedBlock, Parts, assemble, check_name, find_images, packed, whole
from ddpmcodec.format.header import DEFAULT_EFFORT
from ddpmcodec.formats.files import write_file
from ddpmcodec.formats.images import Planes
from ddpmcodec.models import registry
from ddpmcodec.parallel import WORK_PIXELS, run_all, side_by_side, thread_count

Named: TypeAlias = "tuple[str, Picture]"

STACK_LEVELS = 0  # by default: images of a block have no previews


class Writer:
    """Makes an archive of images that are given one by one, and of those of other archives, in little memory.

    Coded blocks wait in a temporary file, so that archives may be larger than memory. Nothing is written before `save`,
    or where `pieces` are written by the caller. An error that ends the work on images that were taken loses them:
    from then on nothing is added or written any more.

    Parameters:
        spool: the folder of the temporary file, on the disk that the archive goes to, say. None: keep all in memory.
        effort, levels, bits_back, model, strip, any_format, pixels, tile, strict, verify, progress: as in
            `create`.

    Raises:
        OutputError: no file can be made in the folder.
        ModelError, DdpmError, TypeError, ValueError: as `create`. All methods: DdpmError after an error that lost
            images, ValueError once it is closed.

    >>> import tempfile, numpy as np
    >>> from ddpmcodec import archive
    >>> with tempfile.TemporaryDirectory() as folder, archive.Writer(spool=folder) as writer:
    ...     for number in range(3):
    ...         writer.add(f"{number}.png", np.full((4, 4, 3), number, np.uint8))
    ...     writer.save(f"{folder}/numbers.ddpma")
    ...     archive.names(f"{folder}/numbers.ddpma")
    ['0.png', '1.png', '2.png']
    """

    def __init__(
        self,
        *,
        spool: str | os.PathLike[str] | None = None,
        effort: int = DEFAULT_EFFORT,
        levels: int | None = None,
        bits_back: npt.ArrayLike | int | None = None,
        model: Source = None,
        strip: bool = False,
        any_format: bool = False,
        pixels: bool = False,
        tile: int | None = None,
        strict: bool = False,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> None:
        options = EncodeOptions(
            effort=effort, levels=levels, tile=tile, strip=strip, any_format=any_format, pixels=pixels, strict=strict,
            verify=verify, progress=progress,
        )  # fmt: skip
        encoder_of(options)  # refuses what cannot be
        stacked = check_coding(effort, STACK_LEVELS if levels is None else levels)
        given = ModelOverrides.of(model, bits_back is not None)
        by_latents = bits_back is not None or given.latent is not None
        latent = latent_coder(given.latent, bits_back, progress) if by_latents else None
        coder = ContextCoder(given.context or registry.default(STACK_PIXELS), stacked, progress)
        self._packer = Packer(options=replace(options, model=given.files), coder=coder, latent=latent)
        self._reading = options.reading
        self._names: set[str] = set()
        self._letters = 0  # of all names
        self._is_whole = True
        self._thumbnails, self._files = Queue(), Queue()
        self._jobs: list[Job] = []
        self._blocks: list[PackedBlock] = []
        self._spool = Spool(None if spool is None else Path(spool))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        """Whether there is an image of this name."""
        return name in self._names

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the temporary file back."""
        self._spool.close()

    def add(self, name: str, image: Picture) -> None:
        """Take an image. Blocks are coded when they are full, as many at a time as there are threads, and no more than
        have four megapixels together.

        Parameters:
            name: a relative path with /, of no other image.
            image: as `ddpmcodec.encode` takes one.

        Raises:
            ImageError, ModelError, TypeError, ChecksumError: as `create`.
            OutputError: the temporary file cannot be written.
        """
        if not isinstance(name, str):
            raise TypeError(f"the name of an image is a text, not {name!r}")
        if problem := check_name(name):
            raise ImageError(f"{name!r}: cannot be the name of an image in an archive: {problem}")
        self._refuse([name])
        planes = self._planes(name, image)
        height, width, _ = planes.colour.shape
        waiting = QueuedImage(Entry(name, planes.mode, width, height, len(self._names)), planes)
        with self._changing():
            self._take([name])
            is_file = planes.original or planes.kept or planes.samples is not None
            if is_file or not self._packer.is_stackable(waiting.entry):
                self._add_file(waiting)
                return
            self._thumbnails.add(waiting)
            if self._thumbnails.is_full():
                self._close_thumbnails()

    def copy(self, data: File | Archive, *, without: Iterable[str] = (), model: Source = None) -> None:
        """Take the images of an archive, in their order. Their blocks are copied: nothing is decoded but images that
        share a stream with one that is left out, which are coded again, in the same way.

        Parameters:
            data: a .ddpma file as `ddpmcodec.decode` takes files, whole.
            without: names of images that are left out.
            model: as in `extract`, for images that are coded again.

        Raises:
            ImageError: there is an image of that name already.
            DdpmError: the file cannot be read, or there is no image of a name.
            FormatError: not an archive, or damaged where that shows without decoding, or in images that are coded
                again; TruncatedError where its end is missing.
            ModelError: as `extract`.
            OutputError: the temporary file cannot be written.
            TypeError: names that are one text.
        """
        if isinstance(without, str):
            raise TypeError(f"names come as a list: [{without!r}]")
        archive = whole(data)
        gone = {entry.number for entry in find_images(archive.index, list(without))}
        staying = [entry for entry in archive.index.entries if entry.number not in gone]
        numbers = {entry.name: number for number, entry in enumerate(staying, start=len(self._names))}
        self._refuse(numbers)
        with self._changing():
            self._take(numbers)
            for block, parts in zip(archive.index.blocks, archive.parts, strict=True):
                for left in _left_of(block, parts, gone, model):
                    entries = tuple(replace(entry, number=numbers[entry.name]) for entry in left.header.entries)
                    self._keep(left._replace(header=replace(left.header, entries=entries)))

    def pieces(self) -> list[Part]:
        """The archive of all images so far: parts that follow each other. `bytes` reads one, `len` does not.

        Raises:
            ImageError: there is no image.
            ModelError, ChecksumError: as `create`.
            FormatError: the index would be larger than a reader takes.
            OutputError: the temporary file cannot be written.
        """
        self._finish()
        return assemble(self._blocks)

    def to_bytes(self) -> bytes:
        """The archive of all images so far, in memory. Raises as `pieces`."""
        return b"".join(map(bytes, self.pieces()))

    def save(self, output: str | os.PathLike[str]) -> None:
        """Write the archive, complete or not at all; a file of that name is replaced. Raises as `pieces`, and
        OutputError."""
        write_file(Path(output), self.pieces())

    @property
    def index(self) -> Index:
        """What is known of the images whose blocks are coded; after `pieces` or `save`, of all."""
        return Index(tuple(replace(block.header, total=len(self)) for block in self._blocks))

    def _finish(self) -> None:
        if not self._names:
            raise ImageError("there is no image to put into the archive: name one at least")
        with self._changing():
            self._close_thumbnails()
            self._start(Job(self._files.take()))
            self._work()
        if self._packer.options.verify:
            require_coder_answer()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What is done in this context is done as a whole: where it ends by an error, images are lost."""
        if self._spool.is_closed:
            raise ValueError("the writer of this archive is closed")
        if not self._is_whole:
            raise DdpmError("an error before lost images of this archive: begin again, with another Writer")
        self._is_whole = False
        yield
        self._is_whole = True

    def _planes(self, name: str, image: Picture) -> Planes:
        try:
            return planes_of(image, self._reading)
        except (DdpmError, TypeError) as error:
            raise type(error)(f"{name}: {error}") from error

    def _refuse(self, names: Collection[str]) -> None:
        """Raises ImageError where images of these names have no place."""
        for name in names:
            if name in self._names:
                raise ImageError(f"{name}: there is an image of this name already: give each its own")
        first = next(iter(names), "")
        if len(self._names) + len(names) > MAX_IMAGES:
            raise ImageError(f"{first}: an archive holds {MAX_IMAGES} images at most: make another one for the rest")
        if self._letters + sum(map(len, names)) > MAX_LETTERS:
            raise ImageError(f"{first}: the names of an archive have {MAX_LETTERS} letters at most: make another one")

    def _take(self, names: Collection[str]) -> None:
        self._names.update(names)
        self._letters += sum(map(len, names))

    def _add_file(self, waiting: QueuedImage) -> None:
        self._files.add(waiting)
        if self._files.is_full():
            self._start(Job(self._files.take()))

    def _close_thumbnails(self) -> None:
        if images := self._thumbnails.take():
            self._start(self._packer.stacked(images))

    def _start(self, job: Job) -> None:
        if job.images:
            self._jobs.append(job)
        if len(self._jobs) >= thread_count() or sum(job.pixels for job in self._jobs) >= WORK_PIXELS:
            self._work()

    def _work(self) -> None:
        jobs, self._jobs = self._jobs, []
        for block in run_all(self._packer.packed, jobs, side_by_side(max((job.pixels for job in jobs), default=0))):
            self._keep(block)

    def _keep(self, block: PackedBlock) -> None:
        self._blocks.append(block._replace(body=self._spool.keep(bytes(block.body))))


def _left_of(block: Block, parts: Parts, gone: set[int], model: Source) -> list[PackedBlock]:
    """What is left of a block without the images of these numbers."""
    stays = [place for place, entry in enumerate(block.entries) if entry.number not in gone]
    entries = tuple(block.entries[place] for place in stays)
    if len(stays) == len(block.entries):
        return [PackedBlock(block, parts.body())]
    if not stays:
        return []
    if block.coding is None:
        return [packed(replace(block, entries=entries), [], [bytes(parts.sections[place]) for place in stays])]
    return _coded_again(Archive.of_block(block, parts), block.coding, entries, model)


def _coded_again(archive: Archive, coding: BlockCoding, entries: Sequence[Entry], model: Source) -> list[PackedBlock]:
    """Blocks of some images of a stack."""
    images = restored(archive, entries, model)
    if model is None and not coding.latent_levels:
        model = registry.name_of_number(coding.model_number)
    latent_levels = [level / LEVEL_UNIT for level in coding.latent_levels] or None
    again = Writer(effort=coding.effort, levels=coding.levels, bits_back=latent_levels, model=model)
    for name, image in images:
        again.add(name, image)
    again._finish()
    return again._blocks


def create(
    images: Iterable[Named] | Mapping[str, Picture],
    *,
    effort: int = DEFAULT_EFFORT,
    levels: int | None = None,
    bits_back: npt.ArrayLike | int | None = None,
    model: Source = None,
    strip: bool = False,
    any_format: bool = False,
    pixels: bool = False,
    tile: int | None = None,
    strict: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """An archive of many images, without loss, and without what each would need to be a file of its own.

    Parameters:
        images: (name, image) pairs, or a dictionary of images by name; images as `ddpmcodec.encode` takes them. Names
            are relative paths with /. Pairs are taken one by one, so that a generator of many images needs little
            memory.
        effort: as in `ddpmcodec.encode`.
        levels: as in `ddpmcodec.encode`. None: none for thumbnails that are coded together, which have no previews, and
            the default for all other images, which are files of their own.
        bits_back: None: code by the context model. Otherwise the noise levels s_1 < ... < s_T of latents in grey
            levels, one network call each, or how many of them; with a checkpoint of the paper's network None is all
            its own levels.
        model: None (embedded ones; for each block of thumbnails the one that suits eight of them, but
            `cifar10` beside bits back), a context model, or for bits back a Gaussian model or a checkpoint of the
            paper's network; by name, path or object.
        strip: leave out ICC profiles, XMP, and EXIF but for orientations.
        any_format, pixels: as in `ddpmcodec.encode`, for each image.
        tile: as in `ddpmcodec.encode`, for images that are files of their own: all of more than 4,096 pixels.
        verify: decode everything and compare.
        progress: called with the number of pixels done since the last call, from several threads at a time. Where they
            are verified, all are counted twice: coded, and decoded.

    Returns:
        The bytes of a .ddpma file.

    Raises:
        ImageError: there is no image, one cannot be coded, or a name is taken or is no relative path.
        ModelError: the model is missing, or does not compute exactly here.
        DdpmError: noise levels for bits back that cannot be.
        TypeError, ValueError: an argument, or a name, of another type; an effort or levels that there are not.
        ChecksumError: the result does not decode to the images.

    Source: bits back in the order of Kingma, Abbeel & Ho 2019, arXiv 1905.06845 (Bit-Swap), algorithm 2.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> data = archive.create((f"{n}.png", np.full((4, 4, 3), n, np.uint8)) for n in range(3))
    >>> archive.names(data)
    ['0.png', '1.png', '2.png']
    """
    writer = Writer(
        effort=effort, levels=levels, bits_back=bits_back, model=model, strip=strip, any_format=any_format,
        pixels=pixels, tile=tile, strict=strict, verify=verify, progress=progress,
    )  # fmt: skip
    for pair in images.items() if isinstance(images, Mapping) else images:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"create() takes pairs of a name and an image, not {type(pair).__name__}")
        writer.add(*pair)
    return writer.to_bytes()
