"""What no header may claim, read or written: refused before anything is allocated."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from written_files import crc16, pack_header
from written_headers import Header, Index

from ddpmcodec._native import MAX_METADATA, MAX_PIXELS, SECTIONS_FLAG, SQUARE_FLAG, TILED_FLAG, parse_header
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.varint import MAX_VARINT, pack_varint

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, 2, 1, payload_length=1504)
OTHER_MODEL = Header("L", 300, 2, 3, 5, 0, MODEL_ID, payload_length=8, state_bytes=8)
GREY_ALPHA = Header(
    "LA",
    300,
    2,
    3,
    0,
    0,
    MODEL_ID,
    orientation=6,
    alpha_length=129,
    metadata_length=5,
    payload_length=18,
    state_bytes=6,
)
FROM_JPEG = Header(
    "RGB", 48, 16, 2, 0, 3, kind="coefficients", frame_length=44, recipe_length=5,
    index=Index(48, 16, (1,) * 9, (1,) * 9),
)  # fmt: skip
INDEX = Index(200, 300, tuple(range(0, 320, 20)), tuple(range(0, 0x10000, 0x1001)[:16]))
LARGE = Header("RGB", 400, 300, 1, 0, 255, index=INDEX)
BODY = bytes(range(7, 71))  # what follows a header

# --- reading


def with_crc(start: bytes) -> bytes:
    """Header bytes that are wrong on purpose, behind a checksum that says they are not."""
    return start + crc16(start).to_bytes(2, "little")


def start(flags: int = 0, kind: int = 0, width: int = 32, height: int = 32, rest: bytes = b"") -> bytes:
    """A header in RGB up to its size, then `rest`, and a checksum where one is due. kind: of the payload."""
    sides = (width,) if width == height else (width, height)
    coding = bytes([0x18, 0x70 | kind, 1]) if kind else b"\x20\1"
    fields = [0xDD, 0x0A, 0x41 | flags | SQUARE_FLAG * (width == height), *coding]
    packed = bytes(fields) + b"".join(map(pack_varint, sides)) + rest
    return with_crc(packed) if flags or kind else packed


def test_foreign_data_is_refused_with_what_was_found() -> None:
    with pytest.raises(FormatError, match=r"89 50.*dd 0a"):
        parse_header(b"\x89PNG\r\n\x1a\n" + bytes(20))


@pytest.mark.parametrize(
    ("places", "word"),
    [
        ({2: 0x89}, "version 2"),
        ({2: 0x09}, "version 0"),
        *(({2: 0x48 + mode}, f"mode {mode}") for mode in (5, 6, 7)),
        *(({3: 0x20 + levels}, f"{levels} noise levels") for levels in (3, 4, 6, 7)),
        ({3: 0x08, 4: 0x71}, "effort 0"),
        ({3: 0x42}, "effort 4"),
        ({3: 0x1F, 4: 0x71}, "7 levels"),
        ({3: 0x98, 4: 0x71}, "repeats"),
        ({3: 0x08, 4: 0x70}, "samples of"),
        *(({3: 0x08, 4: 0x70 + kind}, f"payload {kind}") for kind in (2, 15)),
        ({3: 0x18, 4: 0xF1}, "16 bits a sample"),
        ({2: 0x4A, 3: 0x18, 4: 0x71}, "mode LA"),
        ({5: 0}, "0 x 0 pixels"),
    ],
)
def test_what_this_version_does_not_know_is_refused(places: dict[int, int], word: str) -> None:
    changed = bytearray(pack_header(PLAIN) + bytes(9))
    for place, value in places.items():
        changed[place] = value
    with pytest.raises(FormatError, match=word):
        parse_header(with_crc(bytes(changed)))


def test_an_equal_height_is_left_out() -> None:
    with pytest.raises(FormatError, match="32 pixels"):
        parse_header(bytes.fromhex("dd0a 41 20 01 20 20") + BODY)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientations_are_those_of_exif(orientation: int) -> None:
    for listed in (b"\x42\5", b"\7\1"):
        with pytest.raises(FormatError, match=f"orientation {orientation}"):
            parse_header(start(SECTIONS_FLAG, rest=bytes([orientation]) + listed + b"\0\0"))
    with pytest.raises(FormatError, match=f"orientation {orientation}"):
        parse_header(start(SECTIONS_FLAG, 1, rest=bytes([orientation, 0, 8])))


@pytest.mark.parametrize(
    ("listed", "word"),
    [
        (b"", "no sections"),
        (b"\x81\5", "alpha section"),
        (b"\x42\0", "empty"),
        (b"\x42\1\x42\1", "order"),
        (b"\x48\1\x47\1", "order"),
        (b"\x40\1", "tag"),
        (b"\x80\1", "tag"),
        (b"\x01\1", "tag"),
        (b"\xc1\1", "tag"),
        (b"\x02\1", "tag"),
        (b"\xc2\1", "tag"),
        (b"\x83\1", "JPEG"),
        (b"\x85\1", "tag"),
        (b"\x86\1", "tag"),
        (b"\xc6\1", "low bits"),
        (b"\x87\1", "newer"),
        (b"\xff\1", "newer"),
        (b"\x42" + pack_varint(MAX_METADATA + 1), "bytes of metadata"),
    ],
)
def test_lists_of_sections_that_a_reader_refuses(listed: bytes, word: str) -> None:
    with pytest.raises(FormatError, match=word):
        parse_header(start(SECTIONS_FLAG, rest=b"\1" + listed + b"\0\x0a"))


def test_an_upright_jpeg_has_no_sections_and_never_metadata() -> None:
    with pytest.raises(FormatError, match="sections"):
        parse_header(start(SECTIONS_FLAG, 1, rest=b"\1\0\x08"))
    with pytest.raises(FormatError, match="JPEG"):
        parse_header(start(SECTIONS_FLAG, 1, rest=b"\1\x42\1\0\x08"))


@pytest.mark.parametrize("mode", [2, 3])
def test_a_stream_with_alpha_has_an_alpha_section(mode: int) -> None:
    for listed in (b"", b"\1\x42\1\0"):
        changed = bytearray(start(SECTIONS_FLAG * bool(listed), rest=listed + b"\x0a"))
        changed[2] += mode - 1
        with pytest.raises(FormatError, match="alpha"):
            parse_header(bytes(changed))


@pytest.mark.parametrize(
    ("flags", "kind"), [(0, 0), (TILED_FLAG, 0), (SECTIONS_FLAG, 0), (TILED_FLAG | SECTIONS_FLAG, 0), (0, 1)]
)
@pytest.mark.parametrize(
    ("width", "height"), [(1 << 31, 1 << 31), (1 << 34, 1), (MAX_PIXELS + 1, 1), (1 << 15, 1 << 14)]
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(flags: int, kind: int, width: int, height: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"{width} x {height}"):
            parse_header(start(flags, kind, width, height, pack_varint(1) + pack_varint(1) + pack_varint(255)))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ((1, 1), "chunks"),
        ((0, 8), "tiles of 0 x 8"),
        ((1 << 14, 1 << 14), "tiles of 16384 x 16384"),
        ((1 << 20, 1), "tiles of 1048576 x 1"),
    ],
)
def test_absurd_grids_are_refused(tile: tuple[int, int], message: str) -> None:
    rest = b"".join(map(pack_varint, (*tile, 1000)))
    with pytest.raises(FormatError, match=message):
        parse_header(start(TILED_FLAG, 0, 1 << 14, 1 << 14, rest))


@pytest.mark.parametrize("length", [0, 3 * 2048 - 1, 7 * 2048 + 1, MAX_VARINT])
def test_an_index_of_an_absurd_length_is_refused(length: int) -> None:
    rest = b"".join(map(pack_varint, (1 << 10, 1 << 10, length)))
    with pytest.raises(FormatError, match=f"{length} bytes .*2048 chunks"):
        parse_header(start(TILED_FLAG, 0, 1 << 14, 1 << 14, rest))


def test_a_claimed_index_is_not_read_beyond_the_data() -> None:
    chunks = 1 << 20
    head = start(TILED_FLAG, 0, 1 << 14, 1 << 14, b"".join(map(pack_varint, (64, 32, 3 * chunks))))
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError, match=f"at least {len(head) + 3 * chunks + 2} "):
            parse_header(head + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (b"\x81\x01\0\0" + 14 * b"\1\0\0" + b"\1\0", "fewer than 16 chunks"),
        (16 * b"\1\0\0" + b"\0", "more than 16 chunks"),
        (b"\x81\x00\0\0" + 15 * b"\1\0\0", "16 chunks"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(entries: bytes, message: str) -> None:
    head = start(TILED_FLAG, 0, 40, 20, b"".join(map(pack_varint, (20, 20, len(entries)))))
    with pytest.raises(FormatError, match=message) as found:
        parse_header(head + with_crc(entries) + BODY)
    assert found.type is FormatError


def test_one_stream_for_a_large_image_is_refused() -> None:
    with pytest.raises(FormatError, match="16384 x 16384"):
        parse_header(start(0, 0, 1 << 14, 1 << 14, b"\x08"))


# --- writing

FEW = replace(INDEX, lengths=(1, 2))


@pytest.mark.parametrize(
    "header",
    [
        replace(PLAIN, width=0, height=1),
        replace(PLAIN, width=-1, height=-1),
        replace(PLAIN, mode="CMYK"),
        replace(PLAIN, effort=9),
        replace(PLAIN, levels=3),
        replace(PLAIN, model_number=256),
        replace(PLAIN, model_number=-1),
        replace(PLAIN, model_id=MODEL_ID),
        replace(OTHER_MODEL, model_id=b"abc"),
        replace(PLAIN, state_bytes=3),
        replace(PLAIN, state_bytes=9),
        replace(LARGE, state_bytes=5),
        replace(PLAIN, orientation=6),
        replace(GREY_ALPHA, alpha_length=0),
        replace(GREY_ALPHA, orientation=9),
        replace(PLAIN, payload_length=9),
        replace(GREY_ALPHA, payload_length=17),
        replace(GREY_ALPHA, payload_length=2),
        replace(PLAIN, alpha_length=1),
        replace(FROM_JPEG, orientation=0),
        replace(FROM_JPEG, width=65536, height=1),
        replace(FROM_JPEG, kind="gif"),
        replace(FROM_JPEG, frame_length=0),
        replace(FROM_JPEG, recipe_length=0),
        replace(FROM_JPEG, mode="RGBA", alpha_length=3),
        replace(FROM_JPEG, metadata_length=3),
        replace(FROM_JPEG, levels=2),
        replace(FROM_JPEG, effort=0),
        replace(FROM_JPEG, index=Index(48, 16, (1,) * 8, (1,) * 8)),
        replace(PLAIN, frame_length=3),
        replace(PLAIN, metadata_length=MAX_METADATA + 1),
        replace(LARGE, index=FEW),
        replace(LARGE, payload_length=1),
    ],
)
def test_a_header_that_cannot_be_read_back_is_not_written(header: Header) -> None:
    with pytest.raises(FormatError):
        pack_header(header)


@pytest.mark.parametrize("header", [PLAIN, OTHER_MODEL, GREY_ALPHA, FROM_JPEG, LARGE])
def test_headers_that_these_are_like_are_written(header: Header) -> None:
    assert parse_header(pack_header(header) + BODY).width == header.width
