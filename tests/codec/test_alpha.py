"""Alpha planes that vary are coded as grey levels where that is smaller, and behave in files as deflated ones do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from file_sections import header_of, split
from PIL import Image
from written_files import assemble

from ddpmcodec import codec
from ddpmcodec._native import CODED_ALPHA, parse_header
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.marks import end_mark

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
BOX = (10, 30, 70, 50)


def cutout(side: int = 80, mode: str = "RGBA") -> Image.Image:
    """A part of a photograph, with another one as alpha."""
    with Image.open(PHOTO) as photo:
        image = photo.convert("RGB").crop((100, 80, 100 + side, 80 + side))
        image.putalpha(photo.convert("L").crop((40, 40, 40 + side, 40 + side)))
    return image.convert(mode)


def page() -> Image.Image:
    """Opaque words that repeat themselves on what is transparent."""
    words = np.random.Generator(np.random.Philox(3)).integers(0, 2, (4, 5, 12)).repeat(2, 2)
    plane = np.zeros((90, 100), np.uint8)
    for line, column in np.ndindex(11, 3):
        plane[8 * line + 1 : 8 * line + 6, 30 * column + 4 : 30 * column + 28] = 255 * words[line * column % 4]
    image = Image.new("RGB", (100, 90), (20, 60, 130))
    image.putalpha(Image.fromarray(plane))
    return image


def alpha_section(data: bytes) -> bytes:
    return split(data).alpha


def planes_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image)[..., -1]


@pytest.fixture(scope="module", params=[(None, 1), (64, 4)], ids=["one stream", "tiles"])
def data(request: pytest.FixtureRequest) -> bytes:
    """A file with coded alpha."""
    side, count = request.param
    data = codec.encode(cutout(), effort=1, levels=2, tile=side)
    facts = codec.info(data)
    assert (facts["alpha_coding"], facts["tiles"]) == ("context model", count)
    return data


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("effort", "levels"), [(0, 0), (1, 1), (2, 0), (3, 5)])
def test_coded_alpha_comes_back(mode: str, effort: int, levels: int) -> None:
    image = cutout(40, mode)
    data = codec.encode(image, effort=effort, levels=levels)
    assert alpha_section(data)[0] == CODED_ALPHA
    assert codec.decode(data) == image


def test_repeats_are_found_in_alpha_too() -> None:
    data = codec.encode(page(), effort=1)
    assert (alpha_section(data)[0], codec.decode(data)) == (14, page())


def test_a_plane_of_one_value_is_deflated_however_large() -> None:
    image = Image.new("RGBA", (600, 500), (1, 2, 3, 77))
    data = codec.encode(image, effort=1)
    assert (codec.info(data)["alpha_coding"], codec.decode(data)) == ("deflate", image)


def test_small_files_are_decoded_together() -> None:
    images = [cutout(24).rotate(90 * turn) for turn in range(4)]
    files = codec.encode_many(images, effort=1)
    assert {codec.info(data)["alpha_coding"] for data in files} == {"context model"}
    assert codec.decode_many(files) == images


def test_high_bits_of_deep_alpha_are_coded() -> None:
    pixels = np.asarray(cutout(40)).astype(np.uint16) * 16
    pixels[1:] += pixels[:-1] // 300
    data = codec.encode(pixels, effort=1)
    assert codec.info(data)["alpha_coding"] == "context model"
    assert np.array_equal(codec.decode(data, as_array=True), pixels)
    box = codec.decode(data, as_array=True, box=(3, 5, 30, 20))
    assert np.array_equal(box, pixels[5:20, 3:30])


def test_a_part_and_a_reduced_image_have_their_alpha(data: bytes) -> None:
    left, top, right, bottom = BOX
    assert codec.decode(data, box=BOX) == cutout().crop(BOX)
    assert (planes_of(codec.decode(data, reduce=4)) == planes_of(cutout().reduce(4))).all()
    assert codec.thumbnail(data, 20).size == (20, 20)
    assert (right - left, bottom - top) == codec.decode(data, box=BOX).size


def test_a_prefix_shows_the_alpha_that_it_has(data: bytes) -> None:
    header = parse_header(data)
    shares = []
    for size in range(0, header.alpha_length, header.alpha_length // 8):
        found = planes_of(codec.decode(data[: header.size + size], partial=True))
        known = found != 255
        assert (found[known] == planes_of(cutout())[known]).all()
        shares.append(known.mean())
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] > 0.6
    whole = codec.decode(data, max_bytes=header.size + header.alpha_length)
    assert (planes_of(whole) == planes_of(cutout())).all()


def test_a_cut_file_is_refused_unless_it_may_be(data: bytes) -> None:
    for size in (1, 9, 200):
        with pytest.raises(TruncatedError, match="alpha section"):
            codec.decode(data[: parse_header(data).size + size])


def test_a_lossy_file_keeps_the_alpha_that_it_has(data: bytes) -> None:
    kept = data[: parse_header(data).size + 1500]
    found = decode_details(kept + end_mark(kept))
    assert (found.lossy, found.damaged) == (True, False)
    assert found.image == codec.decode(kept, partial=True)


def test_bytes_may_arrive_one_by_one(data: bytes) -> None:
    decoder, end = ProgressiveDecoder(), parse_header(data).size + parse_header(data).alpha_length
    previews = [preview for byte in data[: end + 600] if (preview := decoder.feed(bytes([byte])))]
    assert all((planes_of(preview) == planes_of(cutout())).all() for preview in previews)
    assert decoder.feed(data[end + 600 :]) == cutout()


def test_damage_is_found_and_left_out_of_a_preview(data: bytes) -> None:
    start, length = parse_header(data).size, parse_header(data).alpha_length
    for place in (0, 1, 2, 40, length // 2, length - 1):
        damaged = bytearray(data)
        damaged[start + place] ^= 0x10
        with pytest.raises((ChecksumError, CorruptError, FormatError)):
            codec.decode(bytes(damaged))
        found = decode_details(bytes(damaged), partial=True)
        assert (found.exact, found.damaged, found.left_out) == (False, True, ("alpha",))
        assert (planes_of(found.image) == 255).all()
        assert (np.asarray(found.image)[..., :3] == np.asarray(cutout())[..., :3]).all()


@pytest.mark.parametrize("first", [7, 6 | 16, 0xFF])
def test_other_codings_are_refused(data: bytes, first: int) -> None:
    file = split(data)
    with pytest.raises(CorruptError, match="unknown coding"):
        codec.decode(bytes([*data[: file.start], first, *data[file.start + 1 :]]))


def test_a_section_of_another_length_than_its_plane_is_refused(data: bytes) -> None:
    file = split(data)
    payload = list(file.chunks) if parse_header(data).is_tiled else file.chunks[0]
    for section in (file.alpha + b"\0", file.alpha[:-4]):
        with pytest.raises(CorruptError, match="another length"):
            codec.decode(assemble(header_of(data), section, payload, b""))


def test_limits_hold_before_alpha_is_decoded(data: bytes) -> None:
    with pytest.raises(ImageError, match="80 x 80"):
        codec.decode(data, max_pixels=79 * 80)
