"""Replay buffers: the latest positions, each used about once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training.replay import ReplayBuffer, ReplayBuffers, bands_of, pixels_of
from ddpmcodec.training.trainable import COLUMNS

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
    found: dict[str, Any] = {name: np.zeros((count, 3), np.int16) for name in COLUMNS}
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
    buffers = ReplayBuffers(Source(gradients), [role], capacity=4000, side=16)
    count = 32 if role in BAND_ROLES else 16 * 16  # a whole image, the smallest patch
    found = buffers.draw(role, 32)
    assert found.rows.shape[0] == count
    assert found.sides == (None if role in BAND_ROLES else (16, 16))
    assert found.lo.shape == (3, count)
    assert ((found.lo <= found.new_lo) & (found.new_lo <= found.new_hi) & (found.new_hi <= found.hi)).all()
    assert (found.lo < found.hi).any(0).all()
    assert found.condition.dtype == torch.int64


def test_each_position_is_used_about_once(gradients: Pixels) -> None:
    buffers = ReplayBuffers(Source(gradients), ["direct"], capacity=4000, side=8, uses=1.0)
    for _ in range(300):
        buffers.draw("direct", 50)
    taken = buffers.images * 8 * 8  # a patch of each
    assert taken == pytest.approx(300 * 8 * 8, rel=0.2)


def test_images_of_one_band_are_used_for_all(gradients: Pixels) -> None:
    source = Source(gradients)
    buffers = ReplayBuffers(source, BAND_ROLES, capacity=4000)
    buffers.draw("band1", 8)
    assert all(buffer.size for buffer in buffers.buffers.values())
    assert source.number == buffers.draws


def test_all_positions_of_an_image_can_be_had(gradients: Pixels) -> None:
    assert len(pixels_of(gradients[:2], "direct")["rows"]) == 2 * 16 * 16
    found = bands_of(gradients[:2], 5, 1.0, 1)
    assert set(found) == set(BAND_ROLES)
    finest = found["band1"]
    assert len(finest["rows"]) <= 3 * 2 * 16 * 8  # of three steps
    assert (finest["lo"] < finest["hi"]).any(1).all()


def test_patches_are_parts_of_images(gradients: Pixels) -> None:
    whole = pixels_of(gradients[:3], "direct")
    found = pixels_of(gradients[:3], "direct", (2, 5, 8, 11))
    for name, column in found.items():
        images = whole[name].reshape(3, 16, 16, *column.shape[1:])
        assert np.array_equal(images[:, 2:10, 5:], column.reshape(3, 8, 11, *column.shape[1:]))
    for part in ((-1, 0, 4, 4), (0, 13, 4, 4), (0, 0, 4, -4)):
        with pytest.raises(ValueError, match="part"):
            pixels_of(gradients, "direct", part)


def test_draws_are_of_whole_patches(gradients: Pixels) -> None:
    buffer, generator = ReplayBuffer(4 * 64, side=8), torch.Generator().manual_seed(0)
    buffer.add(pixels_of(gradients, "direct", (0, 0, 8, 8)))  # of 40 images, of which the last 4 stay
    found = buffer.draw(200, generator)
    assert (buffer.size, len(found.rows), found.sides) == (4 * 64, 3 * 64, (8, 8))
    kept = pixels_of(gradients[-4:], "direct", (0, 0, 8, 8))["rows"].reshape(4, 64, -1)
    for patch in found.rows.numpy().reshape(3, 64, -1):
        assert any(np.array_equal(patch, other) for other in kept)


def test_draws_depend_on_the_seed(gradients: Pixels) -> None:
    found = [
        ReplayBuffers(Source(gradients), ["direct"], capacity=9999, side=8, seed=seed).draw("direct", 9)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0].rows, found[1].rows)
    assert not torch.equal(found[0].rows, found[2].rows)
