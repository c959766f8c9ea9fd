"""The integers of networks of coefficients: the core codes with them what the network in training says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from coefficient_files import Planes, made, random_planes

from ddpmcodec._native import CoefficientModel
from ddpmcodec.errors import TrainingError
from ddpmcodec.models import jpeg
from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.coefficient_evaluation import code_length
from ddpmcodec.training.coefficients.coefficient_export import exported, places_of
from ddpmcodec.training.coefficients.coefficient_network import (
    ROLES,
    SCALES,
    CoefficientNetwork,
    CoefficientShape,
)
from ddpmcodec.training.coefficients.coefficient_start import begin_as
from ddpmcodec.training.coefficients.first_predictors import Statistics
from ddpmcodec.training.coefficients.planes import GRIDS, JpegFile
from native_testing import testing


def random_network(role: str, seed: int = 0) -> CoefficientNetwork:
    """A network in which everything counts, with wide distributions: the core's have a least probability."""
    torch.manual_seed(seed)
    shape = CoefficientShape(role, 32, 2)
    known = torch.from_numpy(order.KNOWN.reshape(order.CONDITIONS, -1)).float()
    scale = torch.cat([known, torch.ones(order.CONDITIONS, shape.entries - known.shape[1])], 1)
    scale = (scale * torch.rand_like(scale)).repeat(shape.components, 1)
    network = CoefficientNetwork(shape, Statistics(scale, torch.randn_like(scale) / 5000))
    with torch.no_grad():
        for parameter, size in ((network.head, 0.05), (network.skip, 0.05), (network.head_bias, 0.2)):
            parameter.add_(size * torch.randn_like(parameter))
        for parameter in (network.gain, network.bias, *network.block_biases):
            parameter.add_(0.3 * torch.randn_like(parameter))
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


def components(file: JpegFile, planes: Planes) -> list[tuple[list[int], np.ndarray]]:
    return [
        (component.steps.astype(int).tolist(), values)
        for component, values in zip(file.components, planes, strict=True)
    ]


@pytest.mark.parametrize("covered", GRIDS)
def test_the_core_codes_with_as_many_bits(
    networks: dict[str, CoefficientNetwork], content: bytes, covered: tuple[int, int]
) -> None:
    """Files of one MCU: in larger ones the core's networks learn, and it needs fewer bits."""
    model, lengths = CoefficientModel.parse(content, "random"), []
    for seed in range(4):
        planes = random_planes(covered, seed, rows=1, columns=1)
        file = made(planes, covered)
        expected = sum(code_length(network, file, 1 << 30) for network in networks.values())
        lengths.append((testing.encode_coefficients(model, 1, components(file, planes))[1], expected))
    found, expected = np.sum(lengths, 0)
    assert found == pytest.approx(expected, rel=0.002)


def test_the_core_decodes_what_it_coded(content: bytes) -> None:
    planes = random_planes((2, 1))
    file, model = made(planes, (2, 1)), CoefficientModel.parse(content, "random")
    chunks, _ = testing.encode_coefficients(model, 2, components(file, planes))
    geometry = [(steps, *values.shape[:2]) for steps, values in components(file, planes)]
    decoded, segments, ended_well = testing.decode_coefficients(model, 2, geometry, chunks)
    assert (segments, ended_well) == (len(order.STARTS), True)
    assert all(np.array_equal(one, other) for one, other in zip(decoded, planes, strict=True))


def test_some_positions_tell_the_code_length(networks: dict[str, CoefficientNetwork]) -> None:
    file = made(random_planes((2, 1), rows=40, columns=40), (2, 1))
    for network in networks.values():
        assert code_length(network, file, 9000) == pytest.approx(code_length(network, file, 1 << 30), rel=0.05)


@pytest.mark.parametrize("role", ROLES)
def test_a_network_begins_as_that_of_a_model(
    networks: dict[str, CoefficientNetwork], content: bytes, role: str, tmp_path: Path
) -> None:
    path, file = tmp_path / "model.safetensors", made(random_planes((2, 2)), (2, 2))
    path.write_bytes(content)
    network = random_network(role, seed=1)
    before, expected = (code_length(each, file) for each in (network, networks[role]))
    begin_as(network, str(path), 2)
    assert code_length(network, file) == pytest.approx(expected, rel=0.002)
    assert before != pytest.approx(expected, rel=0.01)
    with pytest.raises(TrainingError, match="sizes"):
        begin_as(CoefficientNetwork(CoefficientShape(role, 48, 2)), str(path), 2)


def test_places_are_near_each_other() -> None:
    kept = np.zeros((1, 3, 704), bool)
    kept[0, 0, [0, 700, 703]] = True
    kept[0, 1, np.random.default_rng(0).permutation(704)[:62]] = True
    places = places_of(kept)
    assert places.shape == (1, 3, 64)
    assert (np.diff(places, axis=2, prepend=-1) <= 256).all()
    assert all(set(np.flatnonzero(kept[0, number])) <= set(places[0, number]) for number in range(3))
