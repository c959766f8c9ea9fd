"""Batches of images from nothing to exact: encoder and decoder in step, whatever they share the batch with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.ans.stream import encode_segments, open_stream, state_bytes
from ddpmcodec.channels import band_coder, colors, progressive
from ddpmcodec.channels.progressive import CodingPass, Decoded, PyramidState, Segment, Symbols
from ddpmcodec.coding_schedule import SCHEDULES, STEPS, CodingStep, bands_of
from ddpmcodec.networks.context import adaptation
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.transform import cells, pyramid
from ddpmcodec.transform.color import from_ycocg, to_ycocg

PHOTO = np.asarray(Image.open(Path(__file__).parents[2] / "docs" / "photo.png").convert("RGB"))
SHORT, LONG = SCHEDULES["short"], SCHEDULES["long"]
CHECK = 12345


def crops(count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Crops of a photograph, uint8 [N, H, W, C]."""
    places = [(17 * k, 31 * k) for k in range(count)]
    return np.stack([PHOTO[y : y + height, x : x + width, :channels] for y, x in places])


def own(images: int) -> np.ndarray:
    """A stream each."""
    return np.arange(images)


def encode(
    pixels: np.ndarray, model: ContextModel, schedule: Sequence[CodingStep] = SHORT, *, adapts: bool = True,
    streams: np.ndarray | None = None, on_segment: Any = None,
) -> list[Symbols]:  # fmt: skip
    streams = own(len(pixels)) if streams is None else streams
    return progressive.encode(to_ycocg(pixels), model, schedule, streams, adapts=adapts, on_segment=on_segment)


def pieces_of(symbols: Symbols) -> list[bytes]:
    return encode_segments(symbols.starts, symbols.freqs, symbols.ends, CHECK)


def coder_of(datas: Sequence[bytes], streams: np.ndarray | None = None, length: int | None = None) -> progressive.Coder:
    opened = [open_stream(data, length) for data in datas]
    streams = own(len(datas)) if streams is None else streams
    return progressive.decoder(streams, [int(state) for state, _ in opened], [words for _, words in opened])


def decode(
    datas: Sequence[bytes], shape: tuple[int, ...], model: ContextModel, schedule: Sequence[CodingStep] = SHORT,
    *, adapts: bool = True, streams: np.ndarray | None = None, last_segment: int | None = None,
    length: int | None = None,
) -> Decoded:  # fmt: skip
    images, height, width, channels = shape
    coder = coder_of(datas, streams, length)
    return progressive.decode(
        coder, (images, height, width, channels), model, schedule, adapts=adapts, last_segment=last_segment
    )


def same(a: list[Symbols], b: list[Symbols]) -> bool:
    pairs = zip(a, b, strict=True)
    return all(np.array_equal(x.starts, y.starts) and np.array_equal(x.freqs, y.freqs) and x.ends == y.ends
               for x, y in pairs)  # fmt: skip


# --- round trips


@pytest.mark.parametrize("adapts", [False, True])
@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decoding_undoes_encoding(
    context_model: ContextModel, schedule: Sequence[CodingStep], channels: int, adapts: bool
) -> None:
    pixels = crops(3, 13, 22, channels)
    datas = [b"".join(pieces_of(s)) for s in encode(pixels, context_model, schedule, adapts=adapts)]
    found = decode(datas, pixels.shape, context_model, schedule, adapts=adapts)
    assert found.state.is_exact
    assert found.segments_done == len(progressive.segments(schedule, 13, 22))
    np.testing.assert_array_equal(from_ycocg(found.state.planes()), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [1, 2, 3, 7, 16])
def test_every_small_size_comes_back(context_model: ContextModel, height: int, channels: int) -> None:
    for width in (1, 2, 3, 5, 8, 17):
        pixels = crops(2, height, width, channels)
        datas = [b"".join(pieces_of(s)) for s in encode(pixels, context_model)]
        found = decode(datas, pixels.shape, context_model)
        np.testing.assert_array_equal(from_ycocg(found.state.planes()), pixels)


