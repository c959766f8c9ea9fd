"""From runs to a model file: which networks it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.format.model_file import described
from ddpmcodec.models.context import parse
from ddpmcodec.training import state
from ddpmcodec.training.context_export import gathered
from ddpmcodec.training.context_networks import networks_of
from ddpmcodec.training.denoiser import Denoiser


def test_networks_of_runs_replace_those_of_the_base(run_folder: Path, model_path: Path) -> None:
    content = gathered([run_folder], str(model_path)).packed("mine")
    assert parse(content, "mine").name == "mine"
    found, base = load(content), load(model_path.read_bytes())
    assert found.keys() == base.keys()
    changed = {key.rpartition(".")[0].rpartition(".")[0] for key in found if not np.array_equal(found[key], base[key])}
    assert changed == {"1.direct", "1.band1"}
    own = networks_of(state.read(run_folder), run_folder)["direct"].exported()
    assert all(np.array_equal(found[f"1.direct.{key}"], value.numpy()) for key, value in own.items())


def test_an_exported_model_says_how_it_was_made(run_folder: Path, model_path: Path) -> None:
    (made,) = described(gathered([run_folder], str(model_path)).packed("mine"), "mine")["training"]["runs"]
    assert (made["effort"], made["roles"], made["steps"]) == (1, ["direct", "band1"], 30)


def test_the_same_runs_give_the_same_file(run_folder: Path, model_path: Path) -> None:
    first, second = (gathered([run_folder, run_folder], str(model_path)).packed("mine") for _ in range(2))
    assert first == second


def test_missing_networks_are_named(run_folder: Path) -> None:
    with pytest.raises(TrainingError, match=r"no run has the networks 1.last, 1.band2, 1.band3, 2.direct, .*--base"):
        gathered([run_folder], None)


def test_a_base_must_be_a_model(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        gathered([run_folder], str(tmp_path / "no.safetensors"))


def test_a_denoiser_is_put_into_a_model(run_folder: Path, model_path: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    parts = gathered([run_folder], str(model_path)).with_denoiser(Denoiser().state_dict())
    content = parts.packed("mine")
    assert parse(content, "mine").denoiser is not None
    assert parts.with_denoiser(Denoiser().state_dict()).packed("mine") != content
    (tmp_path / "with.safetensors").write_bytes(content)
    again = gathered([run_folder], str(tmp_path / "with.safetensors"))
    assert parse(again.packed("mine"), "mine").denoiser is not None
