"""The uniform channel with a tiny model: batches go there and back, every cut shows something, damage is found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ddpmcodec.ans import cost_bits
from ddpmcodec.channels import cells
from ddpmcodec.channels.uniform import FEW_PIXELS, Decoded, State, decode_group, dither, encode_group, encode_symbols
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.schedule import Step, step_mask

Pixels = NDArray[np.uint8]

STEPS = (Step(5120, 1, 0, 1), Step(1600, 1, 0, 1), Step(0, 2, 0, 1), Step(400, 2, 1, 4), Step(0, 2, 1, 4))
WAYS = pytest.mark.parametrize("per_step", [False, True], ids=["single", "per step"])
CHANNELS = pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])


def images(channels: int = 3, n: int = 4, height: int = 9, width: int = 14) -> Pixels:
    """A smooth one, an empty one, a black and white one, and noise."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([12 * x + 3 * y, 250 - 9 * x, 90 + 5 * y], -1)
    drawn = [smooth, np.full_like(smooth, 200), 255 * (smooth > 120), rng.integers(0, 256, smooth.shape)]
    return np.stack(drawn[:n])[..., :channels].astype(np.uint8)


def encode(pixels: Pixels, model: Model, per_step: bool = False, group: int = 0) -> list[list[bytes]]:
    return encode_group(pixels, model, STEPS, group=group, per_step=per_step)


def decode(
    streams: list[list[bytes]], model: Model, shape: tuple[int, ...], per_step: bool = False, **how: bool | int
) -> Decoded:
    height, width, channels = shape
    return decode_group(streams, (height, width, channels), model, STEPS, group=0, per_step=per_step, **how)


# --- there and back


@WAYS
@CHANNELS
def test_a_batch_comes_back(model: Model, channels: int, per_step: bool) -> None:
    pixels = images(channels)
    streams = encode(pixels, model, per_step)
    assert [len(chunks) for chunks in streams] == [len(STEPS) if per_step else 1] * 4
    found = decode(streams, model, pixels.shape[1:], per_step)
    assert np.array_equal(found.pixels, pixels)
    assert (found.exact, found.steps_done) == (True, len(STEPS))
    assert found.bytes_used == tuple(len(chunks[-1]) for chunks in streams)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 1), (17, 16)])
@CHANNELS
def test_every_size_comes_back(model: Model, channels: int, size: tuple[int, int]) -> None:
    pixels = images(channels, 4, *size)
    assert np.array_equal(decode(encode(pixels, model), model, pixels.shape[1:]).pixels, pixels)


@WAYS
@CHANNELS
def test_streams_do_not_depend_on_the_batch(model: Model, channels: int, per_step: bool) -> None:
    pixels = images(channels)
    together = encode(pixels, model, per_step)
    assert together == [encode(pixels[n : n + 1], model, per_step)[0] for n in range(4)]
    backwards = decode(together[::-1], model, pixels.shape[1:], per_step)
    assert np.array_equal(backwards.pixels, pixels[::-1])


def test_a_grey_image_costs_a_third_of_three_equal_channels(model: Model) -> None:
    grey, colour = (encode(np.repeat(images(1), c, axis=3), model) for c in (1, 3))
    assert all(len(a[0]) < 0.5 * len(b[0]) for a, b in zip(grey, colour, strict=True))


def test_groups_have_dithers_of_their_own(model: Model) -> None:
    pixels = images()
    assert encode(pixels, model, group=0) != encode(pixels, model, group=1)


@CHANNELS
def test_streams_cost_what_the_symbols_do(model: Model, channels: int) -> None:
    pixels = images(channels, height=32, width=24)
    bits = np.zeros(4)
    for symbols, _ in encode_symbols(pixels, model, STEPS, group=0):
        bits += [cost_bits(freqs).sum() for _, freqs in symbols]
    for cost, single, per_step in zip(bits / 8, encode(pixels, model), encode(pixels, model, True), strict=True):
        assert cost < len(single[0]) <= 1.005 * cost + 24
        assert sum(map(len, per_step)) <= 1.005 * cost + 24 * len(STEPS)


