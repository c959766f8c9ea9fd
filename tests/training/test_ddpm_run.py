"""Runs of the paper's training on disk: what they may be, interruptions, what they leave, many processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from small_ddpm import NETWORK, same, settings_of
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.model_file import seal
from ddpmcodec.paper import denoisers
from ddpmcodec.paper.schedule import cosine, ddpm_linear
from ddpmcodec.paper.unet import UNetConfig
from ddpmcodec.training import ddpm_trainer, run, state
from ddpmcodec.training.data import DeviceCrops
from ddpmcodec.training.ddpm_trainer import AVERAGE, CLIP, DdpmSettings, DdpmTrainer, Processes, processes, train

pytestmark = pytest.mark.usefixtures("operations_counted_once")


@pytest.fixture(scope="module")
def settings(pictures: Path) -> DdpmSettings:
    return settings_of(pictures)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that saves after every step."""
    monkeypatch.setattr(run, "FIRST_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def whole(settings: DdpmSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run from its beginning to its end, to be read."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    start(settings, folder)
    return folder


def start(settings: DdpmSettings, out: Path, **how: Any) -> DdpmTrainer:
    return train(settings, out, lambda _: None, compiled=False, **how)[0]


def whole_state(out: Path) -> dict[str, Tensor]:
    return load_file(out / state.FILE)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / run.LOG).read_text().splitlines()]


# --- what a run may be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 7}, "7 pixels: size="),
        ({"objective": "hybrid"}, "hybrid .*learned variances"),
        ({"network": replace(NETWORK, learned_variance=True)}, "hybrid"),
        ({"size": 32}, "32 x 32 .*size="),
        ({"hold_out": 40}, "40 images, .*keeps 40"),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    settings: DdpmSettings, out: Path, change: Any, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        start(replace(settings, **change), out)
    assert not out.exists()


def test_every_process_needs_an_image_of_a_batch(settings: DdpmSettings) -> None:
    with pytest.raises(TrainingError, match=r"batch of 5 .*8 processes"):
        ddpm_trainer._check(settings, Processes(0, 8, torch.device("cpu")))


def test_a_device_that_is_not_there_is_named(settings: DdpmSettings, out: Path) -> None:
    with pytest.raises(TrainingError, match="device=tpu"):
        start(settings, out, device="tpu")
    assert not out.exists()


# --- a run on disk


def test_the_default_run_is_the_papers() -> None:
    settings = DdpmSettings(("data",))
    assert (settings.rate, settings.warmup, AVERAGE, CLIP) == (2e-4, 5000, 0.9999, 1.0)
    assert (settings.batch, settings.steps, settings.objective) == (128, 800_000, "simple")
    assert (settings.network.channels, settings.network.dropout) == (128, 0.1)
    assert settings.noise_levels().tolist() == ddpm_linear(1000).tolist()
    assert replace(settings, schedule="cosine", levels=7).noise_levels().tolist() == cosine(7).tolist()


