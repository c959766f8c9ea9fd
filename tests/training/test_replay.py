"""Replay buffers: the latest positions, each used about once, in parts that know their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.models.context import BAND_ROLES, ROLES
from ddpmcodec.training.replay import ReplayBuffer, ReplayBuffers, bands_of, in_slots, parts_of, pixels_of
from ddpmcodec.training.trainable import ZERO, Positions

Pixels = np.ndarray


class Source:
    """The same pictures again and again."""

    def __init__(self, images: Pixels) -> None:
        self.images, self.number = images, 0

    def __call__(self) -> Pixels:
        self.number += 1
        return self.images


def numbered(sizes: list[int], first: int = 0) -> dict[str, Any]:
    """Parts of so many positions, whose rows say which they are; each sees the one before it in its part."""
    count = sum(sizes)
    found: dict[str, Any] = {name: np.zeros((count, 3), np.int16) for name in Positions._fields}
    found["rows"] = np.arange(first, first + count, dtype=np.uint8)[:, None]
    found["part"] = np.repeat(np.arange(len(sizes)), sizes)
    begins = np.concatenate([np.arange(size) == 0 for size in sizes])
    found["near"] = np.repeat(np.where(begins, -1, np.arange(count) - 1)[:, None], 3, 1).astype(np.int32)
    return found | {"condition": np.ones(count, np.int32)}


def rows_of(positions: Positions) -> list[int]:
    """Of those where something may be coded."""
    rows: list[int] = positions.rows[positions.condition == 1].flatten().tolist()
    return rows


def test_a_slot_holds_whole_parts() -> None:
    packed = in_slots(numbered([3, 2, 4, 1, 8]), 8)
    assert packed["rows"][..., 0].tolist() == [
        [0, 1, 2, 3, 4, ZERO, ZERO, ZERO],
        [5, 6, 7, 8, 9, ZERO, ZERO, ZERO],
        [10, 11, 12, 13, 14, 15, 16, 17],
    ]
    assert packed["near"][..., 0].tolist() == [
        [-1, 0, 1, -1, 3, -1, -1, -1],
        [-1, 0, 1, 2, -1, -1, -1, -1],
        [-1, 0, 1, 2, 3, 4, 5, 6],
    ]
    assert packed["condition"].sum() == 18


def test_a_buffer_keeps_the_latest() -> None:
    buffer, generator = ReplayBuffer(8, 1), torch.Generator().manual_seed(0)
    buffer.add(numbered([1] * 5))
    assert (buffer.size, set(rows_of(buffer.draw(99, generator)))) == (5, {0, 1, 2, 3, 4})
    buffer.add(numbered([1] * 6, 5))
    assert set(rows_of(buffer.draw(200, generator))) == set(range(3, 11))
    buffer.add(numbered([1] * 30, 20))
    assert set(rows_of(buffer.draw(200, generator))) == set(range(42, 50))


def test_positions_that_are_drawn_see_their_neighbours() -> None:
    buffer = ReplayBuffer(64, 8)
    assert buffer.add(numbered([8, 5, 3, 7, 2])) == 4 * 8
    found = buffer.draw(40, torch.Generator().manual_seed(0))
    assert (len(found.rows), buffer.drawn(40), buffer.drawn(1)) == (40, 40, 8)
    begins = {0, 8, 13, 16, 23}
    for place, row in enumerate(found.rows.flatten().tolist()):
        near = found.near[:, place].tolist()
        if row in begins or row == ZERO:
            assert near == [40] * 3
        else:
            assert found.rows[near[0]].item() == row - 1


@pytest.mark.parametrize("role", ROLES)
def test_positions_are_of_their_role(role: str, gradients: Pixels) -> None:
    buffers = ReplayBuffers(Source(gradients), [role], capacity=4000, sides=(16, 16))
    found = buffers.draw(role, 32)  # fewer than a slot has
    assert found.rows.shape[0] == 16 * 16
    assert found.lo.shape == found.near.shape == (3, 16 * 16)
    assert ((found.lo <= found.new_lo) & (found.new_lo <= found.new_hi) & (found.new_hi <= found.hi)).all()
    is_open = (found.lo < found.hi).any(0)
    assert is_open.all() if role not in BAND_ROLES else is_open.float().mean() > 0.5
    assert found.condition.dtype == found.near.dtype == torch.int64


def test_pixels_are_those_after_every_schedule(gradients: Pixels) -> None:
    """One input says whether levels end below 8, as those of five do; another whether above it, as a single one."""
    buffers = ReplayBuffers(Source(gradients[:4]), ["last"], capacity=4000, sides=(16, 16))
    shares = [buffers.draw("last", 1000).rows[:, 250].eq(ZERO).float().mean().item() for _ in range(20)]
    assert 0.5 < np.mean(shares) < 0.85
    single = ReplayBuffers(Source(gradients[:4]), ["single"], capacity=4000, sides=(16, 16)).draw("single", 1000)
    assert single.rows[:, 250].eq(ZERO).all()
    assert single.rows[:, 251].ne(ZERO).all()


def test_each_position_is_used_about_once(gradients: Pixels) -> None:
    buffers = ReplayBuffers(Source(gradients), ["direct"], capacity=4000, sides=(8, 99), uses=1.0)
    for _ in range(300):
        buffers.draw("direct", 50)
    taken = buffers.images * 8 * 8  # a part of each
    assert taken == pytest.approx(300 * 8 * 8, rel=0.2)


@pytest.mark.parametrize(("sides", "side"), [((8, 8), 8), ((24, 32), 24), ((32, 96), 8), ((6, 40), 6), ((96, 96), 8)])
def test_small_images_are_taken_whole_and_small_parts_of_larger_ones(sides: tuple[int, int], side: int) -> None:
    assert ReplayBuffers(Source(np.zeros((0, 0, 0, 3), np.uint8)), ["last"], capacity=1, sides=sides).side == side


def test_images_of_one_band_are_used_for_all(gradients: Pixels) -> None:
    source = Source(gradients)
    buffers = ReplayBuffers(source, BAND_ROLES, capacity=4000)
    buffers.draw("band1", 8)
    assert all(buffer.size for buffer in buffers.buffers.values())
    assert source.number == buffers.draws


def test_all_positions_of_an_image_can_be_had(gradients: Pixels) -> None:
    assert len(pixels_of(gradients[:2], 0)["rows"]) == 2 * 16 * 16
    found = bands_of(gradients[:2], 5)
    assert set(found) == set(BAND_ROLES)
    finest = found["band1"]
    assert len(finest["rows"]) == 5 * 2 * 16 * 8  # of five steps
    assert (finest["lo"] < finest["hi"]).any(1).all()
    assert len(parts_of(finest)) == 5 * 2


def test_a_part_of_an_image_is_what_the_whole_has_there(gradients: Pixels) -> None:
    whole = pixels_of(gradients[:3], 0)
    found = pixels_of(gradients[:3], 0, [(2, 5, 8, 11)])
    for name in set(found) - {"near"}:
        images = whole[name].reshape(3, 16, 16, *found[name].shape[1:])
        assert np.array_equal(images[:, 2:10, 5:], found[name].reshape(3, 8, 11, *found[name].shape[1:]))
    for part in ((-1, 0, 4, 4), (0, 13, 4, 4), (0, 0, 4, -4)):
        with pytest.raises(ValueError, match="part"):
            pixels_of(gradients, 0, [part])


def test_neighbours_are_to_the_left_above_and_above_the_right_one(gradients: Pixels) -> None:
    near = pixels_of(gradients[:2], 0, [(1, 1, 2, 3)])["near"]
    assert near.tolist()[:6] == [[-1, -1, -1], [0, -1, -1], [1, -1, -1], [-1, 0, 1], [3, 1, 2], [4, 2, -1]]
    assert near[6:].max() == 10  # those of the second image see none of the first
    assert (near[6:] != -1).sum() == (near[6:] >= 6).sum()


def test_parts_of_bands_are_no_larger_than_asked_for(gradients: Pixels) -> None:
    for columns in bands_of(gradients, 5, 0.3, 1, side=4).values():
        parts = parts_of(columns)
        assert max(part.stop - part.start for part in parts) <= 4 * 4
        assert len(parts) > 10


@pytest.mark.parametrize("share", [float("nan"), -0.1, 1.1])
def test_a_share_of_positions_is_a_fraction(gradients: Pixels, share: float) -> None:
    with pytest.raises(ValueError, match=f"share .*{share}"):
        bands_of(gradients, 2, share)


def test_draws_depend_on_the_seed(gradients: Pixels) -> None:
    found = [
        ReplayBuffers(Source(gradients), ["direct"], capacity=9999, sides=(8, 99), seed=seed).draw("direct", 9)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(found[0].rows, found[1].rows)
    assert not torch.equal(found[0].rows, found[2].rows)