def test_ranges_close_in_on_the_pixels(model: Model) -> None:
    pixels = images()
    wide = np.full(pixels.shape, 256)
    for _, state in encode_symbols(pixels, model, STEPS, group=0):
        assert ((state.lo <= pixels) & (pixels <= state.hi)).all()
        width = state.hi.astype(int) - state.lo
        assert (width <= wide).all()
        wide = width
    assert state.is_exact()


# --- dither


def test_the_dither_is_the_published_philox() -> None:
    """The generator by a vector of Random123 (counter 0, which numpy reaches after its largest), and how it is cut."""
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert np.random.Philox(key=0, counter=[2**64 - 1] * 4).random_raw(4).tolist() == known
    raw = np.random.Philox(key=0, counter=[0, 0, 5, 2]).random_raw(2)
    expected = [int(word) >> shift & 0xFFFF for word in raw for shift in (0, 16, 32, 48)]
    assert dither(5, 2, 1, 2, 3).ravel().tolist() == expected[:6]
    assert dither(0, 0, 1, 1, 3).ravel().tolist() == [55451, 2276, 47716]


def test_the_dither_is_uniform_and_new_for_every_step_and_group() -> None:
    drawn = [dither(step, group, 64, 64, 3).astype(float) / 65536 for step, group in ((0, 0), (1, 0), (0, 1))]
    for u in drawn:
        assert u.mean() == pytest.approx(0.5, abs=0.01)
        assert u.std() == pytest.approx(12**-0.5, abs=0.01)
    assert np.abs(np.corrcoef([u.ravel() for u in drawn]) - np.eye(3)).max() < 0.05


# --- previews


@CHANNELS
def test_every_cut_of_a_stream_shows_what_is_known(model: Model, channels: int) -> None:
    pixels = images(channels, 1)
    ((stream,),) = encode(pixels, model)
    done = []
    for size in range(0, len(stream), 5):
        found = decode([[stream[:size]]], model, pixels.shape[1:], partial=True)
        assert (found.pixels.shape, found.exact) == (pixels.shape, False)
        assert found.bytes_used[0] <= max(size, 8)
        done.append(found.steps_done)
    assert done == sorted(done)
    assert set(done) == set(range(len(STEPS)))