def test_a_run_logs_what_it_does(whole: Path) -> None:
    first, last = records(whole)
    assert first["settings"]["network"]["channels"] == 8
    assert (first["step"], last["step"], last["images"]) == (0, 4, 20)
    assert 0 < last["loss"] < 2
    assert last["gradient_norm"] > 0
    assert sorted(path.name for path in whole.iterdir()) == [denoisers.OWN, run.LOG, state.FILE]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    settings: DdpmSettings, out: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, whose masks are drawn anew in every step."""
    batch = DeviceCrops.batch

    def killed(crops: DeviceCrops, step: int, count: int) -> Tensor:
        if step == 3:
            raise KeyboardInterrupt
        return batch(crops, step, count)

    monkeypatch.setattr(DeviceCrops, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        start(settings, out)
    monkeypatch.setattr(DeviceCrops, "batch", batch)
    torch.manual_seed(12345)
    assert start(settings, out, resume=True).step == 4
    assert same(whole_state(out), whole_state(whole))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"network": replace(NETWORK, channels=12)}, "channels=8, not 12"),
        ({"objective": "bound"}, "objective=simple, not bound"),
        ({"schedule": "cosine"}, "schedule=linear, not cosine"),
        ({"levels": 60}, "levels=50, not 60"),
    ],
)
def test_another_network_or_objective_cannot_go_on_from_a_state(
    settings: DdpmSettings, whole: Path, change: Any, complaint: str
) -> None:
    with pytest.raises(TrainingError, match=f"started with {complaint}"):
        start(replace(settings, **change), whole, resume=True, chosen=list(change))


OTHER_STATE = seal(save({"network.stem": torch.zeros(1)}, {"ddpmcodec": '{"architecture": {}, "step": 5}'}))


def test_the_state_of_the_exact_network_is_none_of_this_one(settings: DdpmSettings, out: Path) -> None:
    out.mkdir()
    (out / state.FILE).write_bytes(OTHER_STATE)
    with pytest.raises(TrainingError, match=r"state.safetensors: not the state"):
        start(settings, out, resume=True)


# --- from a run to a network to code with


@pytest.mark.parametrize(("objective", "variance"), [("simple", "large"), ("hybrid", "learned")])
def test_the_averaged_network_is_what_is_saved(
    settings: DdpmSettings, out: Path, objective: Any, variance: str
) -> None:
    network = replace(NETWORK, learned_variance=variance == "learned")
    trainer = start(replace(settings, network=network, objective=objective, schedule="cosine", steps=2), out)
    denoiser = denoisers.load_checkpoint(out / denoisers.OWN)
    assert same(denoiser.unet.state_dict(), trainer.averaged.state_dict())
    assert denoiser.unet.config == network
    assert denoiser.variance == variance
    assert denoiser.levels.tolist() == cosine(50).tolist()
    c_t = torch.linspace(-100, 100, 192).view(1, 3, 8, 8)
    trained = trainer.denoiser()
    trained.unet.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as it is read: sums round so
    prediction, expected = (predict(c_t, float(denoiser.levels[5])) for predict in (denoiser, trained))
    assert prediction.mean.equal(expected.mean)
    assert prediction.log_scale.equal(expected.log_scale)


# --- many processes


@pytest.mark.parametrize(("images", "count"), [(128, 8), (5, 2), (7, 7), (10, 3)])
def test_the_processes_share_a_batch(images: int, count: int) -> None:
    shares = [Processes(rank, count, torch.device("cpu")).share(images) for rank in range(count)]
    parts = [list(range(images))[share] for share in shares]
    assert list(itertools.chain(*parts)) == list(range(images))
    assert {len(part) for part in parts} <= {images // count, -(-images // count)}


def test_without_torchrun_a_process_is_alone() -> None:
    with processes() as where:
        assert (where.rank, where.count) == (0, 1)
        assert not torch.distributed.is_initialized()


def test_processes_of_torchrun_find_one_another(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ddpmcodec.training.ddpm_trainer import processes\n"
        "with processes() as where:\n"
        "    print(f'{where.rank} of {where.count}\\n', end='')\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run([*torchrun, script], capture_output=True, text=True, check=False)
    assert (ended.returncode, sorted(ended.stdout.splitlines())) == (0, ["0 of 2", "1 of 2"]), ended.stderr


def train_by_ranks(settings: DdpmSettings, out: Path, count: int) -> subprocess.CompletedProcess[str]:
    """`ddpmcodec train-ddpm` with the paper's multipliers, by so many processes."""
    options: list[object] = ["--data", settings.data[0], "--out", out, "--levels", settings.levels]
    for name in ("steps", "batch", "size", "warmup", "seed", "objective", "rate"):
        options += [f"--{name}", getattr(settings, name)]
    options += ["--channels", settings.network.channels, "--dropout", settings.network.dropout]
    modules = "torch._dynamo,ddpmcodec.training.ddpm_trainer"  # the first as optimisers do
    command = [sys.executable, Path(__file__).with_name("ranks.py"), count, modules]
    command += ["train-ddpm", "--no-compile", *options]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_two_processes_train_what_one_does(settings: DdpmSettings, out: Path, tmp_path: Path) -> None:
    """A batch of five, so that the shares differ; three steps of the hybrid objective without dropout."""
    network = UNetConfig(channels=8, groups=2, dropout=0.0, learned_variance=True)
    one = replace(settings, network=network, objective="hybrid", steps=3, rate=2e-3)
    two = tmp_path / "two"
    start(one, out)
    ended = train_by_ranks(one, two, 2)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count(f"{two}: 3 steps, 15 images; ") == 1
    found, expected = whole_state(two), whole_state(out)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    moved = found["network.conv_out.weight"].abs().max()
    assert moved > 1e-3  # from zero: far more than the tolerance, which is for Adam's quotients of small gradients
    assert records(two)[-1]["loss"] == pytest.approx(records(out)[-1]["loss"], abs=2e-5)
    assert np.isclose(records(two)[-1]["gradient_norm"], records(out)[-1]["gradient_norm"], rtol=1e-3)


def test_compiling_comes_before_the_run_and_changes_nothing(
    settings: DdpmSettings, out: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not count, and SIGTERM ends it, as nothing catches that yet."""
    compile, handlers, default = DdpmTrainer.compile, [], signal.getsignal(signal.SIGTERM)

    def watched(trainer: DdpmTrainer) -> None:
        compile(trainer)
        handlers.append(signal.getsignal(signal.SIGTERM))
        assert trainer.seconds == 0

    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr(DdpmTrainer, "compile", watched)
    train(settings, out, lambda _: None, compiled=True)
    assert handlers == [default]
    assert same(whole_state(out), whole_state(whole))
    train(settings, out, lambda _: None, resume=True)
    assert handlers == [default]  # nothing is left to train
