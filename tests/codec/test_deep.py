"""Samples of 9 to 16 bits are coded without loss: their high eight bits as an image, then their low bits."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from format_constants import LOW_BITS_TAG
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import _native, archive, codec
from ddpmcodec.errors import ChecksumError, FormatError, ImageError, OutputError, TruncatedError
from ddpmcodec.formats import png
from ddpmcodec.formats.deep import Samples, file_of, samples_of
from ddpmcodec.parallel import threads_of
from ddpmcodec.plugins.numcodecs import Ddpm
from native_testing import testing

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
Values = NDArray[np.uint16]


def sums(side: int, channels: int = 3, size: int = 24) -> Values:
    """Sums of squares of a photograph's pixels: true bits beyond eight."""
    with Image.open(PHOTO) as image:
        pixels = np.asarray(image.convert("RGB"))[: side * size, : side * 2 * size].astype(np.uint32)
    boxes = pixels.reshape(-1, side, pixels.shape[1] // side, side, 3).sum((1, 3)).astype(np.uint16)
    return np.dstack([boxes, boxes[..., :1]])[..., :channels]


DEEP = {
    "10 bits": sums(2),
    "12 bits": sums(4),
    "14 bits": sums(8, size=10),
    "16 bits": sums(16, size=5),
    "grey": sums(4, 1)[..., 0],
    "grey and alpha": sums(4, 2),
    "alpha": sums(4, 4),
    "noise": np.random.default_rng(0).integers(0, 1 << 16, (9, 7, 3), dtype=np.uint16),
    "pixel": np.array([[[40000, 7, 65535]]], np.uint16),
    "flat": np.full((20, 30), 4095, np.uint16),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("levels", [0, 2])
def test_samples_come_back(name: str, levels: int) -> None:
    values = DEEP[name]
    decoded = codec.decode(codec.encode(values, levels=levels, effort=1), as_array=True)
    assert decoded.dtype == np.uint16
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize(
    ("values", "bits", "scaling"),
    [
        (sums(4), 12, "none"),
        (sums(4) << 4, 12, "shifted"),
        (sums(2) << 6 | sums(2) >> 4, 10, "repeated"),
        (sums(2) // 4 * 257, 8, "repeated"),
        (sums(2) // 4, 8, "none"),
        (np.zeros((2, 3, 1), np.uint16), 8, "none"),
        (np.full((2, 3, 1), 65535, np.uint16), 8, "repeated"),
    ],
)
def test_samples_are_coded_in_the_bits_that_they_need(values: Values, bits: int, scaling: str) -> None:
    found = samples_of(values)
    assert (found.bits, found.scaling) == (bits, scaling)
    data = codec.encode(values, effort=1)
    facts = codec.info(data)
    assert (facts["bits"], facts["coded_bits"], facts["scaling"]) == (16, bits, scaling)
    np.testing.assert_array_equal(np.atleast_3d(codec.decode(data, as_array=True)), values)


def test_eight_bits_in_sixteen_take_no_more_than_eight() -> None:
    values = (sums(2) // 4).astype(np.uint8)
    assert len(codec.encode(values.astype(np.uint16) * 257)) <= len(codec.encode(values)) + 4


@pytest.mark.parametrize("factor", [1, 257])
def test_small_ones_of_one_size_are_encoded_together(factor: int) -> None:
    several = [sums(2) // 4 * factor + turn * (factor == 1) * 300 for turn in range(3)]
    files = codec.encode_many(several, effort=1)
    assert files == [codec.encode(values, effort=1) for values in several]
    np.testing.assert_array_equal(codec.decode_many(files, as_array=True), several)


def test_prefixes_and_steps_are_pictures() -> None:
    values = sums(4)
    data = codec.encode(values)
    for preview in (codec.decode(data, step=2, as_array=True), codec.decode(data[:-40], partial=True, as_array=True)):
        assert preview.dtype == np.uint16
        assert abs(preview.astype(int) - values).mean() < 200
    with pytest.raises(TruncatedError):
        codec.decode(data[:-40])


def test_parts_and_reduced_images_are_decoded() -> None:
    values = sums(4, 4, 64)
    data = codec.encode(values, tile=64, effort=1)
    np.testing.assert_array_equal(codec.decode(data, box=(30, 5, 90, 40), as_array=True), values[5:40, 30:90])
    assert codec.decode(data, reduce=4).size == (values.shape[1] // 4, 16)
    assert codec.thumbnail(data, 48).size[0] == 48


def test_pillow_images_are_exact_or_an_error() -> None:
    grey = Image.fromarray(DEEP["grey"])
    again = codec.decode(codec.encode(grey, effort=1))
    assert again.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(again), DEEP["grey"])
    with pytest.raises(OutputError, match="as_array"):
        codec.decode(codec.encode(DEEP["12 bits"], effort=1))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_image_files_are_written_and_read(file_format: str, channels: int) -> None:
    values = sums(4, channels)
    file = file_of(Samples(values, 12 if file_format == "PPM" else 16, 12, "none"), file_format)
    data = codec.encode(BytesIO(file), effort=1)
    if (file_format, channels) in (("TIFF", 2), ("PPM", 2), ("PPM", 4)):  # which are kept whole
        assert codec.decode_original(data) == file
        return
    np.testing.assert_array_equal(np.atleast_3d(codec.decode(data, as_array=True)), values)
    assert codec.info(data)["bits"] == (12 if file_format == "PPM" else 16)


def test_png_files_are_restored_chunk_for_chunk() -> None:
    values = sums(4)
    plain = file_of(samples_of(values), "PNG", b"profile" * 20)
    data = codec.encode(BytesIO(plain), effort=1)
    restored = codec.decode_original(data)
    assert [chunk.kind for chunk in png.chunks(restored)] == [chunk.kind for chunk in png.chunks(plain)]
    np.testing.assert_array_equal(codec.decode(codec.encode(BytesIO(restored), effort=1), as_array=True), values)


def test_a_damaged_section_of_low_bits_is_found() -> None:
    data = bytearray(codec.encode(sums(4), effort=1))
    start, end = _native.parse_header(bytes(data)).section(LOW_BITS_TAG)
    for place in (start, (start + end) // 2, end - 1):
        damaged = bytearray(data)
        damaged[place] ^= 4
        with pytest.raises(FormatError):
            codec.decode(bytes(damaged), as_array=True)
        details = codec.decode_details(bytes(damaged), partial=True)
        assert details.damaged
        assert not details.exact
    with pytest.raises(ChecksumError):
        codec.decode(bytes(damaged), as_array=True)


def test_archives_code_deep_files_and_arrays(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    file.write_bytes(file_of(samples_of(sums(4)), "PNG", b"profile"))
    data = archive.create([("deep.png", file), ("grey", DEEP["grey"]), ("8 bits", sums(2).astype(np.uint8))], effort=1)
    assert [image["bits"] for image in archive.describe(data)["images"]] == [16, 16, 8]
    assert {image["coding"] for image in archive.describe(data)["images"]} == {"context model"}
    extracted = dict(archive.extract(data))
    np.testing.assert_array_equal(extracted["deep.png"], sums(4))
    np.testing.assert_array_equal(extracted["grey"], DEEP["grey"])
    originals = dict(archive.extract(data, original=True))
    for name, values in (("deep.png", sums(4)), ("grey", DEEP["grey"])):
        decoded = codec.decode(codec.encode(BytesIO(originals[name]), effort=1), as_array=True)
        np.testing.assert_array_equal(decoded, values)
    np.testing.assert_array_equal(np.asarray(archive.open(data)["deep.png"]), sums(4) >> 4)


def test_other_numbers_are_refused() -> None:
    for dtype in (np.int32, np.float32, np.uint32):
        with pytest.raises(ImageError, match="uint16"):
            codec.encode(sums(4).astype(dtype))


def test_low_bits_are_the_same_on_every_machine() -> None:
    """The hash of a stream, with all channels, of an image in which all that is learned has learned something."""
    y, x = np.mgrid[:40, :50]
    noise = np.random.Generator(np.random.Philox(5)).integers(0, 200, (40, 50, 4))
    values = (900 * np.sin(x / 9 + y / 7)[..., None].round(3) + 30 * x[..., None] + noise + 9000).astype(np.uint16)
    high, low = (values >> 8).astype(np.uint8), (values & 255).astype(np.uint8)
    stream = testing.encode_low_bits(high, low, 8)
    assert hashlib.sha256(stream).hexdigest()[:16] == "469fbb02b44c5ec3"


def test_files_do_not_depend_on_the_number_of_threads() -> None:
    values, files = sums(4, 4, 64), []
    for threads in (1, 3):
        with threads_of(threads):
            files.append(codec.encode(values, tile=64, effort=1))
            np.testing.assert_array_equal(codec.decode(files[0], as_array=True), values)
    assert codec.info(files[0])["tiles"] > 1
    assert files[0] == files[1]


def test_chunks_of_images_are_coded() -> None:
    chunks = Ddpm(effort=1)
    for values in (
        sums(4),
        sums(4)[..., 0][None],
        np.stack([sums(4), sums(4) * 3]),
        sums(4)[..., :2].transpose(2, 0, 1),
    ):
        np.testing.assert_array_equal(chunks.decode(chunks.encode(values)).reshape(values.shape), values)
