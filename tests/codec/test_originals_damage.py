"""JPEG files that are stored: prefixes, damage, and what claims to be far larger than it is."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from file_sections import split
from jpegs import ARITHMETIC, encoded, jpeg_of, needs_libjxl, turned
from PIL import Image, ImageFile

from ddpmcodec import codec
from ddpmcodec.codec import originals
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.ddpm import assemble
from ddpmcodec.format.header import JPEG, JPEG_XL, Header
from ddpmcodec.format.jpeg_xl import size_of
from ddpmcodec.format.varint import pack_varint

pytestmark = needs_libjxl


def test_a_prefix_shows_the_mean_colour_upright_and_loses_nothing_that_was_said() -> None:
    jpeg = jpeg_of(exif=turned(8))
    data = encoded(jpeg)
    start = codec.info(data)["header_bytes"]
    for size in (start, start + 3, len(data) // 2, len(data) - 1):
        preview = decode_details(data[:size], partial=True)
        assert (preview.exact, preview.steps_done, preview.damaged) == (False, 0, False)
        assert preview.image.getexif()[0x112] == 8
        shown, real = np.asarray(preview.image), np.asarray(codec.decode(data))
        assert np.array_equal(np.unique(shown.reshape(-1, 3), axis=0), np.rint(real.mean((0, 1)))[None])
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(TruncatedError):
                read(data[:size])
    with pytest.raises(FormatError, match="1 byte"):
        codec.decode_original(data + b"x")
    lossy = codec.truncate(data, bytes=start + 50, mark=True)
    assert codec.decode(lossy).size == (200, 150)
    with pytest.raises(TruncatedError):
        codec.decode_original(lossy)


def test_bytes_that_arrive_show_the_mean_colour_and_then_the_image() -> None:
    data = encoded(jpeg_of())
    decoder = ProgressiveDecoder()
    shown = [decoder.feed(data[start : start + 500]) for start in range(0, len(data), 500)]
    assert [place for place, image in enumerate(shown) if image is not None] == [0, len(shown) - 1]
    assert decoder.complete
    assert decoder.close() == codec.decode(data)


@pytest.mark.parametrize("jpeg", [jpeg_of(), ARITHMETIC], ids=["by JPEG XL", "as it was"])
def test_a_damaged_byte_is_found_or_changes_nothing(jpeg: bytes) -> None:
    """Some bytes of a container of JPEG XL say nothing of the image."""
    data, found = encoded(jpeg), 0
    for place in np.random.default_rng(3).integers(split(data).start, len(data), 40).tolist():
        damaged = data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :]
        try:
            assert codec.decode_original(damaged) == jpeg
        except (CorruptError, ChecksumError):
            found += 1
            with pytest.raises((CorruptError, ChecksumError)):
                codec.decode(damaged)
            preview = decode_details(damaged, partial=True)
            assert (preview.exact, preview.damaged) == (False, True)
    assert found > 35


def forged(
    kind: str, stored: bytes, length: int, size: tuple[int, int] = (200, 150), check: int | None = None
) -> bytes:
    crc = zlib.crc32(stored) if check is None else check
    payload = crc.to_bytes(4, "little") + pack_varint(length) + stored
    return assemble(Header("RGB", *size, kind=kind, mean_colour=b"abc"), b"", payload, b"")


def padded(jpeg: bytes, segments: int) -> bytes:
    """With so many times 64 KiB of zeros as metadata, which JPEG XL makes hundreds of bytes of."""
    return jpeg[:2] + segments * (b"\xff\xef\xff\xff" + bytes(65533)) + jpeg[2:]


def test_a_jpeg_that_would_be_a_bomb_is_stored_as_it_is() -> None:
    for segments, kind in ((1, JPEG_XL), (20, JPEG)):
        jpeg = padded(jpeg_of(), segments)
        data = encoded(jpeg)
        assert (split(data).header.kind, codec.decode_original(data) == jpeg) == (kind, True)


def test_a_bomb_gets_no_more_memory_than_its_size_allows() -> None:
    """Whether it says what it holds or less."""
    jpeg = padded(jpeg_of(), 20)
    bomb = originals.transcoder().jpegxl_encode_jpeg(jpeg)  # type: ignore[union-attr]
    for length, text in ((len(jpeg), f"{len(bomb)} .*{len(jpeg)}"), (9999, "does not decode")):
        with pytest.raises(CorruptError, match=text):
            codec.decode_original(forged(JPEG_XL, bomb, length, check=zlib.crc32(jpeg)))


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
    small = originals.transcoder().jpegxl_encode_jpeg(jpeg)  # type: ignore[union-attr]
    check = zlib.crc32(jpeg)
    assert codec.decode_original(forged(JPEG_XL, small, len(jpeg), check=check)) == jpeg
    for data, text in (
        (forged(JPEG_XL, small, len(jpeg), (150, 200), check), "200 x 150 pixels"),
        (forged(JPEG_XL, small[12:], len(jpeg), check=check), "no JPEG XL container"),
        (forged(JPEG_XL, b"", 0), "no JPEG XL container"),
        (forged(JPEG_XL, small, 1 << 31, check=check), "2147483648"),
        (assemble(Header("RGB", 9, 9, kind=JPEG, mean_colour=b"abc"), b"", b"abc", b""), "beginning"),
    ):
        with pytest.raises(CorruptError, match=text):
            codec.decode_original(data)
        with pytest.raises(CorruptError, match=text):
            codec.decode(data)
    for data in (forged(JPEG_XL, small, len(jpeg) + 1, check=check), forged(JPEG_XL, small, len(jpeg), check=1)):
        with pytest.raises(ChecksumError, match="not the one"):
            codec.decode_original(data)
    with pytest.raises(CorruptError, match="200 x 150 RGB"):
        codec.decode(forged(JPEG, jpeg, len(jpeg), (150, 200)))
    with pytest.raises(CorruptError, match="JPEG inside"):
        codec.decode(forged(JPEG, b"no JPEG", 7))
    with pytest.raises(ImageError, match="1000"):
        codec.decode_original(forged(JPEG, jpeg, len(jpeg)), max_pixels=1000)


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (64, 256), (48, 40), (512, 384), (3, 400), (320, 180), (521, 1)])
def test_the_size_of_a_jpeg_xl_file_is_read(size: tuple[int, int]) -> None:
    stream = BytesIO()
    Image.new("RGB", size, "teal").save(stream, "JPEG")
    assert size_of(originals.transcoder().jpegxl_encode_jpeg(stream.getvalue())) == size  # type: ignore[union-attr]
