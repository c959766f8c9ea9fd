"""Files: parts come back; damage, bytes behind the end and a short file are three different errors; end marks fit the
data in front of them, and no other."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.format.ddpm import (
    MARK_BYTES,
    Sections,
    assemble,
    begun_mark,
    end_mark,
    is_marked,
    split,
    without_end_mark,
)
from ddpmcodec.format.header import Header, Index
from ddpmcodec.format.header_bytes import crc16, pack_header
from ddpmcodec.format.streams import Chunk

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, 2, 1)
GRAPHIC = Header("RGBA", 48, 16, stored="webp", mean_colour=b"\x10\x80\xff")
TILES, SEGMENTS = 2, 8
TILED = Header("RGBA", 400, 300, 2, 0, 0, MODEL_ID, index=Index(200, 300))


def chunk(segment: int, tile: int) -> bytes:
    return bytes([16 * segment + tile]) * (1 + segment + tile)


def whole(data: bytes) -> Chunk:
    return Chunk(data, len(data))


CHUNKS = tuple(chunk(segment, tile) for segment in range(SEGMENTS) for tile in range(TILES))
STREAM = b"stream of words."
SMALL_FILE = assemble(replace(PLAIN, mode="RGBA"), b"alpha", STREAM, b"meta")
BARE_FILE = assemble(PLAIN, b"", STREAM, b"")
WEBP_FILE = assemble(GRAPHIC, b"", b"RIFF and so on", b"meta")
TILED_FILE = assemble(TILED, b"alpha", CHUNKS, b"meta")
FILES = {"small": SMALL_FILE, "bare": BARE_FILE, "webp": WEBP_FILE, "tiled": TILED_FILE}


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
    assert (found.missing, found.size) == (0, len(data))
    assert found.payload == STREAM
    assert (found.segments_of_tile(0), found.tile_is_cut(0), found.tile_is_damaged(0)) == (1, False, False)


def test_a_webp_payload_comes_back_and_carries_its_own_alpha() -> None:
    found = split(WEBP_FILE)
    assert (found.alpha, found.payload, found.metadata) == (b"", b"RIFF and so on", b"meta")
    assert found.header.mean_colour == b"\x10\x80\xff"


def test_tiles_come_back() -> None:
    found = split(TILED_FILE)
    assert (found.alpha, found.chunks, found.metadata) == (b"alpha", CHUNKS, b"meta")
    assert found.header.index == Index(200, 300, tuple(map(len, CHUNKS)), tuple(map(crc16, CHUNKS)))
    for tile in range(TILES):
        assert found.tile_chunks(tile) == tuple(whole(chunk(segment, tile)) for segment in range(SEGMENTS))
        assert (found.segments_of_tile(tile), found.tile_is_cut(tile)) == (SEGMENTS, False)


def test_a_tiled_file_has_no_single_payload() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        _ = split(TILED_FILE).payload


def test_tiles_are_boxes_row_by_row() -> None:
    header = replace(TILED, index=Index(200, 200))
    left, right = slice(0, 200), slice(200, 400)
    top, bottom = slice(0, 200), slice(200, 300)
    assert header.boxes() == [(top, left), (top, right), (bottom, left), (bottom, right)]
    assert PLAIN.boxes() == [(slice(0, 32), slice(0, 32))]


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_whole(name: str) -> None:
    split(FILES[name]).require_whole()


def test_chunks_lie_segment_by_segment_behind_the_alpha() -> None:
    start = split(TILED_FILE).start
    assert TILED_FILE[start:] == b"alpha" + b"".join(CHUNKS) + b"meta"


@pytest.mark.parametrize(("header", "payload"), [(PLAIN, [STREAM]), (TILED, STREAM)])
def test_the_payload_is_what_the_header_says(header: Header, payload: bytes | list[bytes]) -> None:
    with pytest.raises(ValueError, match="one with an index a list of chunks"):
        assemble(header, b"", payload, b"")


@pytest.mark.parametrize(
    ("header", "payload", "message"),
    [
        (PLAIN, STREAM, "an alpha section of 5 bytes"),
        (GRAPHIC, STREAM, "an alpha section of 5 bytes"),
        (TILED, CHUNKS[1:], "an index of 15 lengths and 15 checks"),
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
    header = draw(st.sampled_from([PLAIN, replace(PLAIN, mode="LA"), GRAPHIC, TILED, replace(TILED, mode="L")]))
    payload = draw(st.lists(parts, min_size=16, max_size=16)) if header.index else draw(parts)
    if isinstance(payload, bytes) and not header.stored:
        payload = bytes(4) + 4 * payload  # a state, and words
    alpha = draw(st.binary(min_size=1, max_size=9)) if header.has_alpha_section else b""
    return header, alpha, payload, draw(parts)


@given(files(), st.data())
def test_any_parts_come_back_from_any_prefix(
    parts: tuple[Header, bytes, bytes | list[bytes], bytes], data: st.DataObject
) -> None:
    header, alpha, payload, metadata = parts
    whole = assemble(*parts)
    found = split(whole)
    assert (found.alpha, found.metadata, found.missing) == (alpha, metadata, 0)
    assert found.chunks == ((payload,) if isinstance(payload, bytes) else tuple(payload))
    assert pack_header(found.header) == whole[: found.start]
    cut = split(whole[: data.draw(st.integers(found.start, len(whole)))])
    assert (cut.header, cut.start) == (found.header, found.start)
    assert cut.size + cut.missing == len(whole)
    for tile in range(header.tile_count):
        chunks, expected = cut.tile_chunks(tile), found.tile_chunks(tile)
        count = cut.segments_of_tile(tile)
        assert chunks[:count] == expected[:count]
        for beginning, chunk in zip(chunks[count:], expected[count:], strict=False):
            assert 0 < len(beginning.data) < beginning.length == chunk.length
            assert chunk.data.startswith(beginning.data)
        assert not cut.tile_is_damaged(tile)


# --- short files


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_in_its_header_is_short(name: str) -> None:
    for size in range(split(FILES[name]).start):
        with pytest.raises(TruncatedError, match="the data ends inside the header"):
            split(FILES[name][:size])


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_a_short_file(name: str) -> None:
    data = FILES[name]
    for size in range(split(data).start, len(data)):
        found = split(data[:size])
        assert (found.missing, found.size) == (len(data) - size, size)
        with pytest.raises(TruncatedError, match=f"the file ends after {size} of {len(data)} bytes, inside .*: get"):
            found.require_whole()


@pytest.mark.parametrize(
    ("name", "kept", "part"),
    [
        ("small", 3, "the alpha section"),
        ("small", 5, "the pixel stream"),
        ("small", 5 + 16, "the metadata section"),
        ("webp", 13, "the WebP payload"),
        ("tiled", 4, "the alpha section"),
        ("tiled", 5, "segment 1 of 8 of the tile at columns 0 to 199, rows 0 to 299"),
        ("tiled", 5 + 1 + 2 + 2 + 1, "segment 2 of 8 of the tile at columns 200 to 399, rows 0 to 299"),
        ("tiled", 5 + sum(map(len, CHUNKS)) + 3, "the metadata section"),
    ],
)
def test_the_error_says_where_a_file_is_cut(name: str, kept: int, part: str) -> None:
    found = split(FILES[name][: split(FILES[name]).start + kept])
    with pytest.raises(TruncatedError, match=f"inside {part}: get the rest, or decode a preview with partial=True"):
        found.require_whole()


def test_a_prefix_keeps_what_is_there_of_each_part() -> None:
    start = split(SMALL_FILE).start
    assert split(SMALL_FILE[: start + 3]).alpha == b"alp"
    assert split(SMALL_FILE[: start + 5 + 6]).payload == b"stream"
    assert split(SMALL_FILE[:-1]).metadata == b"met"


def test_a_single_stream_says_whether_it_is_all_there() -> None:
    start = split(SMALL_FILE).start + len(b"alpha")
    for size in range(len(STREAM) + 1):
        found = split(SMALL_FILE[: start + size])
        whole = size == len(STREAM)
        assert (found.tile_is_cut(0), found.segments_of_tile(0)) == (not whole, int(whole))
        assert not found.tile_is_damaged(0)


def test_a_tile_has_its_chunks_up_to_the_cut() -> None:
    """One byte into the second segment of the second tile."""
    found = split(TILED_FILE[: chunk_start(3) + 1])
    assert found.chunks == (*CHUNKS[:3], chunk(1, 1)[:1], *[b""] * 12)
    assert found.tile_chunks(0) == (whole(chunk(0, 0)), whole(chunk(1, 0)))
    assert found.tile_chunks(1) == (whole(chunk(0, 1)), Chunk(chunk(1, 1)[:1], len(chunk(1, 1))))
    assert [found.segments_of_tile(tile) for tile in range(TILES)] == [2, 1]
    assert [found.tile_is_cut(tile) for tile in range(TILES)] == [True, True]


def test_a_tile_whose_chunks_are_all_there_is_not_cut() -> None:
    found = split(TILED_FILE[: chunk_start(15)])
    assert [found.tile_is_cut(tile) for tile in range(TILES)] == [False, True]


@pytest.mark.parametrize("tile", [-1, 2])
def test_there_are_no_other_tiles(tile: int) -> None:
    found = split(TILED_FILE)
    for ask in (found.tile_chunks, found.segments_of_tile, found.tile_is_cut, found.tile_is_damaged):
        with pytest.raises(IndexError, match=f"tile {tile} of 2"):
            ask(tile)


# --- damage


@pytest.mark.parametrize("place", range(len(CHUNKS)))
@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_chunk_ends_its_tile_and_no_other(place: int, bit: int) -> None:
    segment, tile = divmod(place, TILES)
    found = split(flipped(TILED_FILE, chunk_start(place), 1 << bit))
    assert [found.tile_is_damaged(t) for t in range(TILES)] == [t == tile for t in range(TILES)]
    assert [found.tile_is_cut(t) for t in range(TILES)] == [False, False]
    assert found.segments_of_tile(tile) == segment
    assert found.tile_chunks(tile) == tuple(whole(chunk(s, tile)) for s in range(segment))
    assert found.tile_chunks(1 - tile) == split(TILED_FILE).tile_chunks(1 - tile)


@pytest.mark.parametrize("place", range(len(CHUNKS)))
def test_a_damaged_chunk_is_reported_with_its_place(place: int) -> None:
    segment, tile = divmod(place, TILES)
    message = (
        f"1 of 2 tiles are damaged, the first in segment {segment + 1} of 8 of the tile at columns {200 * tile} to"
        f" {200 * tile + 199}, rows 0 to 299: its checksum does not match; get the file again, or decode a preview"
    )
    with pytest.raises(ChecksumError, match=message):
        split(flipped(TILED_FILE, chunk_start(place))).require_whole()


def test_damaged_tiles_are_counted() -> None:
    data = flipped(flipped(TILED_FILE, chunk_start(4)), chunk_start(1))
    with pytest.raises(ChecksumError, match=r"2 of 2 tiles are damaged, the first in segment 3 of 8 of the tile at c"):
        split(data).require_whole()


def test_damage_in_front_of_a_cut() -> None:
    """The first tile is damaged in its first segment, and the file ends in the second tile's second one."""
    found = split(flipped(TILED_FILE, chunk_start(0))[: chunk_start(3) + 1])
    assert [found.tile_is_damaged(tile) for tile in range(TILES)] == [True, False]
    assert [found.tile_is_cut(tile) for tile in range(TILES)] == [False, True]
    assert found.tile_chunks(0) == ()
    with pytest.raises(TruncatedError):
        found.require_whole()


