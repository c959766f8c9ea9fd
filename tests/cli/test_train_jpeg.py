"""From pictures and JPEG files to a model of coefficients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.models.model_file import kind_of
from ddpmcodec.training.coefficients import coefficient_trainer, jpeg_files

Ddpm = Callable[..., Any]  # conftest.Ddpm
RATES = ("--muon-rate", 1e-5, "--adam-rate", 1e-5)
SMALL = ("--size", 1, "--steps", 2, "--crop", 32, "--hold-out", 1, "--batch", 128)


@pytest.fixture(scope="module", autouse=True)
def few_files(one_thread: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg_files, "KEPT", 4)
        patch.setattr(coefficient_trainer, "MEASURED", 2)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for number in range(4):
        image = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((48, 40), Image.Resampling.BICUBIC)
        image.save(folder / (f"{number}.png" if number < 3 else "3.jpg"))
    return folder


@pytest.fixture(scope="module")
def runs(data: Path, few_files: None, ddpm_once: Ddpm) -> list[Any]:
    """Runs of efforts 2 and 1, and how they ended."""
    first = "--out", data / "run2"
    second = "--out", data / "run1", "--effort", 1, "--predictors", data / "run2"
    return [ddpm_once("train-jpeg", "--data", data, *options, *SMALL) for options in (first, second)]


def test_training_says_what_comes_next(data: Path, runs: list[Any]) -> None:
    first, second = runs
    assert (first.code, first.stdout) == (0, b""), first.stderr
    assert " of the bytes of JPEG files on held-out images\n" in first.stderr
    assert f"next: ddpmcodec train-jpeg --data DATA --out RUN --effort 1 --predictors {data / 'run2'}\n" in first.stderr
    export = f"ddpmcodec export {data / 'run2'} {data / 'run1'} -o MODEL.safetensors --base jpeg"
    assert f"next: {export}\n" in second.stderr
    records = [json.loads(line) for line in (data / "run1" / "log.jsonl").read_text().splitlines()]
    assert (records[0]["settings"]["effort"], records[-1]["step"]) == (1, 2)
    assert "files" in records[-1]["held_out"]


@pytest.mark.usefixtures("runs")
def test_a_run_goes_on_and_all_make_a_model(data: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    path = tmp_path / "own.safetensors"
    ended = ddpm("export", data / "run2", "-o", path)
    assert (ended.code, path.exists()) == (1, False)
    assert "1.luma, 1.chroma, 1.refine.luma, 1.refine.chroma " in ended.stderr
    assert ddpm("train-jpeg", "--out", data / "run1", "--resume", "--steps", 3).code == 0
    ended = ddpm("export", data / "run1", data / "run2", "-o", path)
    assert ended.code == 0, ended.stderr
    assert kind_of(path) == "jpeg"


@pytest.mark.usefixtures("runs")
def test_networks_that_saw_other_predictors_make_no_model(data: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("export", data / "run2", "--base", "jpeg", "-o", tmp_path / "own.safetensors")
    assert (ended.code, (tmp_path / "own.safetensors").exists()) == (1, False)
    assert "luma, chroma, refine-luma, refine-chroma of effort 1 were trained with other predictors" in ended.stderr


@pytest.fixture(scope="module")
def own(data: Path, few_files: None, ddpm_once: Ddpm) -> Path:
    """A model that begins as the embedded one."""
    run, path = data / "started", data / "own.safetensors"
    ended = ddpm_once("train-jpeg", "--data", data, "--out", run, "--effort", 1, "--start", "jpeg", *RATES, *SMALL)
    assert ended.code == 0, ended.stderr
    ended = ddpm_once("export", run, "-o", path, "--base", "jpeg", "--name", "mine")
    assert ended.code == 0, ended.stderr
    return path


def test_a_trained_model_codes_jpeg_files(data: Path, own: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    source, coded, back = data / "3.jpg", tmp_path / "3.ddpm", tmp_path / "3.jpg"
    ended = ddpm("encode", "--model", own, source, "-o", coded)
    assert ended.code == 0, ended.stderr
    facts = json.loads(ddpm("info", "--json", coded).stdout)
    model_id = hashlib.sha256(own.read_bytes()).hexdigest()[:8]
    assert (facts["coding"], facts["model_number"], facts["model_id"]) == ("JPEG coefficients", 0, model_id)
    for options, code in (((), 4), (("--model", "photo"), 4), (("--model", own), 0)):
        ended = ddpm("decode", "--original", coded, "-o", back, *options)
        assert (ended.code, back.exists()) == (code, not code), ended.stderr
        assert (model_id in ended.stderr) == bool(code)
        assert ddpm("test", coded, *options).code == code
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("option", "word"), [(("--roles", "red"), "luma, chroma"), (("--start", "none"), "none")])
def test_what_makes_no_run_is_refused(
    data: Path, tmp_path: Path, ddpm: Ddpm, option: tuple[str, str], word: str
) -> None:
    ended = ddpm("train-jpeg", "--data", data, "--out", tmp_path / "run", *SMALL, *option)
    assert (ended.code in (1, 4), (tmp_path / "run" / "log.jsonl").exists()) == (True, False)
    assert word in ended.stderr