@pytest.mark.parametrize("kind", ["noise", "extremes", "black", "white"])
def test_extreme_images_come_back(context_model: ContextModel, kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (2, 12, 15, 3), dtype=np.uint8)
    pixels = {
        "noise": noise, "extremes": np.where(noise > 127, 255, 0).astype(np.uint8), "black": 0 * noise,
        "white": 0 * noise + 255,
    }[kind]  # fmt: skip
    for schedule in (SHORT, LONG):
        datas = [b"".join(pieces_of(s)) for s in encode(pixels, context_model, schedule)]
        found = decode(datas, pixels.shape, context_model, schedule)
        np.testing.assert_array_equal(from_ycocg(found.state.planes()), pixels)


def test_several_images_may_share_a_stream(context_model: ContextModel) -> None:
    pixels, streams = crops(5, 9, 11), np.array([0, 1, 0, 0, 1])
    datas = [b"".join(pieces_of(s)) for s in encode(pixels, context_model, streams=streams)]
    assert len(datas) == 2
    found = decode(datas, pixels.shape, context_model, streams=streams)
    np.testing.assert_array_equal(from_ycocg(found.state.planes()), pixels)


# --- both sides in step


def snapshot(coding_pass: CodingPass) -> list[np.ndarray]:
    state = coding_pass.state
    weights = [layer.weights for _, last in coding_pass.networks for layer in (last.leave, last.block)]
    arrays = [state.root_lo, state.root_hi, *coding_pass.learner[:3], *weights, *coding_pass.colors[:5]]
    for band in state.geometry:
        ranges = state.bands[band]
        arrays += [ranges.lo, ranges.hi, ranges.mean, ranges.scale]
    return [array.copy() for array in arrays]


