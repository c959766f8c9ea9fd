"""Archives that the core reads: the same index, blocks and parts as Python's, whole, cut, damaged and forged."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec import _native
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format import head
from ddpmcodec.format.block import CONTEXT, FILES, Block, BlockCoding, Entry, Run
from ddpmcodec.format.block_frame import MARK, checked
from ddpmcodec.format.ddpma import MAGIC, Archive, Packed, assemble, packed, split
from ddpmcodec.format.head import pack_head
from ddpmcodec.format.header import LEVELS, MODES
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint

TESTS = Path(__file__).parents[1]
GOLDEN = [split(path.read_bytes()) for path in sorted(TESTS.glob("golden/archive-*/*.ddpma"))]
CRASHERS = sorted(TESTS.glob("fixtures/crashers/*.ddpma"))
PIECE = 1 << 20  # bytes that a search reads at a time
open_archive, parse_block = _native.testing.open_archive, _native.testing.parse_block

CODING = BlockCoding(2, 2, 0, b"1234")
LATENT = BlockCoding(1, 0, 3, b"", (700, 1024, 1025, 1 << 26), b"abcd", {"threads": 1, "torch": "2"})
RUNS = Block(
    (Entry("b.png", "RGBA", 6, 4, 2, icc=1, exif=2), Entry("a.png", "RGB", 5, 4, 0), Entry("a.é", "RGB", 5, 4, 4)),
    coding=CODING,
    runs=(Run(1, state_bytes=5), Run(2, state_bytes=8)),
)
FILED = Block((Entry("c.png", "L", 9, 9, 1), Entry("d.png", "1", 7, 7, 3)))
STACKED = Block(
    (Entry("e.png", "RGBA", 3, 2, 5), Entry("f", "RGB", 3, 2, 6)),
    coding=LATENT,
    runs=(Run(1, 9, True), Run(1, 1 << 31)),
)


@pytest.fixture(autouse=True, scope="module")
def stated_levels() -> Iterator[None]:
    """Heads state the number of noise levels itself, and not its place in a list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "LEVELS", range(max(LEVELS) + 1), raising=False)
        yield


def assembled(blocks: Sequence[Packed]) -> bytes:
    return b"".join(map(bytes, assemble(blocks)))


def example() -> bytes:
    return assembled(
        [
            packed(RUNS, [b"icc", b"exif!"], [b"alpha", b"", b""], [bytes(13), bytes(range(8))]),
            packed(FILED, [], [b"a file", b"another"]),
            packed(STACKED, [], [b"al", b""], [bytes(12)]),
        ]
    )


def written_again(archive: Archive) -> bytes:
    """The bytes of a whole archive, as they are written today."""
    parts = (b"".join(map(bytes, [*p.values, *p.sections, *p.streams])) for p in archive.parts)
    return assembled([Packed(block, body) for block, body in zip(archive.index.blocks, parts, strict=True)])


def facts_of(block: Block) -> dict[str, Any]:
    """A block as the core's test bindings describe it; of the profile its value."""
    coding = None
    if (c := block.coding) is not None:
        coding = (c.effort, c.levels, c.model_number, c.model_id, list(c.latent_levels), c.latent_id, c.profile)
    return {
        "entries": [tuple(getattr(entry, name) for name in Entry.__slots__) for entry in block.entries],
        "runs": [astuple(run) for run in block.runs],
        "coding": coding,
        "total": block.total,
        "value_lengths": list(block.value_lengths),
        "words": block.words,
    }


def with_profile(block: dict[str, Any]) -> dict[str, Any]:
    """What the core says of a block, with the profile parsed."""
    if block["coding"] is not None:
        *others, profile = block["coding"]
        block["coding"] = (*others, json.loads(profile or "{}"))
    return block


def assert_same(data: bytes) -> None:
    """The core reads data as Python does, or refuses what Python refuses."""
    try:
        expected = split(data)
    except FormatError as error:
        with pytest.raises(type(error)):
            open_archive(data)
        return
    found = open_archive(data)
    assert [with_profile(block) for block in found["blocks"]] == [facts_of(block) for block in expected.index.blocks]
    assert (found["missing"], found["following"], found["total"]) == (
        expected.missing,
        expected.following,
        expected.index.total,
    )
    assert (found["index_bytes"], found["damage"] is None) == (expected.index_bytes, expected.damage is None)
    for (*kinds, is_intact), parts in zip(found["parts"], expected.parts, strict=True):
        contents = [tuple(data[begin:end] for begin, end in ranges) for ranges in kinds]
        assert (*contents, is_intact) == tuple(parts)


@pytest.mark.parametrize("archive", GOLDEN)
def test_golden_archives_are_as_python_reads_them(archive: Archive) -> None:
    data = written_again(archive)
    assert_same(data)
    assert open_archive(data)["damage"] is None
    _native.testing.require_whole(data)


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.stem)
def test_forged_archives_are_read_as_python_reads_them(path: Path) -> None:
    assert_same(path.read_bytes())


def test_every_prefix_has_the_parts_it_reaches() -> None:
    data = example()
    for size in range(len(data) + 3):
        assert_same((data + b"\0\0")[:size])


