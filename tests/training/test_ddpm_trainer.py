"""The paper's training on pictures that are easy to learn, step by step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_ddpm import NETWORK, same, settings_of

from ddpmcodec.errors import TrainingError
from ddpmcodec.paper import bound
from ddpmcodec.paper.schedule import alpha_sigma, ddpm_linear
from ddpmcodec.paper.unet import CIFAR10
from ddpmcodec.training import ddpm_trainer
from ddpmcodec.training.data import Crops, DeviceCrops, load_images
from ddpmcodec.training.ddpm_objective import losses, noisy_batch
from ddpmcodec.training.ddpm_trainer import DdpmSettings, DdpmTrainer, Processes, flops, split

pytestmark = pytest.mark.usefixtures("operations_counted_once")
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def settings(pictures: Path) -> DdpmSettings:
    return settings_of(pictures)


def crops_of(settings: DdpmSettings) -> Crops:
    return DeviceCrops(load_images(settings.data[0]), settings.size, settings.seed, ALONE.device)


def alone(settings: DdpmSettings) -> DdpmTrainer:
    return DdpmTrainer(settings, crops_of(settings), ALONE, compiled=False)


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


def test_operations_are_those_of_the_papers_network() -> None:
    """6.2 billion multiply-accumulates for an image of CIFAR-10; three passes to train."""
    assert flops(CIFAR10, 32) == pytest.approx(12.44e9, rel=0.001)
    assert flops(replace(NETWORK, attention=()), 8) < flops(NETWORK, 8)


def test_images_held_out_show_the_bound_and_are_not_trained_on(settings: DdpmSettings) -> None:
    settings = replace(settings, hold_out=6)
    images, held = split(settings)
    assert held is not None
    assert ([len(some) for some in images.sets], len(images.held_out)) == ([34], 6)
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
    with pytest.raises(TrainingError, match="loss is inf"):
        trainer.update()
    assert same(trainer.network.state_dict(), before)
    assert all(tensor.isfinite().all() for tensor in trainer.averaged.state_dict().values())
