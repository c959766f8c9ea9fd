"""From networks in training and runs to a model file: the core codes with it what the networks say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from coefficient_files import Planes, made, random_planes
from coefficient_runs import picture, start

from ddpmcodec._native import CoefficientModel
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models import jpeg
from ddpmcodec.models.model_file import metadata
from ddpmcodec.training import state
from ddpmcodec.training.coefficients import coefficient_trainer, order
from ddpmcodec.training.coefficients.coefficient_model import (
    begin_as,
    export,
    exported,
    is_run,
    networks_of,
    places_of,
    tensors_of,
)
from ddpmcodec.training.coefficients.coefficient_network import (
    ROLES,
    SCALES,
    CoefficientNetwork,
    CoefficientShape,
)
from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings, code_length, code_lengths_of_levels
from ddpmcodec.training.coefficients.jpeg_files import JpegSetting, levels_of, parsed, write
from ddpmcodec.training.coefficients.jpeg_files import whole as file_of
from ddpmcodec.training.coefficients.positions import GRIDS
from ddpmcodec.training.coefficients.predictors import Statistics
from native_testing import testing


def random_network(role: str, seed: int = 0) -> CoefficientNetwork:
    """A network in which everything counts, with wide distributions: the core's have a least probability."""
    torch.manual_seed(seed)
    shape = CoefficientShape(role, 32, 2)
    conditions = order.conditions_of(shape.refines)
    known = torch.from_numpy(order.KNOWN[:conditions].reshape(conditions, -1) | shape.refines).float()
    scale = torch.cat([known, torch.ones(conditions, shape.entries - known.shape[1])], 1)
    scale = scale * torch.rand_like(scale)
    network = CoefficientNetwork(shape, Statistics(scale, torch.randn_like(scale) / 5000))
    with torch.no_grad():
        for parameter, size in ((network.head, 0.05), (network.skip, 0.05), (network.head_bias, 0.2)):
            parameter.add_(size * torch.randn_like(parameter))
        for parameter in (network.gain, network.bias, *network.block_biases):
            parameter.add_(0.3 * torch.randn_like(parameter))
        if not shape.refines:
            network.head_bias[:, SCALES] += 3
    return network


@pytest.fixture(scope="module")
def networks() -> dict[str, CoefficientNetwork]:
    found = {role: random_network(role) for role in ROLES}
    for network in found.values():
        network.prune()
    return found


@pytest.fixture(scope="module")
def content(networks: dict[str, CoefficientNetwork]) -> bytes:
    """A model file."""
    tensors = {key: tensor for effort in (1, 2) for key, tensor in exported(networks, effort).items()}
    return jpeg.pack(tensors, "random")


def components(planes: Planes, covered: tuple[int, int]) -> list[tuple[list[int], np.ndarray]]:
    return [
        (component.steps.astype(int).tolist(), values)
        for component, values in zip(made(planes, covered).components, planes, strict=True)
    ]


def bits_of(
    networks: dict[str, CoefficientNetwork], planes: Planes, covered: tuple[int, int], levels: int, refined: int | None
) -> float:
    """What all components cost at a level."""
    file = made(planes, covered, levels, refined)
    return sum(code_length(each, file, 1 << 30) for each in networks.values() if each.shape.refines == file.refines)


@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("covered", GRIDS)
def test_the_core_codes_with_as_many_bits(
    networks: dict[str, CoefficientNetwork], content: bytes, covered: tuple[int, int], levels: int
) -> None:
    """Files of one MCU: in larger ones the core's networks learn, and it needs fewer bits."""
    model, lengths = CoefficientModel.parse(content, "random"), []
    for seed in range(4):
        planes = random_planes(covered, seed, rows=1, columns=1)
        expected = sum(bits_of(networks, planes, covered, levels, refined) for refined in (None, *range(levels)))
        lengths.append((testing.encode_coefficients(model, 1, components(planes, covered), levels=levels)[1], expected))
    found, expected = np.sum(lengths, 0)
    assert found == pytest.approx(expected, rel=0.002)


def test_the_core_decodes_what_it_coded(content: bytes) -> None:
    planes = random_planes((2, 1))
    coded, model = components(planes, (2, 1)), CoefficientModel.parse(content, "random")
    chunks, _ = testing.encode_coefficients(model, 2, coded)
    geometry = [(steps, *values.shape[:2]) for steps, values in coded]
    decoded, segments, ended_well = testing.decode_coefficients(model, 2, geometry, chunks)
    assert (segments, ended_well) == (len(order.STARTS), True)
    assert all(np.array_equal(one, other) for one, other in zip(decoded, planes, strict=True))