def pass_of(
    pixels: np.ndarray, model: ContextModel, schedule: Sequence[CodingStep], learns: bool = False
) -> CodingPass:
    images, height, width, channels = pixels.shape
    return CodingPass(model, schedule, (images, height, width, channels), adapts=True, learns=learns)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_decoder_knows_what_the_encoder_knew_after_every_segment(
    context_model: ContextModel, schedule: Sequence[CodingStep], channels: int, learns: bool
) -> None:
    pixels, known = crops(2, 18, 21, channels), list[list[np.ndarray]]()
    coding_pass = pass_of(pixels, context_model, schedule, learns)
    symbols = progressive.encode_with(
        coding_pass, to_ycocg(pixels), own(2), lambda *_: known.append(snapshot(coding_pass))
    )
    coder = coder_of([b"".join(pieces_of(s)) for s in symbols])
    other = pass_of(pixels, context_model, schedule, learns)
    for number, _ in enumerate(other.run(coder)):
        for mine, theirs in zip(snapshot(other), known[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert len(known) == len(other.segments)
    assert coder.position.tolist() == coder.limit.tolist()
    assert (coder.state == (1 << 31) + CHECK).all()


def test_nothing_is_learned_unless_both_sides_adapt(context_model: ContextModel) -> None:
    pixels = crops(1, 12, 12)
    coding_pass = CodingPass(context_model, SHORT, (1, 12, 12, 3), adapts=False)
    progressive.encode_with(coding_pass, to_ycocg(pixels), own(1))
    np.testing.assert_array_equal(adaptation.learned(coding_pass.learner)[0], context_model.initial)


def test_adapting_to_an_image_saves_bytes(context_model: ContextModel) -> None:
    pixels = crops(1, 48, 48)
    sizes = []
    for adapts, learns in [(False, False), (True, False), (True, True)]:
        coding_pass = CodingPass(context_model, SHORT, (1, 48, 48, 3), adapts=adapts, learns=learns)
        symbols = progressive.encode_with(coding_pass, to_ycocg(pixels), own(1))
        sizes.append(sum(map(len, pieces_of(symbols[0]))))
    assert sizes[1] < 0.97 * sizes[0]
    assert sizes[2] < 0.99 * sizes[1]


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_an_image_of_few_colours_is_smaller_for_them(
    context_model: ContextModel, schedule: Sequence[CodingStep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third level of each channel, as a photograph has whose levels were stretched."""
    pixels, sizes, start = crops(1, 96, 96) // 3 * 3, list[int](), colors.start
    for used in (True, False):
        monkeypatch.setattr(colors, "start", lambda learns, used=used: start(learns and used))
        symbols = progressive.encode(to_ycocg(pixels), context_model, schedule, own(1), adapts=True, learns=True)
        sizes.append(sum(map(len, pieces_of(symbols[0]))))
    assert sizes[0] < 0.93 * sizes[1]


def test_learning_leaves_the_model_as_it_is(context_model: ContextModel) -> None:
    before = [(network.leave.copy(), network.blocks.copy()) for network in context_model.networks]
    pixels = crops(2, 16, 16)
    coding_pass = pass_of(pixels, context_model, SHORT, learns=True)
    progressive.encode_with(coding_pass, to_ycocg(pixels), own(2))
    for network, (leave, blocks), (moved, _) in zip(context_model.networks, before, coding_pass.networks, strict=True):
        np.testing.assert_array_equal(network.leave, leave)
        np.testing.assert_array_equal(network.blocks, blocks)
        assert (moved.leave != leave).any()
        assert (moved.blocks[-1] != blocks[-1]).any()


# --- the same in any batch


@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["short", "long"])
def test_symbols_do_not_depend_on_the_batch(context_model: ContextModel, schedule: Sequence[CodingStep]) -> None:
    pixels = crops(4, 14, 19)
    together = encode(pixels, context_model, schedule)
    alone = [encode(pixels[k : k + 1], context_model, schedule)[0] for k in range(4)]
    turned = encode(pixels[::-1], context_model, schedule)[::-1]
    assert same(together, alone)
    assert same(together, turned)


@pytest.mark.parametrize("threads", [1, 2])
def test_symbols_do_not_depend_on_threads(context_model: ContextModel, threads: int) -> None:
    before, expected = torch.get_num_threads(), encode(crops(3, 12, 16), context_model)
    torch.set_num_threads(threads)
    try:
        assert same(encode(crops(3, 12, 16), context_model), expected)
    finally:
        torch.set_num_threads(before)


# --- costs


@pytest.mark.parametrize("schedule", [SHORT, LONG], ids=["short", "long"])
def test_the_bits_of_segments_are_the_bytes_of_the_stream(
    context_model: ContextModel, schedule: Sequence[CodingStep]
) -> None:
    costs: list[float] = []
    pixels = crops(1, 32, 40)
    symbols = encode(pixels, context_model, schedule, on_segment=lambda _, bits: costs.append(bits))[0]
    pieces = pieces_of(symbols)
    assert len(costs) == len(pieces)
    assert 0 <= 8 * sum(map(len, pieces)) - sum(costs) < 64 + 1e-3 * sum(costs)  # the state, and rounding
    for piece, bits in zip(pieces[1:], costs[1:], strict=True):
        assert abs(8 * len(piece) - bits) < 64


def test_costs_of_steps_add_up_to_those_of_the_image(context_model: ContextModel) -> None:
    """What a symbol costs is -log2 of the probability that it was given, of all steps together that of the image."""
    costs: list[tuple[Segment, float]] = []
    symbols = encode(crops(2, 20, 24), context_model, on_segment=lambda *cost: costs.append(cost))
    total = sum((24 - np.log2(s.freqs)).sum() for s in symbols)
    by_step = [sum(bits for segment, bits in costs if segment.step is step) for step in SHORT]
    assert sum(by_step) == pytest.approx(total, rel=1e-9)
    assert all(bits > 0 for bits in by_step)


# --- prefixes


def holds(state: PyramidState, pixels: np.ndarray) -> bool:
    """Whether all that is known is right."""
    wide = np.zeros((*pixels.shape[:3], 3), np.int16)
    wide[..., : pixels.shape[3]] = to_ycocg(pixels)
    root, differences = pyramid.analyse(wide)
    bands = [(state.bands[band], d) for band, d in zip(state.geometry, differences, strict=True)]
    inside = [((ranges.lo <= d) & (d <= ranges.hi)).all() for ranges, d in bands]
    return bool(all(inside) and (state.root_lo <= root).all() and (root <= state.root_hi).all())


@pytest.mark.parametrize("channels", [1, 3])
def test_whatever_is_decoded_of_a_prefix_is_right(context_model: ContextModel, channels: int) -> None:
    pixels = crops(1, 11, 9, channels)
    pieces = pieces_of(encode(pixels, context_model)[0])
    data, ends = b"".join(pieces), np.cumsum([len(piece) for piece in pieces])
    for size in range(state_bytes(len(data)), len(data) + 1, 4):
        found = decode([data[:size]], pixels.shape, context_model, length=len(data))
        assert holds(found.state, pixels)
        assert found.segments_done == np.count_nonzero(ends <= size)
        assert found.state.is_exact == (size == len(data))


def test_bytes_of_a_cut_word_are_ignored(context_model: ContextModel) -> None:
    pixels = crops(1, 6, 6)
    data = b"".join(pieces_of(encode(pixels, context_model)[0]))
    first = state_bytes(len(data)) + 12
    a, b = (decode([data[:size]], pixels.shape, context_model, length=len(data)).state for size in (first, first + 3))
    for band in a.geometry:
        np.testing.assert_array_equal(a.bands[band].lo, b.bands[band].lo)


def test_decoding_stops_after_a_segment(context_model: ContextModel) -> None:
    pixels = crops(1, 16, 16)
    data = b"".join(pieces_of(encode(pixels, context_model)[0]))
    total = len(progressive.segments(SHORT, 16, 16))
    widths: list[int] = []
    for last in range(total + 1):
        found = decode([data], pixels.shape, context_model, last_segment=last)
        assert found.segments_done == last
        assert holds(found.state, pixels)
        widths.append(sum(int((r.hi - r.lo).astype(int).sum()) for r in found.state.bands.values()))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0


# --- segments


def test_every_size_has_as_many_segments() -> None:
    for schedule in SCHEDULES.values():
        counts = {len(progressive.segments(schedule, h, w)) for h, w in [(1, 1), (1, 40), (7, 3), (64, 64), (500, 700)]}
        assert len(counts) == 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 9), (40, 24), (300, 200)])
def test_segments_hold_the_bands_of_their_steps_in_order(height: int, width: int) -> None:
    for schedule in SCHEDULES.values():
        for step in schedule:
            parts = [s for s in progressive.segments(schedule, height, width) if s.step is step]
            assert [band for part in parts for band in part.bands] == bands_of(step, height, width)


def test_a_step_takes_its_bands_to_its_level(context_model: ContextModel) -> None:
    pixels = crops(1, 32, 32)
    coding_pass = pass_of(pixels, context_model, LONG)
    root, differences = pyramid.analyse(to_ycocg(pixels))
    coder = progressive.encoder(1, own(1), pixels.size * len(LONG))._replace(values=root)
    for segment in coding_pass.run(coder, differences):
        for band in segment.bands:
            lo, hi = cells.cells_of(differences[band.number - 1], cells.cell_widths(band.number, segment.step.level, 3))
            most_lo, most_hi = cells.unknown(lo.shape)
            np.testing.assert_array_equal(coding_pass.state.bands[band].lo, np.maximum(lo, most_lo))
            np.testing.assert_array_equal(coding_pass.state.bands[band].hi, np.minimum(hi, most_hi))


def test_steps_are_numbered() -> None:
    assert [step.number for step in STEPS] == list(range(len(STEPS)))


# --- calls of the kernel


@pytest.mark.parametrize(("images", "height", "width"), [(1, 1, 2), (1, 500, 3), (1, 3, 500), (128, 32, 32)])
def test_a_call_codes_few_positions(context_model: ContextModel, images: int, height: int, width: int) -> None:
    """So that Ctrl-C, which Python sees between two calls, does not wait for a band."""
    coding_pass = CodingPass(context_model, SHORT, (images, height, width, 3), adapts=True)
    for band in coding_pass.state.geometry:
        calls = list(coding_pass._parts(band))
        waves = [wave for start, stop in calls for wave in range(start, stop)]
        assert waves == list(range(band_coder.waves_of(band.height, band.width)))
        largest = band_coder.positions_of_wave(images, band.height, band.width)
        longest = max(stop - start for start, stop in calls)
        assert longest == 1 or longest * largest <= progressive.CALL_POSITIONS


def test_calls_do_not_change_what_is_coded(context_model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what last layers learn."""
    planes, found = to_ycocg(crops(1, 96, 96)), list[list[Symbols]]()
    for positions in (1, 100, 1 << 30):
        monkeypatch.setattr(progressive, "CALL_POSITIONS", positions)
        coding_pass = pass_of(planes, context_model, SHORT, learns=True)
        found.append(progressive.encode_with(coding_pass, planes, own(1)))
    assert same(found[0], found[2])
    assert same(found[1], found[2])
