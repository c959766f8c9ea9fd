"""The denoiser of previews: any size, nothing without training, and the same from a model's tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ddpmcodec.networks import reconstruction
from ddpmcodec.networks.reconstruction import Denoiser, denoiser_of


def trained(seed: int = 0) -> Denoiser:
    """With random weights in its last layer, too."""
    torch.manual_seed(seed)
    network = Denoiser()
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    return network.eval()


def denoised(network: Denoiser, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """All parts, each of which comes once."""
    found, times = np.full_like(mean, np.nan), np.zeros(mean.shape[:2], int)
    for box, part in reconstruction.denoised(network, mean, deviation):
        found[box] = part
        times[box] += 1
    assert (times == 1).all()
    return found


def planes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([height, width])
    return (rng.uniform(0, 255, (height, width, 3)).astype(np.float32),
            rng.uniform(0, 9, (height, width, 3)).astype(np.float32))  # fmt: skip


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 8), (7, 2), (16, 17)])
def test_every_size_is_taken_and_untrained_it_changes_nothing(height: int, width: int) -> None:
    mean, deviation = planes(height, width)
    found = denoised(Denoiser(), mean, deviation)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, mean)
    assert denoised(trained(), mean, deviation).shape == mean.shape


def test_what_is_known_stays() -> None:
    mean, deviation = planes(10, 12)
    deviation[:, :6] = 0
    found = denoised(trained(), mean, deviation)
    np.testing.assert_array_equal(found[:, :6], mean[:, :6])
    assert (found[:, 6:] != mean[:, 6:]).any()


def test_a_network_comes_back_from_its_tensors() -> None:
    network, (mean, deviation) = trained(), planes(9, 9)
    again = denoiser_of({key: value.numpy() for key, value in network.state_dict().items()})
    assert not again.training
    np.testing.assert_array_equal(denoised(again, mean, deviation), denoised(network, mean, deviation))


def test_corrections_grow_with_the_doubt() -> None:
    mean, deviation = planes(12, 12)
    small, large = (
        np.abs(denoised(trained(), mean, np.full_like(deviation, size)) - mean).mean() for size in (0.1, 8.0)
    )
    assert small < large


@pytest.mark.parametrize(("height", "width"), [(40, 40), (33, 75), (64, 31)])
def test_parts_are_those_of_the_whole(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mean, deviation = planes(height, width)
    whole = denoised(trained(), mean, deviation)
    monkeypatch.setattr(reconstruction, "PART", 16)
    np.testing.assert_allclose(denoised(trained(), mean, deviation), whole, atol=1e-3)
    batch = (torch.from_numpy(a.transpose(2, 0, 1).copy())[None] for a in (mean, deviation))
    np.testing.assert_allclose(trained()(*batch)[0].permute(1, 2, 0).detach().numpy(), whole, atol=1e-3)
