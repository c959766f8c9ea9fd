"""Archives as bytes: read as they were written, and found again where the index is damaged."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_headers import Header

from ddpmcodec._native import ARCHIVE_MAGIC, BLOCK_MARK, MODES
from ddpmcodec.archive.reader import describe
from ddpmcodec.errors import DdpmError, FormatError, TruncatedError
from ddpmcodec.format import ddpm
from ddpmcodec.format.block import Block, BlockCoding, Entry, Run, pack_block
from ddpmcodec.format.ddpma import (
    Archive,
    PackedBlock,
    Parts,
    assemble,
    check_name,
    checked,
    find_images,
    packed,
    split,
)
from ddpmcodec.format.sections import RAW_DEFLATE, deflate
from ddpmcodec.format.varint import pack_varint

RUNS = Block(
    (Entry("b.png", "RGBA", 6, 4, 2, icc=1), Entry("a.png", "RGB", 5, 4, 0)),
    coding=BlockCoding(2, 2, 0, b"1234"),
    runs=(Run(1, state_bytes=5), Run(1, state_bytes=8)),
)
STREAMS = (bytes(range(5 + 8)), bytes(range(8)))
BITS_BACK = BlockCoding(1, 0, 3, b"", (1024, 4096), b"abcd", {"threads": 1})
FILES = Block((Entry("c.png", "L", 9, 9, 1), Entry("d.png", "1", 7, 7, 3)))


def assembled(blocks: list[PackedBlock]) -> bytes:
    return b"".join(map(bytes, assemble(blocks)))


def example() -> bytes:
    runs = packed(RUNS, [b"icc"], [b"alpha", b""], STREAMS)
    return assembled([runs, packed(FILES, [], [b"a file", b"another"])])


def test_an_archive_comes_back() -> None:
    data = example()
    found = split(data)
    assert [entry.name for entry in found.index.entries] == ["a.png", "c.png", "b.png", "d.png"]
    assert found.index.total == 4
    assert found.parts == (
        Parts((b"icc",), (b"alpha", b""), (b"", b""), STREAMS, True),
        Parts((), (b"a file", b"another"), (), (), True),
    )
    assert (found.missing, found.following, found.damage) == (0, 0, None)
    assert split(data + b"x").following == 1


def test_a_run_is_found_without_those_before_it() -> None:
    data = example()
    block, parts = split(data).index.blocks[0], split(data).parts[0]
    assert [(run.length, run.words) for run in block.runs] == [(13, 2), (8, 0)]
    assert data[: data.find(STREAMS[1] + BLOCK_MARK)].endswith(STREAMS[0])
    assert parts.streams[1] == STREAMS[1]


def test_a_stack_is_one_stream() -> None:
    block = Block((Entry("a.png", "RGB", 5, 4, 0),), coding=BITS_BACK, runs=(Run(1, 99),))
    found = split(assembled([packed(block, [], [b""], [bytes(range(12))])]))
    assert found.index.blocks[0].words == 3
    assert found.parts[0].streams == (bytes(range(12)),)


@pytest.mark.parametrize(
    ("block", "streams"),
    [(RUNS, (STREAMS[0], b"1234567")), (RUNS, (STREAMS[0], b"1" * 10)), (FILES, (b"word",)), (RUNS, (b"1", b"2"))],
)
def test_streams_that_are_none_are_not_written(block: Block, streams: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="state"):
        packed(block, [], [b"", b""], streams)


def test_every_prefix_has_the_parts_it_reaches() -> None:
    data = example()
    for size in range(len(data)):
        if size < split(data).index_bytes:
            with pytest.raises(TruncatedError, match="header"):
                split(data[:size])
        else:
            found = split(data[:size])
            assert found.missing == len(data) - size
            assert b"another".startswith(found.parts[1].sections[1])


def test_the_bytes_are_what_they_were() -> None:
    """Header, index and the header of a block; deflate is zlib's business."""
    data = assembled([packed(Block((Entry("a", "L", 1, 2),)), [], [b"file"])])
    header = bytes.fromhex("01 00 01 00 00 01 02 04 00 01 61")
    deflated = zlib.compress(header, 9, RAW_DEFLATE)
    index = zlib.compress(bytes([1, len(deflated), len(header)]) + header, 9, RAW_DEFLATE)
    start = bytes.fromhex("dd 41 0d 0a 01") + bytes([len(index)])
    mark = bytes.fromhex("dd 42 0d 0a") + bytes([len(deflated)])
    checks = [zlib.crc32(part).to_bytes(4, "little") for part in (start + index, mark + deflated)]
    assert data == start + checks[0] + index + mark + checks[1] + deflated + b"file"


def test_an_index_is_rebuilt_from_the_headers() -> None:
    data = example()
    whole = split(data)
    for place in range(whole.index_bytes):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            found = split(bytes(damaged))
            assert isinstance(found.damage, FormatError)
            assert (found.index, found.parts, found.missing) == (whole.index, whole.parts, 0)


