"""Training states are those of the coder, and replay buffers hand out what they were given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.channels import gamut, progressive
from ddpmcodec.channels.progressive import CodingPass
from ddpmcodec.coding_schedule import SCHEDULES, bands_of
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.shape import BAND_KINDS, band_kind, situation
from ddpmcodec.networks.context.window import gather_many, padded
from ddpmcodec.training.positions import FEWEST, ReplayBuffer, ReplayBuffers, positions_of
from ddpmcodec.training.step_states import StepState, step_states, unfinished
from ddpmcodec.transform import pyramid
from ddpmcodec.transform.cells import EXACT
from ddpmcodec.transform.color import to_ycocg


def photo(count: int = 2, height: int = 21, width: int = 26) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.stack([pixels[40 * k : 40 * k + height, 60 * k : 60 * k + width] for k in range(count)])


def coded_bands(pixels: np.ndarray, model: ContextModel, name: str) -> Iterator[dict[str, np.ndarray]]:
    """What the coder knows before and after every band, and its coarse image."""
    images, height, width, channels = pixels.shape
    coding_pass = CodingPass(model, SCHEDULES[name], (images, height, width, channels), adapts=True)
    code, found = coding_pass._code_band, list[dict[str, np.ndarray]]()

    def observed(coder: Any, step: Any, band: Any, coarse: np.ndarray) -> Any:
        ranges = coding_pass.state.bands[band]
        before = ranges.lo.copy(), ranges.hi.copy()
        finer = code(coder, step, band, coarse)
        arrays = {"coarse": pyramid.turned(coarse, band), "lo": before[0], "hi": before[1]}
        found.append(arrays | {"new_lo": ranges.lo.copy(), "new_hi": ranges.hi.copy()})
        return finer

    coding_pass._code_band = observed  # type: ignore[method-assign]
    progressive.encode_with(coding_pass, to_ycocg(pixels), np.arange(images))
    return iter(found)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_states_are_those_that_the_coder_goes_through(context_model: ContextModel, name: str) -> None:
    pixels = photo()
    states = list(step_states(torch.from_numpy(pixels), SCHEDULES[name]))
    for state, known in zip(states, coded_bands(pixels, context_model, name), strict=True):
        for key, array in known.items():
            np.testing.assert_array_equal(getattr(state, key), array)
    expected = [(step, band) for step in SCHEDULES[name] for band in bands_of(step, 21, 26)]
    assert [(state.step, state.band) for state in states] == expected


def last_state(pixels: np.ndarray) -> StepState:
    return list(step_states(torch.from_numpy(pixels), SCHEDULES["short"]))[-1]


def test_an_exact_step_knows_that_colours_are_colours() -> None:
    """Known ranges are those that the coder truncates to, at the edges of the gamut, too."""
    pixels = photo()
    pixels[0] = pixels[0] // 128 * 255
    for state in step_states(torch.from_numpy(pixels), SCHEDULES["short"]):
        if state.step.level != EXACT:
            continue
        at, slack = unfinished(state), gamut.slack_of(state.band.number)
        found = positions_of(state, at)
        lo, hi, coarse, values = (
            a[tuple(at.T)].long().numpy() for a in (state.lo, state.hi, state.coarse, state.new_lo)
        )
        narrower = 0
        for k in range(len(at)):
            finer = np.zeros((2, 3), np.int64)
            for c in range(3):
                expected = gamut.narrowed((lo[k, c], hi[k, c]), c, coarse[k, c], finer, slack)
                assert (found["lo"][k, c], found["hi"][k, c]) == expected
                narrower += expected != (lo[k, c], hi[k, c])
                finer[:, c] = gamut.pair(coarse[k, c], values[k, c])
        assert state.band.number > 3 or narrower > len(at) // 10


def test_positions_see_what_is_coded_before_them_and_known_after_them() -> None:
    """As the coder does, whose one array of estimates holds both: see test_band_coder for the order."""
    state = last_state(photo())
    at = unfinished(state)[::7]
    found = positions_of(state, at)
    from ddpmcodec.transform.cells import estimates

    ranges = ((state.lo, state.hi), (state.new_lo, state.new_hi))
    old, new = (padded(estimates(lo.numpy(), hi.numpy()), False) for lo, hi in ranges)
    rows, around = gather_many(padded(state.coarse.numpy(), True), new, old, at.numpy())
    np.testing.assert_array_equal(found["rows"], rows)
    np.testing.assert_array_equal(found["around"], around)
    for k, (n, y, x) in enumerate(at.tolist()):
        assert found["lo"][k].tolist() == state.lo[n, y, x].tolist()
        assert found["new_hi"][k].tolist() == state.new_hi[n, y, x].tolist()
    assert set(found["situation"].tolist()) == {situation(state.step.number, state.band.number)}


def test_what_is_exact_in_all_channels_is_finished() -> None:
    state = last_state(photo(1))
    lo, hi = state.lo.clone(), state.hi.clone()
    hi[0, 2, 3] = lo[0, 2, 3]
    hi[0, 4, 5, :2], hi[0, 4, 5, 2] = lo[0, 4, 5, :2], lo[0, 4, 5, 2] + 1
    found = unfinished(state._replace(lo=lo, hi=hi)).tolist()
    assert [0, 2, 3] not in found
    assert [0, 4, 5] in found


# --- one replay buffer


def numbered(first: int, count: int) -> dict[str, torch.Tensor]:
    """Positions that carry their number in their situation."""
    numbers = torch.arange(first, first + count)
    ranges = {name: numbers[:, None].repeat(1, 3).short() for name in ("lo", "hi", "new_lo", "new_hi")}
    rows, around = torch.zeros((count, 4), dtype=torch.uint8), torch.zeros((count, 3, 2), dtype=torch.int16)
    return {"rows": rows, "around": around, **ranges, "situation": numbers}


def contents(buffer: ReplayBuffer) -> set[int]:
    drawn = buffer.draw(400, torch.Generator().manual_seed(0))
    assert drawn.lo[0].tolist() == drawn.situation.tolist()
    return set(drawn.situation.tolist())


def test_a_replay_buffer_keeps_the_latest() -> None:
    buffer = ReplayBuffer(10)
    buffer.add(numbered(0, 4))
    assert contents(buffer) == set(range(4))
    buffer.add(numbered(4, 9))
    assert contents(buffer) == set(range(3, 13))
    buffer.add(numbered(100, 25))
    assert contents(buffer) == set(range(100, 110))


# --- the buffers of all networks


def buffers_of(uses: float, capacity: int = 3000) -> tuple[ReplayBuffers, list[int]]:
    calls: list[int] = []

    def source() -> torch.Tensor:
        calls.append(1)
        generator = torch.Generator().manual_seed(len(calls))
        return torch.randint(256, (2, 32, 32, 3), dtype=torch.uint8, generator=generator)

    return ReplayBuffers(source, shares={"short": 0.1, "long": 0.05}, capacity=capacity, uses=uses, seed=3), calls


def test_every_kind_is_drawn_from_its_own_bands() -> None:
    buffers, _ = buffers_of(2.0)
    for kind in range(BAND_KINDS):
        found = buffers.draw(kind, 50)
        bands = {int(s) % 12 + 1 for s in found.situation}
        assert {band_kind(band) for band in bands} == {kind}
        assert found.rows.shape[0] == 50
    assert buffers.images > 0


def test_a_position_is_used_about_so_many_times() -> None:
    for uses in (1.0, 4.0):
        buffers, calls = buffers_of(uses, capacity=500)
        for _ in range(200):
            buffers.draw(0, 100)
        taken = 200 * 100 / uses
        each = 2 * FEWEST * (3 + 4) / 2  # of the finest band, a call: of two images, in all steps of either schedule
        assert len(calls) == pytest.approx(taken / each, abs=2)


def test_the_same_seed_draws_the_same() -> None:
    first, second = (buffers_of(2.0)[0].draw(1, 30) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.equal(b)
