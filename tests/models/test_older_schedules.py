"""Networks that were trained before there was a schedule: they code the others as ever, and begin training of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ddpmcodec import _native, codec
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import BAND_ROLES, ContextModel, pack, parse, tensors_of
from ddpmcodec.training.networks import ModelFile, of_all_steps

OLDEST = 2 * _native.BANDS_OF_STEP  # conditions of the first schedule's two steps
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def older_data(context_model: ContextModel) -> bytes:
    """A model whose bands know the first schedule alone."""
    tensors = {
        name: tensor[:OLDEST] if ".band" in name and name.endswith(".bias") else tensor
        for name, tensor in tensors_of(context_model).items()
    }
    return pack(tensors, {key: facts.components for key, facts in context_model.facts.items()}, "older")


@pytest.fixture
def older(older_data: bytes) -> ContextModel:
    return parse(older_data, "older.safetensors")


def test_a_file_may_have_as_many_levels_as_a_schedule_has() -> None:
    assert tuple(_native.SCHEDULES) == _native.LEVELS
    numbers = [number for levels in _native.LEVELS for number, _ in _native.SCHEDULES[levels] if levels != 1]
    assert numbers == list(range(len(numbers)))
    assert _native.SCHEDULES[1] == _native.SCHEDULES[2][:1]


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_it_codes_the_schedules_that_it_knows(older: ContextModel, context_model: ContextModel, levels: int) -> None:
    """As the model does that was trained for all of them: only the id in the head differs."""
    one, other = (codec.encode(IMAGE, levels=levels, model=model) for model in (older, context_model))
    assert len(one) == len(other)
    assert np.array_equal(codec.decode(one, model=older), IMAGE)


def test_a_network_of_another_architecture_keeps_its_conditions(linear_file: bytes, linear: None) -> None:
    """Also in a file that is made of it again."""
    model = parse(linear_file, "linear")
    tensors = {
        name: tensor[:OLDEST] if name.startswith("1.band") and name.endswith(".bias") else tensor
        for name, tensor in tensors_of(model).items()
    }
    components = {key: facts.components for key, facts in model.facts.items()}
    named = {key: facts.architecture for key, facts in model.facts.items() if facts.architecture}
    conditions = {f"1.{role}": OLDEST for role in BAND_ROLES}
    older = parse(pack(tensors, components, "older", named=named, conditions=conditions), "older")
    assert older.facts["1.band2"].conditions == OLDEST
    with pytest.raises(ModelError, match="schedule of 5"):
        older.networks(1, 5)
    assert pack(tensors_of(older), components, "older", named=named, conditions=conditions) == older.file


def test_it_says_which_schedule_it_does_not_know(older: ContextModel) -> None:
    with pytest.raises(ModelError, match=r"older: .*schedule of 5"):
        codec.encode(IMAGE, levels=5, model=older)


def test_conditions_are_those_of_whole_steps(context_model: ContextModel) -> None:
    tensors = {
        name: tensor[: OLDEST - 1] if name.endswith(".bias") and ".band1." in name else tensor
        for name, tensor in tensors_of(context_model).items()
    }
    components = {key: facts.components for key, facts in context_model.facts.items()}
    with pytest.raises(ModelError, match="23 conditions"):
        pack(tensors, components, "odd")


def test_a_new_step_begins_as_the_one_of_the_nearest_level(older_data: bytes, tmp_path: Path) -> None:
    """Of 32 and 8: those of 64 to 16 as 32, of 8 and 4 as 8 (16 is as near to both, and takes the first)."""
    biases = torch.arange(2.0 * OLDEST).view(OLDEST, 2)
    old = biases.view(2, -1, 2)
    assert [int(step[0, 0] > 0) for step in of_all_steps(biases).view(7, -1, 2)] == [0, 1, 0, 0, 0, 1, 1]
    assert torch.equal(of_all_steps(biases).view(7, -1, 2)[6], old[1])
    assert torch.equal(of_all_steps(of_all_steps(biases)), of_all_steps(biases))
    path = tmp_path / "older.safetensors"
    path.write_bytes(older_data)
    begun = ModelFile(path).network(1, "band1")
    assert begun.exported()["stem.bias"].shape[0] == 7 * _native.BANDS_OF_STEP
