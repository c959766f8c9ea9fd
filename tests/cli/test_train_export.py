"""From pictures to files: train, export, and code with the model, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.networks import checkpoint
from ddpmcodec.presets import refined_steps
from ddpmcodec.training import trainer

Ddpm = Callable[..., Any]  # conftest.Ddpm
SMALL = ("--steps", 2, "--no-compile", "--width", 16, "--blocks", 1, 1, 1, "--hold-out", 2, "--batch", 4)


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line, on one thread."""
    command = [sys.executable, "-m", "ddpmcodec.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of 32 x 32 pixels."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    y, x = np.mgrid[:32, :32]
    for i in range(6):
        pixels = np.stack([7 * x + i, 5 * y + 9 * i, 100 + x + y], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "data" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> subprocess.CompletedProcess[str]:
    return process("train", "--data", folder / "data", "--out", folder / "run", *SMALL)


@pytest.fixture(scope="module")
def exported(folder: Path, trained: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    return process("export", folder / "run", "-o", folder / "small.safetensors")


def test_training_says_what_to_do_next(folder: Path, trained: subprocess.CompletedProcess[str]) -> None:
    run_folder = folder / "run"
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == ""
    assert trained.stderr.endswith(
        f"ddpmcodec: {run_folder}: 2 steps, 8 images; next: ddpmcodec export {run_folder} -o MODEL.safetensors\n"
    )
    assert sorted(path.name for path in run_folder.iterdir()) == ["log.jsonl", "state.safetensors"]
    records = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    assert records[0]["settings"]["architecture"] == {
        "width": 16,
        "inner_width": 32,
        "down": 1,
        "bottom": 1,
        "up": 1,
        "neighbours": 1,
    }
    assert records[-1]["step"] == 2


def test_exporting_names_the_model(folder: Path, exported: subprocess.CompletedProcess[str]) -> None:
    output = folder / "small.safetensors"
    assert exported.returncode == 0, exported.stderr
    assert exported.stderr.startswith(f"ddpmcodec: {output}: model 'small', id ")
    assert exported.stderr.endswith(f"{output.stat().st_size} bytes; use it with --model {output}\n")


@pytest.mark.usefixtures("exported")
def test_the_exported_model_codes_pictures(folder: Path, tmp_path: Path) -> None:
    source, model = folder / "data" / "3.png", folder / "small.safetensors"
    for arguments in (
        ("encode", source, "-o", tmp_path / "3.ddpm", "--effort", 1, "--model", model),
        ("decode", tmp_path / "3.ddpm", "-o", tmp_path / "3.png", "--model", model),
    ):
        ended = process(*arguments)
        assert ended.returncode == 0, ended.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "3.png")), np.asarray(Image.open(source)))


# --- errors, in this process


def test_a_refined_model_codes_pictures(
    folder: Path, tmp_path: Path, exported: subprocess.CompletedProcess[str]
) -> None:
    source, model = folder / "data" / "3.png", tmp_path / "refined.safetensors"
    data = ("--data", folder / "data", "--hold-out", 2, "--batch", 4, "--hours", 1e-4, "--no-compile")
    done = process("refine", folder / "small.safetensors", "-o", model, *data)
    assert done.returncode == 0, done.stderr
    assert "bits/dim of the steps on held-out images" in done.stderr
    assert f"{model}: model 'small', id " in done.stderr
    assert process("encode", source, "-o", tmp_path / "x.ddpm", "--model", model).returncode == 0
    assert process("decode", tmp_path / "x.ddpm", "-o", tmp_path / "x.png", "--model", model).returncode == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "x.png")), np.asarray(Image.open(source)))
    again = process("refine", folder / "small.safetensors", "-o", model, *data)
    assert (again.returncode, "exists" in again.stderr) == (1, True)


def test_a_refining_run_that_is_killed_leaves_a_whole_model_and_goes_on(
    folder: Path, tmp_path: Path, exported: subprocess.CompletedProcess[str]
) -> None:
    out = tmp_path / "refined.safetensors"
    data = ("--data", folder / "data", "--hold-out", "2", "--batch", "4", "--width", "8", "--no-compile")
    command = [sys.executable, "-m", "ddpmcodec.cli", "refine", folder / "small.safetensors", "-o", out, *data]
    with subprocess.Popen([*map(str, command), "--hours", "1", "--evaluate-minutes", "0"]) as run:
        while run.poll() is None and not out.exists():
            time.sleep(0.02)
        time.sleep(0.5)  # into the next save
        run.kill()
    assert run.returncode == -signal.SIGKILL
    assert len(checkpoint.load(out).local) == len(refined_steps())
    refused = process(*map(str, command[3:]), "--hours", "1e-9")
    assert (refused.returncode, "use -f" in refused.stderr) == (1, True)
    resumed = process(*map(str, command[3:]), "--hours", "1e-9", "--resume")
    assert (resumed.returncode, out.with_name(f"{out.name}.state").exists()) == (0, False)
    assert process(*map(str, command[3:]), "--resume").returncode == 1


def test_missing_data_are_named(tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train", "--data", tmp_path / "no", "--out", tmp_path / "run", *SMALL)
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr == (
        f"ddpmcodec: {tmp_path / 'no'}: no such file or folder; point --data at images, an array or a CIFAR-10 root\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("trained")
def test_an_existing_run_is_kept(folder: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train", "--data", folder / "data", "--out", folder / "run", *SMALL)
    assert ended.code == 1
    assert ended.stderr == (
        f"ddpmcodec: {folder / 'run'}: holds a training run already; go on with --resume, or choose another folder\n"
    )


@pytest.mark.parametrize(
    "wrong",
    [("--steps", 0), ("--hours", 0), ("--batch", 0), ("--crop", 8), ("--hold-out", -1), ("--blocks", 1, 0, 1)],
    ids=lambda wrong: wrong[0],
)
def test_impossible_numbers_are_wrong_usage(tmp_path: Path, ddpm: Ddpm, wrong: tuple[object, ...]) -> None:
    ended = ddpm("train", "--data", tmp_path, "--out", tmp_path / "run", *wrong)
    assert ended.code == 2
    assert f"Invalid value for '{wrong[0]}'" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_what_is_no_training_folder_is_named(tmp_path: Path, ddpm: Ddpm) -> None:
    (tmp_path / "state.safetensors").write_text("no state")
    ended = ddpm("export", tmp_path, "-o", tmp_path / "m.safetensors")
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / 'state.safetensors'}: not a training state (")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.usefixtures("exported")
def test_an_existing_output_is_kept(folder: Path, ddpm: Ddpm) -> None:
    output = folder / "small.safetensors"
    before = output.read_bytes()
    ended = ddpm("export", folder / "run", "-o", output)
    assert (ended.code, ended.stderr.startswith(f"ddpmcodec: {output}: exists already: use -f")) == (1, True)
    assert output.read_bytes() == before
    forced = ddpm("export", folder / "run", "-o", output, "-f", "--name", "again")
    assert (forced.code, "model 'again'" in forced.stderr) == (0, True)


def test_an_interrupted_run_says_that_nothing_was_saved(
    folder: Path, tmp_path: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "update", interrupted)
    ended = ddpm("train", "--data", folder / "data", "--out", tmp_path / "run", *SMALL)
    assert ended.code == 130
    assert ended.stderr.endswith(f"ddpmcodec: {tmp_path / 'run'}: interrupted; nothing was saved yet\n")
