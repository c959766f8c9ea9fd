"""Deflate: every byte comes back, in no more bytes than by zlib, and the same ones on every machine."""

from __future__ import annotations

import heapq
import itertools
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_testing import testing

ROOT = Path(__file__).parents[2]
STORED, FIXED, SUITED = range(3)


def restored(deflated: bytes) -> bytes:
    """The content by zlib, which is that by the core."""
    inflater = zlib.decompressobj(-15)
    content = inflater.decompress(deflated) + inflater.flush()
    assert inflater.eof
    assert not inflater.unused_data
    assert testing.inflated(deflated, len(content)) == content
    return content


def kind_of_first_block(deflated: bytes) -> int:
    return deflated[0] >> 1 & 3


def text(size: int) -> bytes:
    words = [b"noise ", b"level ", b"pixel ", b"channel ", b"coded\n"]
    return b"".join(random.Random(1).choices(words, k=size // 5))[:size]


# Bytes at random, of few values, runs of one value, and repeats of what came before.
pieces = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(b"ab"), max_size=200).map(bytes),
    st.tuples(st.integers(0, 255), st.integers(0, 700)).map(lambda run: bytes([run[0]]) * run[1]),
)
contents = st.lists(st.tuples(pieces, st.integers(0, 3)), max_size=8).map(
    lambda items: b"".join(piece * repeats for piece, repeats in [*items, *items])
)


@given(contents)
def test_content_comes_back(content: bytes) -> None:
    assert restored(testing.deflated(content)) == content


@pytest.mark.parametrize(
    "content",
    [
        bytes(3_000_000),
        random.Random(1).randbytes(1_500_000),
        text(1_500_000),
        (random.Random(2).randbytes(32768) + b"!") * 40,  # repeats from just too far
        random.Random(2).randbytes(32768) * 40,
        bytes(range(256)) * 3 + text(70_000) + random.Random(3).randbytes(70_000) + bytes(70_000),
        *(bytes(count) for count in (1, 2, 3, 4, 5, 257, 258, 259, 260)),
        *(bytes(range(count)) * 2 for count in (1, 2, 3, 4, 5)),
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_content_of_every_size_comes_back(content: bytes) -> None:
    deflated = testing.deflated(content)
    assert restored(deflated) == content
    assert len(deflated) <= len(content) + 5 * (len(content) // 65535 + 1)


def test_golden_bytes() -> None:
    """Which are the same on every machine. A change of the encoder may change all but the first two."""
    assert testing.deflated(b"") == bytes.fromhex("0300")
    assert testing.deflated(b"aaaaaaaaaa") == bytes.fromhex("4b840300")
    assert zlib.crc32(testing.deflated(text(300_000) + random.Random(4).randbytes(99))) == 0xD0A9C97F


@pytest.mark.parametrize(
    ("content", "kind"), [(b"abc", FIXED), (text(9999), SUITED), (random.Random(1).randbytes(999), STORED)]
)
def test_a_block_is_of_the_kind_that_is_shortest(content: bytes, kind: int) -> None:
    assert kind_of_first_block(testing.deflated(content)) == kind


def test_no_more_bytes_than_by_zlib() -> None:
    files = [path.read_bytes() for ending in ("md", "json", "py") for path in ROOT.glob(f"tests/**/*.{ending}")]
    ours = sum(len(testing.deflated(content)) for content in files)
    theirs = sum(len(zlib.compress(content, 9, -15)) for content in files)
    assert ours < theirs


# --- prefix codes


def huffman_bits(counts: list[int]) -> int:
    heap = sorted(filter(None, counts))
    bits = 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        bits += pair
        heapq.heappush(heap, pair)
    return bits


def bits_of(counts: list[int], lengths: bytes) -> int:
    return sum(count * length for count, length in zip(counts, lengths, strict=True))


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=286))
def test_a_code_takes_the_fewest_bits(counts: list[int]) -> None:
    lengths = testing.code_lengths(counts, 15)
    assert [length > 0 for length in lengths] == [count > 0 for count in counts]
    if sum(map(bool, counts)) > 1:
        assert sum(2.0**-length for length in lengths if length) == 1
        assert bits_of(counts, lengths) == huffman_bits(counts)


@given(st.lists(st.integers(1, 100), min_size=3, max_size=6))
def test_a_limited_code_takes_the_fewest_bits_under_the_limit(counts: list[int]) -> None:
    codes = itertools.product(range(1, 4), repeat=len(counts))
    least = min(bits_of(counts, bytes(code)) for code in codes if sum(2.0**-length for length in code) <= 1)
    assert bits_of(counts, testing.code_lengths(counts, 3)) == least


def test_no_code_is_longer_than_fifteen_bits() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(sum(fibonacci[-2:]))
    assert max(testing.code_lengths(fibonacci, 15)) == 15
    content = b"".join(bytes([value]) * count for value, count in enumerate(fibonacci[:24]))
    shuffled = bytes(random.Random(1).sample(content, len(content)))
    assert restored(testing.deflated(shuffled)) == shuffled
