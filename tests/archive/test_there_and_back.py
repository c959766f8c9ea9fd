"""Everything that goes into an archive comes out, of all images or of those that are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ddpmcodec import archive, codec, models
from ddpmcodec._native import parse_header
from ddpmcodec.archive import packing
from ddpmcodec.errors import DdpmError
from ddpmcodec.format.ddpma import split
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import threads_of
from pictures import PHOTO, Pictures, create, crops, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def test_everything_comes_back(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    assert whole(pictures, archive.extract(data, model=model))
    assert archive.names(data) == list(pictures)
    assert archive.test(data, model=model) == len(pictures)


@pytest.mark.parametrize(("effort", "levels"), [(2, 0), (3, 0), (1, 2), (1, 5)])
def test_every_effort_and_all_levels_come_back(
    pictures: Pictures, data: bytes, model: ContextModel, effort: int, levels: int
) -> None:
    found = create(pictures, model, effort=effort, levels=levels)
    assert found != data
    facts = archive.describe(found)
    assert (facts["settings"], facts["latent_levels"]) == ([{"effort": effort, "levels": levels}], [])
    assert whole(pictures, archive.extract(found, model=model))


def test_thumbnails_which_have_no_previews_are_coded_without_noise_levels_by_default(model: ContextModel) -> None:
    small, large = crops(3), crops(1, 70, 60)
    assert create(small, model, levels=None) == create(small, model, levels=0) != create(small, model, levels=2)
    assert create(large, model, levels=None) == create(large, model, levels=1) != create(large, model, levels=0)


def test_the_same_images_give_the_same_bytes(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    assert create(pictures, model, verify=False) == data


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(model: ContextModel, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(packing, "BLOCK_IMAGES", 5)
    pictures = crops(23) | {f"grey-{i}.png": image.convert("L") for i, image in enumerate(crops(7, 70, 60).values())}
    alone = create(pictures, model)
    with threads_of(threads):
        assert create(pictures, model, verify=False) == alone
        assert list(archive.extract(alone, model=model)) == list(archive.extract(alone, model=model))
        assert whole(pictures, archive.extract(alone, model=model))


def test_images_may_come_one_after_the_other_in_one_array(model: ContextModel) -> None:
    expected, buffer = {name: np.asarray(image) for name, image in crops(9).items()}, np.empty((8, 8, 3), np.uint8)

    def images() -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
        for name, pixels in expected.items():
            buffer[:] = pixels
            yield name, buffer

    found = archive.extract(archive.create(images(), model=model, effort=1, levels=0), model=model)
    assert all(np.array_equal(np.asarray(image), expected[name]) for name, image in found)


def test_arrays_and_paths_are_images_too(model: ContextModel) -> None:
    pixels = {name: np.asarray(image) for name, image in crops(9).items()}
    images = [*pixels.items(), ("p", PHOTO)]
    found = dict(archive.extract(archive.create(images, model=model, effort=1, levels=0), model=model))
    assert all(np.array_equal(np.asarray(found[name]), pixels[name]) for name in pixels)
    assert found["p"].size == (384, 256)


def test_one_archive_takes_less_than_a_file_for_every_image(model: ContextModel) -> None:
    pictures = crops(40)
    files = codec.encode_many(pictures.values(), effort=1, levels=0, model=model, verify=False)
    assert len(create(pictures, model)) < sum(map(len, files)) - 4 * len(pictures)


def test_embedded_models_code_what_they_are_for() -> None:
    """Thumbnails share a stream of one model; photographs are files of the other."""
    pictures = crops(3) | {"large.png": crops(1, 65, 64)["photo-000.png"]}
    found = create(pictures, None)
    (together, files), (_, parts) = split(found).index.blocks, split(found).parts
    assert together.coding is not None
    assert together.coding.model_number in models.NUMBERS.values()
    assert together.coding.model_id == b""
    assert [entry.name for entry in files.entries] == ["large.png"]
    assert parse_header(bytes(parts.sections[0])).model_number == models.NUMBERS[models.PHOTO]
    assert whole(pictures, archive.extract(found))


def test_a_model_is_named_by_its_file_too(model: ContextModel, model_path: Path) -> None:
    pictures = crops(2)
    found = create(pictures, str(model_path))
    assert found == create(pictures, model)
    assert whole(pictures, archive.extract(found, model=model_path))


def test_metadata_is_left_out_on_demand(pictures: Pictures, model: ContextModel) -> None:
    found = dict(archive.extract(create(pictures, model, strip=True), model=model))
    assert not any("icc_profile" in image.info or "exif" in image.info for image in found.values())


def test_equal_metadata_is_kept_once(model: ContextModel) -> None:
    icc = np.random.default_rng(0).bytes(5000)
    plain, named = crops(12), crops(12)
    for image in named.values():
        image.info["icc_profile"] = icc
    more = len(create(named, model)) - len(create(plain, model))
    assert 5000 < more < 5100


def test_images_come_by_name(pictures: Pictures, data: bytes, model: ContextModel) -> None:
    chosen = ["tall.png", "modes/L", "photo-011.png"]
    assert whole({name: pictures[name] for name in chosen}, archive.extract(data, chosen, model=model))


def test_a_name_that_is_not_there_is_reported(data: bytes, model: ContextModel) -> None:
    with pytest.raises(DdpmError, match="'nobody'"):
        archive.extract(data, ["tall.png", "nobody"], model=model)


def test_the_work_is_reported_in_pixels(model: ContextModel) -> None:
    reported: list[float] = []
    pictures = crops(12)
    found = create(pictures, model, verify=False, progress=reported.append)
    assert sum(reported) == pytest.approx(64 * len(pictures))
    assert archive.test(found, model=model, progress=reported.append) == 12
    assert sum(reported) == pytest.approx(2 * 64 * len(pictures))
