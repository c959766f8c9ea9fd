"""Files: parts come back; damage, bytes after the end and a short file are three different errors; end marks fit the
data before them, and no other."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import replace

import pytest
from file_sections import FileSections, header_of, split
from hypothesis import given
from hypothesis import strategies as st
from written_files import assemble, crc16, pack_header
from written_headers import Header, Index

from ddpmcodec._native import MARK_BYTES, Container
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.format.marks import end_mark, is_marked

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, 2, 1)
TILES, SEGMENTS = 2, 8
TILED = Header("RGBA", 400, 300, 2, 0, 0, MODEL_ID, index=Index(200, 300))


def chunk(segment: int, tile: int) -> bytes:
    return bytes([16 * segment + tile]) * (1 + segment + tile)


CHUNKS = tuple(chunk(segment, tile) for segment in range(SEGMENTS) for tile in range(TILES))
STREAM = b"stream of words."
SMALL_FILE = assemble(replace(PLAIN, mode="RGBA"), b"alpha", STREAM, b"meta")
BARE_FILE = assemble(PLAIN, b"", STREAM, b"")
TILED_FILE = assemble(TILED, b"alpha", CHUNKS, b"meta")
FILES = {"small": SMALL_FILE, "bare": BARE_FILE, "tiled": TILED_FILE}


def chunk_start(place: int) -> int:
    """Where a chunk begins in TILED_FILE."""
    return split(TILED_FILE).start + len(b"alpha") + sum(map(len, CHUNKS[:place]))


def flipped(data: bytes, place: int, mask: int = 1) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


# --- whole files


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("metadata", [b"", b"meta"])
def test_sections_of_a_small_file_come_back(mode: str, metadata: bytes) -> None:
    alpha = b"alpha" if mode == "RGBA" else b""
    data = assemble(replace(PLAIN, mode=mode), alpha, STREAM, metadata)
    found = split(data)
    assert (found.alpha, found.chunks, found.metadata) == (alpha, (STREAM,), metadata)
    assert (found.missing, found.payload) == (0, STREAM)


def test_tiles_come_back() -> None:
    found = split(TILED_FILE)
    assert (found.alpha, found.chunks, found.metadata) == (b"alpha", CHUNKS, b"meta")
    assert (found.header.tile_size, found.header.chunk_lengths) == ((200, 300), list(map(len, CHUNKS)))


def test_tiles_are_boxes_row_by_row() -> None:
    header = replace(TILED, index=Index(200, 200))
    left, right = slice(0, 200), slice(200, 400)
    top, bottom = slice(0, 200), slice(200, 300)
    assert header.boxes() == [(top, left), (top, right), (bottom, left), (bottom, right)]
    assert PLAIN.boxes() == [(slice(0, 32), slice(0, 32))]


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_whole(name: str) -> None:
    Container(FILES[name]).require_whole()


def test_chunks_lie_segment_by_segment_behind_the_alpha() -> None:
    start = split(TILED_FILE).start
    assert TILED_FILE[start:] == b"alpha" + b"".join(CHUNKS) + b"meta"


@pytest.mark.parametrize(("header", "payload"), [(PLAIN, [STREAM]), (TILED, STREAM)])
def test_the_payload_is_what_the_header_says(header: Header, payload: bytes | list[bytes]) -> None:
    with pytest.raises(ValueError, match="chunks"):
        assemble(header, b"", payload, b"")


@pytest.mark.parametrize(
    ("header", "payload", "message"),
    [
        (PLAIN, STREAM, "alpha_length"),
        (TILED, CHUNKS[1:], "index"),
    ],
)
def test_parts_that_the_header_has_no_place_for_are_refused(
    header: Header, payload: bytes | tuple[bytes, ...], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        assemble(header, b"alpha", payload, b"")


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, bytes, bytes | list[bytes], bytes]:
    """A header, alpha, payload and metadata that go together."""
    parts = st.binary(max_size=9)
    header = draw(st.sampled_from([PLAIN, replace(PLAIN, mode="LA"), TILED, replace(TILED, mode="L")]))
    payload = draw(st.lists(parts, min_size=16, max_size=16)) if header.index else draw(parts)
    if isinstance(payload, bytes):
        payload = bytes(4) + 4 * payload  # a state, and words
    alpha = draw(st.binary(min_size=1, max_size=9)) if header.has_alpha_section else b""
    return header, alpha, payload, draw(parts)


@given(files(), st.data())
def test_any_parts_come_back_from_any_prefix(
    parts: tuple[Header, bytes, bytes | list[bytes], bytes], data: st.DataObject
) -> None:
    _, alpha, payload, metadata = parts
    whole = assemble(*parts)
    found = split(whole)
    assert (found.alpha, found.metadata, found.missing) == (alpha, metadata, 0)
    assert found.chunks == ((payload,) if isinstance(payload, bytes) else tuple(payload))
    assert pack_header(header_of(whole)) == whole[: found.start]
    size = data.draw(st.integers(found.start, len(whole)))
    cut = split(whole[:size])
    assert cut.missing == len(whole) - size
    for part, own in zip(all_parts(cut), all_parts(found), strict=True):
        assert own.startswith(part)
    assert sum(map(len, all_parts(cut))) == size - found.start


def all_parts(file: FileSections) -> list[bytes]:
    return [file.alpha, *file.chunks, file.metadata]


# --- short files


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_in_its_header_is_short(name: str) -> None:
    for size in range(split(FILES[name]).start):
        with pytest.raises(TruncatedError, match="header"):
            split(FILES[name][:size])


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_a_short_file(name: str) -> None:
    data = FILES[name]
    for size in range(split(data).start, len(data)):
        found = Container(data[:size])
        assert (found.missing, found.size) == (len(data) - size, size)
        with pytest.raises(TruncatedError, match=f"{size} of {len(data)}"):
            found.require_whole()


@pytest.mark.parametrize(
    ("name", "kept", "part"),
    [
        ("small", 3, "alpha"),
        ("small", 5, "pixel stream"),
        ("small", 5 + 16, "metadata"),
        ("tiled", 4, "alpha"),
        ("tiled", 5, "segment 1 of 8 .*columns 0 to 199, rows 0 to 299"),
        ("tiled", 5 + 1 + 2 + 2 + 1, "segment 2 of 8 .*columns 200 to 399, rows 0 to 299"),
        ("tiled", 5 + sum(map(len, CHUNKS)) + 3, "metadata"),
    ],
)
def test_the_error_says_where_a_file_is_cut(name: str, kept: int, part: str) -> None:
    found = Container(FILES[name][: split(FILES[name]).start + kept])
    with pytest.raises(TruncatedError, match=f"inside .*{part}"):
        found.require_whole()


def test_a_prefix_keeps_what_is_there_of_each_part() -> None:
    start = split(SMALL_FILE).start
    assert split(SMALL_FILE[: start + 3]).alpha == b"alp"
    assert split(SMALL_FILE[: start + 5 + 6]).payload == b"stream"
    assert split(SMALL_FILE[:-1]).metadata == b"met"


# --- damage


@pytest.mark.parametrize("place", range(len(CHUNKS)))
@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_chunk_is_reported_with_its_place(place: int, bit: int) -> None:
    segment, tile = divmod(place, TILES)
    where = f"1 of 2 .*segment {segment + 1} of 8 .*columns {200 * tile} to {200 * tile + 199}, rows 0 to 299"
    damaged = Container(flipped(TILED_FILE, chunk_start(place), 1 << bit))
    for check in (damaged.require_whole, damaged.require_undamaged):
        with pytest.raises(ChecksumError, match=where):
            check()


def test_damaged_tiles_are_counted() -> None:
    data = flipped(flipped(TILED_FILE, chunk_start(4)), chunk_start(1))
    with pytest.raises(ChecksumError, match=r"2 of 2 .*segment 3"):
        Container(data).require_whole()


def test_a_missing_end_is_reported_before_damage() -> None:
    found = Container(flipped(TILED_FILE, chunk_start(0))[: chunk_start(3) + 1])
    with pytest.raises(TruncatedError):
        found.require_whole()
    with pytest.raises(ChecksumError, match="1 of 2"):
        found.require_undamaged()


def test_a_chunk_that_is_cut_is_not_checked() -> None:
    Container(flipped(TILED_FILE, chunk_start(15))[: chunk_start(15) + 2]).require_undamaged()


@pytest.mark.parametrize("name", ["small", "tiled"])
def test_every_flipped_bit_of_a_files_header_is_damage(name: str) -> None:
    """With what really follows, and never reported as a short file; or a flag without which the header is plain."""
    data = FILES[name]
    for bit in range(8 * split(data).start):
        damaged = flipped(data, bit // 8, 1 << bit % 8)
        try:
            found = split(damaged)
        except TruncatedError:
            raise
        except FormatError:
            continue
        assert found.header.is_plain
        assert found.missing


@given(st.sampled_from(sorted(FILES)), st.data())
def test_changed_bytes_raise_nothing_but_our_errors(name: str, data: st.DataObject) -> None:
    changed = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        Container(bytes(changed[: data.draw(st.integers(0, len(changed)))])).require_whole()
    except FormatError:
        return


# --- bytes after the end


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("junk", [b"\0", b"abc", FILES["bare"], end_mark(FILES["bare"])])
def test_bytes_after_the_end_are_counted_and_in_no_part(name: str, junk: bytes) -> None:
    found = Container(FILES[name] + junk)
    assert (found.following, found.missing, found.is_lossy) == (len(junk), 0, False)
    assert all_parts(split(FILES[name] + junk)) == all_parts(split(FILES[name]))


# --- sections of unknown types


def with_others() -> bytes:
    """A file with sections of later versions around its own."""
    start = pack_header(replace(PLAIN, metadata_length=4, payload_length=len(STREAM)))[:-4]
    assert start.endswith(b"\1\x42\4")  # upright; metadata
    header = start + b"\7\3" + b"\x48\4" + b"\0" + bytes([5 * 3])
    return header + crc16(header).to_bytes(2, "little") + b"new" + STREAM + b"meta" + b"also"


def test_sections_of_unknown_types_are_skipped() -> None:
    data = with_others()
    found = split(data)
    assert (found.payload, found.metadata, found.missing) == (STREAM, b"meta", 0)
    assert Container(data + b"\0").following == 1


def test_a_cut_in_a_section_of_an_unknown_type_is_a_short_file() -> None:
    data = with_others()
    for size in range(split(data).start, len(data)):
        with pytest.raises(TruncatedError):
            Container(data[:size]).require_whole()


# --- the package


def test_the_formats_load_no_torch() -> None:
    modules = ", ".join(
        f"ddpmcodec.format.{name}" for name in ("varint", "header", "tiles", "ddpm", "sections", "ddpma")
    )
    script = f"import sys, {modules}; print(*sorted({{'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- end marks


def test_golden_mark() -> None:
    assert end_mark(b"data") == b"\xddE" + zlib.crc32(b"data").to_bytes(4, "little")


def cuts(name: str) -> range:
    return range(split(FILES[name]).start, len(FILES[name]) - MARK_BYTES)


@pytest.mark.parametrize("name", FILES)
def test_a_marked_prefix_is_lossy_and_the_mark_is_in_no_part(name: str) -> None:
    for size in cuts(name):
        front = FILES[name][:size]
        marked = front + end_mark(front)
        assert len(marked) == size + MARK_BYTES
        assert is_marked(marked)
        found = Container(marked)
        assert (found.is_lossy, found.size, found.missing) == (True, size, len(FILES[name]) - size)
        assert all_parts(split(marked)) == all_parts(split(front))


@pytest.mark.parametrize("name", FILES)
def test_a_part_of_a_mark_or_a_damaged_one_is_none(name: str) -> None:
    for size in cuts(name):
        front = FILES[name][:size]
        marked = front + end_mark(front)
        for data in [marked[:-cut] for cut in range(1, MARK_BYTES)] + [
            flipped(marked, place) for place in range(size, len(marked))
        ]:
            assert not Container(data).is_lossy


@given(st.data())
def test_damage_before_a_mark_leaves_no_mark(chosen: st.DataObject) -> None:
    front = TILED_FILE[: chosen.draw(st.integers(chunk_start(1), len(TILED_FILE) - 1))]
    place = chosen.draw(st.integers(chunk_start(0), len(front) - 1))
    assert not Container(flipped(front + end_mark(front), place)).is_lossy
