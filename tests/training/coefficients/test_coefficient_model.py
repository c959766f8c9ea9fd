"""From runs to a model file of coefficients, with which the core codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coefficient_runs import picture, start

from ddpmcodec._native import CoefficientModel
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.format.model_file import described
from ddpmcodec.training import state
from ddpmcodec.training.coefficients.coefficient_evaluation import code_length
from ddpmcodec.training.coefficients.coefficient_model import export, is_run, networks_of
from ddpmcodec.training.coefficients.coefficient_start import tensors_of
from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings
from ddpmcodec.training.coefficients.replay_files import parsed
from ddpmcodec.training.coefficients.replay_files import whole as file_of
from ddpmcodec.training.coefficients.writing import JpegSetting, write
from native_testing import testing


@pytest.fixture(scope="module")
def model_path(settings: CoefficientSettings, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two runs, of which the second has hardly begun."""
    folder = tmp_path_factory.mktemp("models")
    start(replace(settings, effort=2, size=1, steps=1), folder / "run")
    path = folder / "model.safetensors"
    path.write_bytes(export([folder / "run", whole], "both"))
    return path


def tile(data: bytes) -> list[tuple[list[int], np.ndarray]]:
    components = parsed(data)
    assert components is not None
    return [(each.steps.tolist(), each.values) for each in components]


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_core_codes_with_it(model_path: Path, whole: Path, sampling: str) -> None:
    """In no more bits than the networks in training tell, and some fewer, as the core's go on learning."""
    data = write(picture(40), JpegSetting(88, sampling))
    components, model = tile(data), CoefficientModel.parse(model_path.read_bytes(), "both")
    chunks, bits = testing.encode_coefficients(model, 1, components)
    networks = networks_of(state.read(whole), whole).values()
    expected = sum(code_length(network, file_of(data), 1 << 30) for network in networks)
    assert 0.8 * expected < bits < 1.005 * expected
    shapes = [(steps, *values.shape[:2]) for steps, values in components]
    decoded, _, ended_well = testing.decode_coefficients(model, 1, shapes, chunks)
    assert ended_well
    assert all(np.array_equal(one, values) for one, (_, values) in zip(decoded, components, strict=True))


def test_a_model_says_how_it_was_made(model_path: Path) -> None:
    facts = described(model_path.read_bytes(), "both")
    assert (facts["kind"], facts["name"]) == ("jpeg", "both")
    assert [(made["effort"], made["steps"]) for made in facts["training"]["runs"]] == [(2, 1), (1, 60)]


def test_other_networks_are_those_of_the_base(model_path: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"2\.luma, 2\.chroma"):
        export([whole], "half")
    path = tmp_path / "again.safetensors"
    path.write_bytes(export([whole], "again", base=str(model_path)))
    one, other = tensors_of(str(model_path)), tensors_of(str(path))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_base_is_a_model_of_coefficients(whole: Path) -> None:
    with pytest.raises(ModelError, match="jpeg"):
        export([whole], "other", base="photo")


def test_runs_of_other_kinds_are_known(whole: Path, tmp_path: Path) -> None:
    assert is_run(whole)
    state.write(tmp_path, state.State({}, {"shapes": {"direct": []}}))
    assert not is_run(tmp_path)
