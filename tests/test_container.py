"""The container: golden bytes, damage of every bit, absurd claims, cuts."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec import container
from ddpmcodec.container import (
    GROUP_PIXELS,
    MAX_PIXELS,
    MODES,
    SINGLE_STREAM_PIXELS,
    Header,
    Index,
    Reader,
    Sections,
    assemble,
    pack_header,
    pack_varint,
    parse_header,
    plan_index,
    split,
)
from ddpmcodec.errors import FormatError, TruncatedError

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 5, MODEL_ID)
GOLDEN_PLAIN = bytes.fromhex("dd500d0a 11 00 20 20 05 0a1b2c3d 3570")
GREY_ALPHA = Header("LA", 300, 2, 9, MODEL_ID, alpha_length=129, metadata_length=5, stream_length=1000)
GOLDEN_GREY_ALPHA = bytes.fromhex("dd500d0a 12 02 ac02 02 09 0a1b2c3d 8101 05 e807 581f")
CHUNKED = Header("RGB", 400, 300, 1, MODEL_ID, index=Index(200, 300, 3, (1, 2, 3, 4, 5, 6)))
GOLDEN_CHUNKED = bytes.fromhex("dd500d0a 11 01 9003 ac02 01 0a1b2c3d c801 ac02 03 010203040506 0451")
HEADERS = [PLAIN, GREY_ALPHA, CHUNKED]


@pytest.mark.parametrize(
    ("header", "golden"), [(PLAIN, GOLDEN_PLAIN), (GREY_ALPHA, GOLDEN_GREY_ALPHA), (CHUNKED, GOLDEN_CHUNKED)]
)
def test_golden_headers(header: Header, golden: bytes) -> None:
    assert pack_header(header) == golden
    assert parse_header(golden + b"body") == (header, len(golden))


def test_a_small_image_has_a_header_of_15_bytes() -> None:
    assert len(pack_header(PLAIN)) == 15


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_header(mode: str) -> None:
    header = replace(PLAIN, mode=mode)
    assert parse_header(pack_header(header))[0] == header


@pytest.mark.parametrize("header", HEADERS)
def test_every_flipped_bit_of_a_header_is_found(header: Header) -> None:
    data = pack_header(header) + bytes(64)
    for bit in range(8 * (len(data) - 64)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            parse_header(bytes(damaged))


@pytest.mark.parametrize("header", HEADERS)
def test_every_cut_of_a_header_tells_how_much_is_missing(header: Header) -> None:
    data = pack_header(header)
    for size in range(len(data)):
        with pytest.raises(TruncatedError, match=f"after {size} bytes: at least (\\d+) are needed") as found:
            parse_header(data[:size])
        least = int(str(found.value).split("at least ")[1].split()[0])
        assert size < least <= len(data)


def test_foreign_data_is_refused_with_what_was_found() -> None:
    with pytest.raises(FormatError, match=r"not a ddpmcodec file: it starts with 89 50 4e 47, not dd 50 0d 0a"):
        parse_header(b"\x89PNG\r\n\x1a\n" + bytes(20))


def with_checksum(start: bytes) -> bytes:
    """Header bytes that are damaged on purpose, behind a checksum that says they are not."""
    from binascii import crc_hqx

    return start + crc_hqx(start, 0xFFFF).to_bytes(2, "little")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (4, 0x21, r"format version 2 \(this program reads 1\)"),
        (4, 0x15, r"unknown colour mode 5"),
        (5, 0x04, r"unknown flags 0x04"),
        (5, 0x80, r"unknown flags 0x80"),
        (6, 0, r"claims 0 x 32 pixels"),
        (8, 0, r"claims effort 0 \(1 to 10 are possible\)"),
        (8, 11, r"claims effort 11"),
    ],
)
def test_what_this_version_does_not_know_is_refused(place: int, value: int, message: str) -> None:
    start = bytearray(GOLDEN_PLAIN[:-2])
    start[place] = value
    with pytest.raises(FormatError, match=message):
        parse_header(with_checksum(bytes(start)))


def test_metadata_of_no_bytes_is_refused() -> None:
    start = GOLDEN_PLAIN[:5] + b"\x02" + GOLDEN_PLAIN[6:-2] + bytes([0, 8])
    with pytest.raises(FormatError, match="claims 0 bytes of metadata"):
        parse_header(with_checksum(start))


@pytest.mark.parametrize(
    ("width", "height"), [(1 << 31, 1 << 31), (1 << 34, 1), (MAX_PIXELS + 1, 1), (1 << 15, 1 << 14)]
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(width: int, height: int) -> None:
    start = GOLDEN_PLAIN[:5] + b"\x01" + pack_varint(width) + pack_varint(height) + GOLDEN_PLAIN[8:-2]
    data = with_checksum(start + pack_varint(1) + pack_varint(1) + pack_varint(255))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"claims {width} x {height} pixels"):
            parse_header(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("tile", "steps", "message"),
    [
        ((1, 1), 255, "claims 68451041280 chunks"),
        ((0, 8), 1, "groups of 0 x 8"),
        ((1 << 14, 1 << 14), 1, "groups of 16384 x 16384"),
        ((1 << 20, 1), 1, "groups of 1048576 x 1"),
        ((1 << 10, 1 << 10), 256, "claims 256 steps"),
        ((1 << 10, 1 << 10), 0, "claims 0 steps"),
    ],
)
def test_absurd_grids_are_refused(tile: tuple[int, int], steps: int, message: str) -> None:
    start = GOLDEN_PLAIN[:5] + b"\x01" + pack_varint(1 << 14) + pack_varint(1 << 14) + GOLDEN_PLAIN[8:-2]
    data = with_checksum(start + b"".join(map(pack_varint, (*tile, steps))))
    with pytest.raises(FormatError, match=message):
        parse_header(data)


def test_one_stream_for_a_large_image_is_refused() -> None:
    start = GOLDEN_PLAIN[:6] + pack_varint(1 << 14) + pack_varint(1 << 14) + GOLDEN_PLAIN[8:-2]
    with pytest.raises(FormatError, match="groups of 16384 x 16384"):
        parse_header(with_checksum(start))


def test_a_header_that_cannot_be_read_back_is_not_written() -> None:
    with pytest.raises(FormatError, match="claims 0 x 1 pixels"):
        pack_header(replace(PLAIN, width=0, height=1))


def test_a_claimed_index_is_not_read_beyond_the_data() -> None:
    index = Index(64, 64, 255, (0,) * 255 * 256)
    data = pack_header(Header("RGB", 1024, 1024, 1, MODEL_ID, index=index))[:40]
    with pytest.raises(TruncatedError, match=f"at least {21 + 255 * 256} are needed"):
        parse_header(data)


@given(st.integers(0, (1 << 35) - 1))
def test_varints_are_read_back(value: int) -> None:
    reader = Reader(pack_varint(value) + b"\xff")
    assert reader.varint() == value
    assert reader.position == len(pack_varint(value))


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\xff\xff\xff\xff\x01", b"\x81\x80\x00"])
def test_overlong_varints_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="longer than it needs to be"):
        Reader(data).varint()


# --- sections


def example(mode: str = "RGB", metadata: bytes = b"") -> bytes:
    alpha = b"alpha" if mode == "RGBA" else b""
    return assemble(replace(PLAIN, mode=mode), alpha, [b"stream of words."], metadata)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("metadata", [b"", b"meta"])
def test_sections_come_back(mode: str, metadata: bytes) -> None:
    found = split(example(mode, metadata))
    assert (found.alpha, found.chunks, found.metadata) == (
        b"alpha" if mode == "RGBA" else b"",
        (b"stream of words.",),
        metadata,
    )
    assert (found.missing, found.size) == (0, len(example(mode, metadata)))


def test_bytes_after_the_declared_end_are_refused() -> None:
    data = example("RGBA", b"meta")
    with pytest.raises(FormatError, match=rf"3 bytes follow the end of the image \(at byte {len(data)}\)"):
        split(data + b"abc")


@pytest.mark.parametrize("data", [example("RGBA", b"meta"), assemble(CHUNKED, b"", [bytes(n) for n in range(6)], b"m")])
def test_a_prefix_knows_how_much_is_missing(data: bytes) -> None:
    for size in range(split(data).start, len(data)):
        found = split(data[:size])
        assert (found.missing, found.size) == (len(data) - size, size)


def test_a_prefix_keeps_what_is_there_of_each_part() -> None:
    data = example("RGBA", b"meta")
    start = split(data).start
    assert split(data[: start + 3]).alpha == b"alp"
    assert split(data[: start + 5 + 6]).chunks == (b"stream",)
    assert split(data[:-1]).metadata == b"met"


def chunk(step: int, group: int) -> bytes:
    return bytes([16 * step + group]) * (1 + step + group)


def chunked() -> Sections:
    """Three steps of two groups, cut one byte into the second group of the second step."""
    data = assemble(CHUNKED, b"", [chunk(step, group) for step in range(3) for group in range(2)], b"")
    kept = sum(len(chunk(*key)) for key in ((0, 0), (0, 1), (1, 0)))
    return split(data[: split(data).start + kept + 1])


def test_chunks_lie_step_by_step() -> None:
    assert chunked().chunks == (chunk(0, 0), chunk(0, 1), chunk(1, 0), chunk(1, 1)[:1], b"", b"")


def test_a_group_has_its_chunks_up_to_the_cut() -> None:
    assert chunked().group_chunks(0) == [chunk(0, 0), chunk(1, 0), b""]
    assert chunked().group_chunks(1) == [chunk(0, 1), chunk(1, 1)[:1]]


# --- the grid

HALF_A_MEGAPIXEL = 1 << 19


@pytest.mark.parametrize(("width", "height"), [(1, 1), (256, 256), (SINGLE_STREAM_PIXELS, 1)])
def test_small_images_are_one_stream(width: int, height: int) -> None:
    assert plan_index(width, height, 9) is None


@pytest.mark.parametrize(
    ("width", "height", "tile", "groups"),
    [
        (768, 512, (768, 512), 1),
        (257, 256, (257, 256), 1),
        (1024, 1024, (512, 1024), 2),
        (6000, 4000, (752, 672), 48),
        (MAX_PIXELS, 1, (HALF_A_MEGAPIXEL, 1), 512),
        (1, MAX_PIXELS, (1, HALF_A_MEGAPIXEL), 512),
    ],
)
def test_large_images_are_cut_into_near_squares(
    monkeypatch: pytest.MonkeyPatch, width: int, height: int, tile: tuple[int, int], groups: int
) -> None:
    monkeypatch.setattr(container, "GROUP_PIXELS", HALF_A_MEGAPIXEL)
    index = plan_index(width, height, 9)
    assert index == Index(*tile, 9)
    assert Header("RGB", width, height, 5, MODEL_ID, index=index).group_count() == groups


@given(st.integers(1, 20000), st.integers(1, 13000))
def test_groups_tile_the_image_and_stay_small(width: int, height: int) -> None:
    header = Header("RGB", width, height, 5, MODEL_ID, index=plan_index(width, height, 9))
    boxes = header.boxes()
    areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes]
    assert sum(areas) == width * height
    assert max(areas) <= GROUP_PIXELS
    assert len(boxes) == header.group_count() <= 1 + 2 * width * height // GROUP_PIXELS
    assert (boxes[0][0].start, boxes[-1][0].stop, boxes[-1][1].stop) == (0, height, width)
