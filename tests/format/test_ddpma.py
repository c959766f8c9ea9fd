"""Archives as bytes: read as they were written, and found again where the index is damaged."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec.errors import DdpmError, FormatError, TruncatedError
from ddpmcodec.format import archive_limits, block_frame, ddpm, ddpma
from ddpmcodec.format.archive_facts import describe
from ddpmcodec.format.block import Block, BlockCoding, Entry, Run
from ddpmcodec.format.block_frame import MARK, checked
from ddpmcodec.format.ddpma import Archive, Packed, Parts, assemble, find_images, packed, split
from ddpmcodec.format.header import MODES, Header
from ddpmcodec.format.image_names import check_name
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


def assembled(blocks: list[Packed]) -> bytes:
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
        Parts((b"icc",), (b"alpha", b""), STREAMS, True),
        Parts((), (b"a file", b"another"), (), True),
    )
    assert (found.missing, found.following, found.damage) == (0, 0, None)
    assert split(data + b"x").following == 1


def test_a_run_is_found_without_those_before_it() -> None:
    data = example()
    block, parts = split(data).index.blocks[0], split(data).parts[0]
    assert [(run.length, run.words) for run in block.runs] == [(13, 2), (8, 0)]
    assert data[: data.find(STREAMS[1] + MARK)].endswith(STREAMS[0])
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
    with pytest.raises(ValueError, match="a state and whole words for each run, or one stack"):
        packed(block, [], [b"", b""], streams)


def test_every_prefix_has_the_parts_it_reaches() -> None:
    data = example()
    for size in range(len(data)):
        if size < split(data).index_bytes:
            with pytest.raises(TruncatedError, match="the data ends inside the header"):
                split(data[:size])
        else:
            found = split(data[:size])
            assert found.missing == len(data) - size
            assert b"another".startswith(found.parts[1].sections[1])


def test_the_bytes_are_what_they_were() -> None:
    """Header, index and the head of a block; deflate is zlib's business."""
    data = assembled([packed(Block((Entry("a", "L", 1, 2),)), [], [b"file"])])
    head = bytes.fromhex("01 00 01 00 00 01 02 04 00 01 61")
    deflated = zlib.compress(head, 9, RAW_DEFLATE)
    index = zlib.compress(bytes([1, len(deflated), len(head)]) + head, 9, RAW_DEFLATE)
    start = bytes.fromhex("dd 41 0d 0a 01") + bytes([len(index)])
    mark = bytes.fromhex("dd 42 0d 0a") + bytes([len(deflated)])
    checks = [zlib.crc32(part).to_bytes(4, "little") for part in (start + index, mark + deflated)]
    assert data == start + checks[0] + index + mark + checks[1] + deflated + b"file"


def test_an_index_is_rebuilt_from_the_heads() -> None:
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
    second = data.find(MARK, data.find(MARK) + 1)
    found = split(b"\0" + data[1:second] + b"\0" + data[second + 1 :])
    assert (found.index.total, [entry.name for entry in found.index.entries]) == (4, ["a.png", "b.png"])
    with pytest.raises(DdpmError, match=r"there is no image 'c\.png' in the archive, of which 2 images are lost"):
        find_images(found.index, ["c.png"])


def test_blocks_are_found_where_they_are() -> None:
    data = example()
    first = data.find(MARK)
    moved = split(data[:first] + b"junk" + data[first:])
    assert [parts[:3] for parts in moved.parts] == [parts[:3] for parts in split(data).parts]
    assert not any(parts.intact for parts in moved.parts)
    assert moved.following == 4


def test_a_mark_in_a_body_is_no_block() -> None:
    files = Block(tuple(Entry(name, "L", 1, 1, number) for number, name in enumerate("ab")))
    data = assembled([packed(files, [], [MARK + b"\x05\0\0\0\0", MARK])])
    damaged = b"\0" + data[1:]
    assert split(damaged).index == split(data).index


def test_a_block_that_comes_twice_counts_once() -> None:
    data = example()
    first = data.find(MARK)
    found = split(b"\0" + data[1:] + data[first:])
    assert found.index == split(data).index