def test_some_positions_tell_the_code_length(networks: dict[str, CoefficientNetwork]) -> None:
    planes = random_planes((2, 1), rows=40, columns=40)
    for network in networks.values():
        file = made(planes, (2, 1), 1, 0 if network.shape.refines else None)
        assert code_length(network, file, 9000) == pytest.approx(code_length(network, file, 1 << 30), rel=0.05)


@pytest.mark.parametrize("role", ROLES)
def test_a_network_begins_as_that_of_a_model(
    networks: dict[str, CoefficientNetwork], content: bytes, role: str, tmp_path: Path
) -> None:
    path, network = tmp_path / "model.safetensors", random_network(role, seed=1)
    path.write_bytes(content)
    file = made(random_planes((2, 2)), (2, 2), *((2, 0) if network.shape.refines else ()))
    before, expected = (code_length(each, file) for each in (network, networks[role]))
    begin_as(network, str(path), 2)
    assert code_length(network, file) == pytest.approx(expected, rel=0.002)
    assert before != pytest.approx(expected, rel=0.01)
    with pytest.raises(TrainingError, match="sizes"):
        begin_as(CoefficientNetwork(CoefficientShape(role, 48, 2)), str(path), 2)


def test_places_are_near_each_other() -> None:
    kept = np.zeros((1, 3, 704), bool)
    kept[0, 0, [0, 700, 703]] = True
    kept[0, 1, np.random.default_rng(0).permutation(704)[:58]] = True
    places = places_of(kept)
    assert places.shape == (1, 3, 60)
    assert (np.diff(places, axis=2, prepend=-1) <= 256).all()
    assert all(set(np.flatnonzero(kept[0, number])) <= set(places[0, number]) for number in range(3))


@pytest.fixture(scope="module")
def smaller(settings: CoefficientSettings, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of effort 1."""
    folder = tmp_path_factory.mktemp("runs") / "smaller"
    start(replace(settings, effort=1, predictors=str(whole)), folder)
    return folder


@pytest.fixture(scope="module")
def model_path(smaller: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two runs."""
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    path.write_bytes(export([smaller, whole], "both"))
    return path


def tile(data: bytes) -> list[tuple[list[int], np.ndarray]]:
    components = parsed(data)
    assert components is not None
    return [(each.steps.tolist(), each.values) for each in components]


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_core_codes_with_it(model_path: Path, smaller: Path, sampling: str) -> None:
    """In no more bits than the networks in training tell, and some fewer, as the core's go on learning."""
    data = write(picture(40), JpegSetting(88, sampling))
    components, model = tile(data), CoefficientModel.parse(model_path.read_bytes(), "both")
    levels = levels_of(file_of(data))
    assert levels == 2
    chunks, bits = testing.encode_coefficients(model, 1, components, levels=levels)
    networks = networks_of(state.read(smaller), smaller).values()
    expected = sum(sum(code_lengths_of_levels(network, data).values()) for network in networks)
    assert 0.8 * expected < bits < 1.005 * expected
    shapes = [(steps, *values.shape[:2]) for steps, values in components]
    decoded, _, ended_well = testing.decode_coefficients(model, 1, shapes, chunks, levels=levels)
    assert ended_well
    assert all(np.array_equal(one, values) for one, (_, values) in zip(decoded, components, strict=True))


def test_networks_that_saw_other_predictors_make_no_model(
    model_path: Path, settings: CoefficientSettings, tmp_path: Path
) -> None:
    start(replace(settings, steps=2, seed=9), tmp_path / "other")
    with pytest.raises(TrainingError, match=r"luma, chroma, .* of effort 1 were trained with other predictors"):
        export([tmp_path / "other"], "both", base=str(model_path))


def test_a_network_takes_the_place_of_a_deeper_one(
    model_path: Path, smaller: Path, settings: CoefficientSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(coefficient_trainer.SIZES[1], "luma", (32, 1))
    start(replace(settings, effort=1, predictors=str(model_path), roles=("luma",), steps=1), tmp_path / "run")
    path = tmp_path / "model.safetensors"
    path.write_bytes(export([tmp_path / "run"], "shallow", base=str(model_path)))
    blocks = [{key for key in tensors_of(str(each)) if key.startswith("1.luma.block")} for each in (model_path, path)]
    assert {key.split(".")[2] for key in blocks[0]} > {key.split(".")[2] for key in blocks[1]} == {"block0"}


def test_a_model_says_how_it_was_made(model_path: Path) -> None:
    facts = metadata(model_path.read_bytes(), "both", "jpeg")
    assert (facts["kind"], facts["name"]) == ("jpeg", "both")
    assert [(made["effort"], made["steps"]) for made in facts["training"]["runs"]] == [(1, 60), (2, 60)]


def test_other_networks_are_those_of_the_base(model_path: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"1\.luma, 1\.chroma"):
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
