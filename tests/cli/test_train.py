"""From pictures to files: train and export, and code with the model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import models
from ddpmcodec.models.context import ROLES
from ddpmcodec.models.model_file import metadata
from ddpmcodec.training import context_trainer, state
from ddpmcodec.training.networks import shape_of
from ddpmcodec.training.trainable import Shape

Ddpm = Callable[..., Any]  # conftest.Ddpm
SMALL = ("--no-compile", "--hold-out", 2, "--batch", 4, "--effort", 1, "--crop", 16)
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
SHORT = (*SMALL, "--hours", 1e-4)


@pytest.fixture(scope="module", autouse=True)
def on_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    y, x = np.mgrid[:16, :16]
    for i in range(6):
        noise = np.random.Generator(np.random.Philox(i)).normal(0, 5, (16, 16, 3))
        pixels = np.stack([9 * x + 3 * i, 7 * y + 9 * i, 100 + x + y], -1) + 20 + noise
        Image.fromarray(pixels.round().astype(np.uint8)).save(folder / "data" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path, ddpm_once: Ddpm) -> Any:
    return ddpm_once("train", "--data", folder / "data", "--out", folder / "run", *SHORT)


@pytest.fixture(scope="module")
def exported(folder: Path, trained: Any, context_path: Path, ddpm_once: Ddpm) -> Any:
    return ddpm_once("export", folder / "run", "-o", folder / "small.safetensors", "--base", context_path)


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_training_says_what_to_do_next(folder: Path, trained: Any) -> None:
    run = folder / "run"
    assert (trained.code, trained.stdout) == (0, b""), trained.stderr
    lines = trained.stderr.splitlines()
    assert lines[-2].endswith("bits/dim on held-out images")
    assert lines[-1].endswith(f"; next: ddpmcodec export {run} -o MODEL.safetensors --base photo")
    assert sorted(path.name for path in run.iterdir()) == ["log.jsonl", "state.safetensors"]
    first, *_, last = records(run)
    assert (first["settings"]["data"], first["settings"]["batch"]) == ([str(folder / "data")], 4)
    assert (first["settings"]["effort"], first["settings"]["roles"]) == (1, list(ROLES))
    totals = {name for name in last["held_out"] if name.startswith("levels ")}
    assert (last["done"], totals) == (1.0, {"levels 0", "levels 1", "levels 2", "levels 5"})


def test_exporting_names_the_model(folder: Path, exported: Any) -> None:
    output = folder / "small.safetensors"
    assert exported.code == 0, exported.stderr
    assert exported.stderr.startswith(f"ddpmcodec: {output}: model 'small', id ")
    assert f"{output.stat().st_size} bytes; " in exported.stderr
    (made,) = metadata(output.read_bytes(), "small", "context")["training"]["runs"]
    assert (made["efforts"], made["roles"]) == ([1], list(ROLES))
    assert made["hours"] == pytest.approx(records(folder / "run")[-1]["seconds"] / 3600, abs=0.001)


def test_a_copy_of_a_model_is_exported_without_runs(tmp_path: Path, ddpm: Ddpm) -> None:
    copy = tmp_path / "copy.safetensors"
    ended = ddpm("export", "--base", "photo", "-o", copy)
    assert (ended.code, copy.read_bytes()) == (0, models.read("photo"))
    assert f"{copy}: a copy of photo, {copy.stat().st_size} bytes" in ended.stderr
    assert ddpm("export", "--base", "photo", "-o", copy).code == 1
    for others in ([], ["--base", "photo", "--name", "mine"]):
        refused = ddpm("export", "-o", tmp_path / "x.safetensors", *others)
        assert (refused.code, "a --base alone" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("trained")
def test_networks_that_nobody_trained_are_named(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("export", folder / "run", "-o", tmp_path / "part.safetensors")
    assert ended.code == 1
    assert ended.stderr.startswith("ddpmcodec: no run has the networks 2.direct, 2.single, 2.last, ")
    assert "--base" in ended.stderr
    assert not (tmp_path / "part.safetensors").exists()


@pytest.mark.usefixtures("exported")
def test_the_exported_model_codes_pictures(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    source, model = folder / "data" / "3.png", folder / "small.safetensors"
    for arguments in (
        ("encode", source, "-o", tmp_path / "3.ddpm", "--model", model, "--effort", 1),
        ("decode", tmp_path / "3.ddpm", "-o", tmp_path / "3.png", "--model", model),
    ):
        ended = ddpm(*arguments)
        assert ended.code == 0, ended.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "3.png")), np.asarray(Image.open(source)))


@pytest.mark.usefixtures("trained")
def test_some_networks_are_trained_from_those_of_a_run(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    later = ("--start", folder / "run", "--roles", "band2,direct", "--size", 2)
    ended = ddpm("train", "--data", folder / "data", "--out", tmp_path / "run", *later, *SMALL, "--hours", 1e-5)
    assert ended.code == 0, ended.stderr
    first, *_, last = records(tmp_path / "run")
    assert first["settings"]["roles"] == ["direct", "band2"]
    assert {"direct", "levels 0"} < set(last["held_out"])
    assert "levels 2" not in last["held_out"]
    shapes = state.read(tmp_path / "run").facts["shapes"]
    assert {role: Shape(*shape) for role, shape in shapes.items()} == {role: shape_of(2, role) for role in shapes}


def test_a_run_that_is_terminated_is_saved_and_goes_on(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    """A process of its own, as jobs on a cluster are ended."""
    run = tmp_path / "run"
    options = ("--data", folder / "data", "--out", run, *SMALL, "--hours", 1, "--seed", 5)
    start = [sys.executable, "-m", "ddpmcodec", "train", *map(str, options)]
    with subprocess.Popen(start, stderr=subprocess.PIPE, text=True, env=ONE_THREAD) as running:
        while running.poll() is None and not (run / "log.jsonl").exists():
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        _, stderr = running.communicate()
    assert (running.returncode, "interrupted; --resume" in stderr) == (130, True)  # fmt: skip
    refused = ddpm("train", "--out", run, "--resume", "--hold-out", 3)
    assert "--hold-out 2, not 3" in refused.stderr
    refused = ddpm("train", "--out", run, "--resume", "--seed", 6)
    assert (refused.code, "--seed 5, not 6" in refused.stderr) == (1, True)
    resumed = ddpm("train", "--out", run, "--resume", "--hours", 1e-6)
    assert resumed.code == 0, resumed.stderr
    assert state.read(run).facts["compiled"] is False
    first, stopped, again = records(run)
    assert again["settings"] == first["settings"] | {"hours": 1e-6}
    assert again["step"] == stopped["step"] > first["step"] == 0


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A limit on the sizes of files, which fails a write in the same way as a full disk does."""
    resource = pytest.importorskip("resource", reason="no limits on the sizes of files here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9999, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("trained")
def test_a_full_disk_ends_a_run_and_keeps_its_last_save(
    folder: Path, tmp_path: Path, ddpm: Ddpm, request: pytest.FixtureRequest
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    before = (run / "state.safetensors").read_bytes()
    hours = (records(run)[-1]["seconds"] + 0.1) / 3600
    request.getfixturevalue("small_disk")
    ended = ddpm("train", "--out", run, "--resume", "--hours", hours, "--no-compile")
    assert ended.code == 1
    assert f"{run / 'state.safetensors'}: cannot be written (File too large)" in ended.stderr
    assert "--resume" in ended.stderr
    assert (run / "state.safetensors").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["log.jsonl", "state.safetensors"]


# --- errors, in this process


def test_roles_that_there_are_not_are_named(tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train", "--data", tmp_path, "--out", tmp_path / "run", "--roles", "direct,band4")
    assert (ended.code, "--roles direct,band4: " in ended.stderr) == (1, True)
    assert ", ".join(ROLES) in ended.stderr


def test_missing_data_are_named(tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train", "--data", tmp_path / "no", "--out", tmp_path / "run", *SHORT)
    assert (ended.code, ended.stdout) == (1, b"")
    assert f"{tmp_path / 'no'}: no such file or folder" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "train-preview", "train-jpeg", "train-gaussian", "train-ddpm"])
def test_a_new_run_needs_data(tmp_path: Path, ddpm: Ddpm, command: str) -> None:
    ended = ddpm(command, "--out", tmp_path / "run")
    assert (ended.code, "with --data" in ended.stderr, (tmp_path / "run").exists()) == (2, True, False)


@pytest.mark.parametrize("command", ["train", "train-gaussian", "train-ddpm"])
def test_without_data_only_a_run_that_there_is_goes_on(tmp_path: Path, ddpm: Ddpm, command: str) -> None:
    ended = ddpm(command, "--out", tmp_path / "nope", "--resume")
    assert (ended.code, f"{tmp_path / 'nope'}: there is no run" in ended.stderr) == (1, True)  # fmt: skip
    assert not (tmp_path / "nope").exists()


@pytest.mark.parametrize("kept", [0, 6, 2000])
def test_something_must_be_left_to_train_on_and_to_evaluate_on(
    folder: Path, tmp_path: Path, ddpm: Ddpm, kept: int
) -> None:
    ended = ddpm("train", "--data", folder / "data", "--out", tmp_path / "run", "--hold-out", kept)
    assert ended.code == 1
    assert f"{folder / 'data'}: 6 images, of which --hold-out keeps {kept}" in ended.stderr


def test_names_of_files_that_look_like_settings_stay(tmp_path: Path, ddpm: Ddpm) -> None:
    missing = tmp_path / "crop=96" / "data=..."
    ended = ddpm("train", "--data", missing, "--out", tmp_path / "run", *SHORT)
    assert ended.stderr.startswith(f"ddpmcodec: {missing}: no such file or folder")


@pytest.mark.usefixtures("trained")
def test_an_existing_run_is_kept(folder: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train", "--data", folder / "data", "--out", folder / "run", *SHORT)
    assert ended.code == 1
    assert f"{folder / 'run'}: holds a training run already" in ended.stderr
    assert "--resume" in ended.stderr


@pytest.mark.parametrize(
    "wrong",
    [("--hours", 0), ("--batch", 0), ("--crop", 7), ("--hold-out", -1), ("--camera-share", 2), ("--muon-rate", 0)],
    ids=lambda wrong: wrong[0],
)
def test_impossible_numbers_are_wrong_usage(tmp_path: Path, ddpm: Ddpm, wrong: tuple[object, ...]) -> None:
    ended = ddpm("train", "--data", tmp_path, "--out", tmp_path / "run", *wrong)
    assert ended.code == 2
    assert f"Invalid value for '{wrong[0]}'" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [("export", "-o"), ("train", "--resume", "--out")], ids=lambda c: c[0])
def test_what_is_no_training_state_is_named(tmp_path: Path, ddpm: Ddpm, command: tuple[str, ...]) -> None:
    (tmp_path / "state.safetensors").write_text("no state")
    output = tmp_path / "m.safetensors" if command[0] == "export" else tmp_path
    ended = ddpm(*command, output, *([tmp_path] if command[0] == "export" else []))
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / 'state.safetensors'}: not the state")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.usefixtures("exported")
def test_an_existing_output_is_kept(folder: Path, ddpm: Ddpm) -> None:
    output = folder / "small.safetensors"
    before = output.read_bytes()
    ended = ddpm("export", folder / "run", "-o", output)
    assert (ended.code, ended.stderr.startswith(f"ddpmcodec: {output}: exists already: use -f")) == (1, True)
    assert output.read_bytes() == before
    state = folder / "run" / "state.safetensors"
    ended = ddpm("export", "-f", folder / "run", "-o", state)
    assert (ended.code, f"{state}: is the input itself" in ended.stderr) == (1, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "{run}: interrupted; nothing was saved"),
        (float("nan"), "the loss is nan"),
    ],
)
def test_a_run_that_ends_early_says_so(
    folder: Path, tmp_path: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch, error: Any, said: str
) -> None:
    def update(*_: Any) -> dict[str, float]:
        if isinstance(error, BaseException):
            raise error
        return {"loss": error}

    monkeypatch.setattr(context_trainer.ContextTrainer, "update", update)
    ended = ddpm("train", "--data", folder / "data", "--out", tmp_path / "run", *SHORT)
    assert ended.code == (130 if isinstance(error, BaseException) else 1)
    assert f"ddpmcodec: {said.format(run=tmp_path / 'run')}" in ended.stderr


def test_a_device_that_is_not_there_is_named(ddpm: Ddpm, folder: Path, tmp_path: Path) -> None:
    ended = ddpm("train", "--data", folder / "data", "--out", tmp_path / "run", *SHORT, "--device", "nowhere")
    assert ended.code == 1
    assert ended.stderr.startswith("ddpmcodec: --device nowhere: ")
    assert not (tmp_path / "run").exists()