def test_a_chunk_that_is_cut_is_not_checked() -> None:
    found = split(flipped(TILED_FILE, chunk_start(15))[: chunk_start(15) + 2])
    assert (found.tile_is_cut(1), found.tile_is_damaged(1)) == (True, False)


@pytest.mark.parametrize("name", ["small", "webp", "tiled"])
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
        found = split(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
        found.require_whole()
    except FormatError:
        return
    assert isinstance(found, Sections)


# --- bytes behind the end


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("junk", [b"\0", b"abc", FILES["bare"], end_mark(FILES["bare"])])
def test_bytes_behind_the_end_are_refused(name: str, junk: bytes) -> None:
    data = FILES[name]
    count = "1 byte follows" if len(junk) == 1 else f"{len(junk)} bytes follow"
    message = f"{count} the end of the image: keep what precedes it, `head -c {len(data)}`"
    with pytest.raises(FormatError, match=message) as found:
        split(data + junk)
    assert found.type is FormatError
    assert replace(split(data + junk, partial=True), following=0) == split(data)


# --- sections of unknown types


def with_others(header: Header) -> bytes:
    """A file with sections of later versions around its own."""
    header = replace(header, others=((0x05, 3), (0x46, 4)), metadata_length=4, payload_length=len(STREAM))
    return pack_header(header) + b"new" + STREAM + b"meta" + b"also"


def test_sections_of_unknown_types_are_skipped_and_counted() -> None:
    data = with_others(PLAIN)
    found = split(data)
    assert (found.payload, found.metadata, found.skipped) == (STREAM, b"meta", 7)
    assert (found.missing, found.size) == (0, len(data))
    with pytest.raises(FormatError, match="1 byte follows"):
        split(data + b"\0")


def test_a_cut_in_a_section_of_an_unknown_type_is_a_short_file() -> None:
    data = with_others(PLAIN)
    for size in range(split(data).start, len(data)):
        found = split(data[:size])
        assert (found.missing, found.size) == (len(data) - size, size)
    with pytest.raises(TruncatedError, match="a section of an unknown type"):
        split(data[:-1]).require_whole()


# --- the package


def test_the_formats_load_no_torch() -> None:
    modules = ", ".join(
        f"ddpmcodec.format.{name}" for name in ("varint", "header", "tiles", "streams", "ddpm", "sections", "ddpma")
    )
    script = f"import sys, {modules}; print(*sorted({{'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- end marks


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
