"""Headers of blocks: read as they were written, small, and refused where a decoder could not rely on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec._native import LEVELS, MODES
from ddpmcodec.errors import FormatError
from ddpmcodec.format.block import Block, BlockCoding, Entry, Run, pack_block, parse_block
from ddpmcodec.format.varint import pack_varint

CODING = BlockCoding(2, 2, 1)
OTHER_MODEL = BlockCoding(3, 5, 0, b"1234")
LATENT = (700, 900, 5000, 5001)
BITS_BACK = BlockCoding(3, 0, 0, b"1234", LATENT, b"abcd", {"threads": 1, "torch": "2"})


def entry(name: str = "a", width: int = 4, height: int = 4, mode: str = "RGB", number: int = 0) -> Entry:
    return Entry(name, mode, width, height, number)


def test_a_head_by_bits_back_comes_back() -> None:
    entries = (
        Entry("a/b.png", "RGBA", 40, 3, 7, length=2, icc=1, exif=2),
        Entry("a/é.png", "RGB", 40, 3, 2),
        Entry("z", "RGB", 7, 7, 0),
    )
    block = Block(entries, 9, BITS_BACK, (Run(2, 1 << 31), Run(1, 5, initial=True)), (3, 1), 99)
    assert parse_block(pack_block(block)) == block


def test_a_head_by_the_context_model_comes_back() -> None:
    entries = (Entry("a.png", "LA", 40, 3, 1, length=9, icc=1), Entry("b.png", "L", 40, 3, 0), Entry("c", "1", 7, 7, 2))
    for coding in (CODING, OTHER_MODEL):
        block = Block(entries, 3, coding, (Run(2, state_bytes=8, words=70), Run(1)), (5,))
        assert parse_block(pack_block(block)) == block
        assert block.stream_lengths() == [288, 4]


def test_a_head_with_alpha_in_runs_comes_back() -> None:
    entries = [replace(entry(str(n), mode=mode, number=n), length=9 * (n == 2)) for n, mode in enumerate(["RGBA"] * 5)]
    entries[3] = entry("3", number=3)
    alphas = Run(2, state_bytes=5, words=30), None, Run(1, state_bytes=8)
    runs = tuple(Run(n, words=2, alpha=alpha) for n, alpha in zip((2, 2, 1), alphas, strict=True))
    block = Block(tuple(entries), 5, replace(CODING, alpha_repeats=True), runs)
    assert parse_block(pack_block(block)) == block
    assert block.alpha_lengths() == [125, 0, 8]
    assert [block.alphas_of(run) for run in range(3)] == [[0, 1], [], [4]]


def test_golden_headers() -> None:
    """Total, kind, images; place, mode, width, height; ICC, EXIF, values; effort, levels, model; runs; names; ids."""
    start = "01 {} 01 00 01 04 04 00 00 00 02 02"
    context = Block((entry(),), 1, CODING, (Run(1, state_bytes=6, words=70),))
    assert pack_block(context) == bytes.fromhex(start.format("01") + "01 01 01  e0 02  00 01 61")
    other = replace(context, coding=replace(OTHER_MODEL, effort=2, levels=2))
    assert pack_block(other) == bytes.fromhex(start.format("01") + "00 01 01  e0 02  00 01 61  31 32 33 34")
    coding = BlockCoding(2, 2, 1, b"", (100, 300), b"abcd")
    stack = Block((entry(),), 1, coding, (Run(1, 0x01020304, initial=True),), words=3)
    golden = start.format("02") + "01 01 01  03 01 02 c8 01 c8 01 00  00 01 61  04 03 02 01  61 62 63 64"
    assert pack_block(stack) == bytes.fromhex(golden)


def test_names_are_as_long_as_paths_are_at_most() -> None:
    """Front coding lets every name of a header repeat the longest one at the price of three bytes."""
    longest = Block((entry("é" * 2048),), 1)
    assert parse_block(pack_block(longest)) == longest
    with pytest.raises(FormatError, match="4097"):
        parse_block(pack_block(Block((entry("a" * 4097),), 1)))
    shared = [entry("a" * 4090 + str(i), number=i) for i in range(200)]
    assert len(pack_block(Block(tuple(shared), 200))) < 7000
    with pytest.raises(FormatError, match="4098"):
        parse_block(pack_block(Block((entry("b" * 4096), entry("b" * 4096 + "cc", number=1)), 2)))


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ({"torch": "2" * 5000}, "4096"),
        ({"threads": [1]}, "profile"),
        ({"threads": True}, "profile"),
        ({"threads": 1.5}, "profile"),
        ({"threads": None}, "profile"),
    ],
)
def test_profiles_are_few_words_and_numbers(profile: dict[str, Any], complaint: str) -> None:
    block = Block((entry(),), 1, replace(BITS_BACK, profile=profile), (Run(1),))
    with pytest.raises(FormatError, match=complaint):
        parse_block(pack_block(block))


names = st.text(min_size=1, max_size=8).filter(lambda name: name.isprintable())
sides = st.integers(1, 1 << 14)
entries = st.builds(Entry, names, st.sampled_from(MODES), sides, sides, st.integers(0, 999), st.integers(0, 300))


@settings(max_examples=60)
@given(st.lists(entries, min_size=1, unique_by=(lambda e: e.name, lambda e: e.number)))
def test_any_files_come_back(found: list[Entry]) -> None:
    block = Block(tuple(found), 1000)
    assert parse_block(pack_block(block)) == block


levels = st.lists(st.integers(1, (1 << 26) - 1), unique=True, max_size=9).map(lambda found: tuple(sorted(found)))


models = st.one_of(
    st.tuples(st.integers(1, 255), st.just(b"")), st.tuples(st.just(0), st.binary(min_size=4, max_size=4))
)
streams = st.lists(st.tuples(st.integers(4, 8), st.integers(0, 1 << 30)), min_size=1, max_size=5)


@settings(max_examples=60)
@given(levels, st.integers(1, 3), models, st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=5))
def test_any_coding_by_bits_back_comes_back(
    found: tuple[int, ...], effort: int, model: tuple[int, bytes], checks: list[int]
) -> None:
    images = tuple(entry(str(i), number=i) for i in range(len(checks)))
    coding = BlockCoding(effort, 2, *model, (*found, 1 + max(found, default=0)), b"abcd")
    block = Block(images, len(images), coding, tuple(Run(1, check) for check in checks), words=6)
    assert parse_block(pack_block(block)) == block


@settings(max_examples=60)
@given(st.integers(1, 3), st.sampled_from(LEVELS), models, streams)
def test_any_coding_by_the_context_model_comes_back(
    effort: int, found: int, model: tuple[int, bytes], sizes: list[tuple[int, int]]
) -> None:
    images = tuple(entry(str(i), number=i) for i in range(len(sizes)))
    runs = tuple(Run(1, state_bytes=size, words=words) for size, words in sizes)
    block = Block(images, len(images), BlockCoding(effort, found, *model), runs)
    assert parse_block(pack_block(block)) == block
    assert block.stream_lengths() == [size + 4 * words for size, words in sizes]


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = parse_block(content)
    except FormatError:
        return
    assert isinstance(found, Block)


def test_a_head_with_more_or_less_of_it_is_refused() -> None:
    packed = pack_block(Block((entry(), entry("b", number=1)), 2, BITS_BACK, (Run(2),), (), 9))
    for length in range(len(packed)):
        with pytest.raises(FormatError, match="contradicts"):
            parse_block(packed[:length])
    with pytest.raises(FormatError, match="follow"):
        parse_block(packed + b"\0")


@pytest.mark.parametrize(
    "block",
    [
        Block((), 0),
        Block((entry(),), 0),
        Block((entry(number=5),), 5),
        Block((entry(),), 1 << 21),
        Block((entry(), entry("b")), 2),
        Block((entry(), entry(number=1)), 2),
        Block((entry(width=0),), 1),
        Block((entry(width=1 << 16, height=1 << 16),), 1),
        Block((entry(width=300, height=300),), 1, CODING, (Run(1),)),
        Block((replace(entry(), icc=1),), 1, CODING, (Run(1),)),
        Block((entry(),), 1, CODING, (Run(2),)),
        Block((entry(),), 1, CODING, (Run(1), Run(0))),
        Block((entry(), entry("b", 5, number=1)), 2, CODING, (Run(2),)),
        Block((entry(), entry("b", mode="L", number=1)), 2, CODING, (Run(2),)),
        Block((entry(mode="LA"),), 1, CODING, (Run(1),)),
        Block((entry(),), 1, CODING, (Run(1, alpha=Run(1)),)),
        Block((replace(entry(mode="LA"), length=9),), 1, CODING, (Run(1, alpha=Run(1)),)),
        Block(tuple(entry(str(i), 256, 256, number=i) for i in range(3)), 3, CODING, (Run(3),)),
        Block((entry(),), 1, CODING, (Run(1, initial=True),)),
        Block((entry(),), 1, CODING, (Run(1, check=7),)),
        Block((entry(),), 1, CODING, (Run(1, state_bytes=3),)),
        Block((entry(),), 1, CODING, (Run(1, state_bytes=9),)),
        Block((entry(),), 1, BITS_BACK, (Run(1, words=1),)),
        Block((entry(),), 1, BITS_BACK, (Run(1, state_bytes=5),)),
        Block((entry(),), 1, CODING, (Run(1),), words=3),
        Block((entry(),), 1, words=3),
        Block((entry(), entry("b", number=1)), 2, BITS_BACK, (Run(2, initial=True),)),
        Block((entry(mode="L"),), 1, BITS_BACK, (Run(1),)),
        Block((entry(),), 1, replace(CODING, effort=4), (Run(1),)),
        Block((entry(),), 1, replace(CODING, levels=3), (Run(1),)),
        Block((entry(),), 1, replace(CODING, model_id=b"1234"), (Run(1),)),
        Block((entry(),), 1, replace(CODING, model_number=256), (Run(1),)),
        Block((entry(),), 1, replace(OTHER_MODEL, model_id=b"12"), (Run(1),)),
        Block((entry(),), 1, replace(CODING, latent_id=b"1234"), (Run(1),)),
        Block((entry(),), 1, replace(BITS_BACK, latent_id=b""), (Run(1),)),
        Block((entry(),), 1, replace(BITS_BACK, latent_levels=(5, 5)), (Run(1),)),
        Block((entry(),), 1, replace(BITS_BACK, latent_levels=(0, 5)), (Run(1),)),
        Block((entry(),), 1, replace(BITS_BACK, latent_levels=(1 << 27,)), (Run(1),)),
        Block((entry(),), 1, replace(BITS_BACK, latent_levels=tuple(range(1, 4099))), (Run(1),)),
    ],
)
def test_blocks_that_cannot_be_are_refused(block: Block) -> None:
    with pytest.raises(FormatError):
        pack_block(block)


def test_a_head_with_other_noise_levels_is_refused() -> None:
    numbers = [1, 1, 1, 0, 1, 4, 4, 0, 0, 0, 2, 3, 1, 1, 1, 0, 0, 1]
    with pytest.raises(FormatError, match="3 noise levels"):
        parse_block(b"".join(map(pack_varint, numbers)) + b"a")


def test_claims_are_checked_before_anything_is_allocated() -> None:
    """A header that claims what would take gigabytes."""
    for numbers, problem in [
        ([1, 0, 1 << 30], "1073741824 .*512"),
        ([1, 0, 512], "the data ends"),
        ([1, 3, 1], "kind 3"),
        ([1, 0, 1, 0, 5, 1, 1], "number of 5"),
        ([1, 1, 1, 0, 1, 4, 4, 0, 0, 0, 2, 2, 1, 1 << 30], "1073741824 .*1 "),
    ]:
        with pytest.raises(FormatError, match=problem):
            parse_block(b"".join(map(pack_varint, numbers)))
