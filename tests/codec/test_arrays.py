"""Arrays and tensors in, arrays out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.errors import ImageError
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_arrays_have_the_samples_of_the_image_and_can_be_written_to(
    picture: Picture, model: ContextModel, mode: str
) -> None:
    image = picture(mode)
    data = codec.encode(image, model=model)
    array = codec.decode(data, model=model, as_array=True)
    assert np.array_equal(array, np.asarray(image.convert("L") if mode == "1" else image))
    assert (array.dtype, array.flags.writeable, array.flags.c_contiguous) == (np.uint8, True, True)
    array[:] = 7


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_arrays_and_tensors_are_coded_as_the_image_is(picture: Picture, model: ContextModel, mode: str) -> None:
    image = picture(mode)
    data, array = codec.encode(image, model=model), np.array(image)
    tensor = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)
    assert codec.encode(array, model=model) == data
    assert codec.encode(tensor, model=model) == data
    assert codec.encode_many(torch.stack([tensor, tensor]), model=model) == [data, data]
    if mode == "L":
        assert codec.encode(tensor[0], model=model) == data


@pytest.mark.parametrize(
    ("tensor", "described"),
    [
        (torch.zeros(3, 4, 4), "torch.float32 and shape (3, 4, 4)"),
        (torch.zeros(4, 4, 3, 1, dtype=torch.uint8), "torch.uint8 and shape (4, 4, 3, 1)"),
        (torch.zeros(5, 4, 4, dtype=torch.uint8), "torch.uint8 and shape (5, 4, 4)"),
        (torch.zeros(0, 4, 4, dtype=torch.uint8), "torch.uint8 and shape (0, 4, 4)"),
        (torch.zeros(4, dtype=torch.uint8), "torch.uint8 and shape (4,)"),
    ],
)
def test_other_tensors_are_refused(tensor: torch.Tensor, described: str) -> None:
    with pytest.raises(ImageError) as raised:
        codec.encode(tensor)
    assert f"a tensor of {described} is not an image" in str(raised.value)


def test_a_tensor_without_values_is_refused() -> None:
    with pytest.raises(ImageError, match="'meta'"):
        codec.encode(torch.zeros(3, 4, 4, dtype=torch.uint8, device="meta"))


class Broken(io.BytesIO):
    """A disk that fails."""

    def read(self, *_: object) -> bytes:
        raise OSError(5, "Input/output error")


def closed() -> io.BytesIO:
    file = io.BytesIO(b"")
    file.close()
    return file


@pytest.mark.parametrize(
    ("source", "described"),
    [("a\0b.png", "embedded null byte"), (Broken(), "the file: "), (closed(), "closed file")],
)
def test_what_cannot_be_read_is_an_error_of_the_image(source: object, described: str) -> None:
    with pytest.raises(ImageError, match=described):
        codec.encode(source)  # type: ignore[arg-type]


def test_a_transparent_colour_that_is_none_is_none(model: ContextModel, picture: Picture) -> None:
    image = picture("RGB")
    image.info["transparency"] = None
    assert codec.decode(codec.encode(image, model=model), model=model).mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_what_is_encoded_is_what_was_given_whatever_becomes_of_the_array(
    picture: Picture, model: ContextModel, mode: str, of: Callable[..., Any]
) -> None:
    """Another thread may change it at any time: here `progress` does, between coding and verification."""
    expected = np.array(picture(mode))
    samples = expected.copy()
    planar = samples if of is np.asarray or mode == "L" else np.moveaxis(samples, -1, 0)

    def change(pixels: float) -> None:
        samples.fill(7)

    data = codec.encode(of(planar), model=model, progress=change)
    assert samples.max() == 7
    assert np.array_equal(codec.decode(data, model=model, as_array=True), expected)


def test_images_may_come_one_after_the_other_in_one_array(picture: Picture, model: ContextModel) -> None:
    buffer, expected = np.empty((20, 24, 3), np.uint8), [np.array(picture("RGB")), np.array(picture("RGB"))[::-1]]

    def images() -> Iterator[npt.NDArray[np.uint8]]:
        for pixels in expected:
            buffer[:] = pixels
            yield buffer

    found = codec.decode_many(codec.encode_many(images(), model=model), model=model, as_array=True)
    assert np.array_equal(found, expected)


def test_previews_are_arrays_too(model: ContextModel, file: bytes) -> None:
    preview = codec.decode(file, step=2, model=model, as_array=True)
    assert np.array_equal(preview, np.asarray(codec.decode(file, step=2, model=model)))
