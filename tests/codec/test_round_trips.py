"""What is encoded comes back exactly: modes, sizes, efforts, levels, arrays, files, metadata, tiles, many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ddpmcodec
from ddpmcodec import codec
from ddpmcodec._native import LEVELS, parse_header
from ddpmcodec.codec import efforts, encoder
from ddpmcodec.codec.passes import SegmentCost, batches
from ddpmcodec.errors import ImageError, ModelError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import thread_count, threads_of

Picture = Callable[..., Image.Image]

MODES = ("1", "L", "LA", "RGB", "RGBA")


@pytest.fixture(autouse=True)
def context_coding(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """All files that tests here write."""
    files: list[bytes] = []
    write = encoder._encoded

    def kept(*arguments: Any) -> list[bytes]:
        found = write(*arguments)
        files.extend(found)
        return found

    monkeypatch.setattr(encoder, "_encoded", kept)
    yield files
    assert all(codec.info(file)["coding"] == "context model" for file in files)


@pytest.mark.parametrize(("effort", "levels"), [(1, 0), (1, 5), (2, 2), (3, 0), (3, 5)])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_comes_back_exactly(
    picture: Picture, model: ContextModel, mode: str, levels: int, effort: int
) -> None:
    data = codec.encode(picture(mode), effort=effort, levels=levels, model=model)
    assert codec.decode(data, model=model) == picture(mode)
    facts = codec.info(data)
    assert (facts["mode"], facts["effort"], facts["levels"]) == (mode, effort, levels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (2, 3), (5, 17), (33, 31)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("levels", LEVELS)
def test_every_size_comes_back_exactly(
    picture: Picture, model: ContextModel, mode: str, levels: int, height: int, width: int
) -> None:
    image = picture(mode, height, width)
    assert codec.decode(codec.encode(image, levels=levels, model=model), model=model) == image


@pytest.mark.parametrize(("levels", "shape"), [(0, (1, 9000)), (2, (9000, 1))])
def test_images_that_are_long_and_thin_come_back_exactly(
    model: ContextModel, levels: int, shape: tuple[int, int]
) -> None:
    """In several streams, whose weights learn from waves of one position."""
    array = np.random.Generator(np.random.Philox(5)).integers(0, 256, shape, dtype=np.uint8)
    data = codec.encode(array, levels=levels, tile=1024, model=model, verify=False)
    assert np.array_equal(codec.decode(data, model=model, as_array=True), array)


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4)])
def test_arrays_come_back_exactly(model: ContextModel, shape: tuple[int, ...]) -> None:
    array = np.random.Generator(np.random.Philox(3)).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(codec.decode(codec.encode(array, effort=1, model=model), model=model)), array)


def test_an_array_may_lie_anyhow_in_memory(picture: Picture, model: ContextModel) -> None:
    array = np.asarray(picture("RGB", 16, 12))
    turned = np.ascontiguousarray(array.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert codec.encode(turned, model=model) == codec.encode(array, model=model)
    assert codec.encode(array[::-1], model=model) == codec.encode(array[::-1].copy(), model=model)


def test_paths_and_files_are_taken(picture: Picture, model: ContextModel, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    picture("RGBA").save(path)
    expected = codec.encode(picture("RGBA"), model=model)
    assert codec.encode(path, model=model) == expected
    assert codec.encode(str(path), model=model) == expected
    assert codec.encode(BytesIO(path.read_bytes()), model=model) == expected
    with path.open("rb") as opened:
        assert codec.encode_many([opened, path], model=model) == [expected] * 2


def test_metadata_comes_back_unless_stripped(picture: Picture, model: ContextModel) -> None:
    image = picture()
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    kept = codec.decode(codec.encode(image, model=model), model=model)
    assert (kept.info["icc_profile"], kept.info["exif"]) == (b"profile", b"Exif\0\0MM")
    stripped = codec.encode(image, model=model, strip=True)
    assert codec.decode(stripped, model=model).info == {}
    assert stripped == codec.encode(picture(), model=model)


@pytest.mark.parametrize("levels", LEVELS)
def test_weights_that_learn_come_back_exactly(picture: Picture, model: ContextModel, levels: int) -> None:
    images = [picture("RGB", 48, 44), picture("L", 64, 32), picture("RGB", 3, 4), picture("RGB", 48, 44).rotate(180)]
    files = codec.encode_many(images, levels=levels, model=model)
    assert codec.decode_many(files, model=model) == images
    assert files == [codec.encode(image, levels=levels, model=model) for image in images]


@pytest.mark.parametrize(
    ("mode", "levels"), [("1", 0), ("L", 2), ("LA", 5), ("RGB", 0), ("RGB", 2), ("RGB", 5), ("RGBA", 2)]
)
def test_large_images_come_back_exactly(picture: Picture, model: ContextModel, mode: str, levels: int) -> None:
    image = picture(mode, 70, 150)
    data = codec.encode(image, levels=levels, tile=64, model=model)
    assert codec.info(data)["tiles"] > 4
    assert codec.decode(data, model=model) == image


@pytest.mark.parametrize("width", [256, 257])
def test_images_of_more_than_65536_pixels_have_tiles(picture: Picture, model: ContextModel, width: int) -> None:
    pixels = np.resize(np.asarray(picture("L", 64, 64)), (256, width))
    data = codec.encode(pixels, effort=1, levels=0, model=model)
    assert parse_header(data).is_tiled == (width > 256)
    assert np.array_equal(codec.decode(data, model=model, as_array=True), pixels)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bytes_do_not_depend_on_the_number_of_threads(picture: Picture, model: ContextModel, threads: int) -> None:
    image = picture("RGB", 62, 80)  # of which networks learn
    data = codec.encode(image, tile=64, model=model)
    with threads_of(threads):
        assert codec.encode(image, tile=64, model=model) == data
        assert codec.decode(data, model=model) == image
        assert thread_count() == threads


def test_eight_threads_at_once_write_the_same(picture: Picture, model: ContextModel) -> None:
    images = [picture("RGB", 15, 70 + k) for k in range(8)]
    expected = [codec.encode(image, tile=64, model=model) for image in images]
    before = thread_count()
    found: dict[int, tuple[bytes, Image.Image]] = {}

    def work(k: int) -> None:
        data = codec.encode(images[k], tile=64, model=model)
        found[k] = data, codec.decode(data, model=model)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[k][0] for k in range(8)] == expected
    assert [found[k][1] for k in range(8)] == images
    assert thread_count() == before


def test_grey_costs_less_than_colour(picture: Picture, model: ContextModel) -> None:
    grey = picture("L", 32, 32)
    in_colour = codec.encode(grey.convert("RGB"), model=model)
    assert len(codec.encode(grey, model=model)) < 0.8 * len(in_colour)


def test_the_same_image_gives_the_same_bytes_from_path_and_model(
    picture: Picture, model: ContextModel, context_path: Path
) -> None:
    data = codec.encode(picture(), model=model)
    assert codec.encode(picture(), model=str(context_path)) == data
    assert codec.decode(data, model=context_path) == picture()


# --- many images


@pytest.fixture
def many(picture: Picture) -> list[Image.Image]:
    """Some of the same size, in other modes and orders; the last is larger than a tile of 64 pixels."""
    sizes = [(20, 24), (8, 10), (20, 24), (1, 1), (8, 10), (20, 24)]
    turned = [picture("RGB" if i % 4 else "L", *size).rotate(90 * i) for i, size in enumerate(sizes)]
    return [*turned, picture("RGBA"), picture("1"), picture("RGB", 9, 76)]


def test_many_images_give_the_same_bytes_as_one_by_one_in_order(many: list[Image.Image], model: ContextModel) -> None:
    files = codec.encode_many(many, tile=64, model=model)
    assert files == [codec.encode(image, tile=64, model=model) for image in many]


def test_many_files_come_back_in_order(many: list[Image.Image], model: ContextModel) -> None:
    files = codec.encode_many(many, tile=64, model=model)
    files[0] = codec.encode(many[0], effort=3, model=model)
    for found, image in zip(codec.decode_many(files, model=model), many, strict=True):
        assert found == image


def test_images_and_files_may_come_from_an_iterator(picture: Picture, model: ContextModel) -> None:
    files = codec.encode_many((picture("L", 4, 4) for _ in range(2)), model=model)
    assert codec.decode_many(iter(files), model=model) == [picture("L", 4, 4)] * 2


def test_many_files_come_back_as_arrays(picture: Picture, model: ContextModel) -> None:
    images = [picture("L", 4, 4), picture("RGBA", 5, 4)]
    files = codec.encode_many(images, model=model)
    for found, image in zip(codec.decode_many(files, model=model, as_array=True), images, strict=True):
        assert np.array_equal(found, np.asarray(image))


def test_images_of_the_same_size_are_coded_together(picture: Picture, model: ContextModel) -> None:
    costs: list[SegmentCost] = []
    with threads_of(1):
        codec.encode_many([picture()] * 5, model=model, verify=False, report=costs.append)
    assert {cost.images for cost in costs} == {5}


def test_no_images_are_no_files(model: ContextModel) -> None:
    assert codec.encode_many([], model=model) == []
    assert codec.decode_many([], model=model) == []


def test_batches_hold_all_pieces_once_and_what_is_alike() -> None:
    keys = [(1 << 16, "a")] * 5 + [(4, "b")] * 9 + [(1 << 20, "c")] * 2 + [(1 << 16, "a")]
    found = list(batches(keys, cores=2))
    assert sorted(i for batch in found for i in batch) == list(range(len(keys)))
    assert all(len({keys[i] for i in batch}) == 1 for batch in found)
    assert [len(batch) for batch in found] == [2, 2, 2, 5, 4, 1, 1]


# --- what it reports


@pytest.mark.parametrize("levels", LEVELS)
def test_progress_adds_up_to_the_pixels_of_encoding_and_verifying(
    picture: Picture, model: ContextModel, levels: int
) -> None:
    reported: list[float] = []
    images = [picture(), picture("LA"), picture("L", 5, 7), picture("RGB", 20, 76)]
    codec.encode_many(images, levels=levels, tile=64, model=model, progress=reported.append)
    assert sum(reported) == pytest.approx(2 * (2 * 20 * 24 + 5 * 7 + 20 * 76))


@pytest.mark.parametrize("levels", LEVELS)
def test_a_report_says_what_every_segment_cost(picture: Picture, model: ContextModel, levels: int) -> None:
    costs: list[SegmentCost] = []
    codec.encode(picture("RGB", 32, 32), levels=levels, model=model, verify=False, report=costs.append)
    assert sum(cost.share for cost in costs) == pytest.approx(1)
    assert all(cost.seconds >= 0 and cost.bits >= 0 and cost.images == 1 for cost in costs)
    parts = efforts.segments(levels, 32, 32)
    assert [(cost.level, cost.band) for cost in costs] == [(part.level, part.band) for part in parts]


def test_a_report_of_decoding_says_of_the_same_segments(picture: Picture, model: ContextModel) -> None:
    encoding: list[SegmentCost] = []
    decoding: list[SegmentCost] = []
    data = codec.encode(picture(), model=model, verify=False, report=encoding.append)
    codec.decoder.decode_details(data, model=model, report=decoding.append)
    assert [cost[:2] for cost in encoding] == [cost[:2] for cost in decoding]
    assert sum(c.bits for c in decoding) == pytest.approx(sum(c.bits for c in encoding), rel=0.02)


MOST = 12 + 1 / 8  # bytes: header 8, check 3, the bit before it, and rounding to whole bytes, on average a half
OVERHEAD = 12


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_thumbnail_costs_its_code_length_and_twelve_bytes(mode: str, levels: int) -> None:
    """On average; one thumbnail may take a bit more."""
    overheads = []
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as photo:
        thumbnails = [photo.convert(mode).crop((left, 80, left + 32, 112)) for left in range(0, 256, 32)]
    for image in thumbnails:
        costs: list[SegmentCost] = []
        data = codec.encode(image, levels=levels, verify=False, report=costs.append)
        overheads.append(len(data) - sum(cost.bits for cost in costs) / 8)
    assert 0 < min(overheads) <= max(overheads) <= MOST
    assert sum(overheads) / len(overheads) <= OVERHEAD


# --- the package, and what it refuses


def test_the_package_offers_the_functions() -> None:
    for name in ("encode", "decode", "encode_many", "decode_many", "truncate", "info"):
        assert getattr(ddpmcodec, name) is getattr(codec, name)
        assert name in dir(ddpmcodec)
        assert name in dir(codec)
    for package in (ddpmcodec, codec):
        with pytest.raises(AttributeError, match="'transmogrify'"):
            package.transmogrify  # noqa: B018


def test_every_error_of_the_library_is_in_the_package() -> None:
    from ddpmcodec import errors

    names = [name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, Exception)]
    assert all(getattr(ddpmcodec, name) is getattr(errors, name) for name in names)


def test_an_image_that_cannot_be_coded_is_refused(model: ContextModel) -> None:
    with pytest.raises(ImageError, match="CMYK"):
        codec.encode(Image.new("CMYK", (4, 4)), model=model)


def test_of_many_images_the_one_that_cannot_be_coded_is_numbered(picture: Picture, model: ContextModel) -> None:
    with pytest.raises(ImageError, match=r"image 2: .*CMYK"):
        codec.encode_many([picture(), Image.new("CMYK", (2, 2))], model=model)


def test_files_that_are_no_images_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"no\.png: not an image"):
        codec.encode(tmp_path / "no.png")
    with pytest.raises(ImageError, match=r"missing\.png: cannot be read"):
        codec.encode(tmp_path / "missing.png")
    with pytest.raises(ImageError, match=r"the file: .*empty"):
        codec.encode(BytesIO())


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [(b"bytes", "bytes"), ([1, 2], "list"), (None, "NoneType"), (7, "int")],
)
def test_other_kinds_of_images_are_refused(wrong: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"uint8 .*not {kind}"):
        codec.encode(wrong)
    with pytest.raises(TypeError, match=f"uint8 .*not {kind}"):
        codec.encode_many([wrong])


def test_what_encode_would_lose_or_misread_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as file, pytest.raises(TypeError, match=r"a\.txt .*'rb'"):
        codec.encode(file)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="masked array"):
        codec.encode(np.ma.masked_array(np.zeros((2, 2), np.uint8), np.eye(2)))
    coded = codec.encode(np.zeros((2, 2), np.uint8))
    with pytest.raises(ImageError, match=r"the file: .*already"):
        codec.encode(BytesIO(coded))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array() -> None:
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert codec.encode(np.matrix(levels)) == codec.encode(levels)


@pytest.mark.parametrize("model", [5, b"photo", ["photo"]])
def test_a_model_is_a_name_a_path_or_a_loaded_one(model: Any) -> None:
    with pytest.raises(TypeError, match="model"):
        codec.encode(np.zeros((2, 2), np.uint8), model=model)
    with pytest.raises(ModelError, match="name of the model"):
        codec.encode(np.zeros((2, 2), np.uint8), model="")


@pytest.mark.parametrize("wrong", ["photo.png", Path("photo.png"), 7])
def test_many_images_are_a_list_of_them(wrong: Any) -> None:
    with pytest.raises(TypeError):
        codec.encode_many(wrong)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4), "f4"), ((4, 4, 5), "u1"), ((4,), "u1"), ((4, 4), "?")])
def test_other_arrays_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    wrong: Any = np.zeros(shape, dtype)
    with pytest.raises(ImageError, match="uint8"):
        codec.encode(wrong)


@pytest.mark.parametrize("wrong", [{"effort": 4}, {"levels": 3}])
def test_other_efforts_and_levels_are_refused(picture: Picture, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"effort.* 4|levels.* 3"):
        codec.encode(picture(), **wrong)  # type: ignore[arg-type]