def test_what_no_head_describes_is_counted() -> None:
    data = example()
    second = data.find(BLOCK_MARK, data.find(BLOCK_MARK) + 1)
    found = split(b"\0" + data[1:second] + b"\0" + data[second + 1 :])
    assert (found.index.total, [entry.name for entry in found.index.entries]) == (4, ["a.png", "b.png"])
    with pytest.raises(DdpmError, match=r"'c\.png'.* 2 images"):
        find_images(found.index, ["c.png"])


def test_blocks_are_found_where_they_are() -> None:
    data = example()
    first = data.find(BLOCK_MARK)
    moved = split(data[:first] + b"junk" + data[first:])
    assert [parts[:3] for parts in moved.parts] == [parts[:3] for parts in split(data).parts]
    assert not any(parts.intact for parts in moved.parts)
    assert moved.following == 4


def test_a_mark_in_a_body_is_no_block() -> None:
    files = Block(tuple(Entry(name, "L", 1, 1, number) for number, name in enumerate("ab")))
    data = assembled([packed(files, [], [BLOCK_MARK + b"\x05\0\0\0\0", BLOCK_MARK])])
    damaged = b"\0" + data[1:]
    assert split(damaged).index == split(data).index


def test_a_block_that_comes_twice_counts_once() -> None:
    data = example()
    first = data.find(BLOCK_MARK)
    found = split(b"\0" + data[1:] + data[first:])
    assert found.index == split(data).index


def test_two_blocks_must_not_have_one_name() -> None:
    blocks = [Block((Entry("a", "L", 1, 1, number, 4),), 2) for number in range(2)]
    with pytest.raises(FormatError, match="one name"):
        assembled([packed(block, [], [b"file"]) for block in blocks])
    headers = [pack_block(block) for block in blocks]
    index = b"".join(pack_varint(len(deflate(header))) + pack_varint(len(header)) + header for header in headers)
    body = b"".join(checked(BLOCK_MARK, deflate(header)) + b"file" for header in headers)
    for start in (checked(ARCHIVE_MAGIC + b"\1", deflate(b"\2" + index)), b"\0"):
        with pytest.raises(FormatError, match="one name"):
            split(start + body)


def test_an_index_without_all_images_is_refused() -> None:
    with pytest.raises(FormatError, match="1 images"):
        assembled([packed(Block((Entry("a", "L", 1, 1, 5),)), [], [b"file"])])


def test_an_index_that_ends_early_contradicts_itself() -> None:
    index = checked(ARCHIVE_MAGIC + b"\1", deflate(b"\2\5\5"))
    with pytest.raises(FormatError, match="contradicts"):
        split(index)


def test_a_head_in_an_index_is_bounded_before_it_is_copied() -> None:
    size = (1 << 22) + 1
    content = b"\1\0" + pack_varint(size) + bytes(size)
    index = checked(ARCHIVE_MAGIC + b"\1", deflate(content))
    with pytest.raises(FormatError, match=f"{size} bytes"):
        split(index)


def test_an_index_whose_blocks_differ_in_its_total_is_rebuilt() -> None:
    found = split(example())
    headers = [pack_block(replace(block, total=4 + bool(block.coding))) for block in found.index.blocks]
    index = b"".join(pack_varint(len(deflate(header))) + pack_varint(len(header)) + header for header in headers)
    bodies = [parts.body() for parts in found.parts]
    blocks = [checked(BLOCK_MARK, deflate(header)) + body for header, body in zip(headers, bodies, strict=True)]
    forged = checked(ARCHIVE_MAGIC + b"\1", deflate(b"\2" + index)) + b"".join(blocks)
    assert "contradicts" in str(split(forged).damage)
    assert split(forged).index.entries == found.index.entries


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ", exclude_characters="\\")
names = st.text(printable, min_size=1, max_size=8).filter(lambda name: check_name(name) is None)
sides = st.integers(1, 1 << 14)


@settings(max_examples=40)
@given(st.lists(st.tuples(names, st.sampled_from(MODES), sides, sides), min_size=1, unique_by=lambda e: e[0]))
def test_any_list_of_images_comes_back(facts: list[tuple[str, str, int, int]]) -> None:
    entries = [Entry(*fact, number) for number, fact in enumerate(facts)]
    blocks: list[PackedBlock] = []
    for start in range(0, len(entries), 3):
        own = tuple(entries[start : start + 3])
        blocks.append(packed(Block(own), [], [entry.name.encode() for entry in own]))
    found: Archive = split(assembled(blocks))
    assert [(e.name, e.mode, e.width, e.height) for e in found.index.entries] == facts
    assert [s.decode() for parts in found.parts for s in parts.sections] == [fact[0] for fact in facts]


