r"""The .ddpma archive, version 1: an index, then blocks of images, each of which describes itself once more.

    header   4      magic DD 41 0D 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version
             varint length of the index
             4      CRC-32 of all of the above and the index
    index    raw deflate of: number of blocks; of each the length of its head as it stands in the block, the length of
             the same before deflate (varints), and the head
    blocks   4      mark DD 42 0D 0A
             varint length of the head
             4      CRC-32 of mark, length and head
             head   raw deflate, see head.py
             body   of files: .ddpm files. Of other images: the distinct values, an ICC profile each or EXIF with XMP
                    (`sections.pack_metadata`), the alpha sections; then the streams of the runs (streams.py), or, by
                    bits back, the words of the stack (32 bits, little endian) from its top, as a decoder takes them

Where the index is damaged, it is rebuilt from the heads of the blocks, which are found by their marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from ddpmcodec.content import Content, File, Part, content_of
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, TruncatedError, bytes_follow
from ddpmcodec.format.archive_limits import MAX_INDEX, Totals
from ddpmcodec.format.block import CONTEXT, Block, Entry
from ddpmcodec.format.block_frame import MARK, MAX_HEAD, FoundBlock, checked, find_blocks, has_head, read_checked
from ddpmcodec.format.head import pack_head, parse_head
from ddpmcodec.format.header import ARCHIVE_MAGIC, WORD_BYTES
from ddpmcodec.format.image_names import check_name
from ddpmcodec.format.sections import CRC32_BYTES, deflate, inflate
from ddpmcodec.format.varint import Reader, pack_varint

MAGIC = ARCHIVE_MAGIC
VERSION = 1
START_IS_LOST = "the start of the archive is damaged, and with it the index"


@dataclass(frozen=True)
class Index:
    """All that an archive says of itself: the heads of its blocks."""

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
    """The body of a block; in a prefix of an archive, parts are short or empty. intact: its head is where the index
    says, and says the same."""

    values: tuple[Part, ...]
    sections: tuple[Part, ...]  # of the images: files, or alpha sections
    streams: tuple[Part, ...]  # of the runs; by bits back the stack alone
    intact: bool


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive, or what there is of it. damage: what is wrong with the index, where it was rebuilt."""

    index: Index
    parts: tuple[Parts, ...]  # of the blocks
    size: int = 0  # bytes of the data
    missing: int = 0  # bytes
    following: int = 0  # bytes behind the end
    index_bytes: int = 0  # of header and index
    damage: FormatError | None = None

    @classmethod
    def of(
        cls, data: Content, index: Index, parts: tuple[Parts, ...], end: int, *, index_bytes: int = 0,
        damage: FormatError | None = None,
    ) -> Archive:  # fmt: skip
        """An archive that ends at a position, of data that may end before or after it."""
        missing, following = max(0, end - len(data)), max(0, len(data) - end)
        return cls(
            index=index, parts=parts, size=len(data), missing=missing, following=following, index_bytes=index_bytes,
            damage=damage,
        )  # fmt: skip

    @classmethod
    def of_block(cls, block: Block, parts: Parts, *, missing: int = 0) -> Archive:
        """One block of an archive as an archive."""
        return cls(index=Index((block,)), parts=(parts,), missing=missing)


# --- writing


class Packed(NamedTuple):
    """A block to write. Lengths in `head` are filled in by `packed`."""

    head: Block
    body: Part


