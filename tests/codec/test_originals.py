"""JPEG files come back byte for byte; what networks do not take, or make no smaller, is stored as it was."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import islice

import numpy as np
import pytest
from jpegs import ARITHMETIC, encoded, jpeg_of, turned
from PIL import Image, ImageCms

import ddpmcodec.pillow_plugin  # noqa: F401
from ddpmcodec import archive, codec
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.codec import coefficients, originals
from ddpmcodec.codec.reading import Reading, planes_of
from ddpmcodec.errors import ChecksumError, FormatError, ImageError, OutputError

HEAD = 32  # bytes: header, CRC, length


def several_pictures() -> bytes:
    """A JPEG with a second one behind it, as phones write them."""
    stream = BytesIO()
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(stream, "MPO", save_all=True, append_images=[second])
    return stream.getvalue()


ADOBE = b"\xff\xee\0\x0eAdobe"
ADOBE_BYTES, TRANSFORM = 16, 15  # of the marker; where it says how colours are stored


def ycck(jpeg: bytes) -> bytes:
    """The file, whose first three components are said to be YCbCr."""
    at = jpeg.index(ADOBE) + TRANSFORM
    return jpeg[:at] + b"\2" + jpeg[at + 1 :]


def without_adobe(jpeg: bytes) -> bytes:
    at = jpeg.index(ADOBE)
    return jpeg[:at] + jpeg[at + ADOBE_BYTES :]


JPEGS = {
    "a photograph": jpeg_of(quality=90),
    "grey": jpeg_of("L", quality=90),
    "progressive": jpeg_of(progressive=True),
    "progressive grey": jpeg_of("L", progressive=True, quality=60),
    "4:4:4": jpeg_of(subsampling=0, quality=95),
    "4:2:2": jpeg_of(subsampling=1, quality=85),
    "optimised tables": jpeg_of(optimize=True),
    "restart intervals": jpeg_of(restart_marker_blocks=3),
    "restarts in scans": jpeg_of(restart_marker_rows=1, progressive=True),
    "lowest quality": jpeg_of(quality=1),
    "highest quality": jpeg_of(quality=100, subsampling=0),
    "RGB": jpeg_of(keep_rgb=True),
    "one row": jpeg_of(size=(200, 1)),
    "EXIF": jpeg_of(exif=turned(6)),
    "a profile": jpeg_of(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "a comment": jpeg_of(comment=b"a comment " * 300),
    "huge metadata": jpeg_of(exif=b"Exif\0\0" + bytes(60_000), xmp=b"<x/>" * 10_000),
    "bytes behind its end": jpeg_of() + b"a video" * 1000,
    "further pictures": several_pictures(),
    "CMYK": jpeg_of("CMYK", quality=85),
    "CMYK, progressive, of coarse chroma": jpeg_of("CMYK", quality=85, progressive=True, subsampling="4:2:0"),
    "YCCK": ycck(jpeg_of("CMYK", quality=90)),
    "CMYK without a marker of Adobe": without_adobe(jpeg_of("CMYK", quality=70)),
    "CMYK with a profile": jpeg_of("CMYK", icc_profile=bytes(range(200))),
}


@pytest.mark.parametrize("jpeg", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_comes_back_byte_for_byte_and_its_pixels_are_pillows(jpeg: bytes) -> None:
    data = encoded(jpeg)
    assert codec.decode_original(data) == jpeg
    facts, image = codec.info(data), codec.decode(data)
    assert (facts["coding"], facts["original_bytes"], facts["complete"]) == ("JPEG coefficients", len(jpeg), True)
    assert len(data) < len(jpeg)
    with Image.open(BytesIO(jpeg)) as expected:
        has_inks = expected.mode == "CMYK"
        shown = expected.convert("RGB") if has_inks else expected
        assert image.tobytes() == shown.tobytes()
        assert (image.mode, image.size) == (shown.mode, shown.size)
        assert image.info.get("exif") == expected.info.get("exif")
        assert image.info.get("icc_profile") == (None if has_inks else expected.info.get("icc_profile"))
    assert np.array_equal(codec.decode(data, as_array=True), np.asarray(image))


def test_a_photograph_is_smaller() -> None:
    jpeg = jpeg_of(quality=90)
    assert len(encoded(jpeg)) < 0.85 * len(jpeg)
    assert len(encoded(jpeg, effort=2)) <= len(encoded(jpeg, effort=1))


def test_what_networks_do_not_take_is_stored_as_it_was() -> None:
    data = encoded(ARITHMETIC)
    assert (codec.decode_original(data), codec.info(data)["coding"]) == (ARITHMETIC, "JPEG as it was")
    assert len(data) <= len(ARITHMETIC) + HEAD
    with Image.open(BytesIO(ARITHMETIC)) as expected:
        assert codec.decode(data).tobytes() == expected.tobytes()


def test_a_file_that_would_not_come_back_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, jpeg in (("originals.pack", ARITHMETIC), ("coefficients._encoded", jpeg_of())):
        module, function = name.split(".")
        where = {"originals": originals, "coefficients": coefficients}[module]
        real = getattr(where, function)
        damage = {"originals": lambda made: made[:-9] + bytes(9), "coefficients": lambda made: [*made[:-1], bytes(40)]}
        with monkeypatch.context() as patch:
            patch.setattr(where, function, lambda *given, real=real, of=damage[module]: of(real(*given)))
            with pytest.raises(ChecksumError, match="decode"):
                encoded(jpeg)


@pytest.mark.parametrize("jpeg", [jpeg_of(size=size) for size in ((1, 1), (8, 8), (17, 9), (64, 64))])
def test_no_file_grows_by_more_than_64_bytes(jpeg: bytes) -> None:
    assert len(encoded(jpeg)) <= len(jpeg) + 64


def test_large_files_are_cut_into_tiles_of_whole_mcus() -> None:
    jpeg = jpeg_of(size=(200, 150))
    data = encoded(jpeg, tile=64)
    facts = codec.info(data)
    assert (facts["tiles"], facts["segments"], codec.decode_original(data) == jpeg) == (12, 9, True)


def test_pixels_are_coded_where_that_is_asked_for_and_of_images() -> None:
    jpeg = jpeg_of(size=(48, 40), exif=turned(3), quality=50)
    expected = Image.open(BytesIO(jpeg))
    for data in (encoded(jpeg, pixels=True), encoded(jpeg, strip=True), codec.encode(expected)):
        assert codec.info(data)["coding"] == "context model"
        assert codec.decode(data).tobytes() == expected.tobytes()
        with pytest.raises(OutputError, match="no JPEG"):
            codec.decode_original(data)
    assert [*codec.decode(encoded(jpeg, strip=True)).getexif().values()] == [3]  # the orientation alone


@pytest.mark.parametrize(
    ("jpeg", "text"),
    [
        (jpeg_of()[:-500], "truncated"),
        (jpeg_of()[:300], "cannot be read|not an image"),
    ],
    ids=["cut", "a head alone"],
)
def test_what_cannot_be_decoded_is_refused_as_before(jpeg: bytes, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        encoded(jpeg, strict=True)


def test_many_files_are_each_stored_as_they_would_be_alone() -> None:
    jpegs = [jpeg_of(quality=quality) for quality in (60, 90)]
    files = codec.encode_many([BytesIO(jpegs[0]), Image.new("RGB", (20, 10)), BytesIO(jpegs[1])])
    assert [files[0], files[2]] == [encoded(jpeg) for jpeg in jpegs]
    assert [image.size for image in codec.decode_many(files)] == [(200, 150), (20, 10), (200, 150)]


# --- in archives, and in Pillow


def test_an_archive_gives_the_jpegs_that_it_was_given() -> None:
    jpegs = {"trip/a.jpg": jpeg_of(exif=turned(6)), "b.JPG": jpeg_of(size=(32, 32)), "c.jpeg": ARITHMETIC}
    images = [*((name, BytesIO(jpeg)) for name, jpeg in jpegs.items()), ("d.png", Image.new("RGB", (20, 20), "red"))]
    data = archive.create(images)
    restored = dict(archive.extract(data, original=True))
    assert {name: restored.pop(name) for name in jpegs} == jpegs
    assert [(name, type(image)) for name, image in restored.items()] == [("d.png", Image.Image)]
    assert dict(archive.extract(data, ["b.JPG"], original=True)) == {"b.JPG": jpegs["b.JPG"]}
    for name, image in archive.extract(data):
        if name in jpegs:
            assert image.tobytes() == Image.open(BytesIO(jpegs[name])).tobytes()
    pixels = archive.create([("a.jpg", BytesIO(jpegs["b.JPG"]))], pixels=True)
    assert isinstance(dict(archive.extract(pixels, original=True))["a.jpg"], Image.Image)
    with pytest.raises(ValueError, match="reduce or original"):
        archive.extract(data, original=True, reduce=2)


def test_a_damaged_jpeg_in_an_archive_costs_no_other() -> None:
    jpegs = {f"{n}.jpg": jpeg_of(quality=60 + n) for n in range(3)}
    data = bytearray(archive.create([(name, BytesIO(jpeg)) for name, jpeg in jpegs.items()]))
    place = bytes(data).rindex(encoded(jpegs["1.jpg"])[-40:])
    data[place] ^= 255
    restored = archive.extract(bytes(data), original=True)
    assert dict(islice(restored, 2)) == {name: jpegs[name] for name in ("0.jpg", "2.jpg")}
    with pytest.raises(FormatError, match=r"^1 of 3 .*1\.jpg"):
        next(restored)


def test_a_lost_block_is_named_beside_the_jpegs_that_are_restored() -> None:
    """Its names are lost with it, and the index is damaged."""
    jpegs = {f"{n}.jpg": jpeg_of(size=(740, 740), quality=60 + n) for n in range(3)}
    data = bytearray(archive.create([(name, BytesIO(jpeg)) for name, jpeg in jpegs.items()]))
    blocks = [match.start() for match in re.finditer(re.escape(BLOCK_MARK), bytes(data))]
    assert len(blocks) == 3
    data[12] ^= 1
    data[blocks[1] + len(BLOCK_MARK) + 8] ^= 1
    for original in (True, False):
        restored = archive.extract(bytes(data), original=original)
        assert {name for name, _ in islice(restored, 2)} == {"0.jpg", "2.jpg"}
        with pytest.raises(FormatError, match=r"^1 of 3 .*number 2"):
            next(restored)
    named = archive.extract(bytes(data), ["0.jpg"], original=True)
    assert next(named) == ("0.jpg", jpegs["0.jpg"])
    with pytest.raises(FormatError, match=r"1 of 3 .*asked for"):
        next(named)


def test_pillow_opens_it_as_any_other() -> None:
    jpeg = jpeg_of(exif=turned(6))
    with Image.open(BytesIO(encoded(jpeg))) as image:
        assert (image.format, image.mode, image.size) == ("DDPM", "RGB", (200, 150))
        assert image.getexif()[0x112] == 6
        expected = Image.open(BytesIO(jpeg))
        assert image.tobytes() == expected.tobytes()
        assert image.info["exif"] == expected.info["exif"]


def test_planes_that_were_changed_are_not_the_files() -> None:
    """What is compared on verification is the file, and not only the pixels."""
    planes = planes_of(BytesIO(jpeg_of()), Reading())
    assert planes.original == jpeg_of()
    assert not planes_of(BytesIO(jpeg_of()), Reading(strip=True)).original
