"""Makes archives: takes images one by one, and keeps no more of them than the blocks that are coded together need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddpmcodec import codec
from ddpmcodec.archive.blocks import BlockDecoder, ContextCoder, Encoded, Pixels, encode_block
from ddpmcodec.archive.sources import Given, LatentCoder, Source, latent_coder
from ddpmcodec.codec import efforts, known_answer
from ddpmcodec.codec.batching import Progress
from ddpmcodec.codec.efforts import check_coding
from ddpmcodec.codec.graphics import find_graphics
from ddpmcodec.codec.reading import Picture, Reading, planes_of
from ddpmcodec.codec.suited import suited_together
from ddpmcodec.errors import ChecksumError, FormatError, ImageError
from ddpmcodec.format.block import MAX_BLOCK_IMAGES, MAX_IMAGES, Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import MAX_NAMES, Packed, assemble, check_name, packed
from ddpmcodec.format.header import DEFAULT_EFFORT, DEFAULT_LEVELS, MAX_METADATA
from ddpmcodec.format.sections import MAX_BLOCK_METADATA, Metadata, pack_alpha, pack_metadata
from ddpmcodec.images import Planes
from ddpmcodec.models import THUMBNAIL_PIXELS, registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, thread_count

Named = tuple[str, Picture]

BLOCK_IMAGES = MAX_BLOCK_IMAGES  # damage goes no further than a block
BLOCK_PIXELS = 1 << 19
STACK_LEVELS = 0  # by default: images of a block have no previews
STACK_PIXELS = THUMBNAIL_PIXELS  # larger images would gain less than 0.3% in a block


def create(
    images: Iterable[Named] | Mapping[str, Picture],
    *,
    effort: int = DEFAULT_EFFORT,
    levels: int | None = None,
    bits_back: npt.ArrayLike | int | None = None,
    model: Source = None,
    strip: bool = False,
    any_format: bool = False,
    webp: bool = True,
    pixels: bool = False,
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
        any_format, webp, pixels: as in `ddpmcodec.encode`, for each image.
        verify: decode everything and compare.
        progress: called with the number of pixels done since the last call. Where they are verified, all are counted
            twice: coded, and decoded.

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
    files = check_coding(effort, DEFAULT_LEVELS if levels is None else levels)
    stacked = check_coding(effort, STACK_LEVELS if levels is None else levels)
    given = Given.of(model, bits_back is not None)
    by_latents = bits_back is not None or given.latent is not None
    latent = latent_coder(given.latent, bits_back, progress) if by_latents else None
    context = ContextCoder(given.context or registry.default(STACK_PIXELS), stacked, progress)
    reading = Reading(strip, any_format, pixels)
    writer = _Writer(given.context, files, context, latent, reading=reading, webp=webp, verify=verify)
    for pair in images.items() if isinstance(images, Mapping) else images:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"create() takes pairs of a name and an image, not {type(pair).__name__}")
        writer.add(*pair)
    return writer.finish()


class _Waiting(NamedTuple):
    """An image whose block is not full. `entry` is what the archive will say of it."""

    entry: Entry
    planes: Planes


@dataclass
class _Queue:
    """Images that will be a block together."""

    images: list[_Waiting] = field(default_factory=list)
    pixels: int = 0
    metadata: int = 0  # bytes

    def add(self, waiting: _Waiting) -> None:
        self.images.append(waiting)
        self.pixels += waiting.entry.pixels
        self.metadata += sum(map(len, waiting.planes.metadata))

    def is_full(self) -> bool:
        full = len(self.images) >= BLOCK_IMAGES or self.pixels >= BLOCK_PIXELS
        return full or self.metadata > MAX_BLOCK_METADATA - MAX_METADATA

    def take(self) -> list[_Waiting]:
        taken, self.images, self.pixels, self.metadata = self.images, [], 0, 0
        return taken


class _Job(NamedTuple):
    """A block to be coded. coder: of thumbnails; None: the images become files."""

    images: list[_Waiting]
    coder: ContextCoder | None = None


class _Writer:
    """Blocks are filled in the order of the images, and coded as many at a time as there are threads.

    model, coding: of files; None: embedded models. coder: codes blocks of thumbnails, by its model where one was given
    or beside bits back, otherwise by the embedded one that suits a block.
    """

    def __init__(
        self, model: ContextModel | None, coding: efforts.Coding, coder: ContextCoder,
        latent: LatentCoder | None, *, reading: Reading, webp: bool, verify: bool,
    ) -> None:  # fmt: skip
        self.model, self.coding, self.coder, self.latent = model, coding, coder, latent
        self.reading, self.webp, self.verify = reading, webp, verify
        self.taken: set[str] = set()
        self.name_bytes = 0
        self.stack, self.files = _Queue(), _Queue()
        self.jobs: list[_Job] = []
        self.blocks: list[Packed] = []

    def add(self, name: str, image: Picture) -> None:
        if not isinstance(name, str):
            raise TypeError(f"create() takes pairs of a name and an image, and {name!r} is no name")
        if problem := check_name(name):
            raise ImageError(f"{name!r}: cannot be the name of an image in an archive: {problem}")
        if name in self.taken:
            raise ImageError(f"{name}: there is an image of this name already: give each its own")
        if len(self.taken) == MAX_IMAGES:
            raise ImageError(f"{name}: an archive holds {MAX_IMAGES} images at most: make another one for the rest")
        self.name_bytes += len(name.encode())
        if self.name_bytes > MAX_NAMES:
            raise ImageError(f"{name}: the names of an archive take {MAX_NAMES} bytes at most: make another one")
        planes = planes_of(image, self.reading)
        height, width, _ = planes.colour.shape
        waiting = _Waiting(Entry(name, planes.mode, width, height, len(self.taken)), planes)
        self.taken.add(name)
        if planes.original or not self._is_stackable(waiting.entry):
            self._add_file(waiting)
            return
        self.stack.add(waiting)
        if self.stack.is_full():
            self._close_stack()

    def finish(self) -> bytes:
        if not self.taken:
            raise ImageError("there is no image to put into the archive: name one at least")
        self._close_stack()
        self._start(_Job(self.files.take()))
        self._work()
        if self.verify:
            known_answer.require()
        return assemble(self.blocks)

    def _is_stackable(self, entry: Entry) -> bool:
        return entry.pixels <= STACK_PIXELS and (self.latent is None or entry.channels == 3)

    def _add_file(self, waiting: _Waiting) -> None:
        self.files.add(waiting)
        if self.files.is_full():
            self._start(_Job(self.files.take()))

    def _close_stack(self) -> None:
        """Images that are smaller as WebP become files, the others a block."""
        images = self.stack.take()
        planes = [waiting.planes for waiting in images]
        coder = self.coder
        if self.model is None and self.latent is None:
            coder = coder._replace(model=suited_together([own.colour for own in planes], coder.coding))
        graphic = find_graphics(planes, coder.model, coder.coding) if self.webp else [False] * len(images)
        for waiting, webp in zip(images, graphic, strict=True):
            if webp:
                self._add_file(waiting)
        self._start(_Job([waiting for waiting, webp in zip(images, graphic, strict=True) if not webp], coder))

    def _start(self, job: _Job) -> None:
        if job.images:
            self.jobs.append(job)
        if len(self.jobs) >= thread_count():
            self._work()

    def _work(self) -> None:
        jobs, self.jobs = self.jobs, []
        self.blocks += run_all(
            lambda job: self._stack_block(job.images, job.coder) if job.coder else self._file_block(job.images), jobs
        )

    def _file_block(self, images: list[_Waiting]) -> Packed:
        files = codec.encode_many(
            [waiting.planes for waiting in images],
            effort=self.coding.effort,
            levels=self.coding.levels,
            model=self.model,
            webp=self.webp,
            verify=self.verify,
            progress=self.coder.progress,
        )
        return packed(Block(tuple(waiting.entry for waiting in images)), [], files)

    def _stack_block(self, waiting_images: list[_Waiting], coder: ContextCoder) -> Packed:
        images = sorted(waiting_images, key=lambda waiting: (-waiting.entry.pixels, waiting.entry.shape))
        colours = [waiting.planes.colour for waiting in images]
        coding, encoded, decoder = self._encode(colours, coder)
        values: dict[bytes, int] = {b"": 0}
        entries = [
            replace(
                entry,
                icc=values.setdefault(pack_metadata(Metadata(planes.metadata.icc_profile)), len(values)),
                exif=values.setdefault(pack_metadata(planes.metadata._replace(icc_profile=b"")), len(values)),
            )
            for entry, planes in images
        ]
        block = Block(tuple(entries), coding=coding, runs=encoded.runs)
        if self.verify:
            _verify(block, encoded, colours, decoder)
        alphas = [b"" if planes.alpha is None else pack_alpha(planes.alpha) for _, planes in images]
        return packed(block, list(values)[1:], alphas, encoded.streams)

    def _encode(self, colours: Sequence[Pixels], coder: ContextCoder) -> tuple[BlockCoding, Encoded, BlockDecoder]:
        """Codes images by bits back, where that is asked for and there are images enough; otherwise by the context
        model."""
        coding = BlockCoding(coder.coding.effort, coder.coding.levels, coder.model.number, coder.model.short_id)
        if self.latent is not None:
            encoded, decoder = self.latent.encode_block(colours, coder)
            if not all(run.initial for run in encoded.runs):
                return self.latent.coding(coding), encoded, decoder
        return coding, encode_block(colours, coder), coder


def _verify(block: Block, encoded: Encoded, colours: Sequence[Pixels], decoder: BlockDecoder) -> None:
    """Raises ChecksumError unless the streams decode to the images."""
    remedy = "this is a defect, please report it"
    decoded, images = decoder.decode(block, encoded.streams, range(len(block.runs))), list[Pixels]()
    for run in [*decoded.runs.values(), decoded.fault]:
        if isinstance(run, FormatError):
            raise ChecksumError(f"a block does not decode ({run}): {remedy}") from run
        images += [] if run is None else list(run)
    if not all(np.array_equal(a, b) for a, b in zip(images, colours, strict=True)):
        raise ChecksumError(f"a block does not decode to what was encoded: {remedy}")
