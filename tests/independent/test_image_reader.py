"""docs/format.md says enough: a reader written from it alone lists, checks and cuts files as the library does."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

import ddpmcodec
from ddpmcodec.ans.logistic import interval
from ddpmcodec.ans.stream import encode_segments
from ddpmcodec.channels.progressive import segments
from ddpmcodec.codec import graphics
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.errors import FormatError
from ddpmcodec.format import ddpm, tiles
from ddpmcodec.format.sections import unpack_alpha, unpack_metadata
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.transform.color import to_ycocg
from image_reader import (
    LOW,
    SEGMENTS_OF_STEPS,
    Bad,
    Image,
    check_image,
    describe_image,
    end_of_step,
    open_stream,
    pop,
    read_alpha,
    read_image,
    read_metadata,
    streams,
)

HERE = Path(__file__).parent
GOLDEN = sorted((HERE.parent / "golden").glob("v*/*.ddpm"))
PHOTO = HERE.parents[1] / "docs" / "photo.png"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiled(context_model: ContextModel) -> bytes:
    """Six tiles, two of them smaller, with alpha, a profile and EXIF."""
    image = Pillow.open(PHOTO).crop((40, 30, 91, 71)).convert("RGBA")
    image.putalpha(image.getchannel("G"))
    image.info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "SINGLE_STREAM_PIXELS", 400)
        patch.setattr(tiles, "TILE_PIXELS", 400)
        patch.setattr(graphics, "may_be_graphics", lambda planes: False)
        data = ddpmcodec.encode(image, effort=3, model=context_model)
    assert ddpmcodec.info(data)["tiles"] > 4
    return data


def library_finds(data: bytes) -> bool:
    """Whether the library finds damage without a network."""
    try:
        file = ddpm.split(data)
        file.require_whole()
        if file.header.has_alpha_section:
            unpack_alpha(file.alpha, file.header.height, file.header.width)
        unpack_metadata(file.metadata)
    except FormatError:
        return True
    return False


def reader_finds(data: bytes) -> bool:
    try:
        return any(check_image(read_image(data)))
    except Bad:
        return True


def flipped(data: bytes, place: int) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= 1 << place % 8
    return bytes(damaged)


@pytest.mark.parametrize("name", ["image_reader.py", "archive_reader.py"])
def test_the_readers_import_nothing_of_the_library(name: str) -> None:
    nodes = list(ast.walk(ast.parse((HERE / name).read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    allowed = {"__future__", "binascii", "collections.abc", "itertools", "json", "typing", "zlib"}
    assert imported <= allowed | {"image_reader", "numpy", "numpy.typing"}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_golden_file_is_listed_checked_and_cut(path: Path) -> None:
    data = path.read_bytes()
    facts, image = ddpmcodec.info(data), read_image(data)
    found = describe_image(image, len(data))
    assert found == {key: facts[key] for key in found}
    assert list(check_image(image)) == []
    metadata = read_metadata(image.metadata)
    names = {1: "icc_profile", 2: "exif"}
    assert {names[kind]: len(value) for kind, value in metadata.items()} == facts["metadata"]
    for size in range(image.start, len(data), 97):
        assert read_image(ddpmcodec.truncate(data, bytes=size)).missing == len(data) - size


def test_a_tiled_file_is_listed_and_checked(tiled: bytes) -> None:
    facts, image = ddpmcodec.info(tiled), read_image(tiled)
    found = describe_image(image, len(tiled))
    assert found == {key: facts[key] for key in found}
    assert list(check_image(image)) == []
    assert streams(image) == [ddpm.split(tiled).tile_stream(tile) for tile in range(image.tiles)]


def test_sections_beside_the_pixels_are_read(tiled: bytes, context_model: ContextModel) -> None:
    image, decoded = read_image(tiled), ddpmcodec.decode(tiled, model=context_model)
    assert np.array_equal(read_alpha(image.alpha, image.width, image.height), np.asarray(decoded)[..., 3])
    assert read_metadata(image.metadata) == {1: decoded.info["icc_profile"], 2: decoded.info["exif"]}


def test_a_tiled_file_is_cut_where_the_library_cuts_it(tiled: bytes) -> None:
    image = read_image(tiled)
    for step in range(len(SEGMENTS_OF_STEPS[image.effort])):
        assert ddpmcodec.truncate(tiled, step=step) == tiled[: end_of_step(image, step)]


def test_the_table_of_segments_is_that_of_the_schedules() -> None:
    for effort, counts in SEGMENTS_OF_STEPS.items():
        schedule = EFFORTS[effort]
        ends = [len(segments(schedule[:step], 7, 9)) for step in range(len(schedule) + 1)]
        assert tuple(np.diff(ends)) == counts


def all_found(data: bytes, places: Iterable[int]) -> bool:
    """Whether reader and library find damage to each byte, but where the alpha plane is the same all the same."""
    found = {place: reader_finds(flipped(data, place)) for place in places}
    assert list(found.values()) == [library_finds(flipped(data, place)) for place in found]
    images = [read_image(flipped(data, place)) for place, there in found.items() if not there]
    return all(np.array_equal(alpha_of(image), alpha_of(read_image(data))) for image in images)


def alpha_of(image: Image) -> NDArray[np.uint8]:
    assert image.alpha, "damage that is not found concerns something else"
    return read_alpha(image.alpha, image.width, image.height)


def test_every_flipped_byte_of_a_tiled_file_is_found(tiled: bytes) -> None:
    assert all_found(tiled, range(len(tiled)))


@pytest.mark.parametrize("name", ["photo-2", "alpha-3", "graphics-2", "noise-1"])
def test_single_streams_have_the_same_checks_of_header_and_sections(name: str) -> None:
    data = (HERE.parent / "golden" / "v1" / f"{name}.ddpm").read_bytes()
    image = read_image(data)
    payload = range(image.start + image.alpha_length, len(data) - image.metadata_length)
    assert all_found(data, sorted(set(range(len(data))) - set(payload)))


def test_every_prefix_of_a_header_is_refused_and_so_are_bytes_behind_the_end(tiled: bytes) -> None:
    start = read_image(tiled).start
    for data in [tiled[:size] for size in range(start)] + [tiled + b"\0"]:
        with pytest.raises(Bad):
            read_image(data)
        with pytest.raises(FormatError):
            ddpm.split(data)


def test_a_webp_payload_begins_with_the_checksum_of_the_planes() -> None:
    data = (HERE.parent / "golden" / "v1" / "graphics-2.ddpm").read_bytes()
    pixels = np.asarray(ddpmcodec.decode(data))
    check = zlib.crc32(pixels[..., 3].tobytes(), zlib.crc32(pixels[..., :3].tobytes()))
    assert read_image(data).chunks[0][:4] == check.to_bytes(4, "little")


def test_a_stream_decodes_with_the_arithmetic_of_the_page() -> None:
    """Likely, unlikely and certain symbols in two segments; the first words are enough for the first segment."""
    rng = np.random.default_rng(16)
    freqs = np.array([1 << 23, 1 << 12, 3, 1 << 20, 1, 1 << 24, 999, 77777] * 4, np.uint32)
    starts = rng.integers(0, (1 << 24) + 1 - freqs.astype(np.int64)).astype(np.uint32)
    pieces = encode_segments(starts, freqs, [20, 32], 0x1234567)

    def decoded(stream: bytes, count: int) -> tuple[int, Iterator[int]]:
        state, words = open_stream(stream)
        left = iter(words)
        for start, freq in list(zip(starts.tolist(), freqs.tolist(), strict=True))[:count]:
            assert start <= state % (1 << 24) < start + freq
            state = pop(state, left, lambda slot, interval=(start, freq): interval)  # type: ignore[misc]
        return state, left

    state, left = decoded(b"".join(pieces), 32)
    assert (state, list(left)) == (LOW + 0x1234567, [])
    assert list(decoded(pieces[0], 20)[1]) == []


@pytest.mark.parametrize("effort", [1, 3])
def test_the_check_of_a_file_is_the_crc_of_its_pixels(effort: int, context_model: ContextModel) -> None:
    """A single pixel is coded without a network, so that its intervals are known."""
    pixels = np.full((1, 1, 3), (200, 100, 50), np.uint8)
    data = ddpmcodec.encode(pixels, effort=effort, model=context_model)
    (stream,) = streams(read_image(data))
    state, words = open_stream(stream)
    check = zlib.crc32(pixels.tobytes()) % LOW
    left = iter(words)
    for value, low in zip(to_ycocg(pixels).ravel().tolist(), (0, -255, -255), strict=True):
        start, freq = map(int, interval(low, 255, value, value, 32 * (low + 255), 127))
        assert start <= state % (1 << 24) < start + freq
        state = pop(state, left, lambda slot, interval=(start, freq): interval)  # type: ignore[misc]
    assert (state, list(left)) == (LOW + check, [])
