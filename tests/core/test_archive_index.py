"""Archives that the core reads: damaged, forged, and up to the limits of the format."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec._native import ARCHIVE_MAGIC, BLOCK_MARK, LEVELS
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.block import Block, BlockCoding, Entry, Run, pack_block, parse_block
from ddpmcodec.format.ddpma import PackedBlock, assemble, checked, packed, split, whole
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint

TESTS = Path(__file__).parents[1]
CRASHERS = sorted(TESTS.glob("fixtures/crashers/*.ddpma"))
PIECE = 1 << 20  # bytes that a search reads at a time

CODING = BlockCoding(2, 2, 0, b"1234")
LATENT = BlockCoding(1, 0, 3, b"", (700, 1024, 1025, 1 << 26), b"abcd", {"threads": 1, "torch": "2"})
RUNS = Block(
    (Entry("b.png", "RGBA", 6, 4, 2, 5, icc=1, exif=2), Entry("a.png", "RGB", 5, 4, 0), Entry("a.é", "RGB", 5, 4, 4)),
    coding=CODING,
    runs=(Run(1, state_bytes=5), Run(2, state_bytes=8)),
)
FILED = Block((Entry("c.png", "L", 9, 9, 1), Entry("d.png", "1", 7, 7, 3)))
STACKED = Block(
    (Entry("e.png", "RGBA", 3, 2, 5), Entry("f", "RGB", 3, 2, 6)),
    coding=LATENT,
    runs=(Run(1, 9, True), Run(1, 1 << 31)),
)


def assembled(blocks: Sequence[PackedBlock]) -> bytes:
    return b"".join(map(bytes, assemble(blocks)))


def example() -> bytes:
    return assembled(
        [
            packed(RUNS, [b"icc", b"exif!"], [b"alpha", b"", b""], [bytes(13), bytes(range(8))]),
            packed(FILED, [], [b"a file", b"another"]),
            packed(STACKED, [], [b"al", b""], [bytes(12)]),
        ]
    )


def contents(data: bytes) -> list[list[bytes]]:
    """The parts of each block."""
    return [[*parts.values, *parts.sections, *parts.alphas, *parts.streams] for parts in split(data).parts]


def read_or_refused(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert split(data).index.entries


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.stem)
def test_forged_archives_are_read_or_refused(path: Path) -> None:
    read_or_refused(path.read_bytes())


def test_every_flipped_bit_is_found_or_in_a_body() -> None:
    data = example()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        found = split(bytes(damaged))
        assert found.problem is not None or contents(bytes(damaged)) != contents(data)
        assert [entry.name for entry in found.index.entries] == [entry.name for entry in split(data).index.entries]


def test_lost_and_inserted_bytes_move_blocks() -> None:
    data = example()
    marks = [place for place in range(len(data)) if data.startswith(BLOCK_MARK, place)]
    assert len(marks) == 3
    for number, place in enumerate(marks):
        for moved in (data[:place] + b"between" + data[place:], data[:place] + BLOCK_MARK + data[place:]):
            assert contents(moved) == contents(data)
            assert [parts.intact for parts in split(moved).parts] == [k < number for k in range(3)]
        lost = contents(data[: place - 1] + data[place:])
        assert lost[number:] == contents(data)[number:]
    assert split(data + data).following == len(data)
    assert contents(data[marks[0] :]) == contents(data)


@pytest.mark.parametrize("offset", range(-len(BLOCK_MARK) - 1, 2))
def test_marks_are_found_across_the_pieces_of_a_search(offset: int) -> None:
    data = example()
    assert contents(bytes(PIECE + offset) + data[data.find(BLOCK_MARK) :]) == contents(data)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda data: data[:-1], "missing"),
        (lambda data: data + b"x", "follow"),
        (lambda data: data[:8] + b"\0\0" + data[10:], "damaged|hold"),
        (lambda data: data[: data.find(BLOCK_MARK)] + b"\0" + data[data.find(BLOCK_MARK) + 1 :], "header of a block"),
    ],
)
def test_what_shows_without_decoding_is_refused(change: Any, word: str) -> None:
    whole(example())
    with pytest.raises(FormatError, match=word):
        whole(change(example()))


def test_other_files_are_no_archives() -> None:
    for data, word in (
        (b"\xdd\x0a", "not an archive"),
        (ARCHIVE_MAGIC + b"\2", "newer"),
        (ARCHIVE_MAGIC + b"\1", "ends"),
    ):
        with pytest.raises(FormatError, match=word):
            split(data)


# --- headers


@pytest.mark.parametrize("levels", LEVELS)
def test_a_head_states_the_number_of_levels(levels: int) -> None:
    block = replace(RUNS, coding=replace(CODING, effort=3, levels=levels), total=9, value_lengths=(1, 2))
    packed_block = pack_block(block)
    coding = parse_block(packed_block).coding
    assert coding is not None
    assert coding.levels == levels
    for other in {1, 3, 4, 6, 200} - set(LEVELS):
        place = packed_block.index(bytes([3, levels, 0, 2, 1, 2]))  # effort, levels, model; runs
        with pytest.raises(FormatError, match="levels"):
            parse_block(packed_block[: place + 1] + pack_varint(other) + packed_block[place + 2 :])


@settings(derandomize=True, max_examples=150)
@given(st.sampled_from([RUNS, FILED, STACKED]), st.data())
def test_a_damaged_head_is_read_or_refused(block: Block, data: st.DataObject) -> None:
    damaged = bytearray(pack_block(replace(block, total=9, value_lengths=(1, 2) if block.coding else ())))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
            st.sampled_from([0, 1, 2, 5, 127, 128, 255]) | st.integers(0, 255)
        )
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    with contextlib.suppress(FormatError):
        found = parse_block(bytes(damaged))
        assert parse_block(pack_block(found)) == found


@settings(derandomize=True, max_examples=100)
@given(st.data())
def test_a_forged_index_is_refused_or_read(data: st.DataObject) -> None:
    """Its checksum holds, and blocks that could stand for it are lost."""
    archive = split(example())
    headers = [pack_block(block) for block in archive.index.blocks]
    index = bytearray(
        pack_varint(len(headers)) + b"".join(pack_varint(len(deflate(h))) + pack_varint(len(h)) + h for h in headers)
    )
    for _ in range(data.draw(st.integers(0, 2))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    read_or_refused(checked(ARCHIVE_MAGIC + b"\1", deflate(bytes(index))) + b"a body")


# --- limits


def forged(headers: Sequence[bytes]) -> bytes:
    """An archive whose index is lost, of blocks with these headers."""
    return b"\0" * 9 + b"".join(checked(BLOCK_MARK, deflate(packed_block)) for packed_block in headers)


LONG = tuple(Entry(f"{number:04}" + "n" * 4092, "L", 1, 1, number) for number in range(512))
MANY_IMAGES = pack_block(Block(tuple(Entry(str(number), "L", 1, 1, number) for number in range(512)), 1 << 20))
MANY_LETTERS = pack_block(Block(LONG, 1 << 20))
MANY_NUMBERS = pack_block(
    Block((Entry("a", "RGB", 1, 1),), 1, replace(LATENT, latent_levels=tuple(range(1, 4097))), (Run(1),), (0,) * 1024)
)


@pytest.mark.parametrize(
    ("packed_block", "most", "word"),
    [(MANY_IMAGES, 2048, "images"), (MANY_LETTERS, 32, "letters"), (MANY_NUMBERS, 819, "levels")],
)
def test_all_headers_that_a_search_finds_are_limited_together(packed_block: bytes, most: int, word: str) -> None:
    """Also those that it does not keep, as their images were found before."""
    assert len(split(forged([packed_block] * most)).index.blocks) == 1
    with pytest.raises(FormatError, match=word):
        split(forged([packed_block] * (most + 1)))


def test_heads_that_are_none_count_as_what_they_inflate_to() -> None:
    with pytest.raises(FormatError, match="bytes"):
        split(forged([bytes(1 << 22)] * 33))


def test_an_index_is_limited() -> None:
    listed = pack_varint(9) + pack_varint(len(MANY_NUMBERS)) + MANY_NUMBERS
    for count, word in ((819, "contradicts"), (820, "noise levels")):
        with pytest.raises(FormatError, match=word):
            split(checked(ARCHIVE_MAGIC + b"\1", deflate(pack_varint(count) + listed * count)))


CLAIMS = r"""
import resource, sys, zlib
from ddpmcodec import _native, _testing as testing
from ddpmcodec.errors import DdpmError
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.format.ddpma import checked
from ddpmcodec._native import ARCHIVE_MAGIC
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint

