"""Image files whose pixels are not coded are kept whole, byte for byte, with a preview; strict refuses them."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddpmcodec.plugins.pillow  # noqa: F401
from ddpmcodec import archive, codec
from ddpmcodec._native import KEPT_TAG, parse_header
from ddpmcodec.errors import ChecksumError, FormatError, ImageError, OutputError, TruncatedError
from ddpmcodec.format.sections import unpack_kept
from ddpmcodec.format.varint import pack_varint

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'


def photo(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB").crop((0, 0, *size)).convert(mode)


def stored(file_format: str, *images: Image.Image, **options: object) -> bytes:
    stream = BytesIO()
    first, *others = images
    several = {"save_all": True, "append_images": others} if others else {}
    first.save(stream, file_format, **several, **options)
    return stream.getvalue()


FRAMES = [photo().rotate(angle) for angle in (0, 10, 20)]
DEEP = Image.fromarray(np.asarray(photo("L")).astype(np.uint16) * 257)
FILES = {
    "clip.gif": (stored("GIF", *FRAMES), "GIF", "3 frames"),
    "clip.png": (stored("PNG", *FRAMES), "PNG", "3 frames"),
    "clip.webp": (stored("WEBP", *FRAMES), "WebP", "3 frames"),
    "clip.avif": (stored("AVIF", *FRAMES), "AVIF", "a format that may be read in part"),
    "pages.tif": (stored("TIFF", *FRAMES), "TIFF", "3 frames"),
    "cmyk.TIFF": (stored("TIFF", photo("CMYK")), "TIFF", "colour mode CMYK"),
    "lab.tif": (stored("TIFF", photo("LAB")), "TIFF", "colour mode LAB"),
    "float.tif": (stored("TIFF", photo("L").convert("F")), "TIFF", "more than 8 bits per sample"),
    "deep.tif": (stored("TIFF", DEEP.convert("I")), "TIFF", "more than 8 bits per sample"),
    "icon.ico": (stored("ICO", photo("RGBA", (64, 64))), "ICO", "a format that may be read in part"),
    "drawing.svg": (SVG, "SVG", "a format that is not read"),
    "shot.CR3": (b"\0\0\0\x18ftypcrx " + bytes(60), "CR3", "a format that is not read"),
    "old.x3f": (b"FOVb" + bytes(range(200)), "X3F", "a format that is not read"),
    "raw.nef": (b"whatever", "NEF", "a format that is not read"),
    "cut.png": (PHOTO.read_bytes()[:3000], "PNG", "damaged"),
    "cut.jpg": (stored("JPEG", photo())[:-500], "JPEG", "damaged"),
    "cut.gif": (stored("GIF", photo("L"))[:-5], "GIF", "damaged"),
}


def encoded(content: bytes, name: str, **options: object) -> bytes:
    stream = BytesIO(content)
    stream.name = name
    return codec.encode(stream, **{"effort": 1, **options})


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_back_byte_for_byte_and_says_why_it_was_kept(name: str) -> None:
    content, file_format, reason = FILES[name]
    data = encoded(content, name)
    facts = codec.info(data)
    assert codec.decode_original(data) == content
    assert (facts["coding"], facts["format"], facts["ending"]) == ("kept whole", file_format, name.partition(".")[2])
    assert (facts["reason"], facts["original_bytes"]) == (reason, len(content))
    assert len(data) < len(content) * 1.05 + 160
    with pytest.raises(ImageError):
        encoded(content, name, strict=True)
    with pytest.raises(ImageError):  # it would keep the metadata
        encoded(content, name, strip=True)


@pytest.mark.parametrize("name", ["clip.gif", "clip.png", "clip.webp", "pages.tif", "cmyk.TIFF", "icon.ico"])
def test_decode_gives_the_first_picture_and_parts_of_it(name: str) -> None:
    data = encoded(FILES[name][0], name)
    with Image.open(BytesIO(FILES[name][0])) as image:
        expected = image.convert("RGBA" if image.mode in ("RGBA", "P") and image.has_transparency_data else "RGB")
    decoded = codec.decode(data)
    assert (decoded.size, decoded.tobytes()) == (expected.size, expected.tobytes())
    assert (codec.info(data)["width"], codec.info(data)["height"]) == expected.size
    assert codec.decode(data, box=(3, 5, 23, 15)).tobytes() == expected.crop((3, 5, 23, 15)).tobytes()
    assert codec.decode(data, reduce=4).size == (-(-expected.width // 4), -(-expected.height // 4))
    assert codec.decode_many([data])[0].tobytes() == expected.tobytes()
    with Image.open(BytesIO(data)) as opened:
        assert (opened.convert("RGB").tobytes(), opened.size) == (expected.convert("RGB").tobytes(), expected.size)


def test_a_preview_is_small_and_looks_like_the_file() -> None:
    content = stored("GIF", *(photo("L", (240, 200)).rotate(angle) for angle in range(0, 60, 5)))
    data = encoded(content, "clip.gif")
    assert codec.info(data)["pixel_bytes"] < len(content) / 32
    preview = codec.decode(data, step=1)
    assert 8 < preview.width < 240
    expected = photo("L", (240, 200)).resize(preview.size)
    found = np.asarray(preview.convert("L"), np.int16) - np.asarray(expected, np.int16)
    assert np.abs(found).mean() < 6
    assert codec.thumbnail(data, 16).width == 16
    lossy = codec.truncate(data, bytes=codec.info(data)["pixel_bytes"], mark=True)
    assert (codec.decode(lossy).size, codec.info(lossy)["original_bytes"]) == (preview.size, None)
    with pytest.raises(TruncatedError):
        codec.decode_original(lossy)


def test_deep_files_and_those_without_a_picture_decode_to_what_there_is() -> None:
    deep = codec.decode(encoded(FILES["deep.tif"][0], "deep.tif"))
    assert np.array_equal(np.asarray(deep), np.asarray(photo("L")))
    nothing = encoded(SVG, "drawing.svg")
    assert (codec.info(nothing)["width"], codec.decode(nothing).size) == (0, (1, 1))


def test_damage_is_found_and_a_preview_survives_it() -> None:
    content = FILES["clip.gif"][0]
    data = bytearray(encoded(content, "clip.gif"))
    data[parse_header(bytes(data)).section(KEPT_TAG)[1] - 40] ^= 1
    for read in (codec.decode, codec.decode_original):
        with pytest.raises(ChecksumError, match="kept whole"):
            read(bytes(data))
    details = codec.decode_details(bytes(data), partial=True)
    assert (details.damaged, details.exact) == (True, False)
    for size in (len(data) - 1, len(data) // 2, 40):
        with pytest.raises(FormatError):
            codec.decode_original(bytes(data[:size]))
        assert codec.decode(bytes(data[:size]), partial=True).width > 1


def test_a_lossy_webp_is_kept_and_a_lossless_one_is_coded() -> None:
    lossy, lossless = stored("WEBP", photo("RGBA")), stored("WEBP", photo(), lossless=True, exif=b"Exif\0\0MM")
    data = encoded(lossy, "lossy.webp")
    assert (codec.info(data)["reason"], codec.decode_original(data)) == ("a lossy WebP", lossy)
    assert len(data) < len(lossy) * 1.05 + 160
    for content, options in ((lossless, {}), (lossy, {"pixels": True}), (lossy, {"strict": True})):
        assert codec.info(encoded(content, "a.webp", **options))["coding"] == "context model"


def test_what_is_no_image_is_refused() -> None:
    for content, name in ((b"", "a.png"), (b"text", "a.txt"), (b"#!/bin/sh", "a")):
        with pytest.raises(ImageError):
            encoded(content, name)
    with pytest.raises(ImageError, match="CMYK"):
        codec.encode(photo("CMYK"))
    with pytest.raises(OutputError):
        codec.decode_original(codec.encode(photo(), effort=1))


def test_archives_keep_files_whole(tmp_path: Path) -> None:
    names = ["clip.gif", "drawing.svg", "deep.tif"]
    for name in names:
        (tmp_path / name).write_bytes(FILES[name][0])
    data = archive.create([*((name, tmp_path / name) for name in names), ("a.png", photo())], effort=1)
    assert {image["coding"] for image in archive.describe(data)["images"]} == {"kept whole", "context model"}
    restored = dict(archive.extract(data, original=True))
    assert {name: restored[name] for name in names} == {name: FILES[name][0] for name in names}
    assert dict(archive.extract(data))["clip.gif"].size == (120, 80)
    assert dict(archive.extract(data, reduce=8))["clip.gif"].width < 120
    assert archive.test(data) == 4
    with pytest.raises(ImageError):
        archive.create([("clip.gif", tmp_path / "clip.gif")], strict=True)


def section(rest: bytes) -> bytes:
    """Of a file that is kept whole; the rest begins with width and height."""
    return zlib.crc32(rest).to_bytes(4, "little") + rest


@pytest.mark.parametrize(
    ("file_format", "ending", "word"),
    [(b"GIF", b"../a", "ending"), (b"GIF", b"a" * 17, "ending"), (b"G" * 256, b"gif", "text")],
)
def test_facts_that_no_encoder_writes_are_refused(file_format: bytes, ending: bytes, word: str) -> None:
    texts = b"".join(pack_varint(len(text)) + text for text in (file_format, ending, b""))
    assert unpack_kept(section(b"\1\1\3GIF\3gif\0\2x")).ending == "gif"
    with pytest.raises(FormatError, match=word):
        unpack_kept(section(b"\1\1" + texts + b"\2x"))


def test_a_section_whose_fields_contradict_each_other_is_refused() -> None:
    for rest in (b"", b"\1\1\3GI", b"\1\1\0\0\0\4x", b"\1\1\0\0\0\2xy", b"\1\1\0\0\0\3xy", b"\1\1\1\xff\0\0\2x"):
        with pytest.raises(FormatError):
            unpack_kept(section(rest))
    huge = b"\1\1\0\0\0" + bytes([0xFE, 0xFF, 0xFF, 0xFF, 0x7F])
    with pytest.raises(FormatError, match="claims"):
        unpack_kept(section(huge))
