r"""The .ddpma archive, version 1: an index, then blocks of images, each of which describes itself once more.

    header   4      magic DD 41 0D 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version
             varint length of the index
             4      CRC-32 of all of the above and the index
    index    raw deflate of: number of blocks; of each the length of its header as it stands in the block, the length of
             the same before deflate (varints), and the header
    blocks   4      mark DD 42 0D 0A
             varint length of the header
             4      CRC-32 of mark, length and header
             header   raw deflate, see block.py
             body   of files: .ddpm files. Of other images: the distinct values, an ICC profile each or EXIF with XMP
                    (`sections.pack_metadata`), the alpha sections; the streams of the alpha planes of the runs, then
                    those of the runs (tiles.py), or, by bits back, the words of the stack (32 bits, little endian)
                    from its top, as a decoder takes them

Where the index is damaged, it is rebuilt from the headers of the blocks, which are found by their marks.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from ddpmcodec import _native
from ddpmcodec._native import ARCHIVE_MAGIC, ARCHIVE_VERSION, BLOCK_MARK, CRC32_BYTES, MAX_NAME, WORD_BYTES
from ddpmcodec.content import Content, File, Part, content_of
from ddpmcodec.errors import DdpmError, FormatError
from ddpmcodec.format.block import CONTEXT, Block, Entry, block_of, pack_block
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint

# Characters that look like others, or change how a name is shown: control characters, separators of lines,
# and what sets the direction of text. A fixed set: what is printable changes with the version of Unicode.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
NOT_UNICODE = re.compile(r"[\ud800-\udfff]")  # halves of UTF-16 pairs: Python's names of files that are no text


def check_name(name: str) -> str | None:
    """What is wrong with an image's name, or None: names are relative paths with /, below the folder of extraction."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it is not a path inside a folder"
    if re.match("[A-Za-z]:", name):
        return "it begins with a drive"
    if NOT_UNICODE.search(name):
        return "it is not UTF-8 here: rename the file, or set a locale of UTF-8"
    if found := FORBIDDEN.search(name):
        return "it has a backslash" if found[0] == "\\" else f"it has the character U+{ord(found[0]):04X}"
    if len(name.encode()) > MAX_NAME:
        return f"it has more than {MAX_NAME} bytes"
    return None


@dataclass(frozen=True)
class Index:
    """All that an archive says of itself: the headers of its blocks."""

    blocks: tuple[Block, ...]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All images, in the order in which they were given."""
        return tuple(sorted((entry for block in self.blocks for entry in block.entries), key=lambda e: e.number))

    @property
    def total(self) -> int:
        """Images that the archive had when it was made."""
        return max((block.total for block in self.blocks), default=0)


class Parts(NamedTuple):
    """The body of a block; in a prefix of an archive, parts are short or empty. intact: its header is where the index
    says, and says the same."""

    values: tuple[Part, ...]
    sections: tuple[Part, ...]  # of the images: files, or alpha sections
    alphas: tuple[Part, ...]  # each run has a stream of alpha planes, which may be empty
    streams: tuple[Part, ...]  # of the runs; by bits back the stack alone
    intact: bool

    def body(self) -> bytes:
        """All parts."""
        return b"".join(map(bytes, (*self.values, *self.sections, *self.alphas, *self.streams)))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive, or what there is of it.

    Attributes:
        size, missing, following: bytes of the data, that lack, and after the end.
        index_bytes: of header and index; 0 if they are damaged.
        damage: what is wrong with the index, if it was rebuilt.
        problem: why it is not to be copied: the first thing that is missing or damaged, as far as that shows without
            decoding.
    """

    index: Index
    parts: tuple[Parts, ...]  # of the blocks
    size: int = 0
    missing: int = 0
    following: int = 0
    index_bytes: int = 0
    damage: FormatError | None = None
    problem: FormatError | None = None

    @classmethod
    def of_block(cls, block: Block, parts: Parts, *, missing: int = 0) -> Archive:
        """One block of an archive as an archive."""
        return cls(index=Index((block,)), parts=(parts,), missing=missing)


# --- writing


class PackedBlock(NamedTuple):
    """A block to write. Lengths in `head` are filled in by `packed`."""

    header: Block
    body: Part


