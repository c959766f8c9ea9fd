"""Blocks of a .ddpma archive as values: images, runs, how they are coded. head.py has their bytes.

The limits are the core's, which reads archives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ddpmcodec._native import LEAST_STATE_BYTES, WORD_BYTES
from ddpmcodec.format.header import ALPHA_MODES, channels_of

FILES, CONTEXT, BITS_BACK = range(3)  # kinds of blocks
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
