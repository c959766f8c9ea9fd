"""The orientation in EXIF: as Pillow finds it, and of hostile bytes 1."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec.formats.metadata import orientation_of
from native_testing import testing

MARK = b"Exif\0\0"
ORIENTATION, MAKER = 0x112, 0x10F
BYTE, TEXT, SHORT, LONG, FRACTION, LONG8 = 1, 2, 3, 4, 5, 16


def entry(order: str, tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HHI4s", tag, kind, count, value)


def exif(order: str, *entries: bytes, tail: bytes = b"", magic: int = 42) -> bytes:
    """A TIFF structure of one directory at byte 8; the tail follows it."""
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", magic, 8, len(entries))
    return start + b"".join(entries) + bytes(4) + tail


def turned(order: str, value: int, kind: int = SHORT) -> bytes:
    return exif(
        order, entry(order, ORIENTATION, kind, 1, struct.pack(f"{order}{'H' if kind == SHORT else 'I'}", value))
    )


@pytest.mark.parametrize("start", [b"", MARK, MARK * 2], ids=len)
@pytest.mark.parametrize("order", "<>")
def test_both_byte_orders_with_and_without_a_start(order: str, start: bytes) -> None:
    for value in range(12):
        data = start + turned(order, value)
        assert testing.orientation_of(data) == orientation_of(data) == (value if 1 <= value <= 8 else 1)


@pytest.mark.parametrize("order", "<>")
def test_types_and_places_of_the_value(order: str) -> None:
    at_26 = struct.pack(f"{order}I", 26)
    three = struct.pack(f"{order}HH", 6, 3)
    for data, expected in [
        (turned(order, 5, LONG), 5),
        (exif(order, entry(order, ORIENTATION, SHORT, 2, three)), 6),
        (exif(order, entry(order, ORIENTATION, SHORT, 3, at_26), tail=three * 2), 6),
        (exif(order, entry(order, ORIENTATION, LONG8, 1, at_26), tail=struct.pack(f"{order}Q", 8)), 8),
        (exif(order, entry(order, ORIENTATION, BYTE, 1, b"\6\0\0\0")), 1),
        (exif(order, entry(order, ORIENTATION, 99, 1, three), entry(order, ORIENTATION, SHORT, 1, three)), 6),
        (exif(order, entry(order, ORIENTATION, SHORT, 0, three), entry(order, ORIENTATION, SHORT, 1, three)), 6),
        (exif(order, entry(order, ORIENTATION, SHORT, 1, three[2:]), entry(order, ORIENTATION, SHORT, 1, three)), 3),
    ]:
        assert testing.orientation_of(data) == orientation_of(data) == expected


def test_a_value_beyond_the_end_is_none() -> None:
    for count, place in [(3, 999), (3, 2**32 - 1), (2**32 - 1, 8)]:
        assert testing.orientation_of(exif("<", entry("<", ORIENTATION, SHORT, count, struct.pack("<I", place)))) == 1
    assert testing.orientation_of(b"II*\0\xff\xff\xff\xff" + turned("<", 6)[8:]) == 1


def test_every_prefix_is_read() -> None:
    tags = Image.Exif()
    tags[MAKER], tags[ORIENTATION], tags[0x8825] = "A maker", 6, {1: "N", 2: (1.0, 2.0, 3.0)}
    data = tags.tobytes()
    assert testing.orientation_of(data) == 6
    for count in range(len(data)):
        assert testing.orientation_of(data[:count]) in (1, 6)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", MARK, b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0\x02\0\x12\1", b"MM\0*\0\0\0\x08\0\2\1\x12"]),
)
def test_any_bytes_have_an_orientation(data: bytes, start: bytes) -> None:
    assert 1 <= testing.orientation_of(start + data) <= 8
    assert len(testing.exif_of_jpeg(b"\xff\xd8" + start + data)) <= len(data) + len(start)


def test_the_exif_of_a_jpeg_file() -> None:
    stream, tags = BytesIO(), Image.Exif()
    tags[ORIENTATION] = 8
    Image.new("L", (8, 8)).save(stream, "JPEG", exif=tags, comment=b"before")
    jpeg = stream.getvalue()
    assert testing.exif_of_jpeg(jpeg) == Image.open(stream).info["exif"] == tags.tobytes()
    segment = jpeg[jpeg.index(b"\xff\xe1") :][: len(tags.tobytes()) + 4]
    for others in (b"\xff\xff\xff\xe1\0\x08Exif\0\0" + segment, segment[:-1] + b"x" + b"\xff\xe1\0\4xx"):
        changed = jpeg[:2] + others + jpeg[2:]
        assert testing.exif_of_jpeg(changed) == Image.open(BytesIO(changed)).info["exif"]
    assert testing.exif_of_jpeg(jpeg.replace(b"Exif", b"exif")) == testing.exif_of_jpeg(b"") == b""
    assert testing.exif_of_jpeg(jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xda\0\4xx" + segment) == tags.tobytes()
