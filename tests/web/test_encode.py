"""Files that JavaScript encodes are those that Python encodes, byte for byte. In Node.js."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from jpegs import jpeg_of, turned
from PIL import Image
from samples import ICC, KEYS, LAYOUTS, PLAIN_PALETTE, XMP, chunk, exif, picture, png_head, png_of, stored, stored_as

import ddpmcodec
from ddpmcodec.formats.image_files import load_image
from ddpmcodec.formats.images import Planes, to_planes
from node_decoder import MODEL, ROOT, Node, error_of

RGB = np.random.default_rng(2).integers(0, 256, (9, 13, 3), dtype=np.uint8)


def file_of(answer: dict[str, Any]) -> bytes:
    assert "error" not in answer, answer
    return base64.b64decode(answer["file"])


def samples_of(answer: dict[str, Any]) -> np.ndarray:
    """[H, W, C]."""
    assert "error" not in answer, answer
    values = np.frombuffer(base64.b64decode(answer["data"]), f"<u{answer['bits'] // 8}")
    return values.reshape(answer["height"], answer["width"], answer["channels"])


def stacked(planes: Planes) -> np.ndarray:
    return planes.colour if planes.alpha is None else np.dstack([planes.colour, planes.alpha])


# --- files


@pytest.mark.parametrize(
    "options", [{}, {"effort": 1, "levels": 2}, {"effort": 0}, {"effort": 3, "levels": 0, "tile": 64}], ids=str
)
def test_a_photograph_has_the_bytes_that_python_writes(node: Node, options: dict[str, int]) -> None:
    image = Image.open(ROOT / "docs" / "photo.png").convert("RGB").crop((0, 0, 90, 70))
    assert file_of(node.ask("encode", stored(image, "PNG"), **options)) == ddpmcodec.encode(image, **options)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_pixels_of_every_mode_have_the_bytes_that_python_writes(node: Node, mode: str) -> None:
    image = picture(mode)
    assert file_of(node.ask("encode", stored(image, "PNG"), effort=1)) == ddpmcodec.encode(image, effort=1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("levels", [0, 1])
def test_a_jpeg_is_coded_from_its_bytes(node: Node, mode: str, levels: int) -> None:
    jpeg = jpeg_of(mode, quality=90, exif=turned(6))
    file = file_of(node.ask("encode", jpeg, effort=1, levels=levels))
    assert file == ddpmcodec.encode(BytesIO(jpeg), effort=1, levels=levels)
    assert ddpmcodec.decode_original(file) == jpeg


def test_samples_of_sixteen_bits_are_kept(node: Node) -> None:
    values = np.random.default_rng(3).integers(0, 1 << 16, (20, 24), dtype=np.uint16)
    expected = ddpmcodec.encode(Image.fromarray(values), effort=1)
    assert file_of(node.ask("encode", stored(Image.fromarray(values), "PNG"), effort=1)) == expected
    pixels = {"width": 24, "height": 20, "channels": 1, "bits": 16}
    assert file_of(node.ask("encode", values.astype("<u2").tobytes(), pixels=pixels, effort=1)) == expected


def test_profile_exif_and_xmp_are_kept(node: Node) -> None:
    image = Image.fromarray(RGB)
    image.info.update(icc_profile=ICC, exif=exif(), xmp=XMP)
    file = stored(image, "PNG", icc_profile=ICC, exif=exif())
    text = b"XML:com.adobe.xmp\0%s\0\0%s"
    for xmp in (text % (b"\0\0", XMP), text % (b"\1\0", zlib.compress(XMP))):
        described = file[:33] + chunk(b"iTXt", xmp) + file[33:]
        assert file_of(node.ask("encode", described, effort=1)) == ddpmcodec.encode(image, effort=1)
        assert node.ask("read", described)["lost"] == []


def test_pixels_may_be_those_of_a_canvas(node: Node) -> None:
    """Which have no channels."""
    rgba = np.dstack([RGB, RGB[..., 0]])
    answer = node.ask("encode", rgba.tobytes(), pixels={"width": 13, "height": 9}, effort=1)
    assert file_of(answer) == ddpmcodec.encode(rgba, effort=1)


def test_a_model_of_ones_own_codes_pixels(node: Node) -> None:
    answer = node.ask("encode", stored(Image.fromarray(RGB), "PNG"), effort=1, model=str(MODEL))
    assert file_of(answer) == ddpmcodec.encode(RGB, effort=1, model=MODEL)


# --- reading


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize(("depth", "colour_type"), LAYOUTS)
def test_a_png_is_read_to_its_samples(
    node: Node, depth: int, colour_type: int, has_key: bool, interlaced: bool
) -> None:
    if has_key and colour_type not in KEYS:
        return
    chunks = [PLAIN_PALETTE] if colour_type == 3 else []
    chunks += [(b"tRNS", KEYS[colour_type])] if has_key else []
    file = stored_as(depth, colour_type, interlaced=interlaced, chunks=chunks)
    expected, found = to_planes(load_image(file, "file")), node.ask("read", file + b"more")
    assert found["mode"] == expected.mode
    assert np.array_equal(samples_of(found), stacked(expected))
    assert found["lost"] == ["tEXt", "bytes after its end"]


def test_filtered_rows_are_read(node: Node) -> None:
    ramp = np.cumsum(RGB % 5, axis=0, dtype=np.uint8)
    rows = b"".join(bytes([k % 5]) + filtered(k % 5, ramp, k).tobytes() for k in range(len(ramp)))
    file = png_of(png_head(13, 9, 8, 2), (b"IDAT", zlib.compress(rows)))
    assert np.array_equal(samples_of(node.ask("read", file)), ramp)
    assert np.array_equal(np.asarray(Image.open(BytesIO(file))), ramp)


def filtered(kind: int, image: np.ndarray, row: int) -> np.ndarray:
    """A row by one of PNG's filters."""
    values = image.astype(int)
    above = values[row - 1] if row else np.zeros_like(values[0])
    left, corner = (np.vstack([np.zeros((1, 3), int), each[:-1]]) for each in (values[row], above))
    estimate = left + above - corner
    near = [abs(estimate - each) for each in (left, above, corner)]
    paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner))
    return (values[row] - [0 * left, left, above, (left + above) // 2, paeth][kind]).astype(np.uint8)


WHOLE = stored(Image.fromarray(RGB), "PNG")
LARGE = png_of(png_head(1 << 30, 1 << 30, 8, 2), (b"IDAT", zlib.compress(b"")))
BOMB = png_of(png_head(13, 9, 8, 2), (b"IDAT", zlib.compress(bytes(1 << 24))))


UNREADABLE = [
    (WHOLE[:-20], "TruncatedError", "ends early"),
    (WHOLE[:60] + bytes([WHOLE[60] ^ 1]) + WHOLE[61:], "CorruptError", "checksum"),
    (png_of(png_head(13, 9, 8, 2), (b"IDAT", zlib.compress(bytes(99)))), "TruncatedError", "fewer rows"),
    (png_of(png_head(13, 9, 8, 2), (b"IDAT", b"none")), "CorruptError", "inflated"),
    (png_of(png_head(13, 9, 8, 3), (b"IDAT", zlib.compress(bytes(9 * 14)))), "CorruptError", "palette"),
    (png_of(png_head(13, 9, 3, 2)), "CorruptError", "header"),
    (png_of((b"IDAT", b"")), "CorruptError", "header"),
    (LARGE, "ImageError", "possible"),
    (BOMB, "CorruptError", "more than"),
    (png_of(png_head(13, 9, 8, 2), (b"acTL", struct.pack(">II", 2, 0))), "ImageError", "animation"),
    (png_of(png_head(13, 9, 8, 2), (b"CgBI", b"")), "ImageError", "critical"),
    (stored(Image.fromarray(RGB), "GIF"), "ImageError", "PNG"),
    (stored(Image.fromarray(RGB), "WEBP"), "ImageError", "decodes"),
    (b"", "ImageError", "PNG"),
    (jpeg_of("RGB")[:-30], "TruncatedError", "early"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "error", "word"), UNREADABLE, ids=[word for *_, word in UNREADABLE])
def test_what_cannot_be_read_has_an_error(node: Node, file: bytes, error: str, word: str) -> None:
    answer = node.ask("encode", file, effort=1)
    assert error_of(answer) == error
    assert word in answer["message"]


@pytest.mark.parametrize(
    ("pixels", "options", "word"),
    [
        ({"width": 13, "height": 9, "channels": 5}, {}, "channel"),
        ({"width": 13, "height": 8, "channels": 3}, {}, "samples"),
        ({"width": 13, "height": 9, "channels": 3, "mode": "L"}, {}, "channel"),
        ({"width": 13, "height": 9, "channels": 3}, {"effort": 7}, "effort"),
        ({"width": 13, "height": 9, "channels": 3}, {"effort": 1.5}, "effort"),
        ({"width": 13, "height": 9, "channels": 3}, {"levels": -1}, "levels"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_encoded_has_an_error(node: Node, pixels: Any, options: Any, word: str) -> None:
    answer = node.ask("encode", RGB.tobytes(), pixels=pixels, **options)
    assert error_of(answer) == "DdpmError"
    assert word in answer["message"]


# --- progress


def test_progress_rises_to_one(node: Node, photo: bytes) -> None:
    image = ddpmcodec.decode(photo)
    answer = node.ask("encode", stored(image, "PNG"), effort=2)
    reports = answer["reports"]
    assert len(reports) > 2
    assert reports == sorted(reports)
    assert reports[-1] == 1
    assert answer["kept"] == 0


def test_a_signal_ends_it(node: Node, photo: bytes) -> None:
    answer = node.ask("interrupted", stored(ddpmcodec.decode(photo), "PNG"))
    assert answer == {"message": "stop", "kept": 0}
