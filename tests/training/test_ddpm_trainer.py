"""The paper's training on pictures that are easy to learn: by one process, by two, and after interruptions."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.networks import pretrained
from ddpmcodec.networks.unet import UNetConfig
from ddpmcodec.schedule import cosine, ddpm_linear
from ddpmcodec.training import ddpm_state, ddpm_trainer
from ddpmcodec.training.data import Crops, load_images
from ddpmcodec.training.ddpm_objective import losses, noisy_batch
from ddpmcodec.training.ddpm_trainer import CHECKPOINT, Processes, Settings, Trainer, processes, train

NETWORK = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, dropout=0.1)
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def settings(pictures: Path, tmp_path: Path) -> Settings:
    """Four steps, with dropout, saved after every second."""
    out = str(tmp_path / "run")
    return Settings(str(pictures), out, NETWORK, T=50, steps=4, batch=5, size=8, warmup=3, seed=11, save_every=2)


def pixels(settings: Settings, step: int = 0) -> Tensor:
    return Crops(load_images(settings.data), settings.size, settings.seed).batch(step, settings.batch)


def whole_state(folder: str) -> dict[str, Tensor]:
    return load_file(Path(folder) / ddpm_state.FILE)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())


def records(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(settings.out, "log.jsonl").read_text().splitlines()]


# --- learning


@pytest.mark.parametrize("objective", ["simple", "bound", "hybrid"])
def test_training_lowers_the_loss(settings: Settings, objective: Any) -> None:
    network = replace(NETWORK, dropout=0.0, learned_variance=objective == "hybrid")
    settings = replace(settings, network=network, objective=objective, rate=1e-2)
    trainer = Trainer(settings, ALONE)
    held = noisy_batch(torch.cat([pixels(settings, step) for step in range(100, 104)]), settings.T, (99,))

    def loss() -> float:
        with torch.no_grad():
            return float(losses(objective, trainer.network, trainer.process, held).mean())

    before = loss()
    for step in range(20):
        trainer.update(pixels(settings, step))
    assert loss() < 0.8 * before


def test_the_loss_and_the_gradient_are_those_of_the_objective(settings: Settings) -> None:
    settings = replace(settings, network=replace(NETWORK, dropout=0.0))
    trainer = Trainer(settings, ALONE)
    batch = noisy_batch(pixels(settings), settings.T, (settings.seed, 0))
    expected = losses("simple", trainer.network, trainer.process, batch).mean()
    gradients = torch.autograd.grad(expected, list(trainer.network.parameters()), allow_unused=True)
    norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
    assert trainer.update(pixels(settings)) == pytest.approx((expected.item(), norm.item()), rel=1e-5)


def test_the_rate_rises_and_stays(settings: Settings) -> None:
    trainer, rates = Trainer(settings, ALONE), []
    for step in range(5):
        trainer.update(pixels(settings, step))
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([settings.rate / 3, settings.rate * 2 / 3, *[settings.rate] * 3])


def test_the_first_step_of_adam_is_as_long_as_the_rate(settings: Settings) -> None:
    trainer = Trainer(replace(settings, warmup=1), ALONE)
    before = trainer.network.conv_out.bias.detach().clone()
    trainer.update(pixels(settings))
    moved = (trainer.network.conv_out.bias.detach() - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, settings.rate), rtol=1e-3, atol=0)


def test_gradients_are_clipped(settings: Settings) -> None:
    trainer = Trainer(replace(settings, clip=1e-9), ALONE)
    _, norm = trainer.update(pixels(settings))
    assert norm > 0.01
    moments = torch.cat([state["exp_avg"].flatten() for state in trainer.optimizer.state.values()])
    assert moments.norm().item() == pytest.approx(0.1 * 1e-9, rel=1e-3)


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (100_000, 0.9999)])
def test_the_average_is_short_at_first(settings: Settings, step: int, decay: float) -> None:
    trainer = Trainer(settings, ALONE)
    trainer.step = step
    with torch.no_grad():
        trainer.averaged.conv_out.bias.fill_(1.0)
    trainer.update(pixels(settings))
    expected = decay + (1 - decay) * trainer.network.conv_out.bias
    torch.testing.assert_close(trainer.averaged.conv_out.bias, expected.detach())


def test_the_average_starts_as_the_network_and_drops_nothing_out(settings: Settings) -> None:
    trainer = Trainer(settings, ALONE)
    assert same(trainer.network.state_dict(), trainer.averaged.state_dict())
    assert (trainer.network.training, trainer.averaged.training) == (True, False)
    assert not any(p.requires_grad for p in trainer.averaged.parameters())


def test_a_loss_that_is_no_number_changes_nothing(settings: Settings) -> None:
    trainer = Trainer(settings, ALONE)
    with torch.no_grad():
        trainer.network.conv_out.bias[0] = float("inf")
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    with pytest.raises(TrainingError, match=r"the loss is inf after 0 steps: go back to the last save \(--resume\)"):
        trainer.update(pixels(settings))
    assert same(trainer.network.state_dict(), before)
    assert all(tensor.isfinite().all() for tensor in trainer.averaged.state_dict().values())


# --- what a run may be


def test_the_default_run_is_the_papers() -> None:
    settings = Settings("data", "out")
    assert (settings.rate, settings.warmup, settings.average, settings.clip) == (2e-4, 5000, 0.9999, 1.0)
    assert (settings.batch, settings.steps, settings.objective) == (128, 800_000, "simple")
    assert (settings.network.channels, settings.network.dropout) == (128, 0.1)
    assert settings.levels().tolist() == ddpm_linear(1000).tolist()
    assert replace(settings, schedule="cosine", T=7).levels().tolist() == cosine(7).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 7}, "images of 7 pixels: --size must be a multiple of 2"),
        ({"batch": 0}, "a batch of 0 is too small for 1 processes: raise --batch"),
        ({"objective": "hybrid"}, "the hybrid objective, and no other, trains a network with learned variances"),
        ({"network": replace(NETWORK, learned_variance=True)}, "the hybrid objective, and no other, trains"),
        ({"size": 32}, "no training image is at least 32x32"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: Settings, change: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(replace(settings, **change))
    assert not Path(settings.out).exists()


# --- a run on disk


def test_a_run_logs_what_it_does(settings: Settings) -> None:
    train(settings)
    first, *others = records(settings)
    assert first["settings"]["network"]["channels"] == 8
    assert (first["step"], first["processes"]) == (0, 1)
    assert [(record["step"], record["images"], record["saved"]) for record in others] == [(2, 10, True), (4, 20, True)]
    assert all(0 < record["loss"] < 2 and record["gradient_norm"] > 0 for record in others)
    assert sorted(path.name for path in Path(settings.out).iterdir()) == [CHECKPOINT, "log.jsonl", ddpm_state.FILE]


def test_every_fifty_steps_are_logged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(trainer: Trainer, _: Tensor) -> tuple[float, float]:
        trainer.step += 1
        return float(trainer.step), 0.25

    monkeypatch.setattr(Trainer, "update", update)
    train(replace(settings, steps=120, save_every=1000))
    found = [(record["step"], record["loss"], record["saved"]) for record in records(settings)[1:]]
    assert found == [(50, 25.5, False), (100, 75.5, False), (120, 110.5, True)]


def test_slow_runs_are_saved_by_the_clock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpm_trainer, "SAVE_SECONDS", 0)
    train(replace(settings, save_every=1000))
    assert [record["saved"] for record in records(settings)[1:]] == [True] * 4


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, whose masks are drawn anew in every step."""
    whole = replace(settings, out=str(tmp_path / "whole"))
    train(whole)
    batch = Crops.batch

    def killed(crops: Crops, step: int, count: int) -> Tensor:
        if step == 3:
            raise KeyboardInterrupt
        return batch(crops, step, count)

    monkeypatch.setattr(Crops, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings)
    monkeypatch.setattr(Crops, "batch", batch)
    torch.manual_seed(12345)
    assert train(settings, resume=True).step == 4
    assert same(whole_state(settings.out), whole_state(whole.out))
    assert [record["step"] for record in records(settings)] == [0, 2, 2, 4]


