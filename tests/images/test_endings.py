"""Ends of image files: bytes after them are counted, and a file that ends too early is refused."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import ICC, bmp_with_profile, picture, stored

from ddpmcodec.endings import following
from ddpmcodec.errors import ImageError
from ddpmcodec.images import load_image, to_image, to_planes

RLE = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, 1, 4, 0, 0, 1, 0) + bytes(4) + b"\4\0\0\1"
QOI_HEAD = b"qoif" + struct.pack(">IIBB", 6, 1, 4, 0)
FILES = {
    "PNG": stored(picture("RGB"), "PNG"),
    "GIF": stored(picture("RGB"), "GIF", comment=b"x" * 700),
    "GIF, interlaced": stored(picture("L"), "GIF", interlace=1),
    "WebP": stored(picture("RGB"), "WEBP"),
    "WebP with a profile": stored(picture("RGBA"), "WEBP", lossless=True, icc_profile=ICC + b"x"),
    "QOI": stored(picture("RGB"), "QOI"),
    "QOI, alpha": stored(picture("RGBA"), "QOI"),
    "QOI, one run": QOI_HEAD + b"\xc5" + bytes(7) + b"\1",
    "BMP": stored(picture("RGB"), "BMP"),
    "BMP with a profile": bmp_with_profile(b"DEBM", ICC),
    "BMP, RLE": b"BM" + struct.pack("<IHHI", 14 + len(RLE), 0, 0, 58) + RLE,
    "BMP of OS/2": b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 1, 2, 1, 24) + bytes(8),
    **{f"BMP, {mode}": stored(picture(mode), "BMP") for mode in ("1", "L")},
    **{f"DIB, {mode}": stored(picture(mode), "DIB") for mode in ("1", "L", "RGB")},
    "PBM": b"P4 # 9 8\n12 8\n" + b"7 " * 8,
    "PGM": b"P5 12 8 200 " + bytes(96),
    "PPM": stored(picture("RGB"), "PPM"),
}


@pytest.mark.parametrize("kind", FILES)
def test_bytes_after_the_end_are_counted(kind: str) -> None:
    for appended in (b"", b"x", FILES[kind], b"\xff\0;" * 1737):
        load_image(FILES[kind] + (appended if kind not in ("PBM", "PGM", "PPM") else b""), "x")
        assert following(FILES[kind] + appended) == len(appended)


@pytest.mark.parametrize("size", [0, 1, 2**31])
def test_a_bmp_ends_after_its_pixels_if_its_head_is_wrong(size: int) -> None:
    file = FILES["BMP"][:2] + struct.pack("<I", size) + FILES["BMP"][6:]
    assert (following(file), following(file + b"xyz")) == (0, 3)


def test_padding_that_its_head_counts_belongs_to_a_bmp() -> None:
    file = FILES["BMP"]
    padded = file[:2] + struct.pack("<I", len(file) + 2) + file[6:] + bytes(2)
    assert (following(padded), following(padded + b"x")) == (0, 1)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "ICO"])
def test_other_formats_do_not_say_where_they_end(file_format: str) -> None:
    assert following(stored(picture("RGB"), file_format) + b"x") == 0


def test_a_line_may_end_after_the_samples_of_a_pnm() -> None:
    assert following(FILES["PPM"] + b"\r\n") == 0


def test_a_cut_end_of_a_qoi_is_nothing_that_is_lost() -> None:
    assert [following(FILES["QOI"][:-count]) for count in range(8)] == [0] * 8


def test_every_cut_of_a_gif_is_an_error() -> None:
    """Also between the frames of an animation, which Pillow takes for the end."""
    file = stored(
        picture("L").crop((0, 0, 5, 4)), "GIF", save_all=True, append_images=[picture("L").crop((2, 2, 7, 6))]
    )
    for end in range(len(file)):
        with pytest.raises(ImageError, match=r"^x: "):
            load_image(file[:end], "x")


def test_between_blocks_of_a_gif_there_are_zeros_at_most() -> None:
    file = FILES["GIF"]
    assert load_image(file[:-1] + b"\0;", "x").size == (24, 20)
    with pytest.raises(ImageError, match="begin a block"):
        load_image(file[:-1] + b"x;", "x")


BLACK, RED, NOTHING = (0, 0, 0, 255), (200, 0, 0, 255), (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("chunks", "pixels"),
    [
        (b"\xc1\xff\xc8\0\0\xff\x35\xc1", [BLACK, BLACK, RED, BLACK, BLACK, BLACK]),
        (b"\xc0\xff\xc8\0\0\xff\x35\xc2", [BLACK, RED, BLACK, BLACK, BLACK, BLACK]),
        (b"\xff\xc8\0\0\xff\x35\xc3", [RED, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]),
    ],
)
def test_the_start_pixel_of_a_qoi_is_found_by_its_index(
    tmp_path: Path, chunks: bytes, pixels: list[tuple[int, ...]]
) -> None:
    """As by the reference decoder, after a run of that pixel begins the file. Pillow forgets it then."""
    file = QOI_HEAD + chunks + bytes(7) + b"\1"
    (tmp_path / "a.qoi").write_bytes(file)
    for image in (load_image(file, "x"), Image.open(BytesIO(file)), Image.open(tmp_path / "a.qoi")):
        assert np.asarray(to_image(to_planes(image)))[0].tolist() == [list(pixel) for pixel in pixels]


def test_qoi_files_of_pillow_are_read_as_they_were_written() -> None:
    black = np.zeros((9, 70, 3), np.uint8)
    black[4, 5:] = 7
    for image in (Image.fromarray(black), picture("RGBA")):
        found = load_image(stored(image, "QOI"), "x")
        assert np.array_equal(np.asarray(found), np.asarray(image))
