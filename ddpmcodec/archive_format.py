r"""The .ddpma archive, version 1: a checked index, then sections cut by the lengths it declares.

    header   4      magic DD 41 0D 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version
             4      model id: first bytes of the id of the stacks' network, or of the files' where there is no stack
             varint length of the index
             4      CRC-32 of all of the above and the index
    index    raw deflate of columns of varints (levels zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...):
             length of the profile; number of noise levels (1/1024 grey level), differences of their differences
             number of values, their lengths; number of images
             of all images: the mode's number, + 16 on a stack; width; height
             of files and RGBA: length of the section; of images on stacks: ICC profile, EXIF (place in values; 0: none)
             number of blocks; words of each; runs of each; of all runs: images; bytes of the file, 0 without one
             effort of the uniform channel, where blocks have no noise levels
             then of every image the name in UTF-8: varint bytes shared with the one before, varint length, the rest
             of images on stacks CRC-16/CCITT of the colour planes, 2 bytes each; the numerics profile as JSON
    values   the distinct ICC profiles and EXIF blocks of the images on stacks (`sections.pack_metadata`)
    images   in the order of the index: a whole .ddpm file; of an image on a stack its alpha section
    blocks   the words of each stack (32 bits, little endian) from its top: its reader takes them front to back

Images on stacks are taken in the order of the index, as many as each block says, and inside a block sorted by size
(`stack_order`); runs of them are coded one after the other (`Run`), hence decoded last to first.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Any

from ddpmcodec.container import MAX_PIXELS, MODEL_ID_BYTES, MODES, Reader, pack_varint
from ddpmcodec.errors import DdpmError, FormatError, TruncatedError
from ddpmcodec.sections import RAW_DEFLATE, inflate

MAGIC = b"\xddA\r\n"
VERSION = 1
MAX_INDEX = 1 << 26  # bytes, before compression
MAX_IMAGES = 1 << 20
MAX_LEVELS = 4096
MAX_STACKED_PIXELS = 1 << 16  # of an image on a stack
MAX_BATCH_PIXELS = 1 << 16  # of the images of a run: bounds the memory of a decoder
STACKED_MODES = ("RGB", "RGBA")
STACKED = 16  # added to the mode's number
LEVEL_UNIT = 1024  # noise levels are integers in 1/1024 grey level
CHANNELS = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4}

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Entry:
    """One image. `length`: bytes of its section. The last three concern images on stacks only.

    check: CRC-16 of the colour planes. icc, exif: places in the table of values, from 1; 0 is none.
    """

    name: str
    mode: str
    width: int
    height: int
    stacked: bool = False
    length: int = 0
    check: int = 0
    icc: int = 0
    exif: int = 0

    @property
    def size(self) -> Size:
        return self.width, self.height


@dataclass(frozen=True)
class Run:
    """What was pushed at once: a batch of images of one size, or (file_bytes) one image's .ddpm file as it is."""

    images: int
    file_bytes: int = 0


@dataclass(frozen=True)
class Block:
    """One stack: its runs in the order they were pushed, and its words."""

    runs: tuple[Run, ...]
    words: int

    @property
    def images(self) -> int:
        return sum(run.images for run in self.runs)


@dataclass(frozen=True)
class Index:
    """All that an archive says of itself. levels: of bits back, 1/1024 grey level; without any, the blocks are coded by
    the uniform channel at `effort`. profile: of a network that is not exact."""

    model_id: bytes
    levels: tuple[int, ...] = ()
    profile: dict[str, str | int] = field(default_factory=dict)
    value_lengths: tuple[int, ...] = ()
    entries: tuple[Entry, ...] = ()
    blocks: tuple[Block, ...] = ()
    effort: int = 0

    def members(self) -> list[list[int]]:
        """Of each block the numbers of its images, in coding order."""
        numbers = iter([number for number, entry in enumerate(self.entries) if entry.stacked])
        return [stack_order([next(numbers) for _ in range(block.images)], self.entries) for block in self.blocks]


def stack_order(numbers: Sequence[int], entries: Sequence[Entry]) -> list[int]:
    """The images of a block in coding order: small ones first, equal sizes together."""
    return sorted(numbers, key=lambda number: (entries[number].width * entries[number].height, entries[number].size))


