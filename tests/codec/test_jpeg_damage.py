"""JPEG files that are stored: prefixes, damage, and what claims to be far larger than it is."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from jpegs import ARITHMETIC, encoded, jpeg_of
from PIL import Image, ImageFile

from ddpmcodec import codec
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.ddpm import assemble
from ddpmcodec.format.header import JPEG, Header
from ddpmcodec.format.varint import pack_varint


def test_a_prefix_of_a_file_that_is_stored_as_it_was_shows_the_mean_colour() -> None:
    data = encoded(ARITHMETIC)
    start = codec.info(data)["header_bytes"]
    for size in (start, start + 3, len(data) // 2, len(data) - 1):
        preview = decode_details(data[:size], partial=True)
        assert (preview.exact, preview.steps_done, preview.damaged) == (False, 0, False)
        shown, real = np.asarray(preview.image), np.asarray(codec.decode(data))
        assert np.array_equal(np.unique(shown.reshape(-1, 3), axis=0), np.rint(real.mean((0, 1)))[None])
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(TruncatedError):
                read(data[:size])
    with pytest.raises(FormatError, match="1 byte"):
        codec.decode_original(data + b"x")
    lossy = codec.truncate(data, bytes=start + 50, mark=True)
    assert codec.decode(lossy).size == (32, 24)
    with pytest.raises(TruncatedError):
        codec.decode_original(lossy)


@pytest.mark.parametrize("jpeg", [jpeg_of(), ARITHMETIC], ids=["coefficients", "as it was"])
def test_a_damaged_byte_is_found(jpeg: bytes) -> None:
    data = encoded(jpeg)
    for place in np.random.default_rng(3).integers(codec.info(data)["header_bytes"], len(data), 40).tolist():
        damaged = data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :]
        for read in (codec.decode_original, codec.decode):
            with pytest.raises(FormatError):
                read(damaged)
        assert not decode_details(damaged, partial=True).exact


def forged(
    kind: str, stored: bytes, length: int, size: tuple[int, int] = (200, 150), check: int | None = None
) -> bytes:
    crc = zlib.crc32(stored) if check is None else check
    payload = crc.to_bytes(4, "little") + pack_varint(length) + stored
    return assemble(Header("RGB", *size, kind=kind, mean_colour=b"abc"), b"", payload, b"")


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
    ("stored", "text"),
    [(huge_jpeg(), "13000 x 13000"), (huge_png(), "is none"), (b"no JPEG", "is none")],
    ids=["a JPEG of another size", "another format", "no image"],
)
def test_what_a_jpeg_claims_is_checked_before_there_are_pixels(
    monkeypatch: pytest.MonkeyPatch, stored: bytes, text: str
) -> None:
    """It once took 1.6 GB for 538 bytes whose header claimed a hundred pixels."""
    data = forged(JPEG, stored, len(stored), (10, 10))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("pixels are decoded"))
    for box in (None, (0, 0, 2, 2)):
        with pytest.raises(CorruptError, match=f"JPEG inside .*{text}"):
            codec.decode(data, max_pixels=100, box=box)
    assert decode_details(data, partial=True, max_pixels=100).damaged


def test_what_a_payload_claims_is_checked_before_it_is_decoded() -> None:
    jpeg = jpeg_of()
    for data, text in (
        (forged(JPEG, jpeg, 1 << 31), "2147483648"),
        (assemble(Header("RGB", 9, 9, kind=JPEG, mean_colour=b"abc"), b"", b"abc", b""), "beginning"),
    ):
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(CorruptError, match=text):
                read(data)
    for data in (forged(JPEG, jpeg, len(jpeg) + 1), forged(JPEG, jpeg, len(jpeg), check=1)):
        with pytest.raises(ChecksumError, match="not the one"):
            codec.decode_original(data)
    with pytest.raises(CorruptError, match="200 x 150 RGB"):
        codec.decode(forged(JPEG, jpeg, len(jpeg), (150, 200)))
    with pytest.raises(CorruptError, match="JPEG inside"):
        codec.decode(forged(JPEG, b"no JPEG", 7))
    with pytest.raises(ImageError, match="1000"):
        codec.decode_original(forged(JPEG, jpeg, len(jpeg)), max_pixels=1000)
