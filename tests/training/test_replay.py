"""Replay buffers: the latest positions, each used about once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training.replay import ReplayBuffer, ReplayBuffers, bands_of, pixels_of
from ddpmcodec.training.trainable import Positions

Pixels = np.ndarray


class Source:
    """The same pictures again and again."""

    def __init__(self, images: Pixels) -> None:
        self.images, self.number = images, 0

    def __call__(self) -> Pixels:
        self.number += 1
        return self.images


def numbered(first: int, count: int) -> dict[str, Any]:
    """Positions whose rows say which they are."""
    found: dict[str, Any] = {name: np.zeros((count, 3), np.int16) for name in Positions._fields}
    found["rows"] = np.arange(first, first + count, dtype=np.uint8)[:, None]
    return found | {"condition": np.zeros(count, np.int32)}


def test_a_buffer_keeps_the_latest() -> None:
    buffer, generator = ReplayBuffer(8), torch.Generator().manual_seed(0)
    buffer.add(numbered(0, 5))
    assert (buffer.size, set(buffer.draw(99, generator).rows.flatten().tolist())) == (5, {0, 1, 2, 3, 4})
    buffer.add(numbered(5, 6))
    assert set(buffer.draw(200, generator).rows.flatten().tolist()) == set(range(3, 11))
    buffer.add(numbered(20, 30))
    assert set(buffer.draw(200, generator).rows.flatten().tolist()) == set(range(42, 50))


@pytest.mark.parametrize("role", ROLES)
def test_positions_are_of_their_role(role: str, gradients: Pixels) -> None:
    buffers = ReplayBuffers(Source(gradients), [role], capacity=4000)
    found = buffers.draw(role, 32)
    assert found.rows.shape[0] == 32
    assert found.lo.shape == (3, 32)
    assert ((found.lo <= found.new_lo) & (found.new_lo <= found.new_hi) & (found.new_hi <= found.hi)).all()
    assert (found.lo < found.hi).any(0).all()
    assert found.condition.dtype == torch.int64


def test_each_position_is_used_about_once(gradients: Pixels) -> None:
    buffers = ReplayBuffers(Source(gradients), ["direct"], capacity=4000, uses=1.0)
    for _ in range(300):
        buffers.draw("direct", 50)
    taken = 0.2 * buffers.images * 16 * 16
    assert taken == pytest.approx(300 * 50, rel=0.2)


def test_images_of_one_band_are_used_for_all(gradients: Pixels) -> None:
    source = Source(gradients)
    buffers = ReplayBuffers(source, BAND_ROLES, capacity=4000)
    buffers.draw("band1", 8)
    assert all(buffer.size for buffer in buffers.buffers.values())
    assert source.number == buffers.draws


def test_all_positions_of_an_image_can_be_had(gradients: Pixels) -> None:
    assert len(pixels_of(gradients[:2], "direct", 1.0, 1)["rows"]) == 2 * 16 * 16
    found = bands_of(gradients[:2], 5, 1.0, 1)
    assert set(found) == set(BAND_ROLES)
    finest = found["band1"]
    assert len(finest["rows"]) <= 3 * 2 * 16 * 8  # of three steps
    assert (finest["lo"] < finest["hi"]).any(1).all()


def test_draws_depend_on_the_seed(gradients: Pixels) -> None:
    found = [
        ReplayBuffers(Source(gradients), ["direct"], capacity=999, seed=seed).draw("direct", 9) for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0].rows, found[1].rows)
    assert not torch.equal(found[0].rows, found[2].rows)
