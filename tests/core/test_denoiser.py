"""The denoiser of the compiled core against PyTorch's: any size, any kernels, any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import _native as native
from ddpmcodec.training.preview_denoiser import Denoiser

Tensors = dict[str, Any]
SIZES = [(1, 1), (1, 2), (2, 3), (5, 1), (33, 47), (64, 40)]


@pytest.fixture(params=native.kernels())
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.kernel()
    native.use_kernel(request.param)
    yield request.param
    native.use_kernel(before)


def tensors_of(network: Denoiser) -> Tensors:
    return {key: value.numpy() for key, value in network.state_dict().items()}


def random_tensors(seed: int = 0) -> Tensors:
    torch.manual_seed(seed)
    network = Denoiser()
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    torch.nn.init.normal_(network.leave.bias, std=0.1)
    return tensors_of(network)


@pytest.fixture(scope="module")
def photo_tensors() -> Tensors:
    from importlib.resources import files

    from safetensors.numpy import load

    found = load((files("ddpmcodec.models") / "photo.safetensors").read_bytes())
    prefix = "denoiser."
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def planes(height: int, width: int) -> tuple[Any, Any]:
    rng = np.random.default_rng([height, width])
    mean = rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    return mean, rng.uniform(0, 9, (height, width, 3)).astype(np.float32)


def level_of(mean: Any) -> Any:
    return mean.mean((0, 1), dtype=np.float64).astype(np.float32)


def by_torch(tensors: Tensors, mean: Any, deviation: Any) -> Any:
    network = Denoiser()
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in tensors.items()})
    planes = (torch.from_numpy(plane.transpose(2, 0, 1).copy())[None] for plane in (mean, deviation))
    with torch.inference_mode():
        return network(*planes)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_random_networks_are_those_of_torch(kernel: str, height: int, width: int) -> None:
    tensors, (mean, deviation) = random_tensors(), planes(height, width)
    found = native.Denoiser(tensors).denoise(mean, deviation, level_of(mean), 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_torch(tensors, mean, deviation), atol=1e-3)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_embedded_network_is_that_of_torch(photo_tensors: Tensors, height: int, width: int) -> None:
    mean, deviation = planes(height, width)
    found = native.Denoiser(photo_tensors).denoise(mean, deviation, level_of(mean), 1)
    np.testing.assert_allclose(found, by_torch(photo_tensors, mean, deviation), atol=2e-3)


def test_threads_change_nothing() -> None:
    mean, deviation = planes(150, 31)
    denoiser = native.Denoiser(random_tensors())
    one = denoiser.denoise(mean, deviation, level_of(mean), 1)
    for threads in (2, 3, 4, 50):
        np.testing.assert_array_equal(denoiser.denoise(mean, deviation, level_of(mean), threads), one)


def test_parts_are_those_of_the_whole() -> None:
    mean, deviation = planes(90, 70)
    denoiser, level = native.Denoiser(random_tensors()), level_of(mean)
    whole = denoiser.denoise(mean, deviation, level, 1)
    part = (slice(14, 76), slice(6, 60))
    found = denoiser.denoise(*(np.ascontiguousarray(a[part]) for a in (mean, deviation)), level, 1)
    np.testing.assert_allclose(found[16:-16, 16:-16], whole[30:60, 22:44], atol=1e-4)


def test_what_is_known_stays() -> None:
    mean, deviation = planes(40, 9)
    deviation[:11], deviation[29:], deviation[:, :3] = 0, 0, 0
    tensors = random_tensors()
    found = native.Denoiser(tensors).denoise(mean, deviation, level_of(mean), 2)
    np.testing.assert_array_equal(found[deviation == 0], mean[deviation == 0])
    assert (found[deviation > 0] != mean[deviation > 0]).any()
    np.testing.assert_allclose(found, by_torch(tensors, mean, deviation), atol=1e-3)
    for height in (1, 2, 3):
        known = mean[:height], np.zeros_like(deviation[:height])
        np.testing.assert_array_equal(native.Denoiser(tensors).denoise(*known, level_of(mean), 2), mean[:height])


def test_networks_that_nobody_trained_give_finite_numbers() -> None:
    tensors = {key: np.full_like(value, 1e9) for key, value in random_tensors().items()}
    mean, deviation = planes(9, 9)
    found = native.Denoiser(tensors).denoise(mean, deviation, level_of(mean), 1)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 4096


def test_tensors_of_no_denoiser_are_refused() -> None:
    good = random_tensors()
    bad: dict[str, Tensors] = {
        "needs a tensor leave.bias": {key: value for key, value in good.items() if key != "leave.bias"},
        "blocks.2.weight must be of shape": good | {"blocks.2.weight": good["enter.weight"]},
        "enter.bias must be float32": good | {"enter.bias": "text"},
        "tensors that no denoiser has": good | {"blocks.5.bias": good["enter.bias"]},
    }
    for message, tensors in bad.items():
        with pytest.raises(ValueError, match=message):
            native.Denoiser(tensors)


def test_planes_of_other_shapes_are_refused() -> None:
    denoiser, (mean, deviation) = native.Denoiser(random_tensors()), planes(4, 6)
    level = level_of(mean)
    for arguments in [
        (mean[0], deviation, level, 1),
        (mean, deviation[:2], level, 1),
        (mean[:0], deviation[:0], level, 1),
        (mean, deviation, level[:2], 1),
        (mean, deviation, level, 0),
    ]:
        with pytest.raises(ValueError, match=r"must be|different"):
            denoiser.denoise(*arguments)