@settings(max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, is_checked: bool) -> None:
    data = checked(ARCHIVE_MAGIC + b"\1", content) if is_checked else content
    try:
        found = split(data)
    except FormatError:
        return
    assert isinstance(found, Archive)


def test_names_that_are_alike_cost_little() -> None:
    entries = tuple(Entry(f"cifar10/test/{i:05}.png", "RGB", 32, 32, i) for i in range(500))
    runs = (Run(125),) * 4
    block = Block(entries, coding=BlockCoding(2, 2, 1), runs=runs)
    data = assembled([packed(block, [], [b""] * 500, [bytes(8)] * 4)])
    assert len(data) < 2 * 300


def blocks_of(count: int, entries: tuple[Entry, ...], **coding: Any) -> list[PackedBlock]:
    """Blocks whose images have the same names, which only a reader counts."""
    sections = [b""] * len(entries)
    return [packed(Block(entries, **coding), [], sections, [bytes(8)] if coding else [])] * count


LONG = tuple(Entry(f"{number:04}" + "n" * 4092, "L", 1, 1, number) for number in range(512))
STACK = BlockCoding(1, 0, 1, b"", tuple(range(1, 4097)), b"abcd")


@pytest.mark.parametrize(
    ("blocks", "word"),
    [
        (lambda: blocks_of(33, LONG), "letters"),
        (lambda: blocks_of(1025, (Entry("a", "RGB", 4, 4),), coding=STACK, runs=(Run(1, 0),)), "noise levels"),
    ],
)
def test_no_index_is_written_that_no_reader_takes(blocks: Callable[[], list[PackedBlock]], word: str) -> None:
    """Thirteen kilobytes could hold gigabytes of names, and a byte may claim a number of forty bytes."""
    with pytest.raises(FormatError, match=word):
        assembled(blocks())


def test_facts_are_reported_without_decoding() -> None:
    facts = describe(example())
    assert facts["images"][0] == {
        **{"name": "a.png", "mode": "RGB", "width": 5, "height": 4},
        **{"coding": "context model", "effort": 2, "levels": 2, "model_number": None, "model_id": "31323334"},
        "bits": 8,
        "bytes": None,
    }
    assert (facts["blocks"], facts["images_on_stacks"], facts["images_by_bits_back"]) == (2, 2, 0)
    assert (facts["model_ids"], facts["model_numbers"]) == (["31323334"], [])
    assert (facts["settings"], facts["latent_levels"]) == ([{"effort": 2, "levels": 2}], [])
    assert (facts["bytes"], facts["missing_bytes"], facts["following_bytes"]) == (len(example()), 0, 0)
    assert (facts["index_damaged"], facts["images_lost"]) == (False, 0)
    assert describe(b"\0" + example()[1:])["index_damaged"]


def test_facts_of_bits_back() -> None:
    entries = tuple(Entry(str(i), "RGB", 2, 2, i) for i in range(3))
    block = Block(entries, coding=BITS_BACK, runs=(Run(2), Run(1, 0, True)))
    facts = describe(assembled([packed(block, [], [b""] * 3, [bytes(8)])]))
    assert (facts["model_ids"], facts["model_numbers"], facts["settings"]) == ([], [3], [{"effort": 1, "levels": 0}])
    assert (facts["latent_levels"], facts["latent_model_ids"]) == ([1.0, 4.0], ["61626364"])
    assert facts["profile"] == {"threads": 1}
    assert facts["images_by_bits_back"] == 2
    image = facts["images"][0]
    assert (image["coding"], image["effort"], image["levels"]) == ("bits back", None, 2)
    assert (image["model_number"], image["model_id"]) == (None, "61626364")
    other = replace(block, coding=replace(BITS_BACK, latent_id=b"dcba"), entries=(Entry("x", "RGB", 2, 2, 3),))
    other = replace(other, runs=(Run(1),))
    both = assembled([packed(block, [], [b""] * 3, [bytes(8)]), packed(other, [], [b""], [bytes(8)])])
    assert describe(both)["latent_model_ids"] == ["61626364", "64636261"]


def test_models_of_whole_files_are_named() -> None:
    headers = [Header("L", 4, 4, 1, 5, model_number=2), Header("L", 4, 4, 3, 0, model_id=b"1234")]
    files = [ddpm.assemble(header, b"", bytes(8), b"") for header in headers]
    block = Block(tuple(Entry(f"{n}.png", "L", 4, 4, n) for n in range(2)))
    facts = describe(assembled([packed(block, [], files)]))
    assert (facts["model_numbers"], facts["model_ids"]) == ([2], ["31323334"])
    assert [(image["effort"], image["levels"]) for image in facts["images"]] == [(1, 5), (3, 0)]
    assert [(image["model_number"], image["model_id"]) for image in facts["images"]] == [(2, None), (None, "31323334")]
