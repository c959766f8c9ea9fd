"""Heads of the blocks of a .ddpma archive: which images a block holds, how they are coded, how long its parts are.

A head, before it is deflated, is columns of varints, then names, then bytes that do not compress:

    number of images of the archive, kind (0 files, 1 context model, 2 bits back), number of images of the block
    of all images: place in the archive less the one before less one, zigzag (0, -1, 1, -2, ... are 0, 1, 2, 3, ...)
    of all images: mode (index into MODES); width; height
    kind 0: lengths of the files
    kinds 1 and 2: lengths of the alpha sections, of images with alpha; ICC profile, EXIF (place in the values; 0: none)
                   number of values, their lengths; number of words; effort; number of runs, images of each
    kind 2: of each run 1 for initial bits; number of noise levels, differences of their differences, zigzag; length of
            the profile
    of all images the name in UTF-8: varint bytes shared with the one before, varint length, the rest
    kinds 1 and 2: id of the context model; CRC-32 of the pixels of each run
    kind 2: id of the Gaussian model; the numerics profile as JSON

Images stand in decoding order: those of the first run, then those of the second, ...
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Any

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import MAX_EFFORT, MAX_PIXELS, MODEL_ID_BYTES, MODES
from ddpmcodec.format.varint import Reader, pack_varint

FILES, CONTEXT, BITS_BACK = range(3)  # kinds
MAX_IMAGES = 1 << 20  # of an archive
MAX_BLOCK_IMAGES = 512
MAX_STACKED_PIXELS = 1 << 16  # of an image on a stack
MAX_RUN_PIXELS = 1 << 17  # of all images of a run: bounds the memory of a decoder
MAX_LEVELS = 4096
MAX_NAME = 4096  # bytes of UTF-8
MAX_PROFILE = 4096  # bytes of JSON
MAX_LEVEL = 1 << 26  # in LEVEL_UNIT
LEVEL_UNIT = 1024  # noise levels are integers in 1/1024 grey level
CHECK_BYTES = 4
ALPHA_MODES = ("LA", "RGBA")


@dataclass(frozen=True)
class Entry:
    """One image. number: its place in the archive, from 0. length: bytes of its file, or of its alpha section.

    icc, exif: places in the values of its block, from 1; 0 is none.
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
        return 3 if self.mode.startswith("RGB") else 1

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its colours: height, width, channels."""
        return self.height, self.width, self.channels


@dataclass(frozen=True)
class Run:
    """Images of one size that were pushed at once. check: CRC-32 of their pixels. initial: in a block by bits back, an
    image that the context model coded as initial bits."""

    images: int
    check: int = 0
    initial: bool = False


@dataclass(frozen=True)
class Coding:
    """How the images of a block share an ANS stack: by the context model, or, where there are levels, by bits back.

    model_id, effort: of the context model, which also codes the initial bits. levels: noise levels of the latents, in
    1/1024 grey level. latent_id: of the Gaussian model. profile: of such a model that is not exact.
    """

    model_id: bytes
    effort: int
    levels: tuple[int, ...] = ()
    latent_id: bytes = b""
    profile: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """What the head of a block says. coding: None where the images are whole .ddpm files. words: of the stack."""

    entries: tuple[Entry, ...]
    total: int = 0  # images of the whole archive
    coding: Coding | None = None
    runs: tuple[Run, ...] = ()
    value_lengths: tuple[int, ...] = ()
    words: int = 0

    @property
    def kind(self) -> int:
        return FILES if self.coding is None else BITS_BACK if self.coding.levels else CONTEXT

    def part_lengths(self) -> list[int]:
        """Bytes of the parts of the body: values, sections of the images, words of the stack."""
        return [*self.value_lengths, *(entry.length for entry in self.entries), 4 * self.words]


# --- writing


def pack_head(block: Block) -> bytes:
    """Before it is deflated. Raises FormatError for a block that a decoder would refuse."""
    _check(block)
    entries, coding = block.entries, block.coding
    columns: list[Iterable[int]] = [
        [block.total, block.kind, len(entries)],
        (_zigzag(step - 1) for step in _differences([-1, *(entry.number for entry in entries)])[1:]),
        (MODES.index(entry.mode) for entry in entries),
        (entry.width for entry in entries),
        (entry.height for entry in entries),
        (entry.length for entry in entries if _has_section(entry, block.kind)),
    ]
    if coding is not None:
        columns += [
            (entry.icc for entry in entries),
            (entry.exif for entry in entries),
            [len(block.value_lengths), *block.value_lengths],
            [block.words, coding.effort, len(block.runs), *(run.images for run in block.runs)],
        ]
    profile = _pack_profile(coding)
    if coding is not None and coding.levels:
        columns += [
            (run.initial for run in block.runs),
            [len(coding.levels), *map(_zigzag, _differences(_differences(coding.levels))), len(profile)],
        ]
    numbers = b"".join(pack_varint(number) for column in columns for number in column)
    return numbers + b"".join(_front_coded([entry.name for entry in entries])) + _pack_ids(block) + profile


def _pack_ids(block: Block) -> bytes:
    """What does not compress."""
    if block.coding is None:
        return b""
    checks = (run.check.to_bytes(CHECK_BYTES, "little") for run in block.runs)
    return b"".join([block.coding.model_id, *checks, block.coding.latent_id])


def _pack_profile(coding: Coding | None) -> bytes:
    if coding is None or not coding.profile:
        return b""
    return json.dumps(coding.profile, sort_keys=True, separators=(",", ":")).encode()


def _has_section(entry: Entry, kind: int) -> bool:
    return kind == FILES or entry.mode in ALPHA_MODES


def _differences(values: Sequence[int]) -> list[int]:
    return [b - a for a, b in pairwise([0, *values])]


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _front_coded(names: Sequence[str]) -> Iterator[bytes]:
    for before, name in pairwise([b"", *(name.encode() for name in names)]):
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(before, name, strict=False))))
        yield pack_varint(shared) + pack_varint(len(name) - shared) + name[shared:]


# --- reading


class _HeadReader(Reader):
    """Columns of a head."""

    def column(self, count: int, most: int = MAX_BLOCK_IMAGES) -> list[int]:
        """Nothing is allocated by a claim: `most` bounds it, and a number takes a byte at least."""
        if count > most:
            raise ValueError(f"{count} numbers where {most} are the most")
        self.require(count)
        return [self.varint() for _ in range(count)]

    def counted(self, most: int) -> list[int]:
        return self.column(self.varint(), most)

    def summed(self, steps: Iterable[int]) -> list[int]:
        """The inverse of `_differences` of zigzag numbers."""
        value, values = 0, []
        for step in steps:
            value += step >> 1 if step % 2 == 0 else -(step + 1 >> 1)
            values.append(value)
        return values

    def names(self, count: int) -> list[str]:
        before, found = b"", []
        for _ in range(count):
            shared, rest = self.varint(), self.varint()
            if shared > len(before):
                raise ValueError("a name shares more than there is")
            if shared + rest > MAX_NAME:  # front coding lets a few bytes claim as many as they like
                raise ValueError(f"a name of {shared + rest} bytes where {MAX_NAME} are the most")
            before = before[:shared] + self.take(rest)
            found.append(before.decode())
        return found


def parse_head(packed: bytes) -> Block:
    """The inverse of `pack_head`. Raises FormatError."""
    try:
        return _parse(_HeadReader(packed, "the head of a block"))
    except (TruncatedError, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"the head of a block contradicts itself ({error}): the archive is damaged") from error


def _parse(reader: _HeadReader) -> Block:
    total, kind, count = reader.varint(), reader.varint(), reader.varint()
    if kind not in (FILES, CONTEXT, BITS_BACK):
        raise ValueError(f"a block of kind {kind}")
    steps = reader.summed(reader.column(count))
    numbers = [step + place for place, step in enumerate(steps)]
    modes, widths, heights = (reader.column(count) for _ in range(3))
    facts = zip(modes, widths, heights, numbers, strict=True)
    entries = [Entry("", MODES[mode], width, height, number) for mode, width, height, number in facts]
    sections = [_has_section(entry, kind) for entry in entries]
    lengths = iter(reader.column(sum(sections)))
    entries = [replace(e, length=next(lengths)) if there else e for e, there in zip(entries, sections, strict=True)]
    block = Block(tuple(entries), total)
    if kind != FILES:
        block = _parse_stack(reader, block)
    profile_length = 0
    if kind == BITS_BACK:
        block, profile_length = _parse_levels(reader, block)
    names = reader.names(count)
    block = replace(block, entries=tuple(replace(e, name=n) for e, n in zip(block.entries, names, strict=True)))
    if block.coding is not None:
        block = _parse_ids(reader, block, block.coding, kind, profile_length)
    if reader.position != len(reader.data):
        raise ValueError("bytes follow its end")
    _check(block)
    return block


def _parse_stack(reader: _HeadReader, block: Block) -> Block:
    count = len(block.entries)
    icc, exif, lengths = reader.column(count), reader.column(count), reader.counted(2 * MAX_BLOCK_IMAGES)
    words, effort = reader.varint(), reader.varint()
    entries = (replace(e, icc=i, exif=x) for e, i, x in zip(block.entries, icc, exif, strict=True))
    runs = tuple(map(Run, reader.counted(count)))
    return Block(tuple(entries), block.total, Coding(b"", effort), runs, tuple(lengths), words)


def _parse_levels(reader: _HeadReader, block: Block) -> tuple[Block, int]:
    """And the length of the profile."""
    initial = reader.column(len(block.runs))
    runs = tuple(replace(run, initial=(False, True)[flag]) for run, flag in zip(block.runs, initial, strict=True))
    levels, step = [], 0
    for second in reader.summed(reader.counted(MAX_LEVELS)):
        step += second
        levels.append(step)
    assert block.coding is not None
    return replace(block, runs=runs, coding=replace(block.coding, levels=tuple(levels))), reader.varint()


def _parse_ids(reader: _HeadReader, block: Block, coding: Coding, kind: int, profile_length: int) -> Block:
    model_id = reader.take(MODEL_ID_BYTES)
    checks = [int.from_bytes(reader.take(CHECK_BYTES), "little") for _ in block.runs]
    latent_id = reader.take(MODEL_ID_BYTES) if kind == BITS_BACK else b""
    if profile_length > MAX_PROFILE:
        raise ValueError(f"a profile of {profile_length} bytes where {MAX_PROFILE} are the most")
    profile: Any = json.loads(reader.take(profile_length)) if profile_length else {}
    if not isinstance(profile, dict) or any(type(value) not in (int, str) for value in profile.values()):
        raise ValueError("a profile that is none")
    if (kind == BITS_BACK) != bool(coding.levels):
        raise ValueError("bits back without noise levels")
    runs = tuple(replace(run, check=check) for run, check in zip(block.runs, checks, strict=True))
    coding = replace(coding, model_id=model_id, latent_id=latent_id, profile=profile)
    return replace(block, runs=runs, coding=coding)


# --- what a decoder relies on


def _check(block: Block) -> None:
    """Raises FormatError where a decoder would take more memory than an archive of this program asks for, or fail."""
    entries = block.entries
    if not 1 <= len(entries) <= MAX_BLOCK_IMAGES:
        raise FormatError(f"a block of {len(entries)} images (1 to {MAX_BLOCK_IMAGES} are possible)")
    if block.total > MAX_IMAGES or not all(0 <= entry.number < block.total for entry in entries):
        raise FormatError(f"an archive of {block.total} images, and a block with others")
    if len({entry.number for entry in entries}) < len(entries) or len({e.name for e in entries}) < len(entries):
        raise FormatError("two images of a block have one name or one place")
    most = MAX_PIXELS if block.coding is None else MAX_STACKED_PIXELS
    for entry in entries:
        if not 0 < entry.pixels <= most:
            raise FormatError(f"{entry.name} is {entry.width} x {entry.height} pixels (1 to {most} are possible)")
        if max(entry.icc, entry.exif) > len(block.value_lengths):
            raise FormatError(f"{entry.name} refers to metadata that is not there")
    if block.coding is not None:
        _check_coding(block.coding)
        _check_runs(block, block.coding)


def _check_coding(coding: Coding) -> None:
    levels = coding.levels
    if not 1 <= coding.effort <= MAX_EFFORT:
        raise FormatError(f"a block of effort {coding.effort} (1 to {MAX_EFFORT} are possible)")
    ids = (len(coding.model_id), len(coding.latent_id))
    if ids != (MODEL_ID_BYTES, MODEL_ID_BYTES if levels else 0):
        raise FormatError(f"model ids of {ids[0]} and {ids[1]} bytes")
    if (
        len(levels) > MAX_LEVELS
        or any(step <= 0 for step in _differences(levels))
        or max(levels, default=1) > MAX_LEVEL
    ):
        raise FormatError("the noise levels do not increase, or are too many or too large")


def _check_runs(block: Block, coding: Coding) -> None:
    if coding.levels and any(entry.channels != 3 for entry in block.entries):
        raise FormatError("a grey image in a block by bits back, whose images are all in colour")
    if sum(run.images for run in block.runs) != len(block.entries):
        raise FormatError(f"runs of {sum(run.images for run in block.runs)} of {len(block.entries)} images")
    position = 0
    for run in block.runs:
        batch = block.entries[position : position + run.images]
        position += run.images
        shapes, pixels = {entry.shape for entry in batch}, sum(entry.pixels for entry in batch)
        if len(shapes) != 1 or pixels > MAX_RUN_PIXELS or (run.initial and (run.images > 1 or not coding.levels)):
            raise FormatError(f"a run of {run.images} images, {len(shapes)} sizes and {pixels} pixels in a block")