def test_the_same_seed_gives_the_same_network(settings: Settings, tmp_path: Path) -> None:
    folders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folders.append(str(tmp_path / name))
        train(replace(settings, steps=1, seed=seed, out=folders[-1]))
    one, again, other = map(whole_state, folders)
    assert same(one, again)
    assert not one["network.conv_in.weight"].equal(other["network.conv_in.weight"])


def test_a_finished_run_has_nothing_to_resume(settings: Settings) -> None:
    train(settings)
    before = whole_state(settings.out)
    assert train(settings, resume=True).step == 4
    assert same(whole_state(settings.out), before)


def test_resuming_nothing_starts(settings: Settings) -> None:
    assert train(replace(settings, steps=1), resume=True).step == 1


def test_another_run_is_not_overwritten(settings: Settings) -> None:
    train(replace(settings, steps=1))
    before = Path(settings.out, ddpm_state.FILE).read_bytes()
    with pytest.raises(
        TrainingError, match="run: holds a training run already; go on with --resume, or choose another"
    ):
        train(settings)
    assert Path(settings.out, ddpm_state.FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"network": replace(NETWORK, channels=12)}, "channels was 8, and is 12"),
        ({"objective": "bound"}, "objective was simple, and is bound"),
        ({"schedule": "cosine", "T": 60}, "schedule was linear, and is cosine; timesteps was 50, and is 60"),
    ],
)
def test_another_network_or_objective_cannot_go_on_from_a_state(
    settings: Settings, change: Any, complaint: str
) -> None:
    train(replace(settings, steps=1))
    with pytest.raises(TrainingError, match=f"run: {complaint}: go on with the options of the run, or choose"):
        train(replace(settings, **change), resume=True)