most = pack_varint((1 << 35) - 1)
parse_model = lambda data: _native.ContextModel.parse(data, "m")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
claims = [
    (_native.open_archive, ARCHIVE_MAGIC + b"\1" + most + bytes(100)),
    (_native.open_archive, checked(ARCHIVE_MAGIC + b"\1", deflate(most + bytes(100)))),
    (_native.open_archive, checked(ARCHIVE_MAGIC + b"\1", deflate(b"\1\1" + most + bytes(100)))),
    (_native.open_archive, BLOCK_MARK + most + bytes(100)),
    (_native.parse_block, b"\1\0" + most + bytes(100)),
    (_native.parse_block, b"\1\1\1\0\1\1\1\0\0" + most + bytes(100)),
    (parse_model, bytes(7) + b"\x7f" + bytes(100)),
    (parse_model, b"\xff" * 100),
    (testing.parse_json, b"[" * (1 << 16)),
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
    pytest.importorskip("ddpmcodec._testing")
    done = subprocess.run([sys.executable, "-c", CLAIMS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 << 10  # KB


SEARCH = """
import resource
from ddpmcodec._native import BLOCK_MARK, MAX_LETTERS, open_archive
from ddpmcodec.errors import FormatError
from ddpmcodec.format.ddpma import checked
from ddpmcodec.format.sections import deflate
from ddpmcodec.format.varint import pack_varint


def long_names(block, blocks):
    columns = [512 * blocks, 0, 512, 2 * 512 * block, *[0] * 1023, *[1] * 1024, *[0] * 512]
    first = pack_varint(0) + pack_varint(4003) + f"{block:04}{'a' * 3996}000".encode()
    names = [pack_varint(4000) + pack_varint(3) + f"{image:03}".encode() for image in range(1, 512)]
    return checked(BLOCK_MARK, deflate(b"".join([*map(pack_varint, columns), first, *names])))


def refusal(data):
    try:
        return open_archive(data).size
    except FormatError as error:
        return "letters" in str(error)


assert len(open_archive(long_names(0, 1)).blocks[0][0][0]) == 512
parse_model = lambda data: _native.ContextModel.parse(data, "m")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
before = peak()
for blocks in ([long_names(block, 100) for block in range(100)], [long_names(0, 1)] * 100):
    assert refusal(b"".join(blocks)) is True
assert peak() - before < 2 * MAX_LETTERS, peak() - before
"""


@pytest.mark.skipif(sys.platform == "win32", reason="peaks of memory are read as POSIX has them")
def test_a_search_takes_no_more_memory_than_an_index_may() -> None:
    """A thousand blocks of 150 bytes, whose names share 4,000 letters, once took 2.3 GB."""
    subprocess.run([sys.executable, "-c", SEARCH], check=True)


def test_a_small_index_inflates_no_further_than_the_limit() -> None:
    bomb = zlib.compressobj(9, wbits=-15)
    deflated = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(130)) + bomb.flush()
    with pytest.raises(FormatError, match="more than"):
        split(checked(ARCHIVE_MAGIC + b"\1", deflated))


def test_data_that_is_all_marks_is_searched_in_bounded_time() -> None:
    claim = BLOCK_MARK + pack_varint(1 << 21) + b"1234"
    with pytest.raises(FormatError, match="not an archive"):
        split(b"\0" + claim * (1 << 18))


def test_a_cut_index_is_told_from_a_damaged_one() -> None:
    with pytest.raises(TruncatedError, match="needed"):
        split(example()[:20])
