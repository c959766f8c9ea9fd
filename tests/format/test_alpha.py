"""Alpha sections: exact, checked, and bounded whatever they claim."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from written_files import pack_coded_alpha, pack_header
from written_headers import Header, Index

from ddpmcodec._native import parse_alpha
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError
from ddpmcodec.format.sections import pack_alpha
from native_testing import testing

DAMAGE = (ChecksumError, CorruptError)

Part = tuple[slice, slice]  # rows, columns

planes = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def part_of(section: bytes, height: int, width: int, part: Part, *, is_cut: bool = False) -> np.ndarray:
    rows, columns = part
    box = (columns.start, rows.start, columns.stop, rows.stop)
    plane, _, is_whole = testing.parse_alpha(section, is_cut, height, width, box)
    assert is_whole is not is_cut
    return plane


def preview(section: bytes, height: int, width: int) -> np.ndarray:
    return part_of(section, height, width, (slice(0, height), slice(0, width)), is_cut=True)


def ramp() -> np.ndarray:
    return np.add.outer(np.arange(20) * 9, np.arange(24) * 5).astype(np.uint8)


@given(planes)
def test_alpha_comes_back(plane: np.ndarray) -> None:
    for section in (pack_alpha(plane), testing.pack_alpha(plane.tobytes(), *plane.shape)):
        assert np.array_equal(parse_alpha(section, *plane.shape), plane)


def test_an_opaque_plane_costs_next_to_nothing() -> None:
    assert len(pack_alpha(np.full((32, 32), 255, np.uint8))) < 24


def test_a_coded_plane_is_a_file_without_the_beginning_that_the_image_has_in_common_with_it() -> None:
    plain = Header("L", 300, 2, 1, 0, 0, b"1234", payload_length=8)
    tiled = Header("L", 400, 300, 1, 0, 1, index=Index(200, 300, (0,) * 16, (0,) * 16), repeats=True)
    for header in (plain, tiled):
        file = pack_header(header) + b"streams"
        assert testing.pack_coded_alpha(file) == pack_coded_alpha(header, file)


def test_every_flipped_bit_of_an_alpha_section_is_found() -> None:
    section = pack_alpha(ramp())
    for bit in range(8 * len(section)):
        damaged = bytearray(section)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = parse_alpha(bytes(damaged), 20, 24)
        except DAMAGE:
            continue
        # The last deflate byte has bits that mean nothing: what is accepted is never a wrong plane.
        assert np.array_equal(found, ramp())


@pytest.mark.parametrize("shape", [(20, 23), (20, 25), (19, 24), (1, 1)])
def test_alpha_of_another_size_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(CorruptError, match="pixels"):
        parse_alpha(pack_alpha(ramp()), *shape)


@pytest.mark.parametrize("section", [b"", b"abcd", b"\xff" * 20])
def test_what_is_not_an_alpha_section_is_refused(section: bytes) -> None:
    with pytest.raises(CorruptError):
        parse_alpha(section, 20, 24)


def test_bytes_behind_the_alpha_are_refused() -> None:
    section = pack_alpha(ramp())
    with pytest.raises(CorruptError):
        parse_alpha(section[:-4] + b"junk" + section[-4:], 20, 24)


def test_a_preview_has_the_first_rows_and_is_opaque_below() -> None:
    section = pack_alpha(ramp())
    known = 0
    for size in range(len(section)):
        found = preview(section[:size], 20, 24)
        rows = int((found == ramp()).all(1).sum())
        assert (found[rows:] == 255).all()
        assert rows >= known
        known = rows
    assert known == 20


@given(planes, st.data())
def test_a_part_is_cut_out_of_the_plane(plane: np.ndarray, data: st.DataObject) -> None:
    part = tuple(slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))) for n in plane.shape)
    section = pack_alpha(plane)
    assert np.array_equal(part_of(section, *plane.shape, part), plane[part])
    cut = section[: len(section) // 2]
    assert np.array_equal(part_of(cut, *plane.shape, part, is_cut=True), preview(cut, *plane.shape)[part])


MEMORY = """
import resource, zlib, numpy as np
from ddpmcodec import _testing as testing
from ddpmcodec.errors import CorruptError
from ddpmcodec.format.sections import pack_alpha

section = pack_alpha(np.add.outer(np.arange(6000), np.arange(6000)).astype(np.uint8))
bomb = zlib.compress(bytes(50_000_000), wbits=-15) + bytes(4)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for is_cut in (False, True):
    plane = testing.parse_alpha(section, is_cut, 6000, 6000, (4, 2999, 7, 3001))[0]
    assert plane.tolist() == [[187, 188, 189], [188, 189, 190]]
try:
    testing.parse_alpha(bomb, False, 20, 24, (0, 0, 24, 20))
except CorruptError:
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="peaks of memory are read as POSIX has them")
def test_a_part_takes_the_memory_of_a_part_and_a_bomb_no_more_than_the_image() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 << 10  # KB


@given(st.binary(max_size=40))
def test_no_other_error_comes_out(section: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse_alpha(section, 3, 5)


@pytest.mark.parametrize(("values", "varies"), [((7,), False), ((255,), False), ((7, 8), True), ((0, 255), True)])
def test_whether_it_varies_is_known_without_keeping_it(values: tuple[int, ...], varies: bool) -> None:
    plane = np.resize(np.array(values, np.uint8), (30, 41))
    section = pack_alpha(plane)
    assert testing.parse_alpha(section, False, 30, 41, (0, 0, 0, 0))[1] is varies
