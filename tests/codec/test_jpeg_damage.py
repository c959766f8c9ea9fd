"""Files of JPEG files: prefixes, damage, and what claims to be far larger than it is."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from jpegs import encoded, jpeg_of
from PIL import Image, ImageFile

from ddpmcodec import codec
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.jpeg import planes_of_jpeg
from ddpmcodec.errors import CorruptError, FormatError, ImageError, TruncatedError


def test_a_cut_file_gives_no_original() -> None:
    data = encoded(jpeg_of())
    start = codec.info(data)["header_bytes"]
    for size in (start, start + 3, len(data) // 2, len(data) - 1):
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(TruncatedError):
                read(data[:size])
    with pytest.raises(FormatError, match="1 byte"):
        codec.decode_original(data + b"x")
    lossy = codec.truncate(data, bytes=start + 50, mark=True)
    assert codec.decode(lossy).size == (200, 150)
    with pytest.raises(TruncatedError):
        codec.decode_original(lossy)


def test_a_damaged_byte_is_found() -> None:
    data = encoded(jpeg_of())
    for place in np.random.default_rng(3).integers(codec.info(data)["header_bytes"], len(data), 40).tolist():
        damaged = data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :]
        for read in (codec.decode_original, codec.decode):
            with pytest.raises(FormatError):
                read(damaged)
        assert not decode_details(damaged, partial=True).exact


def huge_jpeg() -> bytes:
    """A few hundred bytes that claim 169 megapixels."""
    jpeg = jpeg_of(size=(16, 16), progressive=True)
    place = jpeg.index(b"\xff\xc2") + 5
    return jpeg[:place] + struct.pack(">HH", 13000, 13000) + jpeg[place + 4 :]


def huge_png() -> bytes:
    stream = BytesIO()
    Image.new("1", (13000, 13000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [(huge_jpeg(), "13000 x 13000"), (huge_png(), "is none"), (b"no JPEG", "is none")],
    ids=["a JPEG of another size", "another format", "no image"],
)
def test_what_a_jpeg_claims_is_checked_before_there_are_pixels(
    monkeypatch: pytest.MonkeyPatch, content: bytes, text: str
) -> None:
    """It once took 1.6 GB for 538 bytes whose header claimed a hundred pixels."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("pixels are decoded"))
    with pytest.raises(CorruptError, match=f"JPEG inside .*{text}"):
        planes_of_jpeg(content, ("RGB", 10, 10))


def test_more_pixels_than_are_allowed_are_refused() -> None:
    with pytest.raises(ImageError, match="1000"):
        codec.decode_original(encoded(jpeg_of()), max_pixels=1000)
