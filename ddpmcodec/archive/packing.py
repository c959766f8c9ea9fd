"""How images become blocks of an archive: files beside each other, or runs that are coded together; where they wait."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ddpmcodec._native import MAX_BLOCK_IMAGES, MAX_METADATA
from ddpmcodec.archive.blocks import (
    BlockDecoder,
    ContextCoder,
    EncodedAlphas,
    EncodedRuns,
    LatentCoder,
    Pixels,
    deflated_alphas,
    encode_alphas,
    encode_block,
    have_repeats,
)
from ddpmcodec.archive.model_selection import selected_model
from ddpmcodec.codec.encoder import EncodeOptions, encode_with
from ddpmcodec.content import FileView, Part
from ddpmcodec.errors import ChecksumError, FormatError, OutputError, reason_of
from ddpmcodec.format.block import CONTEXT, Block, BlockCoding, Entry
from ddpmcodec.format.ddpma import PackedBlock, packed
from ddpmcodec.format.sections import MAX_BLOCK_METADATA, NO_METADATA, Metadata, pack_metadata
from ddpmcodec.formats.files import write_all
from ddpmcodec.formats.images import Planes
from ddpmcodec.models import THUMBNAIL_PIXELS
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import short_id

BLOCK_IMAGES = MAX_BLOCK_IMAGES  # damage goes no further than a block
BLOCK_PIXELS = 1 << 19
REMEDY = "this is a defect, please report it"
STACK_PIXELS = THUMBNAIL_PIXELS  # larger images would gain less than 0.3% in a block


class QueuedImage(NamedTuple):
    """An image whose block is not full. `entry` is what the archive will say of it."""

    entry: Entry
    planes: Planes


@dataclass
class Queue:
    """Images that will be a block together."""

    images: list[QueuedImage] = field(default_factory=list)
    pixels: int = 0
    metadata: int = 0  # bytes

    def add(self, waiting: QueuedImage) -> None:
        self.images.append(waiting)
        self.pixels += waiting.entry.pixels
        self.metadata += sum(map(len, waiting.planes.metadata))

    def is_full(self) -> bool:
        full = len(self.images) >= BLOCK_IMAGES or self.pixels >= BLOCK_PIXELS
        return full or self.metadata > MAX_BLOCK_METADATA - MAX_METADATA

    def take(self) -> list[QueuedImage]:
        taken, self.images, self.pixels, self.metadata = self.images, [], 0, 0
        return taken


class Job(NamedTuple):
    """A block to be coded. coder: of thumbnails; None: the images become files."""

    images: list[QueuedImage]
    coder: ContextCoder | None = None

    @property
    def pixels(self) -> int:
        return sum(waiting.entry.pixels for waiting in self.images)


@dataclass(frozen=True, kw_only=True)
class Packer:
    """Codes blocks.

    Attributes:
        options: of files. `verify` and `model` count for thumbnails as well.
        coder: of thumbnails, by its model if one was given or with bits back, otherwise by the embedded one that suits
            a block.
        latent: codes thumbnails by bits back; None: `coder` codes all.
    """

    options: EncodeOptions
    coder: ContextCoder
    latent: LatentCoder | None

    def is_stackable(self, entry: Entry) -> bool:
        return entry.pixels <= STACK_PIXELS and (self.latent is None or entry.channels == 3)

    def stacked(self, images: list[QueuedImage]) -> Job:
        """The block of thumbnails."""
        planes = [waiting.planes for waiting in images]
        coder = self.coder
        if not isinstance(self.options.model, ContextModel) and self.latent is None:
            coder = coder._replace(model=selected_model([own.colour for own in planes], coder.coding))
        coding = coder.coding._replace(repeats=self._are_repeats(planes, coder))
        return Job(images, coder._replace(coding=coding))

    def _are_repeats(self, planes: Sequence[Planes], coder: ContextCoder) -> bool:
        """Whether runs are coded by repeats."""
        return self.latent is None and have_repeats([own.colour for own in planes], coder)

    def packed(self, job: Job) -> PackedBlock:
        return self._stack_block(job.images, job.coder) if job.coder else self._file_block(job.images)

    def _file_block(self, images: list[QueuedImage]) -> PackedBlock:
        files = encode_with([waiting.planes for waiting in images], self.options)
        return packed(Block(tuple(waiting.entry for waiting in images)), [], files)

    def _stack_block(self, waiting_images: list[QueuedImage], coder: ContextCoder) -> PackedBlock:
        images = sorted(waiting_images, key=lambda waiting: (-waiting.entry.pixels, waiting.entry.shape))
        colours = [waiting.planes.colour for waiting in images]
        coding, encoded, decoder = self._encode(colours, coder)
        values = {NO_METADATA: 0}
        entries = [
            replace(
                entry,
                icc=values.setdefault(Metadata(planes.metadata.icc_profile), len(values)),
                exif=values.setdefault(planes.metadata._replace(icc_profile=b""), len(values)),
            )
            for entry, planes in images
        ]
        block = Block(tuple(entries), coding=coding, runs=encoded.runs)
        if self.options.verify:
            _verify(block, encoded, colours, decoder)
        planes = {n: own.alpha for n, (_, own) in enumerate(images) if own.alpha is not None}
        block, alphas = self._encode_alphas(block, planes, coder)
        parts = [pack_metadata(value) for value in values if value.present()], alphas.sections, encoded.streams
        return packed(block, *parts, alphas.streams)

    def _encode_alphas(
        self, block: Block, planes: Mapping[int, Pixels], coder: ContextCoder
    ) -> tuple[Block, EncodedAlphas]:
        """Encode the alpha planes of a block, by the position of the image; also return the block, which says how. By
        bits back they are deflated."""
        if block.coding is None or block.kind != CONTEXT:
            return block, deflated_alphas(block, planes)
        alphas = encode_alphas(block, planes, coder)
        entries = tuple(replace(e, length=len(s)) for e, s in zip(block.entries, alphas.sections, strict=True))
        coding = replace(block.coding, alpha_repeats=alphas.repeats)
        block = replace(block, entries=entries, coding=coding, runs=tuple(alphas.runs))
        if self.options.verify:
            _verify_alphas(block, alphas, planes, coder._replace(alpha_repeats=alphas.repeats))
        return block, alphas

    def _encode(self, colours: Sequence[Pixels], coder: ContextCoder) -> tuple[BlockCoding, EncodedRuns, BlockDecoder]:
        """Codes images by bits back, where that is asked for and there are images enough; otherwise by the context
        model."""
        coding = BlockCoding(
            coder.coding.effort, coder.coding.levels, coder.model.number, short_id(coder.model),
            repeats=coder.coding.repeats,
        )  # fmt: skip
        if self.latent is not None:
            encoded, decoder = self.latent.encode_block(colours, coder)
            if not all(run.initial for run in encoded.runs):
                return self.latent.coding(coding), encoded, decoder
        return coding, encode_block(colours, coder), coder


def _verify(block: Block, encoded: EncodedRuns, colours: Sequence[Pixels], decoder: BlockDecoder) -> None:
    """Raises ChecksumError unless the streams decode to the images."""
    decoded, images = decoder.decode(block, encoded.streams, range(len(block.runs))), list[Pixels]()
    for run in [*decoded.runs.values(), decoded.fault]:
        if isinstance(run, FormatError):
            raise ChecksumError(f"a block does not decode ({run}): {REMEDY}") from run
        images += [] if run is None else list(run)
    if not all(np.array_equal(a, b) for a, b in zip(images, colours, strict=True)):
        raise ChecksumError(f"a block does not decode to what was encoded: {REMEDY}")


def _verify_alphas(block: Block, alphas: EncodedAlphas, planes: Mapping[int, Pixels], coder: ContextCoder) -> None:
    """Raises ChecksumError unless the alpha streams decode to the planes."""
    decoded = coder.decode_alphas(block, alphas.streams, range(len(block.runs)))
    for position, plane in decoded.items():
        if isinstance(plane, FormatError) or not np.array_equal(plane, planes[position]):
            raise ChecksumError(f"a block does not decode to the alpha that was encoded: {REMEDY}")


class Spool:
    """Keeps bytes in a temporary file of a folder, or where there is none in memory. The file has no name, or loses it
    at once, where the system can: nothing is left when the process ends, however it ends."""

    def __init__(self, folder: Path | None) -> None:
        """Raises OutputError where no file can be made there."""
        self.folder, self.is_closed = folder, False
        if folder is None:
            return
        try:
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise self._unwritable(error) from error
        self.content = FileView(self.file)

    def keep(self, data: bytes) -> Part:
        """The bytes, to be read later. Raises OutputError where the disk does not take them."""
        if self.folder is None:
            return data
        try:
            start = self.file.seek(0, os.SEEK_END)
            write_all(self.file.fileno(), data)
        except OSError as error:
            raise self._unwritable(error) from error
        self.content = self.content.extended()
        return self.content[start : start + len(data)]

    def close(self) -> None:
        self.is_closed = True
        if self.folder is not None:
            self.file.close()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder}: no temporary file can be written there ({reason_of(error)}): make room, or write"
            " the archive elsewhere"
        )