def packed(
    header: Block, values: Sequence[bytes], sections: Sequence[bytes], streams: Sequence[bytes] = (),
    alphas: Sequence[bytes] = (),
) -> PackedBlock:  # fmt: skip
    """A block with its parts. sections, streams, alphas: of images and runs, as in `Parts`. Runs say how large their
    states are, and all of their alpha streams."""
    entries = tuple(replace(entry, length=len(s)) for entry, s in zip(header.entries, sections, strict=True))
    header = replace(header, entries=entries, value_lengths=tuple(map(len, values)))
    alphas = [*alphas] or [b""] * len(header.runs)
    if header.kind == CONTEXT:
        sized = zip(header.runs, streams, strict=True)
        header = replace(header, runs=tuple(replace(r, words=(len(s) - r.state_bytes) // WORD_BYTES) for r, s in sized))
    else:
        header = replace(header, words=sum(map(len, streams)) // WORD_BYTES)
    if [len(stream) for stream in (*streams, *alphas)] != [*header.stream_lengths(), *header.alpha_lengths()]:
        raise ValueError("the streams of a block are a state and whole words for each run, or one stack")
    return PackedBlock(header, b"".join([*values, *sections, *alphas, *streams]))


def assemble(blocks: Sequence[PackedBlock]) -> list[Part]:
    """The whole archive, in parts that follow each other; how many images it has is filled in here. Raises FormatError
    where no reader takes it."""
    total = sum(len(block.header.entries) for block in blocks)
    headers = [pack_block(replace(block.header, total=total)) for block in blocks]
    deflated = [deflate(header) for header in headers]
    facts = b"".join(pack_varint(len(d)) + pack_varint(len(h)) + h for d, h in zip(deflated, headers, strict=True))
    start = checked(ARCHIVE_MAGIC + bytes([ARCHIVE_VERSION]), deflate(pack_varint(len(blocks)) + facts))
    _native.open_archive(start)  # which refuses an index that is too large
    pieces: list[Part] = [start]
    for header, block in zip(deflated, blocks, strict=True):
        pieces += [checked(BLOCK_MARK, header), block.body]
    return pieces


def checked(start: bytes, content: bytes) -> bytes:
    """Start, length of the content, CRC-32 of all three, content."""
    start += pack_varint(len(content))
    return start + zlib.crc32(content, zlib.crc32(start)).to_bytes(CRC32_BYTES, "little") + content


# --- reading


def split(data: File | Archive) -> Archive:
    """Cut an archive, or a prefix of one, at the lengths that its index declares. The parts of a view are views, too.
    One that was cut already stays as it is.

    Missing bytes, and those that follow the end, are counted, not refused. A damaged index is rebuilt from the blocks.
    Raises TruncatedError when the data ends inside the index, FormatError when it is no archive of this version, its
    index contradicts itself, or it is damaged and no block is found; DdpmError where the file cannot be read.
    """
    if isinstance(data, Archive):
        return data
    data = content_of(data)
    found = _native.open_archive(data)
    return Archive(
        index=Index(tuple(map(block_of, found.blocks))),
        parts=tuple(
            Parts(_cut(data, values), _cut(data, sections), _cut(data, alphas), _cut(data, streams), is_intact)
            for values, sections, alphas, streams, is_intact in found.parts
        ),
        size=found.size, missing=found.missing, following=found.following, index_bytes=found.index_bytes,
        damage=found.damage, problem=found.problem,
    )  # fmt: skip


def _cut(data: Content, places: list[slice]) -> tuple[Part, ...]:
    return tuple(map(data.__getitem__, places))


def whole(data: File | Archive) -> Archive:
    """`split` of an archive that can be copied. Raises as it does, FormatError for damage that shows without decoding,
    and TruncatedError where the end is missing."""
    archive = split(data)
    if archive.problem is not None:
        raise archive.problem
    return archive


def find_images(index: Index, names: Sequence[str] | None) -> list[Entry]:
    """The images of these names, or all. Raises FormatError for names that lead out of a folder, and DdpmError for one
    that is not there."""
    by_name = {entry.name: entry for entry in index.entries}
    for name in by_name if names is None else names:
        if name in by_name and (problem := check_name(name)):
            raise FormatError(f"the archive holds an image named {name!r}: {problem}; it is not extracted")
    if names is None:
        return list(index.entries)
    if missing := [name for name in names if name not in by_name]:
        lost = index.total - len(index.entries)
        more = f", of which {lost} images are lost" if lost else ""
        raise DdpmError(f"there is no image {missing[0]!r} in the archive{more}: `ddpmcodec archive list` names all")
    return sorted({by_name[name] for name in names}, key=lambda entry: entry.number)
