"""The codecs that are measured: our model, and baselines through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddpmcodec.benchmarks._codecs import (
    BASELINES,
    SWEEPS,
    Baseline,
    Sweep,
    find_model,
    name_of,
    sort_out,
)
from ddpmcodec.benchmarks._curves import curve, point
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import ContextModel

INSTALLED = [baseline for baseline in BASELINES if not baseline.skipped]


def test_the_model_is_the_one_for_most_of_the_images(context_path: Path, context_model: ContextModel) -> None:
    small, large = np.zeros((8, 8, 3), np.uint8), np.zeros((600, 600, 3), np.uint8)
    assert find_model(str(context_path), []).id == context_model.id
    assert [find_model(None, images).name for images in ([small, small, large], [large])] == ["cifar10", "photo"]


def test_names_have_noise_levels_that_are_not_the_default() -> None:
    names = [name_of(Coding(2, 2)), name_of(Coding(2, 0)), name_of(Coding(3, 5)), name_of(Coding(1, 0), "archive")]
    assert names == [
        "ddpmcodec e2 levels 2",
        "ddpmcodec e2 levels 0",
        "ddpmcodec e3 levels 5",
        "ddpmcodec archive e1 levels 0",
    ]


# --- baselines


def test_a_missing_plugin_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.SAVE", {})
    _, skipped = sort_out(BASELINES)
    assert {"codec": "JPEG XL e9", "skipped": "skipped: needs pillow-jxl-plugin"} in skipped


@pytest.mark.parametrize("baseline", INSTALLED, ids=lambda baseline: baseline.name)
def test_the_baselines_are_lossless_on_any_number_of_threads(baseline: Baseline, pictures: np.ndarray) -> None:
    for count in (1, 2):
        threaded = baseline._replace(threads=count)
        assert np.array_equal(threaded.decode(threaded.encode(pictures[0])), pictures[0])


@pytest.mark.parametrize("sweep", [sweep for sweep in SWEEPS if not sweep.baselines[0].skipped], ids=lambda s: s.name)
def test_qualities_rise_through_a_sweep(sweep: Sweep, pictures: np.ndarray) -> None:
    photo = np.concatenate([np.concatenate(list(pictures), 1)] * 2)  # 64 x 96
    files = [each.encode(photo) for each in sweep.baselines]
    points = [point(len(data), sweep.baselines[0].decode(data), photo) for data in files]
    assert points[0].bytes < points[-1].bytes
    assert points[0].squared_error > 4 * points[-1].squared_error
    assert len(curve(points, 1).bpp) > len(points) // 2
