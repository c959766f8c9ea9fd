"""A part of an image and small images: the pixels of the whole, from the tiles and segments that they need."""

from __future__ import annotations

import mmap
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_sections import split
from PIL import Image
from written_files import assemble
from written_headers import Header, Index

from ddpmcodec import archive, codec
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.content import FileView
from ddpmcodec.errors import ChecksumError, ImageError, TruncatedError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import short_id

Picture = Callable[..., Image.Image]
WIDTH, HEIGHT, TILE = 150, 100, 64
BOXES = [(0, 0, 1, 1), (5, 7, 30, 40), (60, 60, 70, 70), (0, 0, WIDTH, HEIGHT), (149, 99, 150, 100), (64, 0, 128, 64)]


@pytest.fixture(scope="module")
def image(picture: Picture) -> Image.Image:
    return picture("RGBA", HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def tiled(image: Image.Image, model: ContextModel) -> bytes:
    """Six tiles, four of them smaller, with alpha and EXIF that has an orientation."""
    exif = Image.Exif()
    exif[0x112] = 6
    image = image.copy()
    image.info["exif"] = exif.tobytes()
    data = codec.encode(image, model=model, effort=1, tile=TILE)
    assert codec.info(data)["tiles"] == 6
    return data


def expected(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    return np.asarray(image.crop(box))


def test_alpha_takes_the_memory_of_a_part(model: ContextModel) -> None:
    side, tile = 1 << 13, 1 << 10
    count = (side // tile) ** 2
    header = Header("RGBA", side, side, 1, 0, model.number, short_id(model), index=Index(tile, tile))
    forged = assemble(header, b"\0", [b""] * (8 * count), b"")
    tracemalloc.start()
    try:
        found = codec.decode(forged, box=(0, 0, 1, 1), model=model, partial=True, max_pixels=tile**2)
        assert tracemalloc.get_traced_memory()[1] < side**2 // 2
    finally:
        tracemalloc.stop()
    assert found.size == (1, 1)


def test_a_part_is_that_of_the_whole(tiled: bytes, image: Image.Image, model: ContextModel) -> None:
    for box in BOXES:
        found = decode_details(tiled, box=box, model=model)
        assert np.array_equal(found.image, expected(image, box))
        assert (found.exact, found.damaged, found.image.mode) == (True, False, "RGBA")
        assert found.image.getexif()[0x112] == 6
    array = codec.decode(tiled, box=BOXES[2], model=model, as_array=True)
    assert np.array_equal(array, expected(image, BOXES[2]))


@pytest.mark.parametrize(("mode", "tile"), [("1", None), ("L", TILE), ("LA", TILE), ("RGB", None)])
def test_of_all_modes_tiled_or_not(picture: Picture, model: ContextModel, mode: str, tile: int | None) -> None:
    image = picture(mode, 70, 90)
    data = codec.encode(image, model=model, effort=1, tile=tile)
    for box in ((3, 4, 80, 66), (65, 1, 90, 70)):
        found = codec.decode(data, box=box, model=model)
        assert (found.mode, found.size) == (mode, (box[2] - box[0], box[3] - box[1]))
        assert np.array_equal(found, expected(image, box))


def test_no_more_is_read_than_the_tiles_that_a_part_touches(tiled: bytes, model: ContextModel) -> None:
    """Every byte that may be missing is damaged."""
    file = split(tiled)
    header = file.header
    lengths = header.chunk_lengths
    damaged, place = bytearray(tiled), file.start + header.alpha_length
    for n, length in enumerate(lengths):
        if n % header.tile_count != 1 and length:  # of all tiles but the second one
            damaged[place : place + length] = bytes(length)
        place += length
    box = (70, 10, 120, 60)
    found = decode_details(bytes(damaged), box=box, model=model)
    assert np.array_equal(found.image, codec.decode(tiled, box=box, model=model))
    others = sum(lengths) - sum(lengths[1 :: header.tile_count])
    assert found.bytes_used == len(tiled) - others
    with pytest.raises(ChecksumError, match=r"1 of 1 tiles .*columns 0 to 63, rows 64 to 99"):
        codec.decode(bytes(damaged), box=(0, 70, 20, 80), model=model)
    shown = decode_details(bytes(damaged), box=(0, 70, 90, 80), model=model, partial=True)
    assert (shown.exact, shown.damaged, shown.image.size) == (False, True, (90, 10))


def test_a_mapped_file_is_read_where_it_is_needed(tiled: bytes, model: ContextModel, tmp_path: Path) -> None:
    (tmp_path / "a.ddpm").write_bytes(tiled)
    with (tmp_path / "a.ddpm").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for options in ({"box": (70, 10, 120, 60)}, {"reduce": 4}, {"reduce": 8, "box": (70, 10, 120, 60)}):
            found = codec.decode(mapped, model=model, **options)  # type: ignore[arg-type]
            assert found == codec.decode(tiled, model=model, **options)  # type: ignore[arg-type]
        assert codec.decode(mapped, model=model) == codec.decode(tiled, model=model)


def test_a_file_is_read_where_it_is_needed(tiled: bytes, model: ContextModel, tmp_path: Path) -> None:
    """Zeros elsewhere make no difference, and that a file ends meanwhile is no more than an error."""
    box, path = (0, 70, 20, 80), tmp_path / "a.ddpm"
    file = split(tiled)
    needed = (2, 3)  # of two columns, the tiles of rows 64 to 127
    kept = [chunk if n % 6 in needed else bytes(len(chunk)) for n, chunk in enumerate(file.chunks)]
    path.write_bytes(tiled[: file.start] + file.alpha + b"".join(kept) + file.metadata)
    found = decode_details(FileView(path), box=box, model=model)
    assert (found.exact, found.image) == (True, codec.decode(tiled, box=box, model=model))
    view = FileView(path)
    os.truncate(path, file.start + len(file.alpha))
    with pytest.raises(TruncatedError, match="shorter"):
        decode_details(view, box=box, model=model)


def test_a_part_of_a_cut_file_is_a_preview_on_request(tiled: bytes, model: ContextModel) -> None:
    cut = tiled[: len(tiled) * 2 // 3]
    with pytest.raises(TruncatedError):
        codec.decode(cut, box=(3, 3, 50, 50), model=model)
    found = decode_details(cut, box=(3, 3, 50, 50), model=model, partial=True)
    assert (found.exact, found.image.size) == (False, (47, 47))
    real = np.asarray(codec.decode(tiled, box=(3, 3, 50, 50), model=model), float)[..., :3]
    assert np.abs(np.asarray(found.image, float)[..., :3] - real).mean() < 12
    one = decode_details(tiled, box=(3, 3, 50, 50), step=1, model=model)
    assert (one.exact, one.steps_done) == (False, 1)


@pytest.mark.parametrize("box", [(0, 0, 151, 5), (5, 5, 5, 9), (-1, 0, 4, 4), (9, 9, 4, 12), (0, 100, 4, 101)])
def test_a_box_that_is_not_inside_is_refused(tiled: bytes, box: Any) -> None:
    with pytest.raises(ImageError, match=r"not inside .*150 x 100"):
        codec.decode(tiled, box=box)


def test_what_is_no_box_or_scale_is_refused(tiled: bytes) -> None:
    for box in ((1, 2, 3), (1, 2, 3.5, 4), "1234"):
        with pytest.raises(TypeError):
            codec.decode(tiled, box=box)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reduce.* 3"):
        codec.decode(tiled, reduce=3)
    with pytest.raises(ValueError, match="reduce or step"):
        codec.decode(tiled, reduce=2, step=1)


def test_the_limit_of_pixels_counts_what_is_decoded(tiled: bytes, model: ContextModel) -> None:
    assert codec.decode(tiled, box=(1, 1, 9, 9), model=model, max_pixels=TILE**2).size == (8, 8)
    with pytest.raises(ImageError, match="4096"):
        codec.decode(tiled, box=(60, 1, 70, 9), model=model, max_pixels=TILE**2)


# --- small images


@pytest.mark.parametrize(("levels", "tile"), [(0, TILE), (2, None), (5, TILE)])
def test_a_small_image_is_about_the_mean_of_the_large_one(
    picture: Picture, model: ContextModel, levels: int, tile: int | None
) -> None:
    image = picture("RGB", 101, 150)
    data = codec.encode(image, model=model, effort=1, levels=levels, tile=tile)
    for scale in (2, 4, 8, 16):
        found, real = decode_details(data, reduce=scale, model=model), image.reduce(scale)
        assert (found.image.size, found.exact) == (real.size, False)
        error = np.sqrt(np.mean((np.asarray(found.image, float) - np.asarray(real, float)) ** 2))
        assert error == 0 if levels == 0 else error < 6, scale
        if levels and tile:
            assert found.bytes_used < len(data) / 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA"])
def test_small_images_of_all_modes(picture: Picture, model: ContextModel, mode: str) -> None:
    image = picture(mode, 40, 50)
    found = codec.decode(codec.encode(image, model=model, effort=1), reduce=4, model=model)
    assert (found.mode, found.size) == ("L" if mode == "1" else mode, (13, 10))
    if "A" in mode:
        assert np.array_equal(found.getchannel("A"), image.getchannel("A").reduce(4))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 200), (9, 7), (130, 2)])
def test_small_images_of_any_shape(picture: Picture, model: ContextModel, size: tuple[int, int]) -> None:
    image = picture("RGB", *size)
    data = codec.encode(image, model=model, effort=1, tile=TILE)
    for scale, most in ((2, 5), (16, 20)):  # halving odd sides does not weigh all pixels alike
        found = codec.decode(data, reduce=scale, model=model)
        assert found.size == image.reduce(scale).size
        assert np.abs(np.asarray(found, float) - np.asarray(image.reduce(scale), float)).mean() < most


def test_parts_of_small_images_are_those_of_the_whole(tiled: bytes, model: ContextModel) -> None:
    for scale in (2, 8):
        whole = np.asarray(codec.decode(tiled, reduce=scale, model=model))
        for left, top, right, bottom in BOXES[1:3] + BOXES[4:]:
            found = codec.decode(tiled, reduce=scale, box=(left, top, right, bottom), model=model)
            part = whole[top // scale : -(-bottom // scale), left // scale : -(-right // scale)]
            assert np.array_equal(found, part)


def test_data_may_end_behind_the_bands_of_a_small_image(tiled: bytes, model: ContextModel) -> None:
    image = codec.decode(tiled, model=model).convert("RGB")
    image.info.clear()
    bare = codec.encode(image, model=model, effort=1, tile=TILE)
    used = decode_details(bare, reduce=8, model=model).bytes_used
    assert used < len(bare) / 4
    assert codec.decode(bare[:used], reduce=8, model=model) == codec.decode(bare, reduce=8, model=model)
    with pytest.raises(TruncatedError):
        codec.decode(bare[: used - 1], reduce=8, model=model)
    assert codec.decode(bare[: used - 1], reduce=8, model=model, partial=True).size == (19, 13)
    start = codec.info(bare)["header_bytes"]
    nothing = decode_details(bare[:start], reduce=8, model=model, partial=True)
    assert np.unique(np.asarray(nothing.image)).tolist() == [128]
    damaged = bare[: start + 3] + bytes([bare[start + 3] ^ 255]) + bare[start + 4 :]
    with pytest.raises(ChecksumError):
        codec.decode(damaged, reduce=8, model=model)
    assert decode_details(damaged, reduce=8, model=model, partial=True).damaged


# --- while bytes arrive, and in archives


def test_previews_of_a_part_while_bytes_arrive(tiled: bytes, model: ContextModel) -> None:
    box = (50, 20, 120, 90)
    decoder = ProgressiveDecoder(model=model, box=box)
    shown = [decoder.feed(tiled[start : start + 1500]) for start in range(0, len(tiled), 1500)]
    previews = [image for image in shown if image is not None]
    assert len(previews) > 10
    assert {image.size for image in previews} == {(70, 70)}
    assert decoder.complete
    assert decoder.close() == codec.decode(tiled, box=box, model=model)
    with pytest.raises(ImageError, match="not inside"):
        ProgressiveDecoder(model=model, box=(0, 0, 500, 1)).feed(tiled)


def test_previews_of_a_part_of_a_single_stream(picture: Picture, model: ContextModel) -> None:
    data = codec.encode(picture("RGB", 40, 30), model=model, effort=1)
    decoder = ProgressiveDecoder(model=model, box=(3, 4, 20, 30))
    shown = [decoder.feed(data[start : start + 200]) for start in range(0, len(data), 200)]
    assert {image.size for image in shown if image is not None} == {(17, 26)}
    assert decoder.close() == codec.decode(data, box=(3, 4, 20, 30), model=model)


def test_parts_of_images_of_an_archive(picture: Picture, tmp_path: Path) -> None:
    images = {"small.png": picture("RGB", 30, 40), "large.png": picture("RGB", 90, 120)}
    (tmp_path / "a.ddpma").write_bytes(archive.create(images.items(), effort=1))
    with archive.open(tmp_path / "a.ddpma") as opened:
        for name, image in images.items():
            assert np.array_equal(opened.region(name, (5, 6, 25, 30)), expected(image, (5, 6, 25, 30)))
            assert opened.region(name, reduce=2).size == image.reduce(2).size
            with pytest.raises(ImageError, match="not inside"):
                opened.region(name, (5, 6, 250, 30))
        with pytest.raises(KeyError):
            opened.region("other.png")


# --- tiles that are asked for


@pytest.mark.parametrize("side", [60, 1040, 0, -64, 65, 72])
def test_sides_of_tiles_that_are_none_are_refused(picture: Picture, side: int) -> None:
    with pytest.raises(ValueError, match=r"tile.*64 to 1024"):
        codec.encode(picture(), tile=side)
    with pytest.raises(TypeError):
        codec.encode(picture(), tile=64.0)  # type: ignore[arg-type]


def test_an_image_that_one_tile_holds_is_coded_as_without(picture: Picture, model: ContextModel) -> None:
    image = picture("RGB", 60, 64)
    options: dict[str, Any] = {"model": model}
    assert codec.encode(image, tile=64, **options) == codec.encode(image, **options)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_segments_that_need_no_words_are_whole(levels: int) -> None:
    """Their streams end alike, cut or whole: the index states that all of these segments are there."""
    data = codec.encode(np.full((128, 64, 3), 255, np.uint8), levels=levels, tile=64, verify=False)
    assert codec.decode(data, reduce=2, as_array=True).min() >= 254
    assert codec.info(data)["tiles"] == 2


@pytest.mark.parametrize("side", [1, 4, 32, 100])
def test_a_small_file_that_needs_no_more_words_is_whole(side: int) -> None:
    """Its first segments come without a word."""
    image = np.full((side, side, 3), 255, np.uint8)
    data = codec.encode(image)
    assert np.abs(codec.decode(data, reduce=2, as_array=True).astype(int) - image[::2, ::2]).max() <= 1
    assert decode_details(data, step=1).steps_done == 1
    assert codec.truncate(data, step=1) == data[: len(codec.truncate(data, step=1))]
