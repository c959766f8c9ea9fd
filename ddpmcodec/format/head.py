"""Heads of the blocks of a .ddpma archive: which images a block holds, how they are coded, how long its parts are.

A head, before it is deflated, is columns of varints, then names, then bytes that do not compress:

    number of images of the archive, kind (0 files, 1 context model, 2 bits back), number of images of the block
    of all images: place in the archive less the one before less one, zigzag (0, -1, 1, -2, ... are 0, 1, 2, 3, ...)
    of all images: mode (index into MODES); width; height
    kind 0: lengths of the files
    kinds 1 and 2: lengths of the alpha sections, of images with alpha; ICC profile; EXIF and XMP (place in the values;
                   0: none); number of values, their lengths; effort, noise levels and number of the
                   context model; number of runs, images of each
    kind 1: of each run 5 * number of words of its stream + bytes of its state less 4
    kind 2: number of words of the stack; of each run 1 for initial bits; number of latent levels, differences of their
            differences, zigzag; length of the profile
    of all images the name in UTF-8: varint bytes shared with the one before, varint length, the rest
    kinds 1 and 2: id of the context model, where its number is 0
    kind 2: CRC-32 of the pixels of each run; id of the Gaussian model; the numerics profile as JSON

Images stand in decoding order: those of the first run, then those of the second, ... In kind 1 a run is a stream of its
own, in kind 2 all runs share a stack.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.block import (
    BITS_BACK,
    CONTEXT,
    FILES,
    MAX_BLOCK_IMAGES,
    MAX_LEVELS,
    MAX_NAME,
    MAX_PROFILE,
    Block,
    BlockCoding,
    Entry,
    Run,
    check_block,
)
from ddpmcodec.format.header import ALPHA_MODES, MODEL_ID_BYTES, MODES
from ddpmcodec.format.sections import CRC32_BYTES
from ddpmcodec.format.streams import pack_stream_size, parse_stream_size
from ddpmcodec.format.varint import Reader, pack_varint

# --- writing


def pack_head(block: Block) -> bytes:
    """The head of a block, before it is deflated. Raises FormatError for a block that a decoder would refuse."""
    check_block(block)
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
            [coding.effort, coding.levels, coding.model_number],
            [len(block.runs), *(run.images for run in block.runs)],
            _stack_columns(block, coding, len(profile)) if coding.latent_levels else _stream_sizes(block),
        ]
    numbers = b"".join(pack_varint(number) for column in columns for number in column)
    return numbers + b"".join(_front_coded([entry.name for entry in entries])) + _pack_ids(block) + profile


def _stream_sizes(block: Block) -> Iterator[int]:
    return (pack_stream_size(run.state_bytes, run.words) for run in block.runs)


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


# --- reading


class _HeadReader(Reader):
    """Reads the columns of a head."""

    data: bytes

    def varint(self) -> int:
        """As of any reader; most numbers of a head are a byte, and an archive may have a million images."""
        if self.position < len(self.data) and self.data[self.position] < 128:
            self.position += 1
            return self.data[self.position - 1]
        return super().varint()

    def column(self, count: int, most: int = MAX_BLOCK_IMAGES) -> list[int]:
        """So many numbers. A claim allocates nothing: `most` bounds it, and a number takes a byte at least."""
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
        before, names = b"", list[str]()
        for _ in range(count):
            shared, rest = self.varint(), self.varint()
            if shared > len(before):
                raise ValueError("a name shares more than there is")
            if shared + rest > MAX_NAME:  # front coding lets a few bytes claim as many as they like
                raise ValueError(f"a name of {shared + rest} bytes where {MAX_NAME} are the most")
            before = before[:shared] + self.take(rest)
            names.append(before.decode())
        return names


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
    numbers = [step + position for position, step in enumerate(steps)]
    modes, widths, heights = (reader.column(count) for _ in range(3))
    mode_names = [MODES[mode] for mode in modes]
    has_section = [_has_section(mode, kind) for mode in mode_names]
    lengths = iter(reader.column(sum(has_section)))
    sizes = [next(lengths) if is_there else 0 for is_there in has_section]
    block, profile_length, iccs, exifs = Block((), total), 0, [0] * count, [0] * count
    if kind != FILES:
        iccs, exifs = reader.column(count), reader.column(count)
        block = _parse_runs(reader, block, count)
    if kind == CONTEXT:
        runs = zip(block.runs, reader.column(len(block.runs)), strict=True)
        block = replace(block, runs=tuple(_with_size(run, size) for run, size in runs))
    if kind == BITS_BACK:
        block, profile_length = _parse_stack(reader, block)
    names = reader.names(count)
    entries = (
        Entry(name=name, mode=mode, width=width, height=height, number=number, length=length, icc=icc, exif=exif)
        for name, mode, width, height, number, length, icc, exif in zip(
            names, mode_names, widths, heights, numbers, sizes, iccs, exifs, strict=True
        )
    )
    block = replace(block, entries=tuple(entries))
    if block.coding is not None:
        block = _parse_ids(reader, block, block.coding, kind, profile_length)
    if reader.position != len(reader.data):
        raise ValueError("bytes follow its end")
    check_block(block)
    return block


def _parse_runs(reader: _HeadReader, block: Block, count: int) -> Block:
    lengths = reader.counted(2 * MAX_BLOCK_IMAGES)
    effort, levels, number = reader.varint(), reader.varint(), reader.varint()
    runs = tuple(map(Run, reader.counted(count)))
    return replace(block, coding=BlockCoding(effort, levels, number), runs=runs, value_lengths=tuple(lengths))


def _with_size(run: Run, size: int) -> Run:
    state_bytes, words = parse_stream_size(size)
    return replace(run, words=words, state_bytes=state_bytes)


def _parse_stack(reader: _HeadReader, block: Block) -> tuple[Block, int]:
    """The block with its stack, and the length of the profile."""
    words, initial = reader.varint(), reader.column(len(block.runs))
    runs = tuple(replace(run, initial=(False, True)[flag]) for run, flag in zip(block.runs, initial, strict=True))
    levels, step = [], 0
    for second in reader.summed(reader.counted(MAX_LEVELS)):
        step += second
        levels.append(step)
    assert block.coding is not None
    coding = replace(block.coding, latent_levels=tuple(levels))
    return replace(block, runs=runs, words=words, coding=coding), reader.varint()


def _parse_ids(reader: _HeadReader, block: Block, coding: BlockCoding, kind: int, profile_length: int) -> Block:
    coding = replace(coding, model_id=b"" if coding.model_number else reader.take(MODEL_ID_BYTES))
    if kind == CONTEXT:
        return replace(block, coding=coding)
    if not coding.latent_levels:
        raise ValueError("bits back without noise levels")
    checks = [int.from_bytes(reader.take(CRC32_BYTES), "little") for _ in block.runs]
    latent_id = reader.take(MODEL_ID_BYTES)
    if profile_length > MAX_PROFILE:
        raise ValueError(f"a profile of {profile_length} bytes where {MAX_PROFILE} are the most")
    profile: Any = json.loads(reader.take(profile_length)) if profile_length else {}
    if not isinstance(profile, dict) or any(type(value) not in (int, str) for value in profile.values()):
        raise ValueError("a profile that is none")
    runs = tuple(replace(run, check=check) for run, check in zip(block.runs, checks, strict=True))
    return replace(block, runs=runs, coding=replace(coding, latent_id=latent_id, profile=profile))
