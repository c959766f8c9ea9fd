"""Varints: one encoding per number, and a reader that says how much is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.varint import MAX_VARINT, Reader, pack_varint


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "80 01"),
        (300, "ac 02"),
        (1 << 28, "80 80 80 80 01"),
        (MAX_VARINT, "ff ff ff ff 7f"),
    ],
)
def test_golden_varints(value: int, packed: str) -> None:
    assert pack_varint(value).hex(" ") == packed


@given(st.integers(0, MAX_VARINT))
def test_varints_are_read_back(value: int) -> None:
    reader = Reader(pack_varint(value) + b"\xff")
    assert reader.varint() == value
    assert reader.position == len(pack_varint(value))


@given(st.binary(min_size=5, max_size=8))
def test_what_is_read_is_the_only_encoding(data: bytes) -> None:
    reader = Reader(data)
    try:
        value = reader.varint()
    except FormatError:
        return
    assert data[: reader.position] == pack_varint(value)


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\xff\xff\xff\xff\x01", b"\x81\x80\x00"])
def test_overlong_varints_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="longer"):
        Reader(data).varint()


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1])
def test_numbers_that_do_not_fit_are_not_written(value: int) -> None:
    with pytest.raises(ValueError, match=f"{MAX_VARINT}, got {value}"):
        pack_varint(value)


def test_reading_past_the_end_says_what_is_needed() -> None:
    reader = Reader(b"abc", "the index")
    assert reader.take(2) == b"ab"
    with pytest.raises(TruncatedError, match=r"the index, .*at least 6 "):
        reader.take(4)
    assert reader.take(1) == b"c"


def test_a_varint_that_is_cut_is_truncated() -> None:
    with pytest.raises(TruncatedError, match="at least 12 "):
        Reader(b"\x80", least=12).varint()
