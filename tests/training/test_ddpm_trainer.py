"""The paper's training on pictures that are easy to learn: by one process, by two, and after interruptions."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.format.model_file import seal
from ddpmcodec.paper import bound
from ddpmcodec.paper import checkpoints as pretrained
from ddpmcodec.paper.schedule import alpha_sigma, cosine, ddpm_linear
from ddpmcodec.paper.unet import CIFAR10, UNetConfig
from ddpmcodec.training import ddpm_trainer, run, state
from ddpmcodec.training.data import Crops, DeviceCrops, load_images
from ddpmcodec.training.ddpm_objective import losses, noisy_batch
from ddpmcodec.training.ddpm_trainer import (
    AVERAGE,
    CLIP,
    DdpmSettings,
    DdpmTrainer,
    Processes,
    flops,
    processes,
    split,
    train,
)

pytestmark = pytest.mark.usefixtures("operations_counted_once")
NETWORK = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, dropout=0.1)
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def settings(pictures: Path) -> DdpmSettings:
    """Four steps, with dropout."""
    return DdpmSettings((str(pictures),), NETWORK, levels=50, steps=4, batch=5, size=8, warmup=3, seed=11)


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


def crops_of(settings: DdpmSettings) -> Crops:
    return DeviceCrops(load_images(settings.data[0]), settings.size, settings.seed, ALONE.device)


def alone(settings: DdpmSettings) -> DdpmTrainer:
    return DdpmTrainer(settings, crops_of(settings), ALONE, compiled=False)


def start(settings: DdpmSettings, out: Path, **how: Any) -> DdpmTrainer:
    return train(settings, out, lambda _: None, compiled=False, **how)[0]


def whole_state(out: Path) -> dict[str, Tensor]:
    return load_file(out / state.FILE)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / run.LOG).read_text().splitlines()]


# --- learning


@pytest.mark.parametrize("objective", ["simple", "hybrid"])
def test_training_lowers_the_loss(settings: DdpmSettings, objective: Any) -> None:
    network = replace(NETWORK, dropout=0.0, learned_variance=objective == "hybrid")
    settings = replace(settings, network=network, objective=objective, rate=1e-2)
    trainer = alone(settings)
    crops = crops_of(settings)
    held = noisy_batch(
        torch.cat([crops.batch(step, settings.batch) for step in range(100, 104)]), settings.levels, (99,)
    )

    def loss() -> float:
        with torch.no_grad():
            return float(losses(objective, trainer.network, trainer.schedule, held).mean())

    before = loss()
    for _ in range(20):
        trainer.update()
    assert loss() < 0.8 * before


def test_the_loss_and_the_gradient_are_those_of_the_objective(settings: DdpmSettings) -> None:
    settings = replace(settings, network=replace(NETWORK, dropout=0.0))
    trainer = alone(settings)
    batch = noisy_batch(crops_of(settings).batch(0, settings.batch), settings.levels, (settings.seed, 0))
    expected = losses("simple", trainer.network, trainer.schedule, batch).mean()
    gradients = torch.autograd.grad(expected, list(trainer.network.parameters()), allow_unused=True)
    norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
    found = trainer.update()
    assert found.pop("tflops") > 0
    assert found == pytest.approx({"loss": expected.item(), "gradient_norm": norm.item()}, rel=1e-5)


@pytest.mark.parametrize("levels", [10, 25, 100, 1000, 4000])
def test_the_last_level_is_nearly_all_noise(settings: DdpmSettings, levels: int) -> None:
    """Sampling begins with noise alone. The paper's 1,000 levels end at alphabar = 4e-5."""
    alpha, _ = alpha_sigma(replace(settings, levels=levels).noise_levels()[-1])
    assert 0 < alpha**2 < 1e-4
    np.testing.assert_array_equal(replace(settings, levels=1000).noise_levels(), ddpm_linear())


def test_the_rate_rises_and_stays(settings: DdpmSettings) -> None:
    trainer, rates = alone(settings), []
    for _ in range(5):
        trainer.update()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([settings.rate / 3, settings.rate * 2 / 3, *[settings.rate] * 3])


def test_another_seed_begins_with_another_network(settings: DdpmSettings) -> None:
    one, again, other = (alone(replace(settings, seed=seed)).network.state_dict() for seed in (1, 1, 2))
    assert same(one, again)
    assert not one["conv_in.weight"].equal(other["conv_in.weight"])


def test_the_first_step_of_adam_is_as_long_as_the_rate(settings: DdpmSettings) -> None:
    trainer = alone(replace(settings, warmup=1))
    before = trainer.network.conv_out.bias.detach().clone()
    trainer.update()
    moved = (trainer.network.conv_out.bias.detach() - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, settings.rate), rtol=1e-3, atol=0)


def test_gradients_are_clipped(settings: DdpmSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpm_trainer, "CLIP", 1e-9)
    trainer = alone(settings)
    assert trainer.update()["gradient_norm"] > 0.01
    moments = torch.cat([state["exp_avg"].flatten() for state in trainer.optimizer.state.values()])
    assert moments.norm().item() == pytest.approx(0.1 * 1e-9, rel=1e-3)


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (100_000, 0.9999)])
def test_the_average_is_short_at_first(settings: DdpmSettings, step: int, decay: float) -> None:
    trainer = alone(settings)
    trainer.step = step
    with torch.no_grad():
        trainer.averaged.conv_out.bias.fill_(1.0)
    trainer.update()
    expected = decay + (1 - decay) * trainer.network.conv_out.bias
    torch.testing.assert_close(trainer.averaged.conv_out.bias, expected.detach())


