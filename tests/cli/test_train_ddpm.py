"""Training the paper's network from the command line: what it writes, says and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.paper import denoisers
from ddpmcodec.training import ddpm_trainer, run, state

Ddpm = Callable[..., Any]  # conftest.Ddpm
pytestmark = pytest.mark.usefixtures("one_thread", "operations_counted_once")
SMALL = ("--channels", 8, "--size", 8, "--batch", 2, "--steps", 1, "--levels", 20, "--no-compile")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six pictures of 10 x 12 pixels."""
    np.save(tmp_path / "data.npy", np.random.default_rng(2).integers(0, 256, (6, 10, 12, 3)).astype(np.uint8))
    return tmp_path / "data.npy"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def settings_of(folder: Path) -> dict[str, Any]:
    first = (folder / "log.jsonl").read_text().splitlines()[0]
    settings: dict[str, Any] = json.loads(first)["settings"]
    return settings


def test_training_writes_a_network_to_code_with_and_takes_the_place_of_no_other_run(
    data: Path, run_folder: Path, ddpm: Ddpm, names: Callable[[Path], list[str]]
) -> None:
    ended = ddpm("train-ddpm", "--data", data, "--out", run_folder, *SMALL)
    network = run_folder / "ddpm.safetensors"
    assert (ended.code, ended.stdout) == (0, b"")
    assert f"{run_folder}: 1 step, 2 images; " in ended.stderr
    assert names(run_folder) == ["ddpm.safetensors", "log.jsonl", "state.safetensors"]
    denoiser = denoisers.load_checkpoint(network)
    config = denoiser.unet.config
    assert (config.channels, config.groups, config.multipliers, config.dropout) == (8, 2, (1, 2, 2, 2), 0.1)
    assert (len(denoiser.levels), denoiser.variance) == (20, "large")
    refused = ddpm("train-ddpm", "--data", data, "--out", run_folder, *SMALL)
    assert (refused.code, f"{run_folder}: holds a training run already" in refused.stderr) == (1, True)


def test_the_options_reach_the_run(data: Path, run_folder: Path, ddpm: Ddpm) -> None:
    options = ("--objective", "hybrid", "--schedule", "cosine", "--dropout", 0.3, "--seed", 5, "--rate", 0.001)
    assert ddpm("train-ddpm", "--data", data, "--out", run_folder, *SMALL, *options).code == 0
    settings = settings_of(run_folder)
    assert (settings["objective"], settings["schedule"], settings["levels"]) == ("hybrid", "cosine", 20)
    assert (settings["seed"], settings["rate"], settings["warmup"]) == (5, 0.001, 5000)
    assert (settings["network"]["dropout"], settings["network"]["learned_variance"]) == (0.3, True)
    assert denoisers.load_checkpoint(run_folder / "ddpm.safetensors").variance == "learned"


def test_the_options_of_a_long_run_on_a_gpu_train_on_a_cpu(data: Path, run_folder: Path, ddpm: Ddpm) -> None:
    options = ("--bfloat16", "--device", "cpu", "--hold-out", 2, "--evaluate-minutes", 0)
    ended = ddpm("train-ddpm", "--data", data, "--out", run_folder, *SMALL, *options)
    assert ended.code == 0, ended.stderr
    assert "bits/dim on held-out images" in ended.stderr
    ended = ddpm("train-ddpm", "--out", run_folder, "--resume", "--steps", 2)
    assert (ended.code, f"{run_folder}: 2 steps, 4 images" in ended.stderr) == (0, True)
    assert state.read(run_folder).facts["compiled"] is False
    first, one, again, two = map(json.loads, (run_folder / "log.jsonl").read_text().splitlines())
    assert (first["settings"]["bfloat16"], first["settings"]["hold_out"]) == (True, 2)
    assert again["settings"] == first["settings"] | {"steps": 2}
    for line in (one, two):
        assert 0 < line["held_out"]["bound"] < 20
        assert min(line["tflops"], line["images_per_second"], line["standard_error"]) > 0


def test_the_network_of_larger_images_can_be_chosen(data: Path, run_folder: Path, ddpm: Ddpm) -> None:
    refused = ddpm("train-ddpm", "--data", data, "--out", run_folder, "--network", "large256", "--channels", 8)
    assert (refused.code, "256 x 256 pixels: give a smaller --size" in refused.stderr) == (1, True)
    refused = ddpm("train-ddpm", "--data", data, "--out", run_folder, *SMALL, "--batch", 1, "--hold-out", 99)
    assert "--hold-out keeps 99" in refused.stderr
    ended = ddpm("train-ddpm", "--data", data, "--out", run_folder, "--network", "large256", *SMALL)
    assert "8 pixels: --size" in ended.stderr
    assert (ended.code, run_folder.exists()) == (1, False)


@pytest.mark.parametrize(("network", "paper"), [("cifar10", (32, 128, 2e-4)), ("large256", (256, 64, 2e-5))])
def test_sizes_and_rates_are_those_of_the_paper_for_each_network(
    data: Path, run_folder: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch, network: str, paper: tuple[Any, ...]
) -> None:
    """arXiv 2006.11239, appendix B."""
    seen = []

    def interrupted(settings: ddpm_trainer.DdpmSettings, *_: Any, **how: Any) -> None:
        seen.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(ddpm_trainer, "train", interrupted)
    for options in ((), ("--batch", 7)):
        ddpm("train-ddpm", "--data", data, "--out", run_folder, "--network", network, *options)
    assert [(settings.size, settings.batch, settings.rate) for settings in seen] == [paper, (paper[0], 7, paper[2])]


def test_an_interrupted_run_says_what_is_kept(
    data: Path, run_folder: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FIRST_SAVE_SECONDS", 0.0)
    arguments = ("train-ddpm", "--data", data, "--out", run_folder, *SMALL, "--steps", 2)
    update, last = ddpm_trainer.DdpmTrainer.update, 0

    def interrupted(trainer: ddpm_trainer.DdpmTrainer) -> dict[str, float]:
        if trainer.step == last:
            raise KeyboardInterrupt
        return update(trainer)

    monkeypatch.setattr(ddpm_trainer.DdpmTrainer, "update", interrupted)
    ended = ddpm(*arguments)
    assert (ended.code, f"{run_folder}: interrupted; nothing was saved" in ended.stderr) == (130, True)
    last = 1
    ended = ddpm(*arguments)
    assert ended.code == 130
    assert f"{run_folder}: interrupted; --resume" in ended.stderr
    last = -1
    assert ddpm(*arguments, "--resume").code == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--steps", 0), "Invalid value for '--steps'"),
        (("--channels", 2), "Invalid value for '--channels'"),
        (("--channels", 9), "Error: channels 9, groups 2,"),  # a width that no network can have
        (("--dropout", 1), "Invalid value for '--dropout'"),
        (("--rate", 0), "Invalid value for '--rate'"),
    ],
)
def test_impossible_options_are_wrong_usage(
    data: Path, run_folder: Path, ddpm: Ddpm, wrong: tuple[object, ...], said: str
) -> None:
    ended = ddpm("train-ddpm", "--data", data, "--out", run_folder, *wrong)
    assert (ended.code, said in ended.stderr, run_folder.exists()) == (2, True, False)


def test_help_says_how_to_use_many_devices(ddpm: Ddpm) -> None:
    assert b"torchrun --standalone --nproc-per-node 8 -m ddpmcodec train-ddpm" in ddpm("train-ddpm", "-h").stdout