def packed(head: Block, values: Sequence[bytes], sections: Sequence[bytes], streams: Sequence[bytes] = ()) -> Packed:
    """A block with its parts. sections, streams: of images and runs, as in `Parts`. Runs say how large their states
    are."""
    entries = tuple(replace(entry, length=len(s)) for entry, s in zip(head.entries, sections, strict=True))
    head = replace(head, entries=entries, value_lengths=tuple(map(len, values)))
    if head.kind == CONTEXT:
        sized = zip(head.runs, streams, strict=True)
        head = replace(head, runs=tuple(replace(r, words=(len(s) - r.state_bytes) // WORD_BYTES) for r, s in sized))
    else:
        head = replace(head, words=sum(map(len, streams)) // WORD_BYTES)
    if [len(stream) for stream in streams] != head.stream_lengths():
        raise ValueError("the streams of a block are a state and whole words for each run, or one stack")
    return Packed(head, b"".join([*values, *sections, *streams]))


def assemble(blocks: Sequence[Packed]) -> list[Part]:
    """The whole archive, in parts that follow each other; how many images it has is filled in here. Raises FormatError
    where no reader takes it."""
    total = sum(len(block.head.entries) for block in blocks)
    totals = Totals()
    for block in blocks:
        totals.add(block.head)
    heads = [pack_head(replace(block.head, total=total)) for block in blocks]
    deflated = [deflate(head) for head in heads]
    facts = b"".join(pack_varint(len(d)) + pack_varint(len(h)) + h for d, h in zip(deflated, heads, strict=True))
    facts = pack_varint(len(blocks)) + facts
    if len(facts) > MAX_INDEX:
        raise FormatError(f"the index would hold more than {MAX_INDEX} bytes: make two archives")
    pieces: list[Part] = [checked(MAGIC + bytes([VERSION]), deflate(facts))]
    for head, block in zip(deflated, blocks, strict=True):
        pieces += [checked(MARK, head), block.body]
    return pieces


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
    try:
        index, heads, start = _parse_index(data)
    except FormatError as error:
        found = find_blocks(data)
        if not found:
            raise
        has_start = bytes(data[: len(MAGIC)]) == MAGIC
        return _rebuilt(data, found, error if has_start else FormatError(START_IS_LOST))
    starts, end = _block_starts(index, heads, start)
    intact = [has_head(data, begin, head.content) for (begin, _), head in zip(starts, heads, strict=True)]
    bodies = [body for _, body in starts] if all(intact) else _moved(data, index, starts, intact)
    parts = [_cut(block, data, *at) for block, at in zip(index.blocks, zip(bodies, intact, strict=True), strict=True)]
    return Archive.of(data, index, tuple(parts), end, index_bytes=start)


def whole(data: File | Archive) -> Archive:
    """`split` of an archive that can be copied. Raises as it does, FormatError for damage that shows without decoding,
    and TruncatedError where the end is missing."""
    archive = split(data)
    if archive.missing:
        raise TruncatedError(f"{archive.missing} bytes are missing at its end: get the file again")
    if archive.damage is not None:
        raise archive.damage
    if not all(parts.intact for parts in archive.parts):
        raise FormatError("the head of a block is damaged: extract its images, and archive them again")
    if archive.following:
        raise FormatError(bytes_follow(archive.following, "archive", archive.size - archive.following))
    return archive


class _Head(NamedTuple):
    """The head of a block, as the index has it. length: in the block, where it is deflated."""

    length: int
    content: bytes


def _parse_index(data: Content) -> tuple[Index, list[_Head], int]:
    """The index, the heads of its blocks, and where it ends."""
    if (start := bytes(data[: len(MAGIC)])) != MAGIC[: len(data)]:
        raise FormatError(
            f"not an archive: it starts with {start[:4].hex(' ')}, not {MAGIC.hex(' ')}; give a .ddpma file"
        )
    reader = Reader(data)
    reader.take(len(MAGIC))
    if (version := reader.take(1)[0]) != VERSION:
        raise FormatError(f"archive version {version} (this program reads {VERSION}): a newer ddpmcodec is needed")
    if (content := read_checked(reader, 0)) is None:
        raise ChecksumError("the index is damaged: its checksum does not match")
    facts, ended = inflate(content, MAX_INDEX)
    if not ended:
        raise FormatError(f"the index holds more than {MAX_INDEX} bytes, or bytes follow its end")
    return *_parse_heads(Reader(facts, "the index")), reader.position


def _parse_heads(reader: Reader) -> tuple[Index, list[_Head]]:
    blocks, heads, totals = list[Block](), list[_Head](), Totals()
    try:
        for _ in range(reader.varint()):
            body = reader.varint()
            heads.append(_Head(body, reader.take(_head_length(reader))))
            blocks.append(parse_head(heads[-1].content))
            totals.add(blocks[-1])  # before a small index has become a large one in memory
    except TruncatedError as error:  # of an index that is all there
        raise FormatError(f"the index contradicts itself ({error}): the archive is damaged") from error
    index = Index(tuple(blocks))
    names, numbers = {entry.name for entry in index.entries}, {entry.number for entry in index.entries}
    complete = len(index.entries) == len(names) == len(numbers) and all(len(numbers) == b.total for b in blocks)
    if not complete or reader.position != len(reader.data):
        raise FormatError("the index contradicts itself: images are missing, or two have one name or one place")
    return index, heads


def _head_length(reader: Reader) -> int:
    length = reader.varint()
    if length > MAX_HEAD:  # before it is copied
        raise FormatError(
            f"the head of a block takes {length} bytes where {MAX_HEAD} are the most: the archive is damaged"
        )
    return length


BlockStart = tuple[int, int]  # where a block begins, and where its body does


def _block_starts(index: Index, heads: Sequence[_Head], start: int) -> tuple[list[BlockStart], int]:
    """Where the index says that blocks begin, and where the last one ends."""
    starts = []
    for block, head in zip(index.blocks, heads, strict=True):
        body = start + len(MARK) + len(pack_varint(head.length)) + CRC32_BYTES + head.length
        starts.append((start, body))
        start = body + sum(block.part_lengths())
    return starts, start


def _moved(data: Content, index: Index, starts: Sequence[BlockStart], intact: Sequence[bool]) -> list[int]:
    """Where bodies begin. What is not where the index says may be elsewhere: bytes were lost, or came in between."""
    found = {other.block.entries[0].number: other for other in find_blocks(data)}  # no two have an image in common
    bodies = []
    for block, (_, body), is_there in zip(index.blocks, starts, intact, strict=True):
        other = None if is_there else found.get(block.entries[0].number)
        bodies.append(other.body if other and other.block == block else body)
    return bodies


def _rebuilt(data: Content, found: Sequence[FoundBlock], damage: FormatError) -> Archive:
    names: set[str] = set()
    for block, _ in found:
        block_names = {entry.name for entry in block.entries}
        if not names.isdisjoint(block_names):
            raise FormatError("two images have one name: the archive is damaged")
        names |= block_names
    parts = tuple(_cut(block, data, body, True) for block, body in found)
    end = max(body + sum(block.part_lengths()) for block, body in found)
    index = Index(tuple(block for block, _ in found))
    return Archive.of(data, index, parts, end, damage=damage)


def _cut(block: Block, data: Content, position: int, intact: bool) -> Parts:
    """The parts of a block whose body begins at a position."""
    parts = []
    for length in block.part_lengths():
        parts.append(data[position : position + length])
        position += length
    values, sections = len(block.value_lengths), len(block.value_lengths) + len(block.entries)
    return Parts(tuple(parts[:values]), tuple(parts[values:sections]), tuple(parts[sections:]), intact)


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