def test_every_flipped_bit_is_as_python_sees_it() -> None:
    data = example()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        assert_same(bytes(damaged))


def test_lost_and_inserted_bytes_move_blocks() -> None:
    data = example()
    marks = [place for place in range(len(data)) if data.startswith(MARK, place)]
    for place in marks:
        assert_same(data[: place - 1] + data[place:])
        assert_same(data[:place] + b"between" + data[place:])
        assert_same(data[:place] + MARK + data[place:])
    assert_same(data + data)
    assert_same(data[marks[0] :])


@pytest.mark.parametrize("offset", range(-len(MARK) - 1, 2))
def test_marks_are_found_across_the_pieces_of_a_search(offset: int) -> None:
    data = example()
    assert_same(bytes(PIECE + offset) + data[data.find(MARK) :])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda data: data[:-1], "missing"),
        (lambda data: data + b"x", "follow"),
        (lambda data: data[:8] + b"\0\0" + data[10:], "damaged|hold"),
        (lambda data: data[: data.find(MARK)] + b"\0" + data[data.find(MARK) + 1 :], "head of a block"),
    ],
)
def test_what_shows_without_decoding_is_refused(change: Any, word: str) -> None:
    _native.testing.require_whole(example())
    with pytest.raises(FormatError, match=word):
        _native.testing.require_whole(change(example()))


def test_other_files_are_no_archives() -> None:
    for data, word in ((b"\xdd\x0a", "not an archive"), (MAGIC + b"\2", "newer"), (MAGIC + b"\1", "ends")):
        with pytest.raises(FormatError, match=word):
            open_archive(data)


# --- heads


@pytest.mark.parametrize("levels", LEVELS)
def test_a_head_states_the_number_of_levels(levels: int) -> None:
    block = replace(RUNS, coding=replace(CODING, effort=3, levels=levels), total=9, value_lengths=(1, 2))
    packed_head = pack_head(block)
    assert parse_block(packed_head)["coding"][1] == levels
    for other in {1, 3, 4, 6, 200} - set(LEVELS):
        place = packed_head.index(bytes([3, levels, 0, 2, 1, 2]))  # effort, levels, model; runs
        with pytest.raises(FormatError, match="levels"):
            parse_block(packed_head[: place + 1] + pack_varint(other) + packed_head[place + 2 :])


names = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A valid block of any kind."""
    kind, count = draw(st.integers(0, 2)), draw(st.integers(1, 6))
    places = draw(st.lists(st.integers(0, 40), min_size=count, max_size=count, unique=True))
    own = draw(st.lists(names, min_size=count, max_size=count, unique=True))
    small = st.integers(1, 1 << 14 if kind == FILES else 64)
    modes = st.sampled_from(MODES if kind != 2 else ("RGB", "RGBA"))
    values = draw(st.lists(st.integers(0, (1 << 35) - 1), max_size=5)) if kind != FILES else []
    picks = st.integers(0, len(values))
    entries, runs = [], []
    for name, place in zip(own, places, strict=True):
        entry = Entry(name, draw(modes), draw(small), draw(small), place, icc=draw(picks), exif=draw(picks))
        has_length = kind == FILES or entry.has_alpha
        entries.append(replace(entry, length=draw(st.integers(0, 1 << 30)) if has_length else 0))
    if kind == FILES:
        return Block(tuple(entries), 41)
    model = draw(st.integers(0, 255))
    coding = BlockCoding(
        draw(st.integers(1, 3)),
        draw(st.sampled_from(LEVELS)),
        model,
        b"" if model else draw(st.binary(min_size=4, max_size=4)),
    )
    for _ in entries:
        if kind == CONTEXT:
            runs.append(Run(1, state_bytes=draw(st.integers(4, 8)), words=draw(st.integers(0, 1 << 30))))
        else:
            runs.append(Run(1, draw(st.integers(0, (1 << 32) - 1)), draw(st.booleans())))
    if kind == CONTEXT:
        return Block(tuple(entries), 41, coding, tuple(runs), tuple(values))
    levels = tuple(sorted(draw(st.sets(st.integers(1, 1 << 26), min_size=1, max_size=9))))
    profile = draw(st.dictionaries(names, st.integers(-(2**63), 2**63 - 1) | names, max_size=3))
    coding = replace(coding, latent_levels=levels, latent_id=draw(st.binary(min_size=4, max_size=4)), profile=profile)
    return Block(tuple(entries), 41, coding, tuple(runs), tuple(values), draw(st.integers(0, 1 << 30)))


@settings(derandomize=True)
@given(blocks())
def test_any_head_that_python_writes_is_read(block: Block) -> None:
    assert with_profile(parse_block(pack_head(block))) == facts_of(block)


def read_by(parse: Any, packed_head: bytes) -> Any:
    try:
        return parse(packed_head)
    except FormatError:
        return None


@settings(derandomize=True, max_examples=150)
@given(blocks(), st.data())
def test_a_damaged_head_is_read_as_python_reads_it(block: Block, data: st.DataObject) -> None:
    damaged = bytearray(pack_head(block))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
            st.sampled_from([0, 1, 2, 5, 127, 128, 255]) | st.integers(0, 255)
        )
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    expected, found = read_by(head.parse_head, bytes(damaged)), read_by(parse_block, bytes(damaged))
    if expected is not None and expected.coding is not None and expected.coding.profile and found is None:
        return  # Python takes JSON that is none, such as a key twice
    assert (found and with_profile(found)) == (expected and facts_of(expected))


@settings(derandomize=True)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_head_or_refused(content: bytes) -> None:
    expected, found = read_by(head.parse_head, content), read_by(parse_block, content)
    assert (found and with_profile(found)) == (expected and facts_of(expected))


@settings(derandomize=True, max_examples=100)
@given(st.data())
def test_a_forged_index_is_refused_or_read(data: st.DataObject) -> None:
    """Its checksum holds, and blocks that could stand for it are lost."""
    archive = split(example())
    heads = [pack_head(block) for block in archive.index.blocks]
    index = bytearray(
        pack_varint(len(heads)) + b"".join(pack_varint(len(deflate(h))) + pack_varint(len(h)) + h for h in heads)
    )
    for _ in range(data.draw(st.integers(0, 2))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    assert_same(checked(MAGIC + b"\1", deflate(bytes(index))) + b"a body")


# --- limits


def forged(heads: Sequence[bytes]) -> bytes:
    """An archive whose index is lost, of blocks with these heads."""
    return b"\0" * 9 + b"".join(checked(MARK, deflate(packed_head)) for packed_head in heads)


LONG = tuple(Entry(f"{number:04}" + "n" * 4092, "L", 1, 1, number) for number in range(512))
MANY_LETTERS = pack_head(Block(LONG, 1 << 20))
MANY_NUMBERS = pack_head(
    Block((Entry("a", "RGB", 1, 1),), 1, replace(LATENT, latent_levels=tuple(range(1, 4097))), (Run(1),), (0,) * 1024)
)


@pytest.mark.parametrize(
    ("packed_head", "most", "word"), [(MANY_LETTERS, 32, "letters"), (MANY_NUMBERS, 819, "levels")]
)
def test_all_heads_that_a_search_finds_are_limited_together(packed_head: bytes, most: int, word: str) -> None:
    """Also those that it does not keep, as their images were found before."""
    assert len(open_archive(forged([packed_head] * most))["blocks"]) == 1
    with pytest.raises(FormatError, match=word):
        open_archive(forged([packed_head] * (most + 1)))


def test_heads_that_are_none_count_as_what_they_inflate_to() -> None:
    with pytest.raises(FormatError, match="bytes"):
        open_archive(forged([bytes(1 << 22)] * 33))


def test_an_index_is_limited() -> None:
    listed = pack_varint(9) + pack_varint(len(MANY_NUMBERS)) + MANY_NUMBERS
    for count, word in ((819, "contradicts"), (820, "noise levels")):
        with pytest.raises(FormatError, match=word):
            open_archive(checked(MAGIC + b"\1", deflate(pack_varint(count) + listed * count)))


CLAIMS = r"""
import resource, sys, zlib
from ddpmcodec import _native
from ddpmcodec.errors import DdpmError
from ddpmcodec.format.block_frame import MARK, checked
from ddpmcodec.format.ddpma import MAGIC
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint

most = pack_varint((1 << 35) - 1)
read = _native.testing
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
claims = [
    (read.open_archive, MAGIC + b"\1" + most + bytes(100)),
    (read.open_archive, checked(MAGIC + b"\1", deflate(most + bytes(100)))),
    (read.open_archive, checked(MAGIC + b"\1", deflate(b"\1\1" + most + bytes(100)))),
    (read.open_archive, MARK + most + bytes(100)),
    (read.parse_block, b"\1\0" + most + bytes(100)),
    (read.parse_block, b"\1\1\1\0\1\1\1\0\0" + most + bytes(100)),
    (read.ContextModel.parse, bytes(7) + b"\x7f" + bytes(100)),
    (read.ContextModel.parse, b"\xff" * 100),
    (read.parse_json, b"[" * (1 << 16)),
]
before = peak()
for parse, data in claims:
    try:
        parse(data)
    except DdpmError:
        continue
    sys.exit(f"{data[:20]!r} was taken")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="peaks of memory are read as POSIX has them")
def test_claims_allocate_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CLAIMS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 << 10  # KB


def test_a_small_index_inflates_no_further_than_the_limit() -> None:
    bomb = zlib.compressobj(9, wbits=-15)
    deflated = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(130)) + bomb.flush()
    with pytest.raises(FormatError, match="more than"):
        open_archive(checked(MAGIC + b"\1", deflated))


def test_data_that_is_all_marks_is_searched_in_bounded_time() -> None:
    claim = MARK + pack_varint(1 << 21) + b"1234"
    with pytest.raises(FormatError, match="not an archive"):
        open_archive(b"\0" + claim * (1 << 18))


def test_a_cut_index_is_told_from_a_damaged_one() -> None:
    with pytest.raises(TruncatedError, match="needed"):
        open_archive(example()[:20])
