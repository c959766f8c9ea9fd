"""The integer arithmetic of a step: it is that of the kernels, loses no pixel, and undoes itself."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddpmcodec.ans import close_stream, cost_bits, encode_reverse, encode_values, open_stream
from ddpmcodec.channels import cells
from ddpmcodec.channels.cells import RHO_ONE, UNKNOWN, StepConstants, decode_step, encode_step, rho_and_width
from ddpmcodec.kernels import uniform_cell, uniform_width
from ddpmcodec.networks.prediction import Prediction, coupled_means
from ddpmcodec.schedule import MAX_LEVEL, PERIODS, Step, step_pixels, validate_steps

Array = NDArray[np.generic]
LEVELS = st.integers(1, 120 * 256)
EVERYTHING = Step(0, 1, 0, 1)


class Start(NamedTuple):
    """The state of one image [H, W, C] before its first step."""

    lo: NDArray[np.uint8]
    hi: NDArray[np.uint8]
    c: NDArray[np.int32]

    @classmethod
    def unknown(cls, height: int, width: int, channels: int) -> Start:
        shape = (height, width, channels)
        return cls(np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), np.zeros(shape, np.int32))


def predictions(rng: np.random.Generator, *shape: int) -> list[Array]:
    """Any distribution at all: means, scales and coupling [H, W, 3]."""
    means = rng.integers(-32767, 32768, shape, np.int32)
    return [means, rng.integers(0, 128, shape, np.uint8), rng.integers(-1023, 1024, shape, np.int16)]


def drawn_dither(rng: np.random.Generator, *shape: int) -> NDArray[np.uint16]:
    return rng.integers(0, 1 << 16, shape, np.uint16)


# --- constants


def test_nothing_is_kept_of_an_unknown_pixel() -> None:
    assert rho_and_width(UNKNOWN, 2560) == (0, math.isqrt(12 * 2560**2))


@given(LEVELS, LEVELS)
def test_constants_are_those_of_the_kernels(a: int, b: int) -> None:
    s_u, s_t = sorted([a, b + 120 * 256])
    rho, width = rho_and_width(s_t, s_u)
    assert rho / RHO_ONE == pytest.approx((s_u / s_t) ** 2, abs=0.5 / RHO_ONE)
    assert width == pytest.approx(math.sqrt(12 * (1 - rho / RHO_ONE)) * s_u, abs=1.01)
    if s_u < 0.9 * s_t:
        assert width == pytest.approx(uniform_width(s_t, s_u), abs=2, rel=2e-4)


@pytest.mark.parametrize("s_t", [2, 300, 1 << 16, MAX_LEVEL])
def test_a_pixel_keeps_a_share_however_close_two_levels_are(s_t: int) -> None:
    rho, width = rho_and_width(s_t, s_t - 1)
    assert rho < RHO_ONE
    assert width >= 1


def test_a_step_moves_its_pixels_and_no_others() -> None:
    levels = cells.unknown_levels()
    first = cells.step_constants(Step(2560, 1, 0, 1), levels, np.zeros((1, 1, 3), np.uint16))
    assert (levels == 2560).all()
    assert not first.exact
    step = Step(700, 4, 3, 9)
    second = cells.step_constants(step, levels, np.zeros((1, 1, 3), np.uint16))
    moved = step_pixels(step, 16)
    assert np.array_equal(second.width > 0, moved)
    assert set(second.rho[moved]) == {rho_and_width(2560, 700)[0]}
    assert np.array_equal(levels, np.where(moved, 700, 2560))


def test_a_step_to_level_zero_is_exact() -> None:
    levels = cells.unknown_levels()
    constants = cells.step_constants(Step(0, 2, 1, 2), levels, np.zeros((1, 1, 3), np.uint16))
    assert constants.exact
    assert (np.count_nonzero(constants.width), np.count_nonzero(levels == 0)) == (64, 64)


# --- cells


def moved_by(pixels: NDArray[np.uint8], state: Start, constants: StepConstants) -> NDArray[np.uint32]:
    """Moves the state; frequencies of the symbols."""
    flat = [np.zeros(pixels.shape, np.int32), np.full(pixels.shape, 80, np.uint8), np.zeros(pixels.shape, np.int16)]
    return encode_step(pixels, *state, *flat, *constants)[1]


@pytest.mark.parametrize(("s_t", "s_u", "share"), [(10240, 2944, 0.98), (6400, 6144, 0.98), (1613, 512, 0.9)])
def test_cells_are_those_of_the_kernels_in_float(s_t: int, s_u: int, share: float) -> None:
    """Up to rounding: D is a whole number of 1/256 grey level, and the borders of cells are multiples of it."""
    rng = np.random.default_rng(8)
    pixels = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    state, levels = Start.unknown(64, 64, 3), cells.unknown_levels()
    for before, level in ((math.inf, s_t), (s_t, s_u)):
        old, dither = Start(*(a.copy() for a in state)), drawn_dither(rng, *pixels.shape)
        moved_by(pixels, state, cells.step_constants(Step(level, 1, 0, 1), levels, dither))
        c_t, v, u = (torch.from_numpy(a) for a in (old.c / 256, pixels - 127.5, dither / 65536))
        real = uniform_cell(c_t, v, before / 256, level / 256, u)
        lo, hi = np.maximum(real.lo.numpy(), old.lo), np.minimum(real.hi.numpy(), old.hi)
        open_ = old.lo < old.hi
        same = open_ & (np.abs(state.c / 256 - real.c_u.numpy()) < 0.3)
        assert same.sum() > 0.99 * open_.sum()  # a value on a border may fall on either side of it
        assert ((state.lo == lo) & (state.hi == hi))[same].mean() > share
        assert max(np.abs(a - b)[same].max() for a, b in ((state.lo, lo), (state.hi, hi))) <= 1


@given(LEVELS, st.integers(0, 99), st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.data())
def test_cells_cut_the_known_range_into_parts(
    s_t: int, share: int, a: int, b: int, u: int, data: st.DataObject
) -> None:
    lo, hi, s_u = min(a, b), max(a, b), 1 + (s_t - 1) * share // 100
    pixels = np.arange(lo, hi + 1, dtype=np.uint8).reshape(1, -1, 1)
    c = data.draw(st.integers(256 * lo - 32640 - 4 * s_t, 256 * hi - 32640 + 4 * s_t), label="c")
    state = Start(np.full_like(pixels, lo), np.full_like(pixels, hi), np.full(pixels.shape, c, np.int32))
    rho, width = rho_and_width(s_t, s_u) if s_u < s_t else rho_and_width(UNKNOWN, s_u)
    tables = (np.full((16, 16), value, np.int64) for value in (rho, width))
    freqs = moved_by(pixels, state, StepConstants(*tables, False, np.full(pixels.shape, u, np.uint16)))
    new_lo, new_hi = state.lo.ravel().astype(int), state.hi.ravel().astype(int)
    assert np.all((new_lo <= pixels.ravel()) & (pixels.ravel() <= new_hi))
    first = np.flatnonzero(np.diff(new_lo, prepend=-1))  # one pixel of each part
    assert [lo, *(new_hi[first][:-1] + 1)] == new_lo[first].tolist()
    assert new_hi[-1] == hi
    if len(first) > 1:
        assert freqs[first].sum() == 1 << 24
    else:
        assert len(freqs) in (0, hi - lo + 1)


def test_a_known_pixel_costs_nothing_and_stays() -> None:
    pixels = np.full((3, 4, 3), 77, np.uint8)
    state = Start(pixels.copy(), pixels.copy(), np.full(pixels.shape, 5, np.int32))
    constants = cells.step_constants(Step(900, 1, 0, 1), cells.unknown_levels(), np.zeros(pixels.shape, np.uint16))
    assert len(moved_by(pixels, state, constants)) == 0
    assert (state.lo == 77).all()
    assert (state.hi == 77).all()


# --- coupling


@pytest.mark.parametrize("level", [0, 2000], ids=["exact", "noisy"])
def test_channels_are_coupled_as_the_model_is_trained(level: int) -> None:
    """Every symbol is coded under the mean that training gives it (`prediction.coupled_means`), up to rounding."""
    rng = np.random.default_rng(3)
    shape = (12, 15, 3)
    pixels, state = rng.integers(0, 256, shape).astype(np.uint8), Start.unknown(*shape)
    means = 64 * pixels.astype(np.int32) + rng.integers(-2000, 2000, shape, np.int32)
    scales, coupling = rng.integers(40, 90, shape, np.uint8), rng.integers(-90, 91, shape, np.int16)
    constants = cells.step_constants(Step(level, 1, 0, 1), cells.unknown_levels(), drawn_dither(rng, *shape))
    _, freqs = encode_step(pixels, *state, means, scales, coupling, *constants)
    mean, a, lo, hi = (
        torch.from_numpy(x.astype(float)).permute(2, 0, 1).unsqueeze(0)
        for x in (means / 64, coupling / 64, state.lo, state.hi)
    )
    coupled = coupled_means(Prediction(mean, torch.zeros_like(mean), a), lo, hi)[0].permute(1, 2, 0).numpy()
    told = (state.lo > 0) | (state.hi < 255)
    assert len(freqs) == told.sum()
    _, expected = encode_values(0, 255, state.lo[told], state.hi[told], np.round(64 * coupled[told]), scales[told])
    error = np.abs(cost_bits(freqs) - cost_bits(expected))[cost_bits(expected) < 16]
    assert error.max() < 0.15
    assert error.mean() < 0.02


# --- there and back


@st.composite
def step_lists(draw: st.DrawFn) -> list[Step]:
    """Noise steps of all pixels, then lattice phases, each through some noise levels or none."""
    levels = sorted(draw(st.sets(LEVELS, max_size=4)), reverse=True)
    steps = [Step(level, 1, 0, 1) for level in levels]
    period = draw(st.sampled_from(PERIODS[:4]))
    cuts = sorted(draw(st.sets(st.integers(1, period * period), max_size=4)) | {0, period * period})
    least = min(levels, default=120 * 256)
    for first, last in itertools.pairwise(cuts):
        inner = sorted(draw(st.sets(st.integers(1, least), max_size=2)) - {least}, reverse=True)
        steps += [Step(level, period, first, last) for level in (*inner, 0)]
    validate_steps(steps)
    return steps


@settings(max_examples=60)
@example([Step(MAX_LEVEL, 1, 0, 1), Step(MAX_LEVEL - 1, 1, 0, 1), EVERYTHING], 5, 4, 3, 0)
@given(step_lists(), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(0, 2**32))
def test_decoding_undoes_encoding_for_any_steps_and_any_model(
    steps: list[Step], height: int, width: int, channels: int, seed: int
) -> None:
    shape = (height, width, channels)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    told = [(predictions(rng, height, width, 3), drawn_dither(rng, *shape)) for _ in steps]
    state, levels, symbols, after = Start.unknown(*shape), cells.unknown_levels(), [], []
    for step, (prediction, dither) in zip(steps, told, strict=True):
        symbols.append(encode_step(pixels, *state, *prediction, *cells.step_constants(step, levels, dither)))
        after.append([a.copy() for a in state])
    assert np.array_equal(state.lo, pixels)
    assert np.array_equal(state.hi, pixels)
    starts, freqs = (np.concatenate(part) for part in zip(*symbols, strict=True))
    head, words = open_stream(encode_reverse(starts, freqs, 1234))
    found, levels, position = Start.unknown(*shape), cells.unknown_levels(), 0
    for step, (prediction, dither), expected in zip(steps, told, after, strict=True):
        constants = cells.step_constants(step, levels, dither)
        head, position, whole = decode_step(*found, *prediction, *constants, head, position, words)
        assert whole
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert close_stream(head, position, words) == 1234


def test_decoding_stops_where_the_words_end() -> None:
    rng = np.random.default_rng(2)
    shape = (8, 8, 3)
    pixels, prediction = rng.integers(0, 256, shape).astype(np.uint8), predictions(rng, *shape)
    constants = cells.step_constants(EVERYTHING, cells.unknown_levels(), drawn_dither(rng, *shape))
    stream = encode_reverse(*encode_step(pixels, *Start.unknown(*shape), *prediction, *constants), 0)
    head, words = open_stream(stream[: len(stream) // 8 * 4], partial=True)
    found = Start.unknown(*shape)
    _, position, whole = decode_step(*found, *prediction, *constants, head, 0, words)
    assert (position, whole) == (len(words), False)
    known = found.lo == found.hi
    assert 0.2 < known.mean() < 0.8
    assert np.array_equal(found.lo[known], pixels[known])
    assert not found.lo[~known].any()


LAWS = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(-32767, 32767), st.integers(0, 127))


@given(st.lists(LAWS, min_size=1, max_size=20))
def test_half_of_a_truncated_law_lies_on_either_side_of_its_median(laws: list[tuple[int, int, int, int]]) -> None:
    first, second, means, scales = np.array(laws).T
    lo, hi = np.minimum(first, second), np.maximum(first, second)
    middle = cells.medians(lo, hi, means, scales).astype(int)
    assert ((lo <= middle) & (middle <= hi)).all()
    below, freqs = encode_values(lo, hi, middle, middle, means, scales)
    assert (below <= 1 << 23).all()
    assert (below + freqs > 1 << 23).all()


@given(st.lists(LAWS, min_size=1, max_size=20))
def test_the_expectation_is_the_mean_of_the_masses(laws: list[tuple[int, int, int, int]]) -> None:
    for first, second, mean, scale in laws:
        values = np.arange(min(first, second), max(first, second) + 1)
        _, masses = encode_values(values[0], values[-1], values, values, mean, scale)
        exact = int(values @ masses.astype(np.int64)) / 2**24
        (found,) = cells.expectations(values[:1], values[-1:], np.array([mean]), np.array([scale]))
        assert abs(found - exact) <= 0.5
