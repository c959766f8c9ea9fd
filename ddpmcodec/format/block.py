"""Blocks of a .ddpma archive as values: images, runs, how they are coded; and the limits that a decoder relies on.

head.py has their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from ddpmcodec.errors import FormatError
from ddpmcodec.format.header import (
    ALPHA_MODES,
    LEAST_STATE_BYTES,
    LEVELS,
    MAX_EFFORT,
    MAX_PIXELS,
    MODEL_ID_BYTES,
    MOST_STATE_BYTES,
    WORD_BYTES,
    channels_of,
    check_model,
)

FILES, CONTEXT, BITS_BACK = range(3)  # kinds of blocks
MAX_IMAGES = 1 << 20  # of an archive
MAX_BLOCK_IMAGES = 512
MAX_STACKED_PIXELS = 1 << 16  # of an image on a stack
MAX_RUN_PIXELS = 1 << 17  # of all images of a run: bounds the memory of a decoder
MAX_LEVELS = 4096  # of latents
MAX_NAME = 4096  # bytes of UTF-8
MAX_PROFILE = 4096  # bytes of JSON
MAX_LEVEL = 1 << 26  # in LEVEL_UNIT
LEVEL_UNIT = 1024  # noise levels are integers in 1/1024 grey level


@dataclass(frozen=True, slots=True)  # an archive may have a million
class Entry:
    """One image. number: its position in the archive, from 0. length: bytes of its file, or of its alpha section.

    icc, exif: positions of its ICC profile, and of its EXIF and XMP, in the values of its block, from 1; 0: it has
    none.
    """

    name: str
    mode: str
    width: int
    height: int
    number: int = 0
    length: int = 0
    icc: int = 0
    exif: int = 0

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return channels_of(self.mode)

    @property
    def has_alpha(self) -> bool:
        return self.mode in ALPHA_MODES

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of its colours."""
        return self.height, self.width, self.channels


@dataclass(frozen=True)
class Run:
    """Images of one size that were coded at once.

    check, initial: in a block by bits back, CRC-32 of their pixels, and whether it is an image that the context model
    coded as initial bits. state_bytes, words: in a block by the context model, of the stream of the run.
    """

    images: int
    check: int = 0
    initial: bool = False
    state_bytes: int = LEAST_STATE_BYTES
    words: int = 0

    @property
    def length(self) -> int:
        """Bytes of the stream."""
        return self.state_bytes + WORD_BYTES * self.words


@dataclass(frozen=True)
class BlockCoding:
    """How the images of a block are coded: by the context model, or, where there are latent levels, by bits back.

    effort, levels, model_number, model_id: of the context model, as in the header of a file; it also codes the initial
    bits. latent_levels: noise levels of the latents, in 1/1024 grey level. latent_id: of the Gaussian model. profile:
    of such a model that is not exact.
    """

    effort: int
    levels: int = 0
    model_number: int = 0
    model_id: bytes = b""
    latent_levels: tuple[int, ...] = ()
    latent_id: bytes = b""
    profile: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """What the head of a block says. coding: None where the images are whole .ddpm files. words: of the stack, in a
    block by bits back."""

    entries: tuple[Entry, ...]
    total: int = 0  # images of the whole archive
    coding: BlockCoding | None = None
    runs: tuple[Run, ...] = ()
    value_lengths: tuple[int, ...] = ()
    words: int = 0

    @property
    def kind(self) -> int:
        """FILES, CONTEXT or BITS_BACK."""
        return FILES if self.coding is None else BITS_BACK if self.coding.latent_levels else CONTEXT

    def stream_lengths(self) -> list[int]:
        """Bytes of the stream of each run, or of the stack."""
        if self.kind == CONTEXT:
            return [run.length for run in self.runs]
        return [WORD_BYTES * self.words] if self.kind == BITS_BACK else []

    def part_lengths(self) -> list[int]:
        """Bytes of each part of the body: values, sections of the images, streams."""
        return [*self.value_lengths, *(entry.length for entry in self.entries), *self.stream_lengths()]


# --- what a decoder relies on


def check_block(block: Block) -> None:
    """Raises FormatError where a decoder would take more memory than an archive of this program asks for, or fail."""
    entries = block.entries
    if not 1 <= len(entries) <= MAX_BLOCK_IMAGES:
        raise FormatError(f"a block of {len(entries)} images (1 to {MAX_BLOCK_IMAGES} are possible)")
    if block.total > MAX_IMAGES or not all(0 <= entry.number < block.total for entry in entries):
        raise FormatError(f"an archive of {block.total} images, and a block with others")
    if len({entry.number for entry in entries}) < len(entries) or len({entry.name for entry in entries}) < len(entries):
        raise FormatError("two images of a block have one name or one place")
    most = MAX_PIXELS if block.coding is None else MAX_STACKED_PIXELS
    for entry in entries:
        if not 0 < entry.pixels <= most:
            raise FormatError(f"{entry.name} is {entry.width} x {entry.height} pixels (1 to {most} are possible)")
        if max(entry.icc, entry.exif) > len(block.value_lengths):
            raise FormatError(f"{entry.name} refers to metadata that is not there")
    if block.words and block.kind != BITS_BACK:
        raise FormatError(f"a stack of {block.words} words in a block of kind {block.kind}, which has none")
    if block.coding is not None:
        _check_coding(block.coding)
        _check_runs(block, block.coding)


def _check_coding(coding: BlockCoding) -> None:
    latent = coding.latent_levels
    if not 1 <= coding.effort <= MAX_EFFORT:
        raise FormatError(f"a block of effort {coding.effort} (1 to {MAX_EFFORT} are possible)")
    if coding.levels not in LEVELS:
        raise FormatError(f"a block of {coding.levels} noise levels ({', '.join(map(str, LEVELS))} are possible)")
    check_model(coding.model_number, coding.model_id)
    if len(coding.latent_id) != (MODEL_ID_BYTES if latent else 0):
        raise FormatError(f"a Gaussian model with an id of {len(coding.latent_id)} bytes")
    if len(latent) > MAX_LEVELS or any(a >= b for a, b in pairwise([0, *latent])) or max(latent, default=1) > MAX_LEVEL:
        raise FormatError("the noise levels do not increase, or are too many or too large")


def _check_runs(block: Block, coding: BlockCoding) -> None:
    if coding.latent_levels and any(entry.channels != 3 for entry in block.entries):
        raise FormatError("a grey image in a block by bits back, whose images are all in colour")
    if sum(run.images for run in block.runs) != len(block.entries):
        raise FormatError(f"runs of {sum(run.images for run in block.runs)} of {len(block.entries)} images")
    position = 0
    for run in block.runs:
        batch = block.entries[position : position + run.images]
        position += run.images
        shapes, pixels = {entry.shape for entry in batch}, sum(entry.pixels for entry in batch)
        if len(shapes) != 1 or pixels > MAX_RUN_PIXELS or (run.initial and run.images > 1):
            raise FormatError(f"a run of {run.images} images, {len(shapes)} sizes and {pixels} pixels in a block")
        _check_run(run, block.kind)


def _check_run(run: Run, kind: int) -> None:
    """Raises FormatError for facts that the head of a block of that kind has no place for."""
    expected = replace(run, check=0, initial=False) if kind == CONTEXT else Run(run.images, run.check, run.initial)
    if run != expected or not LEAST_STATE_BYTES <= run.state_bytes <= MOST_STATE_BYTES:
        raise FormatError(
            f"a run with a check of {run.check}, a state of {run.state_bytes} bytes and {run.words} words in a block of"
            f" kind {kind}, which has no place for one of them"
        )
