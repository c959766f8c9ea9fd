"""Runs that train networks of coefficients: what they learn from, that they learn, and that they go on exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from coefficient_runs import picture, start
from PIL import Image

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import run, state
from ddpmcodec.training.coefficients.coefficient_network import LUMA, REFINE_LUMA, ROLES
from ddpmcodec.training.coefficients.coefficient_trainer import HELD_OUT, CoefficientSettings, train
from ddpmcodec.training.coefficients.jpeg_files import JpegSetting, ReplayFiles, write


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / run.LOG).read_text().splitlines()]


def test_a_run_says_what_held_out_files_cost(whole: Path) -> None:
    """The last three are held out: a picture would be, but these are two JPEG files, and one that is damaged. They are
    coded with one level of cells, as by default."""
    last = records(whole)[-1]
    assert last["step"] == 60
    shares = last["held_out"]
    levels = {f"refine-{plane} 0 files" for plane in ("luma", "chroma")}
    assert set(shares) == {"files", *(f"{role} files" for role in ROLES), *levels}
    assert shares["files"] == pytest.approx(sum(shares[f"{role} files"] for role in ROLES), abs=1e-4)
    assert shares["refine-luma files"] == shares["refine-luma 0 files"]
    assert {"loss", *(f"loss_{role}" for role in ROLES), "gradient_norm"} <= set(last)


@pytest.mark.parametrize(("role", "most"), [(LUMA, 0.9), (REFINE_LUMA, 0.99)])
def test_it_learns(settings: CoefficientSettings, tmp_path: Path, role: str, most: float) -> None:
    Image.fromarray(picture(30)).save(tmp_path / "other.png")
    luma = replace(settings, steps=60, roles=(role,), validate=str(tmp_path))
    shares = []
    for steps in (1, 60):
        start(replace(luma, steps=steps), tmp_path / "run", resume=True, chosen={"steps"})
        shares.append(records(tmp_path / "run")[-1]["held_out"])
    assert all(shares[1][f"{role} {name}"] < most * shares[0][f"{role} {name}"] for name in HELD_OUT)


@pytest.fixture(scope="module")
def few_steps(settings: CoefficientSettings) -> CoefficientSettings:
    return replace(settings, steps=8, roles=(LUMA, REFINE_LUMA))


@pytest.fixture(scope="module")
def short(few_steps: CoefficientSettings, few_files: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a few steps, to be read."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    start(few_steps, folder)
    return folder


def test_equal_runs_are_equal(few_steps: CoefficientSettings, short: Path, tmp_path: Path) -> None:
    start(few_steps, tmp_path)
    one, other = (state.read(folder).tensors for folder in (short, tmp_path))
    assert one.keys() == other.keys()
    assert all(one[key].equal(other[key]) for key in one)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    few_steps: CoefficientSettings, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = ReplayFiles.draw

    def killed(replay: ReplayFiles, step: int, *arguments: Any, **named: Any) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return draw(replay, step, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(ReplayFiles, "draw", killed)
        patch.setattr(run, "FIRST_SAVE_SECONDS", 0.0)
        patch.setattr(run, "SAVE_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            start(few_steps, tmp_path)
    assert state.read(tmp_path).facts["step"] == 4
    start(few_steps, tmp_path, resume=True)
    one, other = (state.read(folder).tensors for folder in (short, tmp_path))
    assert all(one[key].equal(other[key]) for key in one)


def test_predictors_become_sparse(whole: Path) -> None:
    kept = state.read(whole).tensors["luma.kept_linear"]
    assert 0 < kept.sum(2).max() <= 58


def test_a_run_begins_as_another(settings: CoefficientSettings, whole: Path, tmp_path: Path) -> None:
    again = start(replace(settings, roles=(LUMA,), steps=1, muon_rate=1e-9, adam_rate=1e-9, start=str(whole)), tmp_path)
    saved = state.read(whole).tensors
    for name, tensor in again.networks["luma"].state_dict().items():
        assert tensor.allclose(saved[f"luma.{name}"], atol=1e-6), name
    with pytest.raises(TrainingError, match="effort="):
        start(replace(settings, size=2, start=str(whole)), tmp_path / "other")


def test_effort_1_uses_predictors_that_it_does_not_train(
    settings: CoefficientSettings, whole: Path, tmp_path: Path
) -> None:
    trainer = start(replace(settings, effort=1, predictors=str(whole), steps=8), tmp_path)
    saved = state.read(whole).tensors
    assert set(trainer.networks) == set(ROLES)
    for role, network in trainer.networks.items():
        for name, tensor in network.predictors().items():
            assert tensor.equal(saved[f"{role}.{name}"]), (role, name)
        assert network.head.any()
    again = start(replace(settings, effort=1, predictors=str(whole), steps=9), tmp_path, resume=True, chosen={"steps"})
    assert again.networks[LUMA].linear.equal(saved["luma.linear"])


def test_effort_1_needs_predictors(settings: CoefficientSettings) -> None:
    with pytest.raises(TrainingError, match="predictors="):
        replace(settings, effort=1)
    with pytest.raises(TrainingError, match="train their own"):
        replace(settings, predictors="jpeg")


def test_some_jpeg_files_are_left_out(settings: CoefficientSettings, tmp_path: Path) -> None:
    said: list[object] = []
    with pytest.raises(TrainingError, match="hold_out"):
        train(replace(settings, hold_out=99), tmp_path, said.append)
    train(replace(settings, roles=(LUMA,), steps=1), tmp_path, said.append, device="cpu")
    assert any(str(line).startswith("2 JPEG files are damaged") for line in said)


def test_chroma_needs_colours(settings: CoefficientSettings, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(write(picture(number)[..., :1], JpegSetting(80)))
    with pytest.raises(TrainingError, match="roles=luma"):
        start(replace(settings, data=(str(tmp_path),), hold_out=1), tmp_path / "run")


def test_roles_are_known(settings: CoefficientSettings) -> None:
    with pytest.raises(TrainingError, match="luma, chroma"):
        replace(settings, roles=("luma", "red"))