def test_two_blocks_must_not_have_one_name() -> None:
    twice = [packed(Block((Entry("a", "L", 1, 1, i),)), [], [b"file"]) for i in range(2)]
    for data in (assembled(twice), b"\0" + assembled(twice)[1:]):
        with pytest.raises(FormatError, match="two images have one name: the archive is damaged"):
            split(data)


def test_an_index_without_all_images_is_refused() -> None:
    with pytest.raises(FormatError, match="an archive of 1 images, and a block with others"):
        assembled([packed(Block((Entry("a", "L", 1, 1, 5),)), [], [b"file"])])


def test_an_index_that_ends_early_contradicts_itself() -> None:
    index = checked(ddpma.MAGIC + b"\1", deflate(b"\2\5\5"))
    with pytest.raises(FormatError, match="the index contradicts itself"):
        split(index)


def test_a_head_in_an_index_is_bounded_before_it_is_copied() -> None:
    size = block_frame.MAX_HEAD + 1
    content = b"\1\0" + pack_varint(size) + bytes(size)
    index = checked(ddpma.MAGIC + b"\1", deflate(content))
    with pytest.raises(FormatError, match=f"the head of a block takes {size} bytes where"):
        ddpma._parse_index(index)


def test_an_index_whose_blocks_differ_in_its_total_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_total(head: Block, pack: Callable[[Block], bytes] = ddpma.pack_head) -> bytes:
        return pack(replace(head, total=head.total - 1) if head.coding else head)

    names = [entry.name for entry in split(example()).index.entries]
    monkeypatch.setattr(ddpma, "pack_head", other_total)
    found = split(example())
    assert "the index contradicts itself" in str(found.damage)
    assert [entry.name for entry in found.index.entries] == names


def test_an_index_that_inflates_to_more_than_it_may_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = example()
    monkeypatch.setattr(ddpma, "MAX_INDEX", 10)
    monkeypatch.setattr(block_frame, "MAX_HEAD", 10)
    with pytest.raises(FormatError, match="the index holds more than 10 bytes"):
        split(data)


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ", exclude_characters="\\")
names = st.text(printable, min_size=1, max_size=8).filter(lambda name: check_name(name) is None)
sides = st.integers(1, 1 << 14)


@settings(max_examples=40)
@given(st.lists(st.tuples(names, st.sampled_from(MODES), sides, sides), min_size=1, unique_by=lambda e: e[0]))
def test_any_list_of_images_comes_back(facts: list[tuple[str, str, int, int]]) -> None:
    entries = [Entry(*fact, number) for number, fact in enumerate(facts)]
    blocks: list[Packed] = []
    for start in range(0, len(entries), 3):
        own = tuple(entries[start : start + 3])
        blocks.append(packed(Block(own), [], [entry.name.encode() for entry in own]))
    found: Archive = split(assembled(blocks))
    assert [(e.name, e.mode, e.width, e.height) for e in found.index.entries] == facts
    assert [s.decode() for parts in found.parts for s in parts.sections] == [fact[0] for fact in facts]


@settings(max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, is_checked: bool) -> None:
    data = checked(ddpma.MAGIC + b"\1", content) if is_checked else content
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


