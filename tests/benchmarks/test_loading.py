"""bench loading: every store gives back every image once an epoch, and one that cannot be used is named."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.benchmarks import loading
from ddpmcodec.benchmarks.loading import Plan, Store
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ChecksumError

# WebDataset leaves files open.
OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
pytestmark = [pytest.mark.usefixtures("one_thread"), OPEN]

PLAN = Plan([Coding(1, 0)], (0,), 1)


def test_an_archive_stands_beside_other_stores(bench: Any, array: Path, pictures: np.ndarray) -> None:
    ended = bench("loading", "--data", array, "--settings=1/0", "--workers=0,1", "--repeats=2")
    rows = ended.found["results"]["stores"]
    assert [row["store"] for row in rows][:3] == ["ddpmcodec archive e1 levels 0", "folder of PNG", "WebDataset of PNG"]
    for row in rows:
        package = {"WebDataset": "webdataset", "LMDB": "lmdb"}.get(row["store"].split()[0])
        if package and find_spec(package) is None:
            assert row["skipped"] == f"pip install {package}"
            continue
        assert row["images"] == len(pictures)
        assert [(epoch["workers"], len(epoch["seconds"])) for epoch in row["epochs"]] == [(0, 2), (1, 2)]
    assert "| folder of PNG |" in ended.stdout
    (table,) = loading.tables(ended.found)
    assert table.rows[0]["of raw"] == pytest.approx(rows[0]["bytes"] / pictures.nbytes)
    assert table.rows[0]["1 workers, later"] > 0
    names = [measure.name for measure in loading.measures(ended.found)]
    assert "folder of PNG, workers: 0, seconds an image" in names


@pytest.mark.parametrize("store", loading._baselines(), ids=lambda store: store.name)
def test_images_of_different_sizes_come_back(store: Store) -> None:
    if store.needs:
        pytest.importorskip(store.needs)
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (8, side, 3), dtype=np.uint8) for side in (5, 9, 9, 12)]
    found = loading._measured(store, images, PLAN)
    assert found["bytes"] > sum(image.size for image in images) / 2  # noise
    assert found["images"] == 4


def test_images_that_are_lost_are_an_error(pictures: np.ndarray) -> None:
    whole = loading._baselines()[0]
    less = whole._replace(write=lambda folder, images: whole.write(folder, images[1:]))
    with pytest.raises(ChecksumError, match=r"folder of PNG: .*other images"):
        loading._measured(less, list(pictures), PLAN)


def test_a_store_that_is_not_installed_says_how(pictures: np.ndarray) -> None:
    missing = loading._baselines()[0]._replace(needs="no_such_package_of_anybody")
    assert loading._measured(missing, list(pictures), PLAN) == {
        "store": "folder of PNG", "skipped": "pip install no_such_package_of_anybody"
    }  # fmt: skip
