"""JPEG files come back byte for byte from coefficients and a recipe, which is short for usual encoders."""

from __future__ import annotations

import io
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec._native import parse_frame, parse_jpeg, rebuild_jpeg, write_preview_jpeg
from ddpmcodec.errors import FormatError

GOLDEN = sorted((Path(__file__).parents[1] / "golden/v1").glob("*.jpg"))
REAL = [path for path in GOLDEN if path.stem != "jpeg-as-it-was"]
CHECK_BYTES, LENGTH_BYTES = 4, 3  # of a recipe
GREY, YCBCR, RGB, CMYK, ADOBE_CMYK, YCCK = range(6)


def picture(size: tuple[int, int] = (75, 53), mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Waves and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    waves = [128 + 90 * np.sin(x / (5 + 3 * k) + y / (9 - k)) + rng.normal(0, 9, x.shape) for k in range(4)]
    planes = [Image.fromarray(np.clip(wave, 0, 255).astype(np.uint8)) for wave in waves]
    return planes[0] if mode == "L" else Image.merge(mode, planes[: len(mode)])


def written(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def check(data: bytes) -> int:
    """Parse a file and rebuild it, also from its frame; return the size of its recipe without length and check."""
    image, frame, recipe = parse_jpeg(data)
    assert rebuild_jpeg(image, recipe) == data
    other = parse_frame(frame, image.width, image.height)
    assert (other.colour, other.factors) == (image.colour, image.factors)
    for k in range(len(image.factors)):
        np.testing.assert_array_equal(other.steps[k], image.steps[k])
        assert not other.values(k).any()
        other.values(k)[:] = image.values(k)
    assert rebuild_jpeg(other, recipe) == data
    if data.endswith(b"\xff\xd9"):
        assert pixels(write_preview_jpeg(image)) == pixels(data)
    return len(recipe) - CHECK_BYTES - LENGTH_BYTES


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}], ids=str)
def test_a_file_of_usual_settings_needs_one_byte(mode: str, options: dict[str, Any]) -> None:
    assert check(written(picture((640, 480), mode), **options)) == 1


SAMPLINGS, QUALITIES = ("4:4:4", "4:2:2", "4:2:0"), (1, 25, 50, 75, 92, 100)


@pytest.mark.parametrize(("subsampling", "quality"), list(product(SAMPLINGS, QUALITIES)))
def test_every_sampling_and_quality(subsampling: str, quality: int) -> None:
    for options in ({}, {"optimize": True}, {"progressive": True}):
        check(written(picture(), subsampling=subsampling, quality=quality, **options))


SIDES, MODES = st.integers(1, 40), st.sampled_from(["L", "RGB", "CMYK"])


@given(st.tuples(SIDES, SIDES), MODES, st.integers(0, 7), st.integers(0, 3), st.integers(0, 1 << 20))
def test_every_size(size: tuple[int, int], mode: str, flags: int, restarts: int, seed: int) -> None:
    options: dict[str, Any] = {"progressive": flags & 1, "optimize": flags & 2}
    options["subsampling"] = "4:2:0" if flags & 4 and mode == "RGB" else None
    if restarts:
        options["restart_marker_blocks" if restarts < 3 else "restart_marker_rows"] = restarts
    image = picture(size, mode, seed)
    check(written(image, **{key: value for key, value in options.items() if value}))


def test_colours() -> None:
    for image, options, colour in (
        (picture(mode="L"), {}, GREY),
        (picture(), {}, YCBCR),
        (picture(), {"keep_rgb": True}, RGB),
        (picture(mode="CMYK"), {}, ADOBE_CMYK),
    ):
        data = written(image, **options)
        assert parse_jpeg(data)[0].colour == colour
        check(data)


def with_adobe_transform(data: bytes, transform: int) -> bytes:
    at = data.index(b"Adobe\0")
    return data[: at + 11] + bytes([transform]) + data[at + 12 :]


def test_ycck_and_plain_cmyk() -> None:
    data = written(picture(mode="CMYK"))
    ycck = with_adobe_transform(data, 2)
    assert parse_jpeg(ycck)[0].colour == YCCK
    check(ycck)
    at = data.index(b"\xff\xee")
    plain = data[:at] + data[at + 16 :]
    assert parse_jpeg(plain)[0].colour == CMYK
    check(plain)


