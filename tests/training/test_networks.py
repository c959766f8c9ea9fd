"""What networks begin as."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models import model_file
from ddpmcodec.models.context import KIND, ROLES, parse, tensors_of
from ddpmcodec.training import state
from ddpmcodec.training.networks import (
    SHARES,
    SIZES,
    ModelFile,
    first_networks,
    networks_of,
    roles_of,
    round_robin,
    shape_of,
)
from ddpmcodec.training.trainable import TrainableNetwork


def outputs(network: TrainableNetwork) -> torch.Tensor:
    rows = torch.full((3, network.shape.contract[0]), 131, dtype=torch.uint8)
    with torch.no_grad():
        found: torch.Tensor = network(rows, torch.zeros(3, dtype=torch.int64))
        return found


def test_a_run_begins_with_the_networks_of_another_that_grow(run_folder: Path) -> None:
    saved = networks_of(state.read(run_folder), run_folder)
    found = first_networks(1, ["direct", "band1", "band2"], str(run_folder), size=2)
    assert {role: network.shape for role, network in found.items()} == {role: shape_of(2, role) for role in found}
    for role in ("direct", "band1"):
        assert torch.equal(outputs(found[role]), outputs(saved[role]))


def test_a_run_begins_with_a_model(model_path: Path) -> None:
    file = ModelFile(model_path)
    found = first_networks(1, ["last", "band3"], str(model_path), size=1)
    for role, network in found.items():
        own = file.network(1, role)
        assert network.shape == shape_of(1, role)
        assert (outputs(network) - outputs(own)).abs().max() <= 1


def test_a_network_does_not_shrink(tmp_path: Path) -> None:
    network = TrainableNetwork(shape_of(2, "direct"))
    facts = {"shapes": {"direct": list(network.shape)}}
    state.write(tmp_path, state.State(state.of_module(network, "direct"), facts))
    with pytest.raises(TrainingError, match=r"direct .*size 1 "):
        first_networks(1, ["direct"], str(tmp_path), size=1)


@pytest.mark.parametrize("inputs", [10, 61, 63, 65, 67])
def test_a_block_of_other_sizes_is_refused_as_it_is_in_coding(inputs: int, model_path: Path, tmp_path: Path) -> None:
    model, path = parse(model_path.read_bytes(), "it"), tmp_path / "other.safetensors"
    tensors = {
        key: np.resize(tensor, (64, inputs)) if "block0.weight" in key else tensor
        for key, tensor in tensors_of(model).items()
    }
    networks = {key: {"components": facts.components, "answer": ""} for key, facts in model.facts.items()}
    path.write_bytes(model_file.pack(tensors, KIND, "other", {"networks": networks}))
    with pytest.raises(ModelError, match="direct"):
        first_networks(1, ["direct"], str(path), size=2)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no model of that name"):
        first_networks(1, ["direct"], "nothing", size=1)


def test_the_state_of_another_run_has_none() -> None:
    other = state.State({"network.stem": torch.zeros(3)}, {"step": 1})
    with pytest.raises(TrainingError, match=r"run/state.safetensors: not the state"):
        networks_of(other, Path("run"))


# --- how large networks are, and whose turn it is to be trained


def test_a_size_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match="size 5"):
        shape_of(5, "direct")


@pytest.mark.parametrize("role", ROLES)
def test_networks_of_higher_sizes_take_more(role: str) -> None:
    """Two sizes share the finest band's network, and two that of the coarse bands."""
    fastest, *macs = (shape_of(size, role).macs for size in SIZES)
    assert macs == sorted(macs)
    assert len(set(macs)) == len(SIZES) - 1 - (role == "band1")
    assert fastest < macs[0] or role != "direct"


def test_a_round_has_every_role_as_often_as_its_share() -> None:
    found = round_robin(ROLES)
    assert Counter(found) == SHARES
    assert set(found[:4]) >= {"direct", "single", "last"}
    assert round_robin(["band1"]) == ["band1"]


def test_roles_are_named_on_the_command_line() -> None:
    assert roles_of("last, direct") == ("direct", "last")
    with pytest.raises(TrainingError, match="'first'"):
        roles_of("last,first")
