"""docs/format.md says enough: a reader written from it alone lists, checks and cuts files as the library does."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_sections import split
from numpy.typing import NDArray
from PIL import Image as Pillow

import ddpmcodec
from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding, segments
from ddpmcodec.codec.passes import new_pass, run
from ddpmcodec.errors import FormatError
from ddpmcodec.format.streams import pack_state
from ddpmcodec.models.context import ContextModel
from forgeries import forged_file
from image_reader import (
    LEAST,
    PARTS,
    SEGMENTS_OF_STEPS,
    Bad,
    Image,
    alpha_file,
    check_image,
    covered,
    describe_image,
    end_of_step,
    is_coded_alpha,
    open_stream,
    pop,
    read_alpha,
    read_image,
    read_kept,
    read_low_bits,
    read_metadata,
    read_recipe,
    streams,
)
from repairs import file_parts

HERE = Path(__file__).parent
GOLDEN = sorted((HERE.parent / "golden").glob("v*/*.ddpm"))
PHOTO = HERE.parents[1] / "docs" / "photo.png"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiled(context_model: ContextModel) -> bytes:
    """Six tiles, four of them smaller, with alpha, a profile and EXIF."""
    image = Pillow.open(PHOTO).crop((40, 30, 172, 98)).convert("RGBA")
    image.putalpha(image.getchannel("G"))
    image.info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of one")
    data = ddpmcodec.encode(image, effort=3, levels=5, tile=64, model=context_model)
    assert ddpmcodec.info(data)["tiles"] == 6
    return data


@pytest.fixture(scope="module")
def singles(context_model: ContextModel) -> dict[str, bytes]:
    """Files of one stream: with a CRC, where there is more than the stream; and a plain one."""
    photo = Pillow.open(PHOTO).crop((40, 30, 91, 71))
    alpha, named = photo.copy(), photo.convert("L")
    alpha.putalpha(photo.getchannel("G"))
    named.info["icc_profile"] = b"a profile"
    options = {"effort": 1, "levels": 2, "model": context_model}
    pictures = {"plain": photo, "alpha": alpha, "metadata": named}
    return {name: ddpmcodec.encode(image, **options) for name, image in pictures.items()}


def library_finds(data: bytes) -> bool:
    """Whether the library finds damage without a network."""
    try:
        file = _native.Container(data)
        file.require_whole()
        file.require_sound_sections()
        lanes_of(data)
    except FormatError:
        return True
    return bool(file.following)


def lanes_of(data: bytes) -> list[tuple[int, list[int]]]:
    """State and words of the stream, or of the lanes of each tile, as the core reads them."""
    from native_testing import testing

    file = split(data)
    if not file.header.is_tiled:
        return [testing.parse_stream(file.payload, file.header.state_bytes)]
    schedule = segments(file.header.levels, file.header.height, file.header.width)
    parts, lanes = [segment.parts for segment in schedule], list[tuple[int, list[int]]]()
    for tile in range(file.header.tile_count):
        chunks = file.chunks[tile :: file.header.tile_count]
        found = [testing.parse_chunk(c, len(c), k == 0, parts[k]) for k, c in enumerate(chunks)]
        lanes += [(own[0][0], [word for _, words in own for word in words]) for own in zip(*found, strict=True)]
    return lanes


def reader_finds(data: bytes) -> bool:
    try:
        return any(check_image(read_image(data)))
    except Bad:
        return True


def flipped(data: bytes, place: int) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= 1 << place % 8
    return bytes(damaged)


def listed(facts: dict[str, Any], found: Iterable[str]) -> dict[str, Any]:
    """What the library says of what the reader finds."""
    stated = dict(facts, model_number=facts["model_number"] or None)
    if stated["model_number"]:
        stated["model_id"] = None  # which the library knows of embedded models
    return {key: stated[key] for key in found}


READERS = (
    "archive_reader", "colours", "image_reader", "jpeg_coefficients", "jpeg_reader", "jpeg_scans", "logistics",
    "low_bits_reader", "mixtures", "networks", "pixel_reader", "positions", "pyramid", "repeats", "scales", "stages",
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_the_readers_import_nothing_of_the_library(name: str) -> None:
    nodes = list(ast.walk(ast.parse((HERE / f"{name}.py").read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    allowed = {
        "__future__",
        "abc",
        "binascii",
        "collections",
        "collections.abc",
        "dataclasses",
        "decimal",
        "itertools",
        "json",
        "math",
        "pathlib",
        "typing",
        "zlib",
    }
    assert imported <= allowed | {"numpy", "numpy.typing", *READERS}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_golden_file_is_listed_checked_and_cut(path: Path) -> None:
    data = path.read_bytes()
    facts, image = ddpmcodec.info(data), read_image(data)
    found = describe_image(image, len(data))
    assert found == listed(facts, found)
    assert list(check_image(image)) == []
    metadata = read_metadata(image.metadata)
    names = {1: "icc_profile", 2: "exif", 3: "xmp", 4: "png"}
    assert {names[kind]: len(value) for kind, value in metadata.items()} == facts["metadata"]
    for size in range(image.start, len(data), 97):
        cut = read_image(ddpmcodec.truncate(data, bytes=size))
        assert (cut.missing, cut.lossy) == (len(data) - size, False)
        if size >= image.start + 6:
            marked = read_image(ddpmcodec.truncate(data, bytes=size, mark=True))
            assert (marked.lossy, marked.chunks) == (True, read_image(data[: size - 6]).chunks)


def test_a_tiled_file_is_listed_and_checked(tiled: bytes) -> None:
    facts, image = ddpmcodec.info(tiled), read_image(tiled)
    found = describe_image(image, len(tiled))
    assert found == listed(facts, found)
    assert list(check_image(image)) == []
    assert streams(image) == lanes_of(tiled)


def test_sections_beside_the_pixels_are_read(tiled: bytes, context_model: ContextModel) -> None:
    image, decoded = read_image(tiled), ddpmcodec.decode(tiled, model=context_model)
    assert np.array_equal(read_alpha(image.alpha, image.width, image.height), np.asarray(decoded)[..., 3])
    assert read_metadata(image.metadata) == {1: decoded.info["icc_profile"], 2: decoded.info["exif"]}


@pytest.mark.parametrize(("side", "count"), [(None, 1), (64, 2)])
def test_a_coded_alpha_plane_is_a_file_of_grey_levels(side: int | None, count: int) -> None:
    image = Pillow.open(PHOTO).crop((40, 30, 112, 78)).convert("LA")
    image.putalpha(Pillow.open(PHOTO).crop((90, 30, 162, 78)).convert("L"))
    data = ddpmcodec.encode(image, effort=1, levels=1, tile=side)
    found = read_image(data)
    plane = read_image(alpha_file(found))
    assert (plane.mode, plane.levels, plane.effort, plane.tiles) == ("L", 0, 1, count)
    assert list(check_image(found)) == []
    decoded = ddpmcodec.decode(alpha_file(found), as_array=True)
    np.testing.assert_array_equal(decoded, np.asarray(image)[..., 1])


def test_a_tiled_file_is_cut_where_the_library_cuts_it(tiled: bytes) -> None:
    image = read_image(tiled)
    for step in range(len(SEGMENTS_OF_STEPS[image.levels])):
        assert ddpmcodec.truncate(tiled, step=step) == tiled[: end_of_step(image, step)]


def test_the_table_of_segments_is_that_of_the_schedules() -> None:
    for levels, counts in SEGMENTS_OF_STEPS.items():
        steps = [segment.step for segment in segments(levels, 7, 9)]
        assert steps == sorted(steps)
        assert tuple(steps.count(step) for step in sorted({*steps})) == counts
        assert [segment.parts for segment in segments(levels, 7, 9)] == [part for n in counts for part in PARTS[n]]


def all_found(data: bytes, places: Iterable[int]) -> bool:
    """Whether reader and library find damage to each byte, but where the alpha plane is the same all the same."""
    found = {place: reader_finds(flipped(data, place)) for place in places}
    assert list(found.values()) == [library_finds(flipped(data, place)) for place in found]
    images = [read_image(flipped(data, place)) for place, there in found.items() if not there]
    return all(np.array_equal(alpha_of(image), alpha_of(read_image(data))) for image in images)


def alpha_of(image: Image) -> NDArray[np.uint8]:
    assert image.alpha, "damage that is not found concerns something else"
    return read_alpha(image.alpha, image.width, image.height)


def test_flipped_bytes_of_a_tiled_file_are_found(tiled: bytes) -> None:
    """All of the head, and some of what it describes."""
    start = read_image(tiled).start
    assert all_found(tiled, [*range(start), *range(start, len(tiled), 397), *range(len(tiled) - 40, len(tiled))])


@pytest.mark.parametrize("name", ["plain", "alpha", "metadata"])
def test_single_streams_are_listed_and_checked(singles: dict[str, bytes], name: str) -> None:
    data = singles[name]
    facts, image = ddpmcodec.info(data), read_image(data)
    found = describe_image(image, len(data))
    assert found == listed(facts, found)
    assert (image.plain, image.is_jpeg) == (name == "plain", False)
    assert list(check_image(image)) == []


@pytest.mark.parametrize("name", ["alpha", "metadata"])
def test_single_streams_have_the_same_checks_of_header_and_sections(singles: dict[str, bytes], name: str) -> None:
    data = singles[name]
    image = read_image(data)
    end = image.start + len(image.alpha)
    streams = {*range(end, end + len(image.chunks[0]))}
    if is_coded_alpha(image.alpha):
        streams |= {*range(end - len(read_image(alpha_file(image)).chunks[0]), end)}
    assert all_found(data, sorted(set(range(len(data))) - streams))


def test_a_header_that_only_the_stream_checks_is_read_alike(singles: dict[str, bytes]) -> None:
    """Each of its bits, flipped: both refuse what follows, or both read the same."""
    data = singles["plain"]
    for bit in range(8 * read_image(data).start):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert reader_finds(bytes(damaged)) == library_finds(bytes(damaged)), bit
        if not reader_finds(bytes(damaged)):
            image, header = read_image(bytes(damaged)), _native.parse_header(bytes(damaged))
            assert (image.width, image.height, image.mode) == (header.width, header.height, header.mode)
            assert (image.effort, image.levels, image.model_id) == (header.effort, header.levels, header.model_id)


@pytest.mark.parametrize(("bits", "factor"), [(12, 1), (12, 16), (16, 1), (8, 257)])
def test_samples_of_more_than_eight_bits(bits: int, factor: int, context_model: ContextModel) -> None:
    rng = np.random.Generator(np.random.Philox(bits))
    values = (rng.integers(1 << bits - 1, 1 << bits, (20, 24, 2)) * factor).astype(np.uint16)
    data = ddpmcodec.encode(values, effort=1, model=context_model)
    image, high = read_image(data), (values // factor) >> bits - 8
    assert not list(check_image(image))
    assert listed(ddpmcodec.info(data), describe_image(image, len(data))) == describe_image(image, len(data))
    assert values[3, 4, 0] == image.samples.sample_of(int(values[3, 4, 0] // factor))
    plane = ddpmcodec.decode(alpha_file(image), model=context_model, as_array=True)
    np.testing.assert_array_equal(plane, high[..., 1])
    assert len(read_low_bits(image) if bits > 8 else []) == (bits > 8)
    for place in range(0, len(data) if bits > 8 else 5, 3):
        damaged = flipped(data, place)
        assert reader_finds(damaged) or not library_finds(damaged), place


def test_sections_of_unknown_types_are_skipped_by_both(singles: dict[str, bytes]) -> None:
    data = singles["metadata"]
    file = split(data)
    for others in [((7, 3), (0x48, 2)), ((0x87, 3),), ((0xC8, 3),)]:
        parts = file_parts(data)
        parts.others = [(tag, bytes(length)) for tag, length in others]
        changed = parts.pack()
        is_critical = others[0][0] > 127
        assert reader_finds(changed) == library_finds(changed) == is_critical
        if not is_critical:
            image = read_image(changed)
            assert (image.missing, image.chunks, image.metadata) == (0, file.chunks, split(changed).metadata)


def test_a_file_that_is_kept_whole_is_listed_and_checked() -> None:
    stream = BytesIO()
    Pillow.new("CMYK", (30, 20), (90, 20, 40, 0)).save(stream, "TIFF")
    data = ddpmcodec.encode(BytesIO(stream.getvalue()), effort=1)
    image, facts = read_image(data), ddpmcodec.info(data)
    found = describe_image(image, len(data))
    assert found == listed(facts, found)
    assert (found["format"], found["width"], read_kept(image.kept).content) == ("TIFF", 30, stream.getvalue())
    assert list(check_image(image)) == []
    damaged = flipped(data, len(data) - 9)
    assert reader_finds(damaged)
    assert library_finds(damaged)


def test_every_prefix_of_a_header_is_refused_and_so_are_bytes_behind_the_end(tiled: bytes) -> None:
    start = read_image(tiled).start
    for data in [tiled[:size] for size in range(start)] + [tiled + b"\0"]:
        with pytest.raises(Bad):
            read_image(data)
        assert library_finds(data)


@pytest.mark.parametrize("name", ["plain", "alpha", "metadata", "tiled"])
def test_forged_files_are_refused_by_both_or_by_none(singles: dict[str, bytes], tiled: bytes, name: str) -> None:
    """Whose fields say anything, under checksums that hold; of some a prefix with an end mark."""
    data, refused = {**singles, "tiled": tiled}[name], 0
    for number in range(60):
        rng = np.random.default_rng(number)
        forged = forged_file(rng, data, tiled)
        if number % 3 == 0:
            kept = forged[: rng.integers(len(forged))]
            forged = kept + b"\xddE" + zlib.crc32(kept).to_bytes(4, "little")
        assert reader_finds(forged) == library_finds(forged), number
        refused += reader_finds(forged)
    assert 12 < refused < 60


def test_jpeg_coefficients_are_listed_and_checked() -> None:
    jpeg = jpeg_file(320)
    for tile, count in ((None, 1), (64, 15)):
        data = ddpmcodec.encode(BytesIO(jpeg), tile=tile)
        image = checked_jpeg(data, jpeg)
        assert (image.is_jpeg, image.orientation, image.tiles) == (True, 6, count)
        assert image.segments == 9 + image.levels
        assert read_recipe(image)[:2] == (len(jpeg), zlib.crc32(jpeg))
        damaged = bytearray(data)
        damaged[image.start + 3] ^= 1
        assert any(check_image(read_image(bytes(damaged))))


def checked_jpeg(data: bytes, jpeg: bytes) -> Image:
    facts, image = ddpmcodec.info(data), read_image(data)
    found = describe_image(image, len(data))
    assert found == listed(facts, found)
    assert found["original_bytes"] == len(jpeg)
    assert list(check_image(image)) == []
    assert all_found(data, range(image.start))
    assert any(check_image(read_image(data[:-1])))
    return image


def jpeg_file(side: int) -> bytes:
    stream, exif = BytesIO(), Pillow.Exif()
    exif[0x112] = 6
    Pillow.open(PHOTO).convert("RGB").crop((40, 30, 40 + side, 30 + side // 2)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def coded(pixels: NDArray[np.uint8], model: ContextModel, coding: Coding) -> _native.Pass:
    """A pass, which knows what symbols occupy."""
    coder = new_pass(model, coding, pixels[None].shape)
    coder.encode(pixels[None])
    run(coder, pixels[None].shape, coding, None, None)
    return coder


def decoded(coder: _native.Pass, state: int, words: list[int]) -> Iterator[int]:
    """States after each part of a segment, by the arithmetic of the page; words are taken away."""
    from native_testing import testing

    symbols, start = list(zip(*(column.tolist() for column in coder.symbols(0)), strict=True)), 0
    for end in testing.ends(coder, 0):
        for low, freq in symbols[start:end]:
            assert low <= state % (1 << 24) < low + freq
            state = pop(state, words, lambda slot, interval=(low, freq): interval)  # type: ignore[misc]
        start = end
        yield state


@pytest.mark.parametrize("levels", [0, 5])
def test_a_stream_decodes_with_the_arithmetic_of_the_page(levels: int, context_model: ContextModel) -> None:
    """Words stand in the parts of segments that take them."""
    pixels = np.asarray(Pillow.open(PHOTO))[30:44, 40:57]
    coder = coded(pixels, context_model, Coding(1, levels))
    first, parts = coder.stream(0, 0x123456)
    packed = pack_state(first)
    state, words = open_stream(packed + b"".join(parts), len(packed))
    left = len(words)
    for part, last in zip(parts, decoded(coder, state, words), strict=True):
        assert left - len(words) == len(part) // 4
        left, state = len(words), last
    assert (state, words) == (LEAST + 0x123456, [])


def test_the_check_of_a_plain_file_is_the_crc_of_its_header_and_its_pixels(
    singles: dict[str, bytes], context_model: ContextModel
) -> None:
    data = singles["plain"]
    image, pixels = read_image(data), np.asarray(Pillow.open(PHOTO).crop((40, 30, 91, 71)))
    ((state, words),) = streams(image)
    *_, state = decoded(coded(pixels, context_model, Coding(1, 2)), state, words)
    check = zlib.crc32(covered(image, data) + pixels.tobytes()) % (1 << 24)
    assert (state, words) == (LEAST + check, [])
