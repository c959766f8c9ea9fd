"""The grid of tiles: few, small, even, with short inner edges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddpmcodec._native import MAX_CHUNKS, MAX_PIXELS
from ddpmcodec.errors import ImageError
from ddpmcodec.format.ddpm import pack_header
from ddpmcodec.format.header import COEFFICIENTS, Header, Index
from ddpmcodec.format.tiles import SINGLE_STREAM_PIXELS, TILE_PIXELS, plan_index, plan_jpeg_index


@pytest.mark.parametrize(("width", "height"), [(1, 1), (256, 256), (SINGLE_STREAM_PIXELS, 1)])
def test_small_images_are_one_stream(width: int, height: int) -> None:
    assert plan_index(width, height, 9) is None


@pytest.mark.parametrize(
    ("width", "height", "tile", "tiles"),
    [
        (257, 256, (257, 256), 1),
        (768, 512, (768, 512), 1),
        (1024, 512, (1024, 512), 1),
        (1025, 512, (528, 512), 2),
        (512, 1025, (512, 528), 2),
        (6000, 4000, (752, 672), 48),
        (MAX_PIXELS, 1, (TILE_PIXELS, 1), 512),
        (1, MAX_PIXELS, (1, TILE_PIXELS), 512),
    ],
)
def test_large_images_are_cut_into_near_squares(width: int, height: int, tile: tuple[int, int], tiles: int) -> None:
    index = plan_index(width, height, 9)
    assert index == Index(*tile)
    assert Header("RGB", width, height, 2, 2, 1, index=index).tile_count == tiles


@pytest.mark.parametrize(
    ("width", "height", "tile", "tiles"),
    [(8, 8, (8, 8), 1), (1024, 512, (1024, 512), 1), (1000, 600, (512, 600), 2), (4000, 3000, (672, 752), 24)],
)
def test_jpeg_files_above_half_a_megapixel_are_tiles_of_whole_mcus(
    width: int, height: int, tile: tuple[int, int], tiles: int
) -> None:
    index = plan_jpeg_index(width, height, (16, 16))
    assert index == Index(*tile)
    assert Header("RGB", width, height, 2, 0, 1, kind=COEFFICIENTS, index=index).tile_count == tiles


@given(st.integers(1, 20000), st.integers(1, 13000))
@example(MAX_PIXELS, 1)
@example(2, MAX_PIXELS // 2)
@example(1 << 14, 1 << 14)
def test_tiles_cover_the_image_and_stay_small(width: int, height: int) -> None:
    header = Header("RGB", width, height, 2, 2, 1, index=plan_index(width, height, 9))
    boxes = header.boxes()
    areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes]
    assert sum(areas) == width * height
    assert max(areas) <= TILE_PIXELS
    assert len(boxes) == header.tile_count <= 1 + 2 * width * height // TILE_PIXELS
    assert (boxes[0][0].start, boxes[-1][0].stop, boxes[-1][1].stop) == (0, height, width)


@given(st.integers(1, 20000), st.integers(1, 13000))
def test_sides_are_even_unless_they_are_the_images(width: int, height: int) -> None:
    index = plan_index(width, height, 9)
    if index:
        assert index.tile_width % 2 == 0 or index.tile_width == width
        assert index.tile_height % 2 == 0 or index.tile_height == height


@given(st.integers(1000, 20000), st.integers(1000, 13000))
def test_sides_of_large_tiles_are_those_of_whole_pixels_of_small_images(width: int, height: int) -> None:
    index = plan_index(width, height, 9)
    assert index is not None
    assert index.tile_width % 16 == 0 or index.tile_width == width
    assert index.tile_height % 16 == 0 or index.tile_height == height


@pytest.mark.parametrize(("width", "height"), [(MAX_PIXELS, 1), (1 << 14, 1 << 14), (11, MAX_PIXELS // 11)])
def test_every_plan_of_the_largest_images_is_within_the_limits(width: int, height: int) -> None:
    index = plan_index(width, height, 43)
    assert index is not None
    header = Header("RGB", width, height, 2, 5, 1, index=index)
    chunks = header.tile_count * header.segments
    assert chunks <= MAX_CHUNKS
    full = Index(index.tile_width, index.tile_height, (0,) * chunks, (0,) * chunks)
    assert pack_header(replace(header, index=full))


def test_tiles_that_are_too_many_are_the_callers_mistake() -> None:
    """Not that of a file: the exit code is 1, not 3."""
    with pytest.raises(ImageError, match=r"^1078140 chunks"):
        plan_index(2_300_000, 1, 30, 64)
    assert plan_index(2_200_000, 1, 30, 64) == Index(64, 1)
