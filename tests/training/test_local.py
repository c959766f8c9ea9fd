"""Training local networks: what is learned is what the coder then pays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ddpmcodec import presets
from ddpmcodec.errors import TrainingError
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.checkpoint import local_prefix
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.local import Shape
from ddpmcodec.networks.model import Model
from ddpmcodec.presets import PRESETS, REFINED_PROGRESSIVE, refined_steps
from ddpmcodec.presets import REFINED as LISTS
from ddpmcodec.schedule import Step
from ddpmcodec.training import local_state
from ddpmcodec.training.evaluate import code_lengths
from ddpmcodec.training.local import LatentLocal, LocalTrainer, bits, places_of
from ddpmcodec.training.refine import Settings, refine

Pixels = NDArray[np.uint8]
REFINED = LISTS[5]


@pytest.fixture
def exported(latent: LatentNetwork) -> bytes:
    return checkpoint.export(latent, PRESETS, name="small")


@pytest.fixture
def model(exported: bytes) -> Model:
    return checkpoint.parse(exported, "small")


def network_of(seed: int, shape: Shape = Shape(), std: float = 0.02) -> LatentLocal:  # noqa: B008
    torch.manual_seed(seed)
    network = LatentLocal(shape)
    torch.nn.init.normal_(network.weights["leave"], std=std)
    return network


# --- learned is paid


@pytest.mark.parametrize("progressive", [False, True], ids=["exact", "through noise"])
def test_bits_of_training_are_the_code_length(model: Model, gradients: Pixels, progressive: bool) -> None:
    steps = refined_steps(progressive=progressive)
    networks = {step: network_of(n, Shape(adapts=False), 0.005) for n, step in enumerate(steps)}
    local = {step: network.as_local(step) for step, network in networks.items()}
    paid = code_lengths(replace(model, local=local), gradients[:8], steps)
    for step, network in networks.items():
        number = steps.index(step)
        places = places_of(model, gradients[:8], steps[: number + 1])
        learned = float(bits(network, places).detach().sum()) / gradients[:8].size
        assert learned == pytest.approx(paid[number], rel=0.05 if progressive else 0.01)  # another dither


def test_a_new_network_pays_what_the_denoiser_does(model: Model, gradients: Pixels) -> None:
    local = {step: LatentLocal(Shape(adapts=False)).as_local(step) for step in refined_steps()}
    refined = code_lengths(replace(model, local=local), gradients[:4], REFINED)
    assert refined == pytest.approx(code_lengths(model, gradients[:4], REFINED), rel=1e-3)


def test_training_lowers_the_bits_of_every_step(model: Model, gradients: Pixels) -> None:
    steps = refined_steps()
    rng = np.random.default_rng(0)
    trainer = LocalTrainer(
        model, steps, lambda n: gradients[rng.integers(len(gradients), size=n)], shape=Shape(width=32), batch=8,
        muon_rate=0.01, adam_rate=5e-3, warmup=2, compiled=False,
    )  # fmt: skip
    before = trainer.evaluate([gradients[:4]])
    for n in range(60):
        trainer.update(steps[n % len(steps)], n / 100)
    after = trainer.evaluate([gradients[:4]])
    assert all(after[step] < 0.95 * before[step] for step in steps)


def test_laws_that_were_learned_pay_less_from_the_first_pixel_on(model: Model, gradients: Pixels) -> None:
    rng = np.random.default_rng(0)
    trainer = LocalTrainer(
        model, refined_steps(), lambda n: gradients[rng.integers(20, size=n)], shape=Shape(width=16), batch=8,
        muon_rate=0.01, adam_rate=5e-3, warmup=2, compiled=False,
    )  # fmt: skip

    def paid() -> float:
        local = {step: network.as_local(step) for step, network in trainer.networks.items()}
        return sum(code_lengths(replace(model, local=local), gradients[30:34], REFINED))

    before = paid()
    trainer.learn_laws()
    assert paid() < 0.98 * before


# --- integers


def test_integers_come_back() -> None:
    network = network_of(3)
    found = network_of(4)
    found.load_integers(network.exported())
    for key, value in network.exported().items():
        assert torch.allclose(found.exported()[key].float(), value.float(), rtol=1e-2, atol=1), key


def test_weights_are_integers_that_a_sum_holds_exactly() -> None:
    exported = network_of(5).exported()
    for layer in Shape().layers:
        weight = exported[f"{layer}.weight"]
        assert weight.dtype == torch.int8
        assert int(weight.int().abs().sum(1).max()) * Shape().largest_input(layer) < 2**24


# --- whole runs


def test_a_run_writes_a_model_that_codes_and_can_be_refined_again(
    exported: bytes, gradients: Pixels, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    said: list[str] = []
    settings = Settings((str(pictures),), hours=2e-3, batch=4, crop=16, hold_out=3, evaluate_minutes=0.03)
    refined = refine(exported, settings, out, said.append, compiled=False)
    model = checkpoint.parse(refined, "out")
    assert (tuple(model.local), model.presets[5], model.presets[10]) == (
        tuple(refined_steps()), REFINED, PRESETS[10],
    )  # fmt: skip
    assert checkpoint.parse(out.read_bytes(), "out").local
    records = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert records[0]["settings"]["batch"] == 4
    assert set(records[-1]["held_out"]) == {str(step[:4]) for step in refined_steps()}
    again = refine(refined, replace(settings, hours=1e-6), out, said.append, compiled=False)
    assert "bits/dim" in said[-1]
    lengths = [sum(code_lengths(checkpoint.parse(m, "m"), gradients[:3], REFINED)) for m in (refined, again)]
    assert lengths[1] < 1.1 * lengths[0]


def test_a_run_that_was_stopped_goes_on_where_it_was(
    exported: bytes, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same updates of the same weights on the same images as a run that nothing stopped, but for the pools."""
    out = tmp_path / "out.safetensors"
    settings = Settings((str(pictures),), hours=1, batch=2, crop=16, hold_out=3, width=16, evaluate_minutes=0)
    updates: list[tuple[int, float]] = []
    update = LocalTrainer.update

    def stopped(trainer: LocalTrainer, step: Step, progress: float) -> float:
        if len(updates) == 5:
            raise KeyboardInterrupt
        updates.append((trainer.taken, progress))
        return update(trainer, step, progress)

    monkeypatch.setattr(LocalTrainer, "update", stopped)
    with pytest.raises(KeyboardInterrupt):
        refine(exported, settings, out, lambda _: None, compiled=False)
    saved = {key: t.clone() for key, t in load_file(local_state.path(out)).items()}
    assert {key.rpartition(".")[2] for key in saved} >= {"momentum", "exp_avg", "exp_avg_sq", "step", "enter", "leave"}

    def seen(trainer: LocalTrainer, step: Step, progress: float) -> float:
        for each, network in trainer.networks.items():
            for name, p in network.named_parameters():
                assert torch.equal(p, saved[local_prefix(each) + name])
        assert (trainer.taken, trainer.source.drawn > 0) == (5, True)
        assert progress > updates[-1][1]
        (muon, _) = trainer.optimizers[step]
        assert any(torch.equal(muon.state[p]["momentum"], m) for p in muon.state for m in saved.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalTrainer, "update", seen)
    with pytest.raises(KeyboardInterrupt):
        refine(exported, settings, out, lambda _: None, resume=True, compiled=False)
    with pytest.raises(TrainingError, match="is of a run with another width: go on with the options it had"):
        refine(exported, replace(settings, width=8), out, lambda _: None, resume=True, compiled=False)
    state, whole = local_state.path(out), local_state.path(out).read_bytes()
    with safe_open(state, framework="pt") as content:
        save_file({}, state, metadata=content.metadata())  # of another version, or damaged
    with pytest.raises(TrainingError, match="not the state of a refining run"):
        refine(exported, settings, out, lambda _: None, resume=True, compiled=False)
    state.write_bytes(whole)
    monkeypatch.setattr(LocalTrainer, "update", update)
    refine(exported, replace(settings, hours=1e-6), out, lambda _: None, resume=True, compiled=False)
    assert not local_state.path(out).exists()
    with pytest.raises(TrainingError, match=r"not the state of a refining run .*: start one without --resume"):
        refine(exported, settings, out, lambda _: None, resume=True, compiled=False)


