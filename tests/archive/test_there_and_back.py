"""Everything that goes into an archive comes out, of all images or of those that are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import archive, codec, models
from ddpmcodec.archive_format import split
from ddpmcodec.archive_network import find_network
from ddpmcodec.container import parse_header
from ddpmcodec.errors import DdpmError
from ddpmcodec.networks import load_model
from ddpmcodec.networks.model import Model
from pictures import LEVELS, Levels, Pictures, create, crops, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def test_everything_comes_back(pictures: Pictures, data: bytes, model: Model) -> None:
    assert whole(pictures, archive.extract(data, model=model))
    assert archive.names(data) == list(pictures)
    assert archive.test(data, model=model) == len(pictures)


def test_the_same_images_give_the_same_bytes(pictures: Pictures, data: bytes, model: Model, levels: Levels) -> None:
    assert create(pictures, model, levels, verify=False) == data


def test_threads_change_nothing(
    pictures: Pictures, data: bytes, model: Model, levels: Levels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # batches go through the network in three pieces
    assert create(pictures, model, levels, verify=False) == data


def test_arrays_are_images_too(model: Model) -> None:
    pixels = {name: np.asarray(image) for name, image in crops(9).items()}
    found = archive.extract(archive.create(pixels.items(), levels=LEVELS, model=model), model=model)
    assert all(np.array_equal(np.asarray(image), pixels[name]) for name, image in found)


def test_one_archive_takes_less_than_a_file_for_every_image(model: Model) -> None:
    pictures = crops(40)
    files = codec.encode_many(pictures.values(), effort=1, model=model, verify=False)
    assert len(create(pictures, model, None)) < sum(map(len, files)) - 12 * len(pictures)


@pytest.mark.usefixtures("embedded")
def test_embedded_models_code_what_they_are_for() -> None:
    """Thumbnails share a stack of one model; photographs are files of the other."""
    pictures = crops(3) | {"large.png": crops(1, 65, 64)["photo-000.png"]}
    found = archive.create(pictures.items(), effort=1)
    index, sections = split(found).index, split(found).sections
    assert [entry.stacked for entry in index.entries] == [True, True, True, False]
    assert index.model_id == models.ids()[models.DEFAULT][:4]
    assert parse_header(sections[-1])[0].model_id == models.ids()[models.PHOTO][:4]
    assert whole(pictures, archive.extract(found))


def test_metadata_is_left_out_on_demand(pictures: Pictures, model: Model) -> None:
    found = dict(archive.extract(create(pictures, model, strip=True), model=model))
    assert not any("icc_profile" in image.info or "exif" in image.info for image in found.values())


def test_equal_metadata_is_kept_once(model: Model) -> None:
    icc = np.random.default_rng(0).bytes(5000)
    plain, named = crops(12), crops(12)
    for image in named.values():
        image.info["icc_profile"] = icc
    more = len(create(named, model)) - len(create(plain, model))
    assert 5000 < more < 5100


def test_images_come_by_name(pictures: Pictures, data: bytes, model: Model) -> None:
    chosen = ["tall.png", "modes/L", "photo-011.png"]
    assert whole({name: pictures[name] for name in chosen}, archive.extract(data, chosen, model=model))


def test_a_name_that_is_not_there_is_told(data: bytes, model: Model) -> None:
    with pytest.raises(DdpmError, match="there is no image 'nobody' in the archive"):
        archive.extract(data, ["tall.png", "nobody"], model=model)


@pytest.mark.parametrize("levels", [4, [3.0], np.geomspace(1, 100, 7)], ids=["a number", "one", "an array"])
def test_levels_are_a_choice(model: Model, levels: Any) -> None:
    pictures = crops(8)
    found = archive.create(pictures.items(), levels=levels, model=model)
    assert len(archive.read_index(found).levels) == (levels if isinstance(levels, int) else len(levels))
    assert whole(pictures, archive.extract(found, model=model))


@pytest.mark.parametrize(("steps", "first"), [(2, 11.0), (16, 1.375), (32, 0.7), (1000, 0.7)])
def test_few_steps_begin_at_more_noise(model: Model, steps: int, first: float) -> None:
    chain = find_network(model).chain(steps)
    assert (len(chain), chain[0].s, chain[-1].s) == (steps, pytest.approx(first, abs=1 / 1024), 400.0)


@pytest.mark.parametrize("levels", [[], [4.0, 3.0], [0.0001], 1, np.arange(1, 5000)])
def test_levels_that_cannot_be_are_refused(model: Model, levels: Any) -> None:
    with pytest.raises(DdpmError, match="these noise levels cannot be: "):
        archive.create(crops(1).items(), levels=levels, model=model)


def test_the_work_is_told_in_pixels(model: Model) -> None:
    told: list[float] = []
    pictures = crops(12)
    create(pictures, model, verify=False, progress=told.append)
    assert sum(told) == pytest.approx(64 * len(pictures))


def test_the_embedded_model_is_the_default() -> None:
    pictures = crops(6, 4, 4)
    found = archive.create(pictures.items(), levels=2)
    assert archive.read_index(found).model_id == load_model().id[:4]
    assert whole(pictures, archive.extract(found))