OTHER_STATE = save({"latent.enter": torch.zeros(1)}, metadata={"ddpmcodec": '{"architecture": {}, "step": 5}'})


@pytest.mark.parametrize("content", [b"", b"hello world", OTHER_STATE], ids=["empty", "text", "of the exact network"])
def test_what_is_no_state_is_named(settings: Settings, content: bytes) -> None:
    Path(settings.out).mkdir()
    Path(settings.out, ddpm_state.FILE).write_bytes(content)
    with pytest.raises(TrainingError, match=r"state.safetensors: not a training state .* `ddpmcodec train-ddpm`\?"):
        train(settings, resume=True)


# --- from a run to a network to code with


@pytest.mark.parametrize(("objective", "variance"), [("simple", "large"), ("hybrid", "learned")])
def test_the_averaged_network_is_what_is_saved(settings: Settings, objective: Any, variance: str) -> None:
    network = replace(NETWORK, learned_variance=variance == "learned")
    trainer = train(replace(settings, network=network, objective=objective, schedule="cosine"))
    denoiser = pretrained.load(Path(settings.out, CHECKPOINT))
    assert same(denoiser.unet.state_dict(), trainer.averaged.state_dict())
    assert denoiser.unet.config == network
    assert denoiser.variance == variance
    assert denoiser.levels.tolist() == cosine(50).tolist()
    c_t = torch.linspace(-100, 100, 192).view(1, 3, 8, 8)
    prediction, expected = (predict(c_t, float(denoiser.levels[5])) for predict in (denoiser, trainer.denoiser()))
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


def torchrun(settings: Settings, count: int) -> subprocess.CompletedProcess[str]:
    """`ddpmcodec train-ddpm` with the paper's multipliers, by so many processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, "-m"]
    options: list[object] = ["--data", settings.data, "--out", settings.out, "--timesteps", settings.T]
    for name in ("steps", "batch", "size", "warmup", "seed", "objective", "rate"):
        options += [f"--{name}", getattr(settings, name)]
    options += ["--channels", settings.network.channels, "--dropout", settings.network.dropout]
    command = [str(part) for part in (*launch, "ddpmcodec.cli", "train-ddpm", *options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_two_processes_train_what_one_does(settings: Settings, tmp_path: Path) -> None:
    """A batch of five, so that the shares differ; three steps of the hybrid objective without dropout."""
    network = UNetConfig(channels=8, groups=2, dropout=0.0, learned_variance=True)
    one = replace(settings, network=network, objective="hybrid", steps=3, rate=2e-3, save_every=1000)
    two = replace(one, out=str(tmp_path / "two"))
    train(one)
    ended = torchrun(two, 2)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count(f"{two.out}: 3 steps, 15 images; the averaged network is") == 1
    assert [record.get("processes") for record in records(two)] == [2, None]
    state, expected = whole_state(two.out), whole_state(one.out)
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            state[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    moved = state["network.conv_out.weight"].abs().max()
    assert moved > 1e-3  # from zero: far more than the tolerance, which is for Adam's quotients of small gradients
    assert records(two)[-1]["loss"] == pytest.approx(records(one)[-1]["loss"], abs=2e-5)
    assert np.isclose(records(two)[-1]["gradient_norm"], records(one)[-1]["gradient_norm"], rtol=1e-3)