@dataclass(frozen=True)
class Archive:
    """An archive, or a prefix of one that holds the index; the sections it does not reach are short or empty."""

    index: Index
    values: tuple[bytes, ...]
    sections: tuple[bytes, ...]  # of the entries
    stacks: tuple[bytes, ...]
    missing: int  # bytes
    following: int  # bytes behind the end


def check_name(name: str) -> str | None:
    """What is wrong with an image's name, or None: names are relative paths with /, below the folder of extraction."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it is not a path inside a folder"
    if re.match("[A-Za-z]:", name):
        return "it begins with a drive"
    if "\\" in name or not name.isprintable():
        return "it has a backslash or characters that are not printable"
    return None


# --- writing


def assemble(index: Index, values: Sequence[bytes], sections: Sequence[bytes], stacks: Sequence[bytes]) -> bytes:
    """The whole archive; the lengths of values and sections are filled in here, those of blocks are given."""
    entries = tuple(replace(entry, length=len(section)) for entry, section in zip(index.entries, sections, strict=True))
    packed = _pack_index(replace(index, value_lengths=tuple(map(len, values)), entries=entries))
    deflated = zlib.compress(packed, level=9, wbits=RAW_DEFLATE)
    head = MAGIC + bytes([VERSION]) + index.model_id + pack_varint(len(deflated))
    check = zlib.crc32(deflated, zlib.crc32(head)).to_bytes(4, "little")
    return b"".join([head, check, deflated, *values, *sections, *stacks])


def _pack_index(index: Index) -> bytes:
    """Numbers as varints, every kind together, so that deflate finds what is alike."""
    entries, blocks = index.entries, index.blocks
    stacked = [entry for entry in entries if entry.stacked]
    profile = json.dumps(index.profile, sort_keys=True, separators=(",", ":")).encode() if index.profile else b""
    runs = [run for block in blocks for run in block.runs]
    columns: list[list[int]] = [
        [len(profile), len(index.levels), *map(_zigzag, _differences(_differences(index.levels)))],
        [len(index.value_lengths), *index.value_lengths],
        [len(entries)],
        [MODES.index(entry.mode) + STACKED * entry.stacked for entry in entries],
        [entry.width for entry in entries],
        [entry.height for entry in entries],
        [entry.length for entry in entries if _has_section(entry)],
        [entry.icc for entry in stacked],
        [entry.exif for entry in stacked],
        [len(blocks), *(block.words for block in blocks), *(len(block.runs) for block in blocks)],
        [run.images for run in runs],
        [run.file_bytes for run in runs],
        [index.effort] * _is_uniform(index.levels, blocks),
    ]
    numbers = b"".join(pack_varint(number) for column in columns for number in column)
    names = b"".join(_front_coded([entry.name for entry in entries]))
    return numbers + names + b"".join(entry.check.to_bytes(2, "little") for entry in stacked) + profile


def _is_uniform(levels: Sequence[int], blocks: Sequence[Block]) -> bool:
    """Whether there are stacks that the uniform channel codes, which goes by an effort."""
    return bool(blocks) and not levels


def _has_section(entry: Entry) -> bool:
    return not entry.stacked or entry.mode == "RGBA"


def _differences(values: Sequence[int]) -> list[int]:
    return [b - a for a, b in pairwise([0, *values])]


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _front_coded(names: Sequence[str]) -> Iterator[bytes]:
    """Each name (UTF-8) as the length of what it shares with the one before, the length of the rest, the rest."""
    for before, name in pairwise([b"", *(name.encode() for name in names)]):
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(before, name, strict=False))))
        yield pack_varint(shared) + pack_varint(len(name) - shared) + name[shared:]


# --- reading


def split(data: bytes) -> Archive:
    """Cut an archive, or a prefix of one that holds the whole index, at the lengths its index declares.

    Raises TruncatedError when the data ends inside the index, FormatError when it is no archive of this version, its
    index is damaged or contradicts itself. Missing bytes, and those that follow the end, are counted, not refused.
    """
    model_id, packed, position = _open(data)
    try:
        index = _parse_index(_IndexReader(packed), model_id)
    except (TruncatedError, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"the index contradicts itself ({error}): the archive is damaged") from error
    lengths = [
        index.value_lengths,
        [entry.length for entry in index.entries],
        [4 * block.words for block in index.blocks],
    ]
    parts: list[tuple[bytes, ...]] = []
    for group in lengths:
        found = []
        for length in group:
            found.append(data[position : position + length])
            position += length
        parts.append(tuple(found))
    return Archive(index, parts[0], parts[1], parts[2], max(0, position - len(data)), max(0, len(data) - position))


def _open(data: bytes) -> tuple[bytes, bytes, int]:
    """Model id, inflated index, and where the index ends."""
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise FormatError(
            f"not an archive: it starts with {data[:4].hex(' ')}, not {MAGIC.hex(' ')}; give a .ddpma file"
        )
    reader = Reader(data)
    reader.take(len(MAGIC))
    if (version := reader.take(1)[0]) != VERSION:
        raise FormatError(f"archive version {version} (this program reads {VERSION}): a newer ddpmcodec is needed")
    model_id, length = reader.take(MODEL_ID_BYTES), reader.varint()
    covered = data[: reader.position]
    check, deflated = int.from_bytes(reader.take(4), "little"), reader.take(length)
    if zlib.crc32(deflated, zlib.crc32(covered)) != check:
        raise FormatError("the index is damaged: its checksum does not match; get the archive again")
    packed, ended = inflate(deflated, MAX_INDEX)
    if not ended:
        raise FormatError(f"the index holds more than {MAX_INDEX} bytes, or bytes follow its end")
    return model_id, packed, reader.position


class _IndexReader(Reader):
    """Columns of an index."""

    def column(self, count: int, most: int = MAX_IMAGES) -> list[int]:
        """Nothing is allocated by a claim: `most` bounds it, and a number takes a byte at least."""
        if count > most:
            raise ValueError(f"{count} numbers where {most} are the most")
        self.require(count)
        return [self.varint() for _ in range(count)]

    def counted(self, most: int) -> list[int]:
        return self.column(self.varint(), most)

    def summed_twice(self, most: int) -> tuple[int, ...]:
        """The inverse of the differences of differences."""
        value, step, values = 0, 0, []
        for number in self.counted(most):
            step += number >> 1 if number % 2 == 0 else -(number + 1 >> 1)
            value += step
            values.append(value)
        return tuple(values)

    def names(self, count: int) -> list[str]:
        before, found = b"", []
        for _ in range(count):
            shared, rest = self.varint(), self.varint()
            if shared > len(before):
                raise ValueError("a name shares more than there is")
            before = before[:shared] + self.take(rest)
            found.append(before.decode())
        return found


def _parse_index(reader: _IndexReader, model_id: bytes) -> Index:
    profile_length = reader.varint()
    levels, value_lengths, count = reader.summed_twice(MAX_LEVELS), reader.counted(2 * MAX_IMAGES), reader.varint()
    kinds, widths, heights = reader.column(count), reader.column(count), reader.column(count)
    entries = [
        Entry("", MODES[kind % STACKED], width, height, (False, True)[kind // STACKED])
        for kind, width, height in zip(kinds, widths, heights, strict=True)
    ]
    lengths = iter(reader.column(sum(map(_has_section, entries))))
    stacked = sum(entry.stacked for entry in entries)
    icc, exif = iter(reader.column(stacked)), iter(reader.column(stacked))
    blocks = _parse_blocks(reader, stacked)
    effort = reader.varint() if _is_uniform(levels, blocks) else 0
    names = reader.names(count)
    checks = iter([int.from_bytes(reader.take(2), "little") for _ in range(stacked)])
    entries = [replace(entry, name=name) for entry, name in zip(entries, names, strict=True)]
    entries = [replace(entry, length=next(lengths)) if _has_section(entry) else entry for entry in entries]
    entries = [replace(e, check=next(checks), icc=next(icc), exif=next(exif)) if e.stacked else e for e in entries]
    profile: dict[str, Any] = json.loads(reader.take(profile_length)) if profile_length else {}
    if reader.position != len(reader.data) or not isinstance(profile, dict):
        raise ValueError("bytes follow its end")
    index = Index(model_id, levels, profile, tuple(value_lengths), tuple(entries), blocks, effort)
    _check(index)
    return index


def _parse_blocks(reader: _IndexReader, stacked: int) -> tuple[Block, ...]:
    """Of blocks and of runs there are no more than images on stacks."""
    count = reader.varint()
    words, counts = (reader.column(count, stacked) for _ in range(2))
    images, files = (reader.column(sum(counts), stacked) for _ in range(2))
    runs = map(Run, images, files)
    return tuple(Block(tuple(next(runs) for _ in range(n)), length) for length, n in zip(words, counts, strict=True))


def _check(index: Index) -> None:
    """Raises ValueError where a decoder would take more memory than an archive of this program asks for, or fail."""
    if len({entry.name for entry in index.entries}) < len(index.entries):
        raise ValueError("two images have one name")
    for entry in index.entries:
        most = MAX_STACKED_PIXELS if entry.stacked else MAX_PIXELS
        if not 0 < entry.width * entry.height <= most or (entry.stacked and entry.mode not in STACKED_MODES):
            raise ValueError(f"{entry.name} is {entry.width} x {entry.height} {entry.mode}")
        if max(entry.icc, entry.exif) > len(index.value_lengths):
            raise ValueError(f"{entry.name} refers to metadata that is not there")
    if sum(block.images for block in index.blocks) != sum(entry.stacked for entry in index.entries):
        raise ValueError("the blocks do not hold as many images as there are on stacks")
    if len(index.levels) > MAX_LEVELS or any(level <= 0 for level in _differences(index.levels)):
        raise ValueError("the noise levels do not increase")
    uniform = _is_uniform(index.levels, index.blocks)
    if uniform and (index.profile or any(run.file_bytes for block in index.blocks for run in block.runs)):
        raise ValueError("blocks of the uniform channel with what bits back needs")
    for block, members in zip(index.blocks, index.members(), strict=True):
        _check_runs(block, [index.entries[number].size for number in members])


def _check_runs(block: Block, sizes: Sequence[Size]) -> None:
    position = 0
    for run in block.runs:
        batch = sizes[position : position + run.images]
        position += run.images
        pixels = sum(width * height for width, height in batch)
        if run.images < 1 or len(set(batch)) > 1 or pixels > MAX_BATCH_PIXELS or (run.file_bytes and run.images > 1):
            raise ValueError(f"a run of {run.images} images and {run.file_bytes} bytes in a block")


def find_images(index: Index, names: Sequence[str] | None) -> list[int]:
    """Places of the images of these names, or of all. Raises FormatError for names that lead out of a folder, and
    DdpmError for one that is not there."""
    for entry in index.entries:
        if problem := check_name(entry.name):
            raise FormatError(f"the archive holds an image named {entry.name!r}: {problem}; it is not extracted")
    if names is None:
        return list(range(len(index.entries)))
    places = {entry.name: number for number, entry in enumerate(index.entries)}
    if missing := [name for name in names if name not in places]:
        raise DdpmError(f"there is no image {missing[0]!r} in the archive: `ddpmcodec archive list` names all")
    return sorted({places[name] for name in names})


def describe(data: bytes) -> dict[str, Any]:
    """Facts for people and scripts, all of them JSON values, without decoding an image. Raises FormatError."""
    archive = split(data)
    index = archive.index
    runs = [run for block in index.blocks for run in block.runs]
    dims = sum(entry.width * entry.height * CHANNELS[entry.mode] for entry in index.entries)
    return {
        "format_version": VERSION,
        "bytes": len(data),
        "missing_bytes": archive.missing,
        "following_bytes": archive.following,
        "bits_per_dim": 8 * (len(data) + archive.missing - archive.following) / max(dims, 1),
        "index_bytes": len(data) - archive.following - _body_bytes(archive),
        "model_id": index.model_id.hex(),
        "profile": index.profile or None,
        "levels": [level / LEVEL_UNIT for level in index.levels],
        "effort": index.effort or None,
        "blocks": len(index.blocks),
        "images_on_stacks": sum(entry.stacked for entry in index.entries),
        "images_by_bits_back": sum(run.images for run in runs if index.levels and not run.file_bytes),
        "images": [
            {"name": entry.name, "mode": entry.mode, "width": entry.width, "height": entry.height}
            for entry in index.entries
        ],
    }


def _body_bytes(archive: Archive) -> int:
    return sum(len(part) for group in (archive.values, archive.sections, archive.stacks) for part in group)