def test_the_average_starts_as_the_network_and_drops_nothing_out(settings: DdpmSettings) -> None:
    trainer = alone(settings)
    assert same(trainer.network.state_dict(), trainer.averaged.state_dict())
    assert (trainer.network.training, trainer.averaged.training) == (True, False)
    assert not any(p.requires_grad for p in trainer.averaged.parameters())


def test_products_in_bfloat16_train_weights_in_float32(settings: DdpmSettings) -> None:
    settings = replace(settings, network=replace(NETWORK, dropout=0.0), batch=20)
    exact, rounded = alone(settings), alone(replace(settings, bfloat16=True))
    expected, found = ([trainer.update()["loss"] for _ in range(3)][-1] for trainer in (exact, rounded))
    assert found != expected
    assert found == pytest.approx(expected, rel=0.02)
    assert {p.dtype for p in rounded.network.parameters()} == {torch.float32}
    moments = (state["exp_avg"].dtype for state in rounded.optimizer.state.values())
    assert set(moments) == {torch.float32}


def test_a_compiled_network_trains_as_it_would_have(settings: DdpmSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout. It is captured as one graph, whose translation, a minute, is left to PyTorch's own tests."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    settings = replace(settings, bfloat16=True)
    eager, compiled = (DdpmTrainer(settings, crops_of(settings), ALONE, compiled=c) for c in (False, True))
    for _ in range(3):
        assert compiled.update()["loss"] == pytest.approx(eager.update()["loss"], rel=1e-4)
    assert compiled.network.state_dict().keys() == eager.network.state_dict().keys()


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


def test_operations_are_those_of_the_papers_network() -> None:
    """6.2 billion multiply-accumulates for an image of CIFAR-10; three passes to train."""
    assert flops(CIFAR10, 32) == pytest.approx(12.44e9, rel=0.001)
    assert flops(replace(NETWORK, attention=()), 8) < flops(NETWORK, 8)


def test_images_held_out_show_the_bound_and_are_not_trained_on(settings: DdpmSettings) -> None:
    settings = replace(settings, hold_out=6)
    images, held = split(settings)
    assert held is not None
    assert len(images) == 34
    assert (held.dtype, held.shape) == (torch.uint8, (6, 3, 8, 8))
    trainer = DdpmTrainer(settings, crops_of(settings), ALONE, held, compiled=False)
    found = trainer.evaluate()
    levels = settings.noise_levels()  # all of them: fewer than a hundred
    generator = torch.Generator().manual_seed(0)
    expected = bound.evaluate(trainer.denoiser(), held, levels, generator, prior_std=127.5).total()
    assert found["held_out"]["bound"] == pytest.approx(expected.mean, abs=1e-4)
    assert found["standard_error"] == pytest.approx(expected.standard_error, abs=1e-4)
    assert alone(settings).evaluate() == {}


def test_a_loss_that_is_no_number_changes_nothing(settings: DdpmSettings) -> None:
    trainer = alone(settings)
    with torch.no_grad():
        trainer.network.conv_out.bias[0] = float("inf")
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    with pytest.raises(TrainingError, match=r"the loss is inf after 0 steps: go back to the last save \(resume=True\)"):
        trainer.update()
    assert same(trainer.network.state_dict(), before)
    assert all(tensor.isfinite().all() for tensor in trainer.averaged.state_dict().values())


# --- what a run may be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 7}, "images of 7 pixels: size=... must be a multiple of 2"),
        ({"objective": "hybrid"}, "the hybrid objective, and no other, trains a network with learned variances"),
        ({"network": replace(NETWORK, learned_variance=True)}, "the hybrid objective, and no other, trains"),
        ({"size": 32}, "no training image is at least 32x32"),
        ({"hold_out": 40}, "40 images, of which hold_out=... keeps 40; nothing is left: give a smaller hold_out=..."),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    settings: DdpmSettings, out: Path, change: Any, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        start(replace(settings, **change), out)
    assert not out.exists()


def test_every_process_needs_an_image_of_a_batch(settings: DdpmSettings) -> None:
    with pytest.raises(TrainingError, match=r"a batch of 5 is too small for 8 processes: raise batch=..."):
        ddpm_trainer._check(settings, Processes(0, 8, torch.device("cpu")))


def test_a_device_that_is_not_there_is_named(settings: DdpmSettings, out: Path) -> None:
    with pytest.raises(TrainingError, match=r"device=tpu: cannot be used here \(.+\); name another, such as cpu"):
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
    assert sorted(path.name for path in whole.iterdir()) == [pretrained.OWN, run.LOG, state.FILE]


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
    with pytest.raises(TrainingError, match=f"its run was started with {complaint}: leave"):
        start(replace(settings, **change), whole, resume=True, chosen=list(change))


OTHER_STATE = seal(save({"latent.enter": torch.zeros(1)}, {"ddpmcodec": '{"architecture": {}, "step": 5}'}))


def test_the_state_of_the_exact_network_is_none_of_this_one(settings: DdpmSettings, out: Path) -> None:
    out.mkdir()
    (out / state.FILE).write_bytes(OTHER_STATE)
    with pytest.raises(TrainingError, match=r"state.safetensors: not the state of such a run"):
        start(settings, out, resume=True)


# --- from a run to a network to code with


@pytest.mark.parametrize(("objective", "variance"), [("simple", "large"), ("hybrid", "learned")])
def test_the_averaged_network_is_what_is_saved(
    settings: DdpmSettings, out: Path, objective: Any, variance: str
) -> None:
    network = replace(NETWORK, learned_variance=variance == "learned")
    trainer = start(replace(settings, network=network, objective=objective, schedule="cosine", steps=2), out)
    denoiser = pretrained.load(out / pretrained.OWN)
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
    assert ended.stderr.count(f"{two}: 3 steps, 15 images; the averaged network is") == 1
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
