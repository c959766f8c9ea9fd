"""Chunks of images in numcodecs and in Zarr, formats 2 and 3."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from numcodecs import get_codec
from PIL import Image

from ddpmcodec import archive, decode, encode, info, truncate
from ddpmcodec.errors import FormatError, ImageError, TruncatedError
from ddpmcodec.plugins.numcodecs import Ddpm
from ddpmcodec.plugins.zarr import DdpmCodec

Chunk = npt.NDArray[np.uint8]
PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


@pytest.fixture(scope="module")
def photos() -> Chunk:
    """Six photographs, uint8 [6, 8, 10, 3]."""
    with Image.open(PHOTO) as photo:
        pixels = np.asarray(photo.convert("RGB"))
    return np.stack([pixels[40 + 8 * n : 48 + 8 * n, 100:110] for n in range(6)])


def chunks(photos: Chunk) -> dict[str, npt.NDArray[Any]]:
    grey = photos[..., 1]
    return {
        "one": photos[0],
        "one of a stack": photos[:1],
        "several": photos,
        "several in two dimensions": photos.reshape(2, 3, 8, 10, 3),
        "grey": grey[0],
        "several grey": grey,
        "grey with a channel": grey[..., None],
        "with alpha": np.concatenate([photos, grey[..., None]], -1),
        "not contiguous": photos[:, ::2, ::2],
        "columns first": np.asfortranarray(photos),
        "channels first": photos.transpose(0, 3, 1, 2),
    }


@pytest.mark.parametrize("shape", [(512, 512, 3), (4, 256, 256, 3)], ids=["file", "archive"])
def test_other_threads_run_while_a_chunk_is_encoded(shape: tuple[int, ...]) -> None:
    """Even if Python never takes the interpreter from a thread that keeps it."""
    chunk = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    turns, is_done = 0, threading.Event()

    def count() -> None:
        nonlocal turns
        while not is_done.wait(0.001):
            turns += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        with ThreadPoolExecutor(1) as executor:
            counting = executor.submit(count)
            try:
                Ddpm(effort=1).encode(chunk)
            finally:
                is_done.set()
            counting.result()
    finally:
        sys.setswitchinterval(interval)
    assert turns > 100


def test_a_jpeg_file_is_a_chunk(tmp_path: Path) -> None:
    """A file of coefficients, whose pixels are those that Pillow makes of the JPEG."""
    jpeg = BytesIO()
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").crop((0, 0, 120, 90)).save(jpeg, "JPEG", quality=90)
    pixels, data = np.asarray(Image.open(jpeg)), encode(BytesIO(jpeg.getvalue()))
    assert info(data)["coding"] == "JPEG coefficients"
    assert np.array_equal(Ddpm().decode(data), pixels)
    other = np.zeros_like(pixels) + 1
    zarr.create_array(tmp_path, data=other, chunks=pixels.shape, serializer=DdpmCodec(), compressors=None)
    (chunk,) = (path for path in tmp_path.rglob("c/*/*/*") if path.is_file())
    chunk.write_bytes(data)
    assert np.array_equal(zarr.open_array(tmp_path)[:], pixels)


@pytest.mark.parametrize("name", chunks(np.zeros((6, 8, 10, 3), np.uint8)))
def test_every_chunk_is_restored(photos: Chunk, name: str) -> None:
    chunk, codec = chunks(photos)[name], Ddpm(effort=1, levels=0)
    found = codec.decode(codec.encode(chunk))
    order: Any = "F" if name == "columns first" else "C"
    assert np.array_equal(np.asarray(found).ravel(), chunk.ravel(order))
    out = np.empty(chunk.shape, np.uint8, order)
    codec.decode(codec.encode(chunk), out)
    assert np.array_equal(out, chunk)


def test_a_chunk_is_a_file_or_an_archive(photos: Chunk) -> None:
    codec = Ddpm(effort=3, levels=5)
    facts = info(codec.encode(photos[0]))
    assert (facts["effort"], facts["levels"]) == (3, 5)
    together = codec.encode(memoryview(photos))
    assert archive.names(together) == ["0", "1", "2", "3", "4", "5"]
    assert archive.describe(together)["settings"] == [{"effort": 3, "levels": 5}]
    assert len(together) < photos.nbytes


@pytest.mark.parametrize("chunk", [np.zeros((8, 8), np.uint32), np.zeros(64, np.uint8), np.zeros((0, 8, 8), np.uint8)])
def test_other_chunks_are_refused(chunk: npt.NDArray[Any]) -> None:
    with pytest.raises(ImageError, match="uint8"):
        Ddpm().encode(chunk)


def test_damage_is_found(photos: Chunk) -> None:
    for chunk in (photos[0], photos):
        data = bytearray(Ddpm(effort=1, levels=0).encode(chunk))
        data[-30] ^= 1
        with pytest.raises(FormatError):
            Ddpm().decode(data)


@pytest.mark.parametrize("names", [["0", "a"], ["1"], ["0", "1"]], ids=["names", "numbers", "sizes"])
def test_archives_of_something_else_are_refused(names: list[str]) -> None:
    foreign = archive.create([(name, np.zeros((4, 4 + number), np.uint8)) for number, name in enumerate(names)])
    with pytest.raises(FormatError, match="chunk's images"):
        Ddpm().decode(foreign)


@pytest.mark.parametrize("levels", [0, 2])
def test_lossy_chunks_are_refused_unless_they_are_allowed(photos: Chunk, levels: int) -> None:
    data = Ddpm(levels=levels).encode(photos[0])
    lossy = truncate(data, bytes=len(data) // 2, mark=True)
    with pytest.raises(FormatError, match="lossy=True"):
        Ddpm().decode(lossy)
    assert np.array_equal(Ddpm(lossy=True).decode(lossy), decode(lossy, as_array=True))
    with pytest.raises(TruncatedError):
        Ddpm(lossy=True).decode(lossy[:-6])


def test_bilevel_images_are_grey_levels() -> None:
    image = Image.fromarray(np.eye(8, dtype=np.uint8) * 255).convert("1")
    for data in (encode(image), archive.create([("0", image), ("1", image)])):
        found = Ddpm().decode(data).reshape(-1, 8, 8)
        assert (found.dtype, found[0].tolist()) == (np.uint8, (np.eye(8) * 255).tolist())


def images_of_another_array(photos: Chunk) -> dict[str, Any]:
    return {
        "rows for columns": photos[0].transpose(1, 0, 2),
        "smaller": photos[0][:4],
        "grey": photos[0][..., 0],
        "halves": photos[0].reshape(2, 4, 10, 3),
        "with alpha": np.concatenate([photos[0], photos[0][..., :1]], -1),
    }


@pytest.mark.parametrize("name", images_of_another_array(np.zeros((6, 8, 10, 3), np.uint8)))
def test_zarr_refuses_the_chunk_of_another_array(photos: Chunk, tmp_path: Path, name: str) -> None:
    codec = DdpmCodec(effort=1, levels=0)
    array = zarr.create_array(tmp_path, data=photos[0], chunks=(8, 10, 3), serializer=codec, compressors=None)
    (chunk,) = (tmp_path / "c").rglob("0/0/0")
    chunk.write_bytes(codec.codec.encode(images_of_another_array(photos)[name]))
    with pytest.raises(FormatError, match=r"\(8, 10, 3\)"):
        array[:]


@pytest.mark.parametrize("shape", [(3, 9, 13), (3, 9, 13, 3), (2, 3, 9, 1, 3), (3, 2, 9, 4)], ids=str)
@pytest.mark.parametrize("version", [2, 3])
def test_chunks_at_the_edges_are_restored(version: Any, shape: tuple[int, ...]) -> None:
    """Zarr fills them up to the size of the others."""
    pixels = np.random.default_rng(0).integers(0, 9, shape).astype(np.uint8)
    codec = {"compressors": Ddpm(1, 0)} if version == 2 else {"serializer": DdpmCodec(1, 0), "compressors": None}
    inner = (2, 2) if len(shape) == 5 else (2,)
    size = (*inner, 8, 10, *shape[len(inner) + 2 :])
    chunks = tuple(min(pair) for pair in zip(size, shape, strict=True))
    array: Any = zarr.create_array({}, data=pixels, chunks=chunks, zarr_format=version, **codec)
    assert np.array_equal(array[:], pixels)
    array[1:3, ..., :2] = 7
    assert np.array_equal(array[0], pixels[0])


def test_the_configuration_gives_the_codec_back(context_path: Path) -> None:
    codec = Ddpm(3, 5, str(context_path))
    assert codec.get_config() == {"id": "ddpm", "effort": 3, "levels": 5, "model": str(context_path), "lossy": False}
    assert get_codec(codec.get_config()) == codec
    assert DdpmCodec.from_dict(DdpmCodec(1, 5, lossy=True).to_dict()).codec == Ddpm(1, 5, lossy=True)
    with pytest.raises(ValueError, match=r"effort.* 4"):
        Ddpm(effort=4)
    assert (Ddpm().levels, DdpmCodec().levels) == (0, 0)  # chunks are read whole
    with pytest.raises(ValueError, match=r"levels.* 3"):
        Ddpm(levels=3)


@pytest.mark.parametrize(
    ("version", "codec"),
    [
        (2, {"compressors": Ddpm(effort=1, levels=0)}),
        (3, {"serializer": DdpmCodec(effort=1, levels=0), "compressors": None}),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_zarr_keeps_images(photos: Chunk, tmp_path: Path, version: Any, codec: dict[str, Any], order: Any) -> None:
    options = {"order": order} if version == 2 else {"config": {"order": order}}
    array = zarr.create_array(tmp_path, data=photos, chunks=(4, 8, 10, 3), zarr_format=version, **codec, **options)
    array[5] = photos[0]
    again: Any = zarr.open_array(tmp_path, mode="r")
    assert np.array_equal(again[:], [*photos[:5], photos[0]])
    assert b"ddpm" in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())  # its metadata


def test_the_configuration_of_numpy_numbers_is_json() -> None:
    found = DdpmCodec(effort=np.int64(1), levels=np.int64(0)).to_dict()
    assert json.loads(json.dumps(found)) == DdpmCodec(effort=1, levels=0).to_dict()


def test_zarr_refuses_an_effort_that_there_is_not() -> None:
    for wrong in ({"effort": 9}, {"levels": 3}):
        with pytest.raises(ValueError, match="must be"):
            DdpmCodec(**wrong)  # type: ignore[arg-type]
