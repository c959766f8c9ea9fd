"""What Pillow would leave out of an image without a word is refused, from real files of each kind."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.errors import ImageError
from ddpmcodec.images import load_image, to_planes
from ddpmcodec.left_out import TOO_DEEP, left_out

PIXELS = np.random.Generator(np.random.Philox(3)).integers(0, 256, (8, 12, 3), dtype=np.uint8)
DEEP, OTHER = "more than 8 bits per sample", "{} channels, of which {} would be kept"


def stored(file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(PIXELS).save(stream, file_format, **options)
    return stream.getvalue()


def tiff(
    samples: int, *, bits: int = 8, extra: tuple[int, ...] = (), planar: bool = False, signed: bool = False,
    thumbnail: bool = False, directories: bool = False,
) -> bytes:  # fmt: skip
    """Not compressed, of 12 x 8 pixels, all samples 3."""
    plane = 12 * 8 * bits // 8
    tags: dict[int, tuple[int, ...]] = {
        256: (12,), 257: (8,), 258: (bits,) * samples, 259: (1,), 262: (2 if samples >= 3 else 1,),
        277: (samples,), 278: (8,), 284: (2 if planar else 1,),
    }  # fmt: skip
    if extra:
        tags[338] = extra
    if signed:
        tags[339] = (2,) * samples
    tags |= {254: (1,)} if thumbnail else {}
    tags |= {330: (8,)} if directories else {}
    strips = samples if planar else 1
    start = 8
    body = bytes([3]) * (plane * samples)
    tags[273] = tuple(start + plane * k for k in range(strips))
    tags[279] = (plane * samples // strips,) * strips
    entries, tail = b"", b""
    directory = start + len(body)
    place = directory + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            packed, tail = struct.pack("<I", place + len(tail)), tail + packed
        entries += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", directory) + body + struct.pack("<H", len(tags)) + entries + bytes(4) + tail


def bmp(bits: int, masks: tuple[int, ...], body: bytes) -> bytes:
    """Of 12 x 8 pixels, with the masks of its channels."""
    head = struct.pack("<IiiHHIIiiII", 108, 12, 8, 1, bits, 3, len(body), 0, 0, 0, 0)
    head += struct.pack("<4I", *masks, *(0,) * (4 - len(masks))) + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def bgrx(fourth: bytes) -> bytes:
    return bmp(32, (0xFF0000, 0xFF00, 0xFF), b"".join(b"abc" + fourth[k % len(fourth) :][:1] for k in range(96)))


def sgi(bytes_of_sample: int) -> bytes:
    head = struct.pack(">hBBHHHHll", 474, 0, bytes_of_sample, 3, 12, 8, 3, 0, 255).ljust(512, b"\0")
    return head + bytes(12 * 8 * 3 * bytes_of_sample)


def deep_jpeg_2000(**options: Any) -> bytes:
    """One whose samples are said to have 12 bits."""
    data = bytearray(stored("JPEG2000", **options))
    first = data.index(b"\xff\x4f\xff\x51") + 4 + 38
    assert data[first : first + 9 : 3] == b"\7\7\7"
    data[first : first + 9 : 3] = b"\x0b\x0b\x0b"
    return bytes(data)


def behind_a_large_box(data: bytes) -> bytes:
    """As of metadata, which may stand before the image."""
    start = data.index(b"jp2c") - 4
    return data[:start] + (8 + 500_000).to_bytes(4, "big") + b"uuid" + bytes(500_000) + data[start:]


REFUSED = {
    "TIFF, 16 bits": (tiff(3, bits=16), DEEP),
    "TIFF, 16 bits, planes": (tiff(3, bits=16, planar=True), DEEP),
    "TIFF, infrared": (tiff(4, extra=(0,)), OTHER.format(4, 3)),
    "TIFF, alpha and one more": (tiff(5, extra=(2, 0)), OTHER.format(5, 4)),
    "TIFF, premultiplied": (tiff(4, extra=(1,)), "multiplied by alpha"),
    "TIFF, signed": (tiff(1, signed=True), "no unsigned integers"),
    "TIFF, a thumbnail first": (tiff(3, thumbnail=True), "smaller ones of it"),
    "TIFF, directories below": (tiff(3, directories=True), "smaller ones of it"),
    "BMP, a fourth byte": (bgrx(b"\0\x80\xff"), "a fourth byte of each pixel"),
    "JPEG 2000": (deep_jpeg_2000(), DEEP),
    "JPEG 2000, behind a large box": (behind_a_large_box(deep_jpeg_2000()), DEEP),
    "JPEG 2000, no container": (deep_jpeg_2000(no_jp2=True), DEEP),
    "SGI": (sgi(2), DEEP),
    "ICO": (stored("ICO", sizes=[(8, 8), (6, 6)]), "images of several sizes"),
}
TAKEN = {
    "TIFF": tiff(3),
    "TIFF, planes": tiff(3, planar=True),
    "TIFF, alpha": tiff(4, extra=(2,)),
    "TIFF, grey": tiff(1),
    "BMP, a fourth byte of zeros": bgrx(b"\0"),
    "BMP, a fourth byte of ones": bgrx(b"\xff"),
    "BMP, 5-6-5": bmp(16, (0xF800, 0x7E0, 0x1F), b"ab" * 96),
    "BMP, 5-5-5": bmp(16, (0x7C00, 0x3E0, 0x1F), b"ab" * 96),
    "JPEG 2000": stored("JPEG2000"),
    "JPEG 2000, behind a large box": behind_a_large_box(stored("JPEG2000")),
    "AVIF": stored("AVIF"),
    "SGI": sgi(1),
    "ICO": stored("ICO", sizes=[(8, 8)]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_left_out_is_refused(kind: str) -> None:
    data, problem = REFUSED[kind]
    with pytest.raises(ImageError, match=f"photo: .*{problem}"):
        load_image(data, "photo", any_format=True)
    with pytest.raises(ImageError, match=problem):
        to_planes(Image.open(BytesIO(data)))


def test_avif_of_ten_bits_is_refused() -> None:
    """Pillow writes none: the box that says so is changed in a file that is open."""
    data = bytearray(stored("AVIF"))
    image: Any = Image.open(BytesIO(data))
    assert left_out(image) is None
    data[data.index(b"av1C") + 6] |= 0x40
    image.fp = BytesIO(data)
    assert left_out(image) == TOO_DEEP


@pytest.mark.parametrize("kind", TAKEN)
def test_the_same_files_are_taken_where_nothing_is_left_out(kind: str) -> None:
    image = load_image(TAKEN[kind], "photo", any_format=True)
    assert to_planes(image).colour.shape[:2] == (image.height, image.width)


@pytest.mark.parametrize("file_format", ["JPEG2000", "AVIF", "ICO", "TGA", "PCX", "DDS"])
def test_formats_whose_readers_may_leave_something_out_need_a_word(file_format: str) -> None:
    data = stored(file_format)
    with pytest.raises(ImageError, match=f"^photo: what Pillow reads of {file_format} files may not be all"):
        load_image(data, "photo")
    assert load_image(data, "photo", any_format=True).format == file_format


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "QOI"])
def test_known_formats_need_none(file_format: str) -> None:
    assert load_image(stored(file_format), "photo").format == file_format
