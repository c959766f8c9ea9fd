"""Every mode and size comes back exactly, alone or with many others; the package offers the functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ddpmcodec
from ddpmcodec import codec
from ddpmcodec.channels import uniform
from ddpmcodec.errors import ImageError
from ddpmcodec.networks.model import Model

Picture = Callable[..., Image.Image]
Smooth = Callable[..., np.ndarray]


MODES = ("1", "L", "LA", "RGB", "RGBA")


@pytest.mark.parametrize("effort", [1, 3, 5, 9])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_comes_back_exactly(picture: Picture, model: Model, mode: str, effort: int) -> None:
    assert codec.decode(codec.encode(picture(mode), effort=effort, model=model), model=model) == picture(mode)


@pytest.mark.parametrize("mode", MODES)
def test_progressive_files_come_back_exactly(picture: Picture, model: Model, mode: str) -> None:
    found = codec.encode(picture(mode, 21, 37), progressive=True, model=model)
    assert codec.decode(found, model=model) == picture(mode, 21, 37)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (2, 3), (5, 17), (33, 31)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_size_comes_back_exactly(picture: Picture, model: Model, mode: str, height: int, width: int) -> None:
    image = picture(mode, height, width)
    assert codec.decode(codec.encode(image, effort=1, model=model), model=model) == image


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4)])
def test_arrays_come_back_exactly(model: Model, shape: tuple[int, ...]) -> None:
    array = np.random.Generator(np.random.Philox(3)).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(codec.decode(codec.encode(array, effort=1, model=model), model=model)), array)


def test_metadata_comes_back_unless_stripped(picture: Picture, model: Model) -> None:
    image = picture()
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    kept = codec.decode(codec.encode(image, effort=1, model=model), model=model)
    assert (kept.info["icc_profile"], kept.info["exif"]) == (b"profile", b"Exif\0\0MM")
    stripped = codec.encode(image, effort=1, model=model, strip=True)
    assert codec.decode(stripped, model=model).info == {}
    assert stripped == codec.encode(picture(), effort=1, model=model)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("mode", MODES)
def test_large_images_come_back_exactly(picture: Picture, model: Model, mode: str) -> None:
    image = picture(mode, 21, 37)
    data = codec.encode(image, effort=1, model=model)
    assert codec.info(data)["groups"] > 4
    assert codec.decode(data, model=model) == image


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_bytes_do_not_depend_on_the_number_of_threads(picture: Picture, model: Model, threads: int) -> None:
    before = torch.get_num_threads()
    data = codec.encode(picture("RGB", 21, 37), effort=1, model=model)
    torch.set_num_threads(threads)
    try:
        assert codec.encode(picture("RGB", 21, 37), effort=1, model=model) == data
        assert codec.decode(data, model=model) == picture("RGB", 21, 37)
    finally:
        torch.set_num_threads(before)


def test_the_grid_is_in_the_file(picture: Picture, model: Model, chunked: bytes) -> None:
    assert codec.info(chunked)["groups"] == 2
    assert codec.decode(chunked, model=model) == picture("RGB", 8, 12)


def test_grey_costs_one_channel(picture: Picture, model: Model) -> None:
    grey = picture("L", 32, 32)
    assert len(codec.encode(grey, effort=1, model=model)) < 0.6 * len(
        codec.encode(grey.convert("RGB"), effort=1, model=model)
    )


def test_a_file_costs_at_most_24_bytes_more_than_the_code_length_of_the_model(smooth: Smooth, model: Model) -> None:
    pixels = smooth(32, 32)[None, ..., :3]
    steps = model.presets[5]
    symbols = [found for found, _ in uniform.encode_symbols(pixels, model, steps, group=0)]
    bits = sum(float((24 - np.log2(freqs)).sum()) for step in symbols for _, freqs in step)
    assert bits / 8 < len(codec.encode(pixels[0], effort=5, model=model)) <= bits / 8 + 24


def test_the_same_image_gives_the_same_bytes_from_path_and_model(
    picture: Picture, model: Model, tiny_model: Path
) -> None:
    data = codec.encode(picture(), effort=1, model=model)
    assert codec.encode(picture(), effort=1, model=str(tiny_model)) == data
    assert codec.decode(data, model=tiny_model) == picture()


# --- many images


@pytest.fixture
def many(picture: Picture) -> list[Image.Image]:
    """Some of the same size, in other modes and orders."""
    sizes = [(20, 24), (8, 10), (20, 24), (1, 1), (8, 10), (20, 24)]
    turned = [picture("RGB" if i % 4 else "L", *size).rotate(90 * i) for i, size in enumerate(sizes)]
    return [*turned, picture("RGBA"), picture("1")]


def test_many_images_give_the_same_bytes_as_one_by_one_in_order(many: list[Image.Image], model: Model) -> None:
    assert codec.encode_many(many, effort=1, model=model) == [
        codec.encode(image, effort=1, model=model) for image in many
    ]


@pytest.mark.usefixtures("small_groups")
def test_many_files_come_back_in_order(many: list[Image.Image], model: Model) -> None:
    files = codec.encode_many(many, effort=1, model=model)
    files[0] = codec.encode(many[0], effort=2, model=model)
    for found, image in zip(codec.decode_many(files, model=model), many, strict=True):
        assert found == image


def test_images_of_the_same_size_share_network_calls(picture: Picture, model: Model) -> None:
    calls = []

    def counted(lo: Any, hi: Any) -> Any:
        calls.append(len(lo))
        return model.predict(lo, hi)

    codec.encode_many([picture()] * 5, effort=1, model=replace(model, predict=counted), verify=False)
    assert calls == [5] * len(model.presets[1])


def test_no_images_are_no_files(model: Model) -> None:
    assert codec.encode_many([], model=model) == []
    assert codec.decode_many([], model=model) == []


def test_progress_adds_up_to_the_pixels_of_encoding_and_verifying(picture: Picture, model: Model) -> None:
    told: list[float] = []
    codec.encode(picture(), effort=1, model=model, progress=told.append)
    assert sum(told) == pytest.approx(2 * 20 * 24)


# --- the package


def test_the_package_offers_the_functions() -> None:
    for name in ("encode", "decode", "encode_many", "decode_many", "truncate", "info"):
        assert getattr(ddpmcodec, name) is getattr(codec, name)
        assert name in dir(ddpmcodec)
    with pytest.raises(AttributeError, match="has no attribute 'transmogrify'"):
        ddpmcodec.transmogrify  # noqa: B018


def test_an_image_that_cannot_be_coded_is_refused(model: Model) -> None:
    with pytest.raises(ImageError, match="colour mode CMYK"):
        codec.encode(Image.new("CMYK", (4, 4)), model=model)


def test_of_many_images_the_one_that_cannot_be_coded_is_numbered(picture: Picture, model: Model) -> None:
    with pytest.raises(ImageError, match=r"image 2: .*colour mode CMYK"):
        codec.encode_many([picture(), Image.new("CMYK", (2, 2))], effort=1, model=model)
