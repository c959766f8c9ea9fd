"""JPEG files are stored as what they are, and come back byte for byte; what JPEG XL refuses is stored as it is."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

import ddpmcodec.pillow_plugin  # noqa: F401
from ddpmcodec import archive, codec
from ddpmcodec.codec import originals
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.reading import Reading, planes_of
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import (
    ChecksumError,
    CorruptError,
    DdpmError,
    FormatError,
    ImageError,
    OutputError,
    TruncatedError,
)
from ddpmcodec.format.block_frame import MARK
from ddpmcodec.format.ddpm import assemble, split
from ddpmcodec.format.header import JPEG, JPEG_XL, Header
from ddpmcodec.format.jpeg_xl import size_of
from ddpmcodec.format.varint import pack_varint

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
HEAD = 32  # bytes: header, CRC, length
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYV"
    "pQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//yQAR"
    "CAAYACADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDRmu4oWIHgA/YN0DSKu/g9b+MsULMJJLahmvOY3O3evdZMbnoGAaxYu6"
    "WFUQ0ihwGD31mzvY0fEka26Ca8D5UbGNOx9zC9hXUOw60QeFwJaGdkBWtIfbLnMHXuCSiyOPc0ec3bxgrpXnZywAZjNm2sdSW5EI8lZKtraekU"
    "UtqnCUOsnqp+iKNlXF4+rLPs0OwL1+B3PNwrsFLNym17iysnlSzfc9eJ/G4k+Q1vLKqq5IaPTPT3YE0XYUdT83a9R2JF9xSruBECdDgq8NWh4b"
    "Y8gUyAay5HSDmBX9L/AIgD3f/Z"
)  # 32 x 24; made with jpegtran -arithmetic
needs_libjxl = pytest.mark.skipif(originals.transcoder() is None, reason="imagecodecs is missing")
pytestmark = needs_libjxl


@cache
def photo() -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB")


def jpeg_of(mode: str = "RGB", size: tuple[int, int] = (200, 150), **options: object) -> bytes:
    stream = BytesIO()
    photo().crop((20, 10, 20 + size[0], 10 + size[1])).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def encoded(jpeg: bytes, **options: object) -> bytes:
    return codec.encode(BytesIO(jpeg), **options)  # type: ignore[arg-type]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = orientation, "A maker"
    return exif


def several_pictures() -> bytes:
    """A JPEG with a second one behind it, as phones write them."""
    stream = BytesIO()
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(stream, "MPO", save_all=True, append_images=[second])
    return stream.getvalue()


JPEGS = {
    "a photograph": jpeg_of(quality=90),
    "grey": jpeg_of("L", quality=90),
    "progressive": jpeg_of(progressive=True),
    "without subsampling": jpeg_of(subsampling=0, quality=95),
    "EXIF": jpeg_of(exif=turned(6)),
    "a profile": jpeg_of(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "a comment": jpeg_of(comment=b"a comment " * 300),
    "huge metadata": jpeg_of(exif=b"Exif\0\0" + bytes(60_000), xmp=b"<x/>" * 10_000),
    "bytes behind its end": jpeg_of() + b"a video" * 1000,
    "further pictures": several_pictures(),
}


@pytest.mark.parametrize("jpeg", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_comes_back_byte_for_byte_and_its_pixels_are_pillows(jpeg: bytes) -> None:
    data = encoded(jpeg)
    assert codec.decode_original(data) == jpeg
    facts, image = codec.info(data), codec.decode(data)
    assert (facts["coding"], facts["original_bytes"], facts["complete"]) == ("JPEG, by JPEG XL", len(jpeg), True)
    assert len(data) < len(jpeg)
    with Image.open(BytesIO(jpeg)) as expected:
        assert image.tobytes() == expected.tobytes()
        assert (image.mode, image.size) == (expected.mode, expected.size)
        for key in ("exif", "icc_profile"):
            assert image.info.get(key) == expected.info.get(key)
    assert np.array_equal(codec.decode(data, as_array=True), np.asarray(image))


def test_a_photograph_is_smaller() -> None:
    """How much, differs between versions of libjxl."""
    jpeg = jpeg_of(quality=90)
    assert len(encoded(jpeg)) < 0.95 * len(jpeg)


@pytest.mark.parametrize(
    "jpeg",
    [ARITHMETIC, jpeg_of(icc_profile=b"no profile" * 30), jpeg_of(size=(8, 8))],
    ids=["arithmetic coding", "a profile that is none", "tiny"],
)
def test_what_jpeg_xl_refuses_or_does_not_shrink_is_stored_as_it_is(jpeg: bytes) -> None:
    data = encoded(jpeg)
    assert (codec.decode_original(data), codec.info(data)["coding"]) == (jpeg, "JPEG as it was")
    assert len(data) <= len(jpeg) + HEAD
    with Image.open(BytesIO(jpeg)) as expected:
        assert codec.decode(data).tobytes() == expected.tobytes()


@pytest.mark.parametrize("problem", ["an error", "other bytes"])
def test_a_transcoder_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    jpeg, library = jpeg_of(), originals.transcoder()

    class Failing:
        jpegxl_encode_jpeg = staticmethod(library.jpegxl_encode_jpeg)  # type: ignore[union-attr]

        @staticmethod
        def jpegxl_decode_jpeg(data: bytes) -> bytes:
            if problem == "an error":
                raise RuntimeError("no")
            return jpeg[:-1] + b"?"

    monkeypatch.setattr(originals, "transcoder", Failing)
    data = encoded(jpeg)
    assert (codec.decode_original(data), split(data).header.stored) == (jpeg, JPEG)


def test_a_file_that_would_not_come_back_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, payload = originals.pack(jpeg_of())
    monkeypatch.setattr(originals, "pack", lambda _: (kind, payload[:-9] + bytes(9)))
    with pytest.raises(ChecksumError, match="does not decode"):
        encoded(jpeg_of())


def test_pixels_are_coded_where_that_is_asked_for_and_of_images() -> None:
    jpeg = jpeg_of(size=(48, 40), exif=turned(3), quality=50)
    expected = Image.open(BytesIO(jpeg))
    for data in (encoded(jpeg, pixels=True), encoded(jpeg, strip=True), codec.encode(expected)):
        assert codec.info(data)["coding"] == "context model"
        assert codec.decode(data).tobytes() == expected.tobytes()
        with pytest.raises(OutputError, match="holds no JPEG, but the pixels of an image: decode them"):
            codec.decode_original(data)
    assert [*codec.decode(encoded(jpeg, strip=True)).getexif().values()] == [3]  # the orientation alone


def test_without_imagecodecs_pixels_are_coded_and_what_it_coded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = jpeg_of(size=(30, 20))
    data, as_it_was = encoded(jpeg_of()), encoded(ARITHMETIC)
    monkeypatch.setattr(originals, "transcoder", lambda: None)
    assert codec.info(encoded(jpeg))["coding"] == "context model"
    for read in (codec.decode, codec.decode_original):
        with pytest.raises(DdpmError, match=r"needs imagecodecs: pip install 'ddpmcodec\[jpeg\]'") as found:
            read(data)
        assert found.type is DdpmError
    assert codec.decode(data[: len(data) // 2], partial=True).size == (200, 150)
    assert codec.decode_original(as_it_was) == ARITHMETIC


@pytest.mark.parametrize(
    ("jpeg", "text"),
    [
        (jpeg_of("CMYK"), "colour mode CMYK is not supported"),
        (jpeg_of()[:-500], "truncated"),
        (jpeg_of()[:300], "cannot be read|not an image"),
    ],
    ids=["CMYK", "cut", "a head alone"],
)
def test_what_cannot_be_decoded_is_refused_as_before(jpeg: bytes, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        encoded(jpeg)


def test_many_files_are_each_stored_as_they_would_be_alone() -> None:
    jpegs = [jpeg_of(quality=quality) for quality in (60, 90)]
    files = codec.encode_many([BytesIO(jpegs[0]), Image.new("RGB", (20, 10)), BytesIO(jpegs[1])])
    assert [files[0], files[2]] == [encoded(jpeg) for jpeg in jpegs]
    assert [image.size for image in codec.decode_many(files)] == [(200, 150), (20, 10), (200, 150)]


# --- prefixes and damage


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
    with pytest.raises(FormatError, match="1 byte follows the end"):
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
    return assemble(Header("RGB", *size, stored=kind, mean_colour=b"abc"), b"", payload, b"")


def padded(jpeg: bytes, segments: int) -> bytes:
    """With so many times 64 KiB of zeros as metadata, which JPEG XL makes hundreds of bytes of."""
    return jpeg[:2] + segments * (b"\xff\xef\xff\xff" + bytes(65533)) + jpeg[2:]


def test_a_jpeg_that_would_be_a_bomb_is_stored_as_it_is() -> None:
    for segments, kind in ((1, JPEG_XL), (20, JPEG)):
        jpeg = padded(jpeg_of(), segments)
        data = encoded(jpeg)
        assert (split(data).header.stored, codec.decode_original(data) == jpeg) == (kind, True)


def test_a_bomb_gets_no_more_memory_than_its_size_allows() -> None:
    """Whether it says what it holds or less."""
    jpeg = padded(jpeg_of(), 20)
    bomb = originals.transcoder().jpegxl_encode_jpeg(jpeg)  # type: ignore[union-attr]
    for length, text in ((len(jpeg), f"{len(bomb)} bytes claim to be {len(jpeg)}"), (9999, "does not decode")):
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
    [(huge_jpeg(), "is 13000 x 13000 RGB"), (huge_png(), "is none"), (b"no JPEG", "is none")],
    ids=["a JPEG of another size", "another format", "no image"],
)
def test_what_a_jpeg_claims_is_checked_before_there_are_pixels(
    monkeypatch: pytest.MonkeyPatch, stored: bytes, text: str
) -> None:
    """It once took 1.6 GB for 538 bytes whose header claimed a hundred pixels."""
    data = forged(JPEG, stored, len(stored), (10, 10))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("pixels are decoded"))
    for box in (None, (0, 0, 2, 2)):
        with pytest.raises(CorruptError, match=f"the JPEG inside the file {text}"):
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
        (forged(JPEG_XL, small, 1 << 31, check=check), r"claims 2147483648 bytes \(at most"),
        (assemble(Header("RGB", 9, 9, stored=JPEG, mean_colour=b"abc"), b"", b"abc", b""), "has no beginning"),
    ):
        with pytest.raises(CorruptError, match=text):
            codec.decode_original(data)
        with pytest.raises(CorruptError, match=text):
            codec.decode(data)
    for data in (forged(JPEG_XL, small, len(jpeg) + 1, check=check), forged(JPEG_XL, small, len(jpeg), check=1)):
        with pytest.raises(ChecksumError, match="is not the one that was encoded"):
            codec.decode_original(data)
    with pytest.raises(CorruptError, match="the JPEG inside the file is 200 x 150 RGB"):
        codec.decode(forged(JPEG, jpeg, len(jpeg), (150, 200)))
    with pytest.raises(CorruptError, match="the JPEG inside the file"):
        codec.decode(forged(JPEG, b"no JPEG", 7))
    with pytest.raises(ImageError, match="at most 1000 are decoded"):
        codec.decode_original(forged(JPEG, jpeg, len(jpeg)), max_pixels=1000)


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (64, 256), (48, 40), (512, 384), (3, 400), (320, 180), (521, 1)])
def test_the_size_of_a_jpeg_xl_file_is_read(size: tuple[int, int]) -> None:
    stream = BytesIO()
    Image.new("RGB", size, "teal").save(stream, "JPEG")
    assert size_of(originals.transcoder().jpegxl_encode_jpeg(stream.getvalue())) == size  # type: ignore[union-attr]


# --- in archives, and in Pillow


def test_an_archive_gives_the_jpegs_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(ValueError, match="give reduce or original"):
        archive.extract(data, original=True, reduce=2)
    monkeypatch.setattr(originals, "transcoder", lambda: None)
    with pytest.raises(DdpmError, match="needs imagecodecs"):
        dict(archive.extract(data, ["trip/a.jpg"], original=True))


def test_a_damaged_jpeg_in_an_archive_costs_no_other() -> None:
    jpegs = {f"{n}.jpg": jpeg_of(quality=60 + n) for n in range(3)}
    data = bytearray(archive.create([(name, BytesIO(jpeg)) for name, jpeg in jpegs.items()]))
    place = bytes(data).rindex(encoded(jpegs["1.jpg"])[-40:])
    data[place] ^= 255
    restored = archive.extract(bytes(data), original=True)
    assert dict(islice(restored, 2)) == {name: jpegs[name] for name in ("0.jpg", "2.jpg")}
    with pytest.raises(FormatError, match=r"^1 of 3 images are lost \(1\.jpg\): "):
        next(restored)


def test_a_lost_block_is_named_beside_the_jpegs_that_are_restored() -> None:
    """Its names are lost with it, and the index is damaged."""
    jpegs = {f"{n}.jpg": jpeg_of(size=(740, 740), quality=60 + n) for n in range(3)}
    data = bytearray(archive.create([(name, BytesIO(jpeg)) for name, jpeg in jpegs.items()]))
    blocks = [match.start() for match in re.finditer(re.escape(MARK), bytes(data))]
    assert len(blocks) == 3
    data[12] ^= 1
    data[blocks[1] + len(MARK) + 8] ^= 1
    for original in (True, False):
        restored = archive.extract(bytes(data), original=original)
        assert {name for name, _ in islice(restored, 2)} == {"0.jpg", "2.jpg"}
        with pytest.raises(FormatError, match=r"^1 of 3 images are lost \(number 2, whose names are lost"):
            next(restored)
    named = archive.extract(bytes(data), ["0.jpg"], original=True)
    assert next(named) == ("0.jpg", jpegs["0.jpg"])
    with pytest.raises(FormatError, match="1 of 3 images are lost, none of them asked for: make"):
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
