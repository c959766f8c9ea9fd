"""Blocks of a .ddpma archive: which images a block holds, how they are coded, how long its parts are; and its header.

A header, before it is deflated, is columns of varints, then names, then bytes that do not compress:

    number of images of the archive, kind (0 files, 1 context model, 2 bits back), number of images of the block
    of all images: place in the archive less the one before less one, zigzag (0, -1, 1, -2, ... are 0, 1, 2, 3, ...)
    of all images: mode (index into MODES); width; height
    kind 0: lengths of the files
    kinds 1 and 2: lengths of the alpha sections, of images with alpha (kind 1: 0 if the run codes it); ICC profile;
                   EXIF and XMP (place in the values; 0: none); number of values, their lengths; effort, noise levels
                   and number of the context model; number of runs, images of each
    kind 1: of each run 5 * number of words of its stream + bytes of its state less 4; the same of the alpha streams
    kind 2: number of words of the stack; of each run 1 for initial bits; number of latent levels, differences of their
            differences, zigzag; length of the profile
    of all images the name in UTF-8: varint bytes shared with the one before, varint length, the rest
    kinds 1 and 2: id of the context model, where its number is 0
    kind 2: CRC-32 of the pixels of each run; id of the Gaussian model; the numerics profile as JSON

Images stand in decoding order: those of the first run, then those of the second, ... In kind 1 a run is a stream of its
own, and its alpha planes may be another one; in kind 2 all runs share a stack.

The limits are the core's, which reads archives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from ddpmcodec import _native
from ddpmcodec._native import ALPHA_MODES, CRC32_BYTES, LEAST_STATE_BYTES, MODES, REPEATS_UNIT, WORD_BYTES
from ddpmcodec.errors import FormatError
from ddpmcodec.format.header import channels_of
from ddpmcodec.format.streams import pack_stream_size
from ddpmcodec.format.varint import pack_varint

FILES, CONTEXT, BITS_BACK = range(3)  # kinds of blocks
LEVEL_UNIT = 1024  # noise levels are integers in 1/1024 grey level


@dataclass(frozen=True, slots=True)  # an archive may have a million
class Entry:
    """One image. number: its position in the archive, from 0. length: bytes of its file, or of its alpha section; 0: in
    a block by the context model, the alpha stream of its run has it.

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
    def is_alpha_in_run(self) -> bool:
        """Whether the run codes the alpha plane; the block is one by the context model."""
        return self.has_alpha and not self.length

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
    coded as initial bits. In a block by the context model: state_bytes, words: of the stream of the run; alpha: images
    whose alpha planes share one more stream, or None.
    """

    images: int
    check: int = 0
    initial: bool = False
    state_bytes: int = LEAST_STATE_BYTES
    words: int = 0
    alpha: Run | None = None

    @property
    def length(self) -> int:
        """Bytes of the stream."""
        return self.state_bytes + WORD_BYTES * self.words


@dataclass(frozen=True)
class BlockCoding:
    """How the images of a block are coded: by the context model, or, where there are latent levels, by bits back.

    effort, levels, model_number, model_id: of the context model, as in the header of a file; it also codes the initial
    bits. latent_levels: noise levels of the latents, in 1/1024 grey level. latent_id: of the Gaussian model. profile:
    of such a model that is not exact. repeats, alpha_repeats: exact pixels, or alpha, are first sought among repeats.
    """

    effort: int
    levels: int = 0
    model_number: int = 0
    model_id: bytes = b""
    latent_levels: tuple[int, ...] = ()
    latent_id: bytes = b""
    profile: dict[str, str | int] = field(default_factory=dict)
    repeats: bool = False
    alpha_repeats: bool = False


@dataclass(frozen=True)
class Block:
    """What the header of a block says. coding: None where the images are whole .ddpm files. words: of the stack, in a
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

    def alpha_lengths(self) -> list[int]:
        """Bytes of the alpha stream of each run; 0: it has none."""
        return [run.alpha.length if run.alpha else 0 for run in self.runs]

    def alphas_of(self, run: int) -> list[int]:
        """Positions of the images whose alpha planes are the alpha stream of a run."""
        start = sum(other.images for other in self.runs[:run])
        images = range(start, start + self.runs[run].images)
        return [position for position in images if self.entries[position].is_alpha_in_run]


# --- writing headers


