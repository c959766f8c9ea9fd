"""End marks: they fit the data in front of them, and no other."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.format.end_mark import MARK_BYTES, begun_mark, end_mark, is_marked, without_end_mark


def test_golden_mark() -> None:
    assert end_mark(b"data") == b"\xddE" + zlib.crc32(b"data").to_bytes(4, "little")


@given(st.binary(max_size=100))
def test_what_is_marked_comes_back(data: bytes) -> None:
    marked = data + end_mark(data)
    assert len(marked) == len(data) + MARK_BYTES
    assert is_marked(marked)
    assert without_end_mark(marked) == data


@given(st.binary(max_size=40), st.data())
def test_damage_leaves_no_mark(data: bytes, chosen: st.DataObject) -> None:
    marked = bytearray(data + end_mark(data))
    marked[chosen.draw(st.integers(0, len(marked) - 1))] ^= 1 << chosen.draw(st.integers(0, 7))
    assert without_end_mark(bytes(marked)) is None


@given(st.binary(max_size=40))
def test_a_part_of_a_mark_is_none(data: bytes) -> None:
    marked = data + end_mark(data)
    for cut in range(1, MARK_BYTES + 1):
        assert without_end_mark(marked[:-cut]) is None
        assert cut == MARK_BYTES or begun_mark(marked[:-cut]) == MARK_BYTES - cut


def test_other_ends_begin_none() -> None:
    for data in (b"", b"data", b"data\xdd\xdc", b"data\xddF", b"data\xddE" + bytes(1)):
        assert begun_mark(data) == 0
