"""Pictures, a model that is not embedded, results, and a runner for `ddpmcodec bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ddpmcodec.benchmarks import _charts, _curves, _results
from ddpmcodec.benchmarks._data import synthetic_photo
from ddpmcodec.cli import run
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find
from pictures import context_model as model_named


@pytest.fixture(scope="session")
def context_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained networks under another name: of pictures as small as they code them some figures are left out."""
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    path.write_bytes(model_named("mine"))
    return path


@pytest.fixture(scope="session")
def context_model(context_path: Path) -> ContextModel:
    return find(context_path)


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """Three crops of the synthetic photograph, uint8 [3, 32, 32, 3]."""
    photo = np.asarray(synthetic_photo(96, 32))
    return np.stack([photo[:, left : left + 32] for left in (0, 32, 64)])


@pytest.fixture
def array(tmp_path: Path, pictures: np.ndarray) -> Path:
    np.save(tmp_path / "pictures.npy", pictures)
    return tmp_path / "pictures.npy"


class Ended(NamedTuple):
    """How a benchmark ended. found: the results of its result file in the folder `out`, None where it wrote none."""

    code: int
    stdout: str
    stderr: str
    found: dict[str, Any] | None
    out: Path


Bench = Callable[..., Ended]


@pytest.fixture(autouse=True)
def no_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are the same where libjxl's program for SSIMULACRA 2 is installed."""
    monkeypatch.setattr(_curves, "which", lambda program: None)


@pytest.fixture
def scorer(no_scorer: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in its place: 100 less the share of bytes that differ, in percent."""
    program = tmp_path / "scorer"
    program.write_text('#!/bin/sh\necho $((100 - 100 * $(cmp -l "$1" "$2" | wc -l) / $(wc -c < "$1")))\n')
    program.chmod(0o755)
    monkeypatch.setattr(_curves, "which", lambda program: str(tmp_path / "scorer"))


@pytest.fixture(scope="session")
def bench_into(context_path: Path) -> Bench:
    """Runs `ddpmcodec bench KIND` with that model, into a folder."""

    def command(out: Path, kind: str, *arguments: object) -> Ended:
        with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
            code = run(["bench", kind, *map(str, arguments), f"--model={context_path}", f"--out={out}"])
        result = out / f"bench-{kind}.json"
        found = json.loads(result.read_text()) if result.exists() else None
        return Ended(code, stdout.getvalue(), stderr.getvalue(), found, out)

    return command


@pytest.fixture
def bench(bench_into: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The same into the folder `out`."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the processes that it starts
    return partial(bench_into, tmp_path / "out")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folder `set`, which has a result of bench bpd and its figure."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "set").mkdir()
    row = {
        "codec": "ddpmcodec <e2>",
        "products": 600000.4,
        "images_a_file": 1,
        "bits_per_dim": {"mean": 4.125, "standard_error": 0.05},
        "ideal": 4.0625,
        "overhead_bytes": 21.0,
        "bytes": [1600, 1568],
    }
    data = {
        "name": "A & B",
        "split": None,
        "images": 2,
        "of": 9,
        "sha256": "",
        "dimensions": 3072,
        "ids": ["a", "b"],
        "names": None,
    }
    skipped = {"codec": "JPEG XL", "skipped": "skipped: needs pillow-jxl-plugin"}
    found = _results.document(
        "bpd", "ddpmcodec bench bpd --data <x>", {"codecs": [row, skipped], "literature": []}, model=None, dataset=data
    )
    _results.write(folder / "set", found)
    _charts.write_charts(_charts.bpd_charts(found), folder / "set")
    return folder