def pack_block(block: Block) -> bytes:
    """Return the header of a block, before it is deflated. Raises FormatError unless the core reads it as it is."""
    try:
        header = _packed(block)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"no header of a block can state this ({error})") from error
    if parse_block(header) != block:
        raise FormatError(f"the header of a block of kind {block.kind} has no place for all of its facts")
    return header


def _packed(block: Block) -> bytes:
    entries, coding = block.entries, block.coding
    columns: list[Iterable[int]] = [
        [block.total, block.kind, len(entries)],
        (_zigzag(step - 1) for step in _differences([-1, *(entry.number for entry in entries)])[1:]),
        (MODES.index(entry.mode) for entry in entries),
        (entry.width for entry in entries),
        (entry.height for entry in entries),
        (entry.length for entry in entries if _has_section(entry.mode, block.kind)),
    ]
    profile = _pack_profile(coding)
    if coding is not None:
        columns += [
            (entry.icc for entry in entries),
            (entry.exif for entry in entries),
            [len(block.value_lengths), *block.value_lengths],
            [_setting(coding), coding.levels, coding.model_number],
            [len(block.runs), *(run.images for run in block.runs)],
            _stack_columns(block, coding, len(profile)) if coding.latent_levels else _stream_sizes(block),
        ]
    numbers = b"".join(pack_varint(number) for column in columns for number in column)
    return numbers + b"".join(_front_coded([entry.name for entry in entries])) + _pack_ids(block) + profile


def _setting(coding: BlockCoding) -> int:
    return coding.effort + REPEATS_UNIT * (coding.repeats + 2 * coding.alpha_repeats)


def _stream_sizes(block: Block) -> Iterator[int]:
    runs = [*block.runs, *(run.alpha for run in block.runs if run.alpha)]
    return (pack_stream_size(run.state_bytes, run.words) for run in runs)


def _stack_columns(block: Block, coding: BlockCoding, profile_length: int) -> list[int]:
    levels = coding.latent_levels
    seconds = map(_zigzag, _differences(_differences(levels)))
    return [block.words, *(run.initial for run in block.runs), len(levels), *seconds, profile_length]


def _pack_ids(block: Block) -> bytes:
    """The ids and checks of a block, which do not compress."""
    if block.coding is None:
        return b""
    if block.kind == CONTEXT:
        return block.coding.model_id
    checks = (run.check.to_bytes(CRC32_BYTES, "little") for run in block.runs)
    return b"".join([block.coding.model_id, *checks, block.coding.latent_id])


def _pack_profile(coding: BlockCoding | None) -> bytes:
    if coding is None or not coding.profile:
        return b""
    return json.dumps(coding.profile, sort_keys=True, separators=(",", ":")).encode()


def _has_section(mode: str, kind: int) -> bool:
    return kind == FILES or mode in ALPHA_MODES


def _differences(values: Sequence[int]) -> list[int]:
    return [b - a for a, b in pairwise([0, *values])]


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _front_coded(names: Sequence[str]) -> Iterator[bytes]:
    for before, name in pairwise([b"", *(name.encode() for name in names)]):
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(before, name, strict=False))))
        yield pack_varint(shared) + pack_varint(len(name) - shared) + name[shared:]


# --- reading headers


def parse_block(header: bytes) -> Block:
    """Return the block of a header that is not deflated. Raises FormatError."""
    return block_of(_native.parse_block(header))


def block_of(facts: _native.BlockFacts) -> Block:
    """Return a block that the core has read."""
    entries, total, coding, runs, value_lengths, words = facts
    own = None if coding is None else _coding_of(coding)
    return Block(tuple(map(Entry, *entries)), total, own, tuple(map(_run_of, *runs)), value_lengths, words)


def _run_of(
    images: int, check: int, initial: bool, state_bytes: int, words: int,
    alpha_images: int, alpha_state_bytes: int, alpha_words: int,
) -> Run:  # fmt: skip
    alpha = Run(alpha_images, state_bytes=alpha_state_bytes, words=alpha_words) if alpha_images else None
    return Run(images, check, initial, state_bytes, words, alpha)


def _coding_of(facts: _native.CodingFacts) -> BlockCoding:
    effort, levels, number, model_id, latent_levels, latent_id, profile, repeats, alpha_repeats = facts
    parsed = json.loads(profile) if profile else {}
    return BlockCoding(effort, levels, number, model_id, latent_levels, latent_id, parsed, repeats, alpha_repeats)
