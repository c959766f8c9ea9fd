"""Limits that callers set: they come before memory, they name what is over them, and text is no number."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from written_files import pack_header
from written_headers import Header, Index

import ddpmcodec
from ddpmcodec import archive, codec
from ddpmcodec._native import DEFAULT_MAX_PIXELS
from ddpmcodec.arguments import check_limits
from ddpmcodec.errors import ImageError
from ddpmcodec.format.ddpma import PackedBlock, assemble, split
from pictures import drawing

CHUNKS = 16 * 8 * 8  # tiles, and segments of each
INDEX = Index(1024, 2048, (9,) * CHUNKS, (0,) * CHUNKS)
CLAIM = pack_header(Header("L", 16383, 16383, 1, 0, 1, index=INDEX))
SAID = "claims 16383 x 16383 .*178956970"


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Less than a megabyte is taken."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "decode",
    [
        codec.decode,
        lambda data: codec.decode(data, partial=True),
        lambda data: codec.decode(data, step=0),
        codec.decode_details,
        lambda data: codec.decode_many([data]),
        lambda data: ddpmcodec.ProgressiveDecoder().feed(data),
    ],
    ids=["whole", "partial", "step", "details", "many", "progressive"],
)
@pytest.mark.usefixtures("little_memory")
def test_a_few_bytes_that_claim_many_pixels_are_refused_at_once(decode: Callable[[bytes], object]) -> None:
    assert len(CLAIM) < 4000
    with pytest.raises(ImageError, match=f"^(file 1: )?the header {SAID}"):
        decode(CLAIM)


@pytest.fixture(scope="module")
def claiming_archive() -> bytes:
    """Whose index speaks of an image larger than the default limit."""
    made = split(archive.create([("large.png", drawing())]))
    (block,), (parts,) = made.index.blocks, made.parts
    entries = (replace(block.entries[0], width=16383, height=16383),)
    claiming = PackedBlock(replace(block, entries=entries), b"".join([*parts.values, *parts.sections]))
    return b"".join(map(bytes, assemble([claiming])))


@pytest.mark.usefixtures("little_memory")
def test_an_archive_that_claims_many_pixels_is_refused_at_once(claiming_archive: bytes) -> None:
    for read in (archive.extract, archive.test):
        with pytest.raises(ImageError, match=f"^large.png {SAID}"):
            read(claiming_archive)


def test_the_default_is_where_pillow_refuses() -> None:
    assert DEFAULT_MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS  # type: ignore[operator]


@pytest.fixture(scope="module")
def file() -> bytes:
    return codec.encode(np.zeros((20, 24), np.uint8))


def test_the_limit_can_be_set(file: bytes) -> None:
    assert codec.decode(file, max_pixels=480).size == codec.decode(file, max_pixels=None).size == (24, 20)
    assert [image.size for image in codec.decode_many([file], max_pixels=480)] == [(24, 20)]
    for refused in (lambda: codec.decode(file, max_pixels=479), lambda: codec.decode_many([file], max_pixels=479)):
        with pytest.raises(ImageError, match=r"24 x 20 .*479"):
            refused()


def test_of_an_archive_only_wanted_images_count() -> None:
    data = archive.create([("a.png", np.zeros((4, 4), np.uint8)), ("b.png", np.zeros((9, 4), np.uint8))])
    assert [name for name, _ in archive.extract(data, ["a.png"], max_pixels=16)] == ["a.png"]
    with pytest.raises(ImageError, match=r"b\.png .*4 x 9 .*16"):
        archive.extract(data, max_pixels=16)
    with archive.open(data, max_pixels=16) as images:
        assert images["a.png"].size == (4, 4)
        with pytest.raises(ImageError, match=r"b\.png .*4 x 9"):
            images["b.png"]


@pytest.mark.parametrize("value", ["1000", 2.5, True, [3]])
def test_limits_are_whole_numbers(file: bytes, value: Any) -> None:
    for read in (lambda: codec.decode(file, max_pixels=value), lambda: archive.extract(file, max_pixels=value)):
        with pytest.raises(TypeError, match="max_pixels"):
            read()


def test_limits_are_not_negative_and_numbers_of_numpy_are_numbers() -> None:
    check_limits(max_pixels=np.int32(3), step=np.uint8(0), bpp=np.float32(0.5))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"max_pixels.*-1"):
        check_limits(max_pixels=-1)


def test_numbers_of_numpy_do_what_those_of_python_do() -> None:
    """They are of fixed width: a product overflows, and they have no `bit_length`."""
    picture = drawing()
    data = codec.encode(picture, effort=np.uint8(1), levels=np.int8(2), tile=np.uint8(64), verify=False)  # type: ignore[arg-type]
    assert data == codec.encode(picture, effort=1, levels=2, tile=64, verify=False)
    assert codec.thumbnail(data, np.uint8(16)).size == codec.thumbnail(data, 16).size  # type: ignore[arg-type]
    box = np.array([0, 0, 20, 16], np.uint8)
    for options in ({"reduce": np.uint8(4)}, {"box": box}, {"box": box, "reduce": np.int64(2)}, {"step": np.uint8(1)}):
        plain = {key: value.tolist() for key, value in options.items()}
        assert codec.decode(data, **options).tobytes() == codec.decode(data, **plain).tobytes()  # type: ignore[arg-type]
    assert codec.truncate(data, bytes=np.uint16(400)) == data[:400]  # type: ignore[arg-type]


def test_names_are_a_list(file: bytes) -> None:
    with pytest.raises(TypeError, match=r"list of names.*'a\.png'"):
        archive.extract(file, "a.png")