def test_every_cut_of_the_streams_of_steps_shows_what_is_known(model: Model) -> None:
    pixels = images(3, 1)
    (chunks,) = encode(pixels, model, per_step=True)
    for last in range(len(STEPS)):
        for part in ([], [chunks[last][:3]], [chunks[last][: len(chunks[last]) // 2]]):
            found = decode([chunks[:last] + part], model, pixels.shape[1:], True, partial=True)
            assert (found.steps_done, found.exact) == (last, False)


@WAYS
def test_a_step_can_be_the_last(model: Model, per_step: bool) -> None:
    pixels = images()
    streams = encode(pixels, model, per_step)
    states = [(s.lo.copy(), s.hi.copy()) for _, s in encode_symbols(pixels, model, STEPS, group=0)]
    for last in range(1, len(STEPS) + 1):
        found = decode(streams, model, pixels.shape[1:], per_step, last_step=last)
        lo, hi = states[last - 1]
        assert ((lo <= found.pixels) & (found.pixels <= hi)).all()
        assert (found.steps_done, found.exact) == (last, last == len(STEPS))


def middles(of: Callable[..., Pixels], state: State, prediction: IntegerPrediction) -> Pixels:
    flat = (array.ravel() for array in (state.lo, state.hi, prediction.mean, prediction.scale))
    return of(*flat).reshape(state.lo.shape)


def filled_in(state: State, model: Model) -> Pixels:
    """Coarse to fine, ever twice as many of what nothing is known of; then what is known to a range."""
    nothing = state.hi - state.lo == 255
    groups = [Step(0, 8, last // 2, last) for last in (1, 2, 4, 8, 16, 32, 64)]
    for group in [nothing & step_mask(g, *nothing.shape[1:3])[..., None] for g in groups]:
        middle = middles(cells.medians, state, model.predict(state.lo, state.hi))
        state.lo[group] = state.hi[group] = middle[group]
    return np.where(
        state.lo < state.hi, middles(cells.expectations, state, model.predict(state.lo, state.hi)), state.lo
    )


@pytest.mark.parametrize("steps_done", [0, 1, 2])
def test_what_is_missing_is_filled_in_coarse_to_fine(model: Model, steps_done: int) -> None:
    pixels = images(3, 1, 9, 14)
    steps = [Step(0, 2, 0, 1), Step(700, 2, 1, 4), Step(0, 2, 1, 4)]
    streams = encode_group(pixels, model, steps, group=0, per_step=True)
    found = decode_group([streams[0][:steps_done]], (9, 14, 3), model, steps, group=0, per_step=True, partial=True)
    state = State.unknown(1, 9, 14, 3)
    for _, (_, after) in zip(range(steps_done), encode_symbols(pixels, model, steps, group=0), strict=False):
        state = after.copy()
    assert np.array_equal(found.pixels, filled_in(state, model))
    assert (found.steps_done, found.exact) == (steps_done, False)


def squared_error(found: Decoded, pixels: Pixels) -> float:
    return float(np.square(found.pixels.astype(float) - pixels).sum())


@CHANNELS
def test_no_byte_of_a_step_makes_a_preview_worse_while_few_pixels_have_arrived(model: Model, channels: int) -> None:
    """Whatever the network: an estimate drawn into a range that holds the pixel comes closer to it."""
    pixels = images(channels, 1)
    assert pixels[0, ..., 0].size < FEW_PIXELS
    ((stream,),) = encode(pixels, model)
    errors = defaultdict(list)
    for size in range(8, len(stream), 4):
        found = decode([[stream[:size]]], model, pixels.shape[1:], partial=True)
        errors[found.steps_done].append(squared_error(found, pixels))
    for step, within in errors.items():
        whole = decode([[stream]], model, pixels.shape[1:], last_step=step)
        assert squared_error(whole, pixels) >= within[0]
        assert within == sorted(within, reverse=True)
        assert within[0] > within[-1]


def test_many_pixels_of_a_step_are_shown_among_those_of_the_preview_before(model: Model) -> None:
    pixels, steps = images(3, 1, 32, 40), [Step(0, 1, 0, 1)]
    ((stream,),) = encode_group(pixels, model, steps, group=0, per_step=False)
    before = filled_in(State.unknown(1, 32, 40, 3), model)
    found = decode_group(
        [[stream[: len(stream) // 2]]], (32, 40, 3), model, steps, group=0, per_step=False, partial=True
    )
    there = np.cumprod((found.pixels == pixels).ravel()).astype(bool)
    assert FEW_PIXELS < there.sum() / 3 < 0.9 * 32 * 40
    assert np.array_equal(found.pixels.ravel()[~there], before.ravel()[~there])


def test_many_pixels_of_a_step_are_seen_by_the_estimate_of_the_others(model: Model) -> None:
    pixels, steps = images(3, 1, 32, 40), [Step(0, 2, 0, 1), Step(0, 2, 1, 4)]
    ((stream,),) = encode_group(pixels, model, steps, group=0, per_step=False)
    found = decode_group(
        [[stream[: len(stream) // 8]]], (32, 40, 3), model, steps, group=0, per_step=False, partial=True
    )
    assert found.steps_done == 0
    moved, nothing = step_mask(steps[0], 32, 40), State.unknown(1, 32, 40, 3)
    first = found.pixels[:, moved]  # what has arrived, and what the preview before shows for the rest of the step
    assert (first != filled_in(nothing.copy(), model)[:, moved]).any()
    nothing.lo[:, moved] = nothing.hi[:, moved] = first
    assert np.array_equal(found.pixels, filled_in(nothing, model))


def test_a_cut_in_a_noise_step_keeps_what_arrived_of_it(model: Model) -> None:
    pixels, steps = images(3, 1, 32, 40), [Step(1600, 1, 0, 1), Step(0, 1, 0, 1)]
    (chunks,) = encode_group(pixels, model, steps, group=0, per_step=True)
    lo, hi = next((s.lo.copy(), s.hi.copy()) for _, s in encode_symbols(pixels, model, steps, group=0))
    cut = [chunks[0][: len(chunks[0]) // 2]]
    found = decode_group([cut], (32, 40, 3), model, steps, group=0, per_step=True, partial=True)
    inside = (lo <= found.pixels) & (found.pixels <= hi)
    assert inside[:, :12].all()
    assert not inside[:, 20:].all()


@WAYS
def test_whole_streams_are_exact_as_previews_too(model: Model, per_step: bool) -> None:
    pixels = images()
    found = decode(encode(pixels, model, per_step), model, pixels.shape[1:], per_step, partial=True)
    assert found.exact
    assert np.array_equal(found.pixels, pixels)


# --- damage


def test_every_flipped_bit_is_found(model: Model) -> None:
    pixels = images(3, 1)
    ((stream,),) = encode(pixels, model)
    for bit in range(0, 8 * len(stream), 37):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ChecksumError, FormatError, TruncatedError), match="get"):
            decode([[bytes(damaged)]], model, pixels.shape[1:])


@WAYS
def test_damage_is_never_called_exact(model: Model, per_step: bool) -> None:
    """A preview of damaged data may show something, but nothing else as exact."""
    pixels = images(3, 1)
    (chunks,) = encode(pixels, model, per_step)
    for bit in range(0, 8 * len(chunks[-1]), 29):
        damaged = bytearray(chunks[-1])
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = decode([[*chunks[:-1], bytes(damaged)]], model, pixels.shape[1:], per_step, partial=True)
        except FormatError:
            continue
        assert not found.exact


def test_damage_is_found_in_the_step_where_it_is(model: Model) -> None:
    pixels = images(3, 1)
    (chunks,) = encode(pixels, model, per_step=True)
    chunks[1] = chunks[1][:-1] + bytes([chunks[1][-1] ^ 1])
    decode([chunks], model, pixels.shape[1:], True, last_step=1)
    with pytest.raises(FormatError):
        decode([chunks], model, pixels.shape[1:], True, last_step=2)


@WAYS
def test_missing_data_are_refused(model: Model, per_step: bool) -> None:
    pixels = images(3, 2)
    whole, cut = encode(pixels, model, per_step)
    with pytest.raises(
        TruncatedError,
        match="the data ends inside the image, cut off or damaged; get the whole file, or ask for a preview",
    ):
        decode([whole, [*cut[:-1], cut[-1][:-8]]], model, pixels.shape[1:], per_step)
    with pytest.raises(TruncatedError, match=f"the stream of step {len(cut)} is missing"):
        decode([whole, cut[:-1]], model, pixels.shape[1:], per_step)


@WAYS
def test_left_over_data_are_refused(model: Model, per_step: bool) -> None:
    pixels = images(3, 1)
    (chunks,) = encode(pixels, model, per_step)
    with pytest.raises(FormatError, match="1 words follow the ANS stream's last symbol"):
        decode([[*chunks[:-1], chunks[-1] + bytes(4)]], model, pixels.shape[1:], per_step)
    with pytest.raises(FormatError, match=f"more streams than the {len(chunks)} of this step list"):
        decode([[*chunks, chunks[-1]]], model, pixels.shape[1:], per_step)
