"""JPEG files come back byte for byte. Every prefix of coefficients is a picture, and better than shorter ones."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np
import pytest
from jpegs import ARITHMETIC, encoded, jpeg_of, turned
from PIL import Image, ImageCms

import ddpmcodec.plugins.pillow  # noqa: F401
from ddpmcodec import archive, codec
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.reading import Reading, planes_of
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import FormatError, ImageError, OutputError, TruncatedError
from ddpmcodec.parallel import threads_of

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


def test_what_its_coefficients_do_not_rebuild_is_kept_whole() -> None:
    data = encoded(ARITHMETIC)
    facts = codec.info(data)
    assert (facts["coding"], facts["format"], facts["reason"]) == (
        "kept whole", "JPEG", "a JPEG file that its coefficients do not rebuild",
    )  # fmt: skip
    assert codec.decode_original(data) == ARITHMETIC
    with Image.open(BytesIO(ARITHMETIC)) as expected:
        for found in (codec.decode(data), codec.decode(encoded(ARITHMETIC, strict=True))):
            assert found.tobytes() == expected.tobytes()


def test_large_files_are_cut_into_tiles_of_whole_mcus() -> None:
    jpeg = jpeg_of(size=(200, 150))
    data = encoded(jpeg, tile=64, levels=0)
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


def test_many_files_are_each_coded_as_they_would_be_alone() -> None:
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


# --- prefixes

SEGMENTS = 9  # of the coarsest level
KINDS = {
    "4:2:0": jpeg_of(quality=85),
    "4:4:4": jpeg_of(quality=95, subsampling=0),
    "grey": jpeg_of("L", quality=90),
    "CMYK": jpeg_of("CMYK", quality=90),
    "tiles": jpeg_of(quality=90),
}


def file_of(kind: str, levels: int = 2) -> bytes:
    return encoded(KINDS[kind], tile=64 if kind == "tiles" else None, levels=levels)


def psnr(shown: np.ndarray, expected: np.ndarray) -> float:
    error = np.mean((shown.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pictures_of_prefixes_grow_better(kind: str) -> None:
    data, expected = file_of(kind), pixels(KINDS[kind])
    qualities, steps = [], codec.info(data)["steps"]
    assert steps > SEGMENTS
    for step in range(1, steps + 1):
        prefix = codec.truncate(data, step=step)
        preview = decode_details(prefix, partial=True)
        assert preview.steps_done >= step  # high frequencies may take no bytes
        assert preview.exact == (step == steps)
        qualities.append(psnr(np.asarray(preview.image), expected))
    assert qualities == sorted(qualities)
    assert qualities[0] > 15
    assert qualities[-1] == float("inf")


@pytest.mark.parametrize("wanted", [{}, {"box": (9, 7, 40, 30)}, {"reduce": 4}])
def test_parts_and_small_images_keep_metadata(wanted: dict[str, Any]) -> None:
    jpeg = jpeg_of(exif=turned(6), icc_profile=bytes(range(200)))
    shown = codec.decode(encoded(jpeg), **wanted)
    assert (shown.info["icc_profile"], shown.getexif()[0x112]) == (bytes(range(200)), 6)


def test_any_prefix_shows_the_whole_picture_upright() -> None:
    data = encoded(jpeg_of(exif=turned(8)))
    for size in np.linspace(codec.info(data)["header_bytes"], len(data) - 1, 7).astype(int).tolist():
        preview = decode_details(data[:size], partial=True)
        assert (preview.exact, preview.damaged, preview.image.size) == (False, False, (200, 150))
        assert preview.image.getexif()[0x112] == 8
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(TruncatedError):
                read(data[:size])


def test_bytes_that_arrive_become_pictures() -> None:
    data, decoder = file_of("4:2:0"), ProgressiveDecoder()
    shown = [decoder.feed(data[start : start + 500]) for start in range(0, len(data), 500)]
    assert sum(image is not None for image in shown) >= 5
    assert decoder.complete
    assert decoder.close() == codec.decode(data)


@pytest.mark.parametrize(
    ("options", "levels"), [({}, 1), ({"effort": 0}, 0), ({"levels": 1}, 1), ({"levels": 2}, 2), ({"levels": 5}, 3)]
)
def test_a_file_has_as_many_levels_as_its_steps_suit_and_are_asked_for(options: dict[str, int], levels: int) -> None:
    jpeg = jpeg_of(quality=98)
    data = encoded(jpeg, **options)
    assert (codec.info(data)["levels"], codec.info(data)["steps"]) == (levels, SEGMENTS + levels)
    assert codec.decode_original(data) == jpeg


def test_a_lossy_file_is_whole_segments() -> None:
    data = file_of("4:2:0")
    lossy = codec.truncate(data, bytes=len(data) // 2, mark=True)
    assert codec.info(lossy)["lossy"]
    assert psnr(np.asarray(codec.decode(lossy)), pixels(KINDS["4:2:0"])) > 25


@pytest.mark.parametrize("kind", ["4:2:0", "tiles"])
def test_a_mark_that_arrives_is_no_damage(kind: str) -> None:
    """Wherever a file was cut: for a while the mark looks like the end of a chunk."""
    data = file_of(kind)
    ends = [len(codec.truncate(data, step=step)) for step in (1, 2, SEGMENTS)]
    for size in {end + apart for end in ends for apart in range(-7, 2) if end + apart < len(data)}:
        lossy, decoder = codec.truncate(data, bytes=size, mark=True), ProgressiveDecoder()
        for start, end in ((0, size - 1), *((n, n + 1) for n in range(size - 1, len(lossy)))):
            decoder.feed(lossy[start:end])
        assert decoder.close() == codec.decode(lossy)


def test_threads_change_nothing() -> None:
    jpeg, files = KINDS["tiles"], []
    for threads in (1, 3):
        with threads_of(threads):
            files.append(encoded(jpeg, tile=64))
            assert codec.decode_original(files[-1]) == jpeg
    assert files[0] == files[1]


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    data, expected = file_of("tiles"), pixels(KINDS["tiles"])
    for place in np.random.default_rng(5).integers(codec.info(data)["header_bytes"], len(data), 60).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 16
        for read in (codec.decode, codec.decode_original):
            with pytest.raises(FormatError):
                read(bytes(damaged))
        shown = decode_details(bytes(damaged), partial=True)
        assert (shown.exact, shown.damaged, shown.image.size) == (False, True, expected.shape[1::-1])


@pytest.mark.parametrize("kind", ["4:4:4", "grey", "CMYK"])
def test_a_part_is_that_of_the_picture(kind: str) -> None:
    data = encoded(KINDS[kind], tile=64)
    part = codec.decode(data, box=(40, 50, 130, 120))
    assert np.array_equal(np.asarray(part), pixels(KINDS[kind])[50:120, 40:130])


def test_information_counts_segments_as_steps() -> None:
    facts = codec.info(file_of("tiles"))
    assert {key: facts[key] for key in ("coding", "effort", "levels", "steps", "model", "segments")} == {
        "coding": "JPEG coefficients", "effort": 2, "levels": 2, "steps": 11, "model": "jpeg", "segments": 11,
    }  # fmt: skip


def test_progress_counts_the_pixels_of_both_directions() -> None:
    done: list[float] = []
    encoded(KINDS["tiles"], tile=64, progress=done.append)
    assert sum(done) == pytest.approx(2 * 200 * 150)