def test_the_progressive_list_is_refined_beside_the_others(exported: bytes, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    settings = Settings((str(pictures),), hours=1e-6, batch=2, crop=16, hold_out=3, width=16)
    quiet: list[str] = []
    first = refine(exported, settings, out, quiet.append, compiled=False)
    both = refine(first, replace(settings, progressive=True), out, quiet.append, compiled=False)
    before, after = checkpoint.parse(first, "first"), checkpoint.parse(both, "both")
    assert list(after.local) == [*refined_steps(), *refined_steps(progressive=True)]
    assert (before.presets[10], after.presets[10]) == (PRESETS[10], REFINED_PROGRESSIVE)
    assert (after.presets[5], presets.without_learning(after.presets[9])) == (REFINED, REFINED)
    assert [step.learns for step in after.presets[9]] == [False] * 3 + [True] * 3
    still = checkpoint.parse(refine(first, replace(settings, learn=False), out, quiet.append, compiled=False), "still")
    assert still.presets[9] == REFINED
    for step in refined_steps():
        old, new = checkpoint.local_params(first, step), checkpoint.local_params(both, step)
        assert all(torch.equal(new[key], old[key]) for key in old)
    with pytest.raises(TrainingError, match=r"networks of another shape for other steps.+refine those first"):
        refine(first, replace(settings, progressive=True, width=8), out, quiet.append, compiled=False)


def test_networks_of_the_parts_of_a_step_begin_as_that_of_the_whole(
    exported: bytes, pictures: Path, tmp_path: Path
) -> None:
    """A list that tells in two steps what another told in one, when an older model is refined with it."""
    whole, *parts = Step(0, 8, 16, 64), Step(0, 8, 16, 32), Step(0, 8, 32, 64)
    lists = {5: tuple(presets.groups([0, 16, 64]))}
    network = LatentLocal(Shape(width=16))
    older = checkpoint.with_local(exported, {whole: network.exported()}, network.shape, lists)
    settings = Settings((str(pictures),), hours=1e-6, batch=2, crop=16, hold_out=3, width=16)
    found = refine(older, settings, tmp_path / "out.safetensors", lambda _: None, compiled=False)
    assert tuple(checkpoint.parse(found, "found").local) == tuple(refined_steps())
    for part in parts:
        begun, start = checkpoint.local_params(found, part), network.exported()
        same = [torch.equal(begun[key], start[key]) for key in start if key.endswith("enter.weight")]
        assert same == [True]
    first = checkpoint.local_params(found, Step(0, 8, 4, 16))
    assert not torch.equal(first["enter.weight"], network.exported()["enter.weight"])


def test_steps_that_are_refined_belong_to_the_list() -> None:
    assert tuple(refined_steps(progressive=True)) == presets.without_learning(REFINED_PROGRESSIVE)
    assert set(refined_steps()) == set(REFINED)
    assert LISTS.keys() == presets.BUDGETS.keys()
    assert set(LISTS[1]) - set(REFINED) == {Step(0, 8, 0, 4)}
    assert len(LISTS[1]) < len(LISTS[5])