def test_metadata_and_bytes_after_the_end() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(picture(), exif=exif, icc_profile=bytes(range(256)) * 300, comment=b"by hand")
    check(data + b"\0\0after the end")
    check(data + data)  # as in files of several pictures


def test_deflated_recipes_are_read() -> None:
    data = written(picture(), icc_profile=bytes(1000))
    image, _, recipe = parse_jpeg(data)
    start = 2 + CHECK_BYTES
    deflated = zlib.compress(recipe[start:], wbits=-15)
    assert rebuild_jpeg(image, bytes([recipe[0] | 1]) + recipe[1:start] + deflated) == data


def test_quantisation_tables_of_any_values() -> None:
    tables = [list(range(1, 65)), [7] * 64]
    check(written(picture(), qtables=tables))
    check(written(picture(), qtables=[[300 + k for k in range(64)]] * 2))  # two bytes a step


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_golden_files(path: Path) -> None:
    check(path.read_bytes())


# --- what encoders may do, and Pillow does not


def scan_of(data: bytes) -> tuple[int, int]:
    """Where the only scan of a file begins and ends."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), data.rindex(b"\xff\xd9")


def test_padding_of_zeros_and_of_any_bits() -> None:
    data = written(picture((64, 64)), restart_marker_blocks=3)
    begin, end = scan_of(data)
    restarts = [at for at in range(begin, end) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    places = [at - 1 for at in (*restarts, end)]
    zeros = bytearray(data)
    for at in places:  # the last bit of a byte is padding, if it is a one and the file stays the same without
        other = bytearray(zeros)
        other[at] &= 0xFE
        if other[at] != zeros[at] and pixels(bytes(other)) == pixels(data):
            zeros = other
    assert zeros != data
    check(bytes(zeros))


def test_bytes_of_ones_before_markers_and_bytes_between_them() -> None:
    data = written(picture())
    _, end = scan_of(data)
    at = data.index(b"\xff\xc0")
    check(data[:at] + b"\xff\xff" + data[at:end] + b"\xff" + data[end:])
    check(data[:at] + b"junk" + data[at:end] + b"more junk" + data[end:])
    check(data[:end])  # without an end


def test_tables_in_one_segment_and_tables_that_no_scan_uses() -> None:
    data = written(picture())
    tables, at = b"", data.index(b"\xff\xc4")
    while data[at : at + 2] == b"\xff\xc4":
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        tables += data[at + 4 : at + 2 + length]
        data = data[:at] + data[at + 2 + length :]
    joined = b"\xff\xc4" + (len(tables) + 2).to_bytes(2, "big") + tables
    assert check(data[:at] + joined + data[at:]) <= 6
    check(data[:at] + joined + joined + data[at:])


# --- what is refused


def changed_frame(data: bytes, marker: int = 0xC0, bits: int = 8) -> bytes:
    at = data.index(b"\xff\xc0")
    return data[: at + 1] + bytes([marker]) + data[at + 2 : at + 4] + bytes([bits]) + data[at + 5 :]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"marker": 0xC9}, "arithmetic"),
        ({"marker": 0xC3}, "lossless"),
        ({"marker": 0xC5}, "hierarchy"),
        ({"bits": 12}, "12 bits"),
    ],
)
def test_what_is_not_supported_is_named(change: dict[str, int], word: str) -> None:
    with pytest.raises(FormatError, match=word):
        parse_jpeg(changed_frame(written(picture()), **change))


def test_a_number_of_lines_that_follows_the_scan_is_refused() -> None:
    data = written(picture())
    _, end = scan_of(data)
    with pytest.raises(FormatError, match="DNL"):
        parse_jpeg(data[:end] + b"\xff\xdc\0\4\0\65" + data[end:])


def test_a_large_claim_takes_no_memory() -> None:
    data = bytearray(written(picture()))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\x3f\xff\x3f\xff"
    with pytest.raises(FormatError, match="fit"):
        parse_jpeg(bytes(data))