@pytest.mark.parametrize("most", ["MAX_NAMES", "MAX_IMAGES"])
def test_an_index_is_refused_before_it_takes_more_memory_than_archives_do(
    monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    """Thirteen kilobytes could hold gigabytes of names."""
    blocks = [packed(Block((Entry(f"{k}{'a' * 4000}", "L", 1, 1, k),)), [], [b"1"]) for k in range(4)]
    data = assembled(blocks)
    assert len(split(data).index.entries) == 4
    parsed: list[bytes] = []
    parse_head = ddpma.parse_head
    monkeypatch.setattr(ddpma, "parse_head", lambda head: parsed.append(head) or parse_head(head))
    monkeypatch.setattr(archive_limits, most, 2 if most == "MAX_IMAGES" else 9000)
    with pytest.raises(FormatError, match=r"more than \d+ images, or names of over \d+ letters"):
        ddpma._parse_index(data)
    assert len(parsed) == 3


def test_noise_levels_and_lengths_of_an_index_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte of an index may claim one, which takes forty bytes of memory."""
    coding = BlockCoding(1, 0, 1, b"", tuple(range(1, 101)), b"abcd")
    blocks = [
        packed(Block((Entry(f"{k}.png", "RGB", 4, 4, k),), coding=coding, runs=(Run(1, 0),)), [], [b""], [bytes(8)])
        for k in range(3)
    ]
    data = assembled(blocks)
    assert len(split(data).index.entries) == 3
    monkeypatch.setattr(archive_limits, "MAX_NUMBERS", 299)
    with pytest.raises(FormatError, match="more than 299 noise levels and lengths of metadata"):
        ddpma._parse_index(data)
    with pytest.raises(FormatError, match="more than 299 noise levels and lengths of metadata"):
        assembled(blocks)


@pytest.mark.parametrize(
    ("most", "limit", "word"),
    [("MAX_NAMES", 19, "letters"), ("MAX_IMAGES", 3, "images"), ("MAX_NUMBERS", 0, "lengths"), ("MAX_INDEX", 50, "50")],
)
def test_a_rebuilt_index_has_the_limits_of_an_intact_one(
    monkeypatch: pytest.MonkeyPatch, most: str, limit: int, word: str
) -> None:
    data = b"\0" + example()[1:]
    assert len(split(data).index.entries) == 4
    monkeypatch.setattr(archive_limits, most, limit)
    with pytest.raises(FormatError, match=word):
        split(data)


def long_names(block: int, blocks: int) -> bytes:
    """A forged block of 512 images, whose names repeat 4,000 letters in three bytes each."""
    columns = [512 * blocks, 0, 512, 2 * 512 * block, *[0] * 1023, *[1] * 1024, *[0] * 512]
    first = pack_varint(0) + pack_varint(4003) + f"{block:04}{'a' * 3996}000".encode()
    names = [pack_varint(4000) + pack_varint(3) + f"{image:03}".encode() for image in range(1, 512)]
    return checked(MARK, deflate(b"".join([*map(pack_varint, columns), first, *names])))


@pytest.mark.parametrize(
    ("blocks", "word"),
    [
        ([long_names(block, 100) for block in range(100)], "letters"),
        ([long_names(0, 1)] * 100, "letters"),
        ([checked(MARK, deflate(b"\1\3\1"))] * 100, "bytes"),
    ],
    ids=["all different", "all but one dropped", "all unreadable"],
)
def test_a_search_takes_no_more_than_an_index_may(blocks: list[bytes], word: str) -> None:
    """A thousand such blocks once took 2.3 GB."""
    assert len(split(long_names(0, 1)).index.entries) == 512
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=word):
            split(b"".join(blocks))
        assert tracemalloc.get_traced_memory()[1] < 2 * archive_limits.MAX_NAMES
    finally:
        tracemalloc.stop()


def test_no_index_is_written_that_no_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpma, "MAX_INDEX", 50)
    with pytest.raises(FormatError, match="the index would hold more than 50 bytes: make two archives"):
        assembled([packed(Block((Entry("a" * 50, "L", 1, 1),)), [], [b"1"])])


def test_marks_that_claim_everything_are_read_no_longer_than_some_times_the_data() -> None:
    piece = MARK + pack_varint(1 << 20)
    data = b"x" + 500 * piece + bytes(1 << 20)
    read: list[int] = []
    block_at = block_frame._block_at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            block_frame, "_block_at", lambda data, start, *rest: read.append(start) or block_at(data, start, *rest)
        )
        with pytest.raises(FormatError, match="not an archive"):
            split(data)
    assert 0 < len(read) <= block_frame.SEARCHED + 2


def test_facts_are_reported_without_decoding() -> None:
    facts = describe(example())
    assert facts["images"][0] == {
        **{"name": "a.png", "mode": "RGB", "width": 5, "height": 4},
        **{"coding": "context model", "effort": 2, "levels": 2, "model_number": None, "model_id": "31323334"},
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
