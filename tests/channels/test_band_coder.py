"""One band of one step: cells and estimates as elsewhere, waves that depend on none of their own positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.ans.logistic import SCALE_COUNT, cost_bits, encode_values, find, interval, truncate
from ddpmcodec.ans.stream import encode_segments, open_stream, state_bytes
from ddpmcodec.channels import band_coder, progressive
from ddpmcodec.channels.band_coder import DELAY
from ddpmcodec.networks.context.window import CHANNELS, gather_many, padded
from ddpmcodec.transform import cells

LEVELS = (128, 64, 16, 4, 1, 0)
VALUES = np.arange(-510, 511)


@pytest.mark.parametrize("band", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("channel", range(3))
def test_the_cell_of_a_value_is_that_of_the_transform(band: int, channel: int) -> None:
    known = -510, 510
    for level in LEVELS:
        width = cells.cell_widths(band, level, 3)[channel : channel + 1]
        lo, hi = cells.cells_of(VALUES[:, None], width)
        for k, value in enumerate(VALUES.tolist()):
            new = band_coder._cell(value, *known, int(width[0]))
            assert new == (max(lo[k, 0], -510), min(hi[k, 0], 510))


@given(st.integers(-510, 510), st.integers(1, 12), st.integers(0, 2), st.sampled_from([2, 4, 8]))
def test_a_cell_refines_what_is_known(value: int, band: int, channel: int, ratio: int) -> None:
    """A finer step's cell of any value of a coarser one lies inside it, without being cut."""
    coarse, fine = (int(cells.cell_widths(band, level, 3)[channel]) for level in (16 * ratio, 16))
    known = band_coder._cell(value, -510, 510, coarse)
    new = band_coder._cell(value, *known, fine)
    assert new == band_coder._cell(value, -510, 510, fine)
    assert known[0] <= new[0] <= value <= new[1] <= known[1]


def test_estimates_are_those_of_the_transform() -> None:
    lo, hi = (a.ravel() for a in np.meshgrid(np.arange(-60, 61), np.arange(-60, 61)))
    lo, hi = lo[lo <= hi].astype(np.int16), hi[lo <= hi].astype(np.int16)
    found = [band_coder._estimate(np.int64(a), np.int64(b)) for a, b in zip(lo, hi, strict=True)]
    np.testing.assert_array_equal(found, cells.estimates(lo, hi))


@pytest.mark.parametrize("seed", range(3))
def test_a_cell_and_what_is_in_it_cost_what_the_value_costs(seed: int) -> None:
    """-log2 p(cell) - log2 p(value | cell) = -log2 p(value): steps cost nothing by themselves."""
    rng = np.random.default_rng(seed)
    value, mean, scale = rng.integers(-250, 251, 2000), rng.integers(-3000, 3000, 2000), rng.integers(8, 100, 2000)
    lo, hi = cells.cells_of(value[:, None], cells.cell_widths(1, 16, 1))
    lo, hi = np.maximum(lo[:, 0], -255), np.minimum(hi[:, 0], 255)
    cell = cost_bits(encode_values(-255, 255, lo, hi, mean, scale)[1])
    inside = cost_bits(encode_values(lo, hi, value, value, mean, scale)[1])
    direct = cost_bits(encode_values(-255, 255, value, value, mean, scale)[1])
    likely = direct < 16  # far out every integer costs no more than 24 bits, whatever its probability
    np.testing.assert_allclose((cell + inside)[likely], direct[likely], atol=0.02)


# --- waves


def wave_of(y: int, x: int) -> int:
    return x + DELAY * y


def test_a_context_holds_nothing_of_its_own_wave_or_a_later_one() -> None:
    """What changes there changes no context that is gathered before it is coded."""
    rng = np.random.default_rng(1)
    height, width = 9, 13
    coarse = padded(rng.integers(-300, 300, (1, height, width, CHANNELS)).astype(np.int16), True)
    known = rng.integers(-40, 40, (1, height, width, CHANNELS)).astype(np.int16)
    coded = rng.integers(-40, 40, known.shape).astype(np.int16)
    positions = np.array([(0, y, x) for y in range(height) for x in range(width)])
    whole = gather_many(coarse, padded(coded, False), padded(known, False), positions)
    for k, (_, y, x) in enumerate(positions.tolist()):
        waves = np.add.outer(DELAY * np.arange(height), np.arange(width))
        so_far = np.where((waves < wave_of(y, x))[None, ..., None], coded, known)
        both = padded(so_far, False)
        found = gather_many(coarse, both, both, positions[k : k + 1])
        np.testing.assert_array_equal(found[0][0], whole[0][k])
        np.testing.assert_array_equal(found[1][0], whole[1][k])


# --- push and pop


def coder_of(decoding: bool, data: bytes = b"", length: int | None = None) -> band_coder.Coder:
    one = np.zeros(1, np.int64)
    if not decoding:
        return progressive.encoder(1, one, 8)
    state, words = open_stream(data, length)
    return progressive.decoder(one, [int(state)], [words])


@given(
    st.lists(
        st.tuples(st.integers(-510, 510), st.integers(-33000, 33000), st.integers(0, SCALE_COUNT - 1)), max_size=8
    ),
    st.sampled_from([cells.EXACT, 4, 64]),
)
def test_pop_undoes_push(symbols: list[tuple[int, int, int]], level: int) -> None:
    width = int(cells.cell_widths(2, level, 3)[1])
    known = np.int64(-510), np.int64(510)
    push, stream = coder_of(False), np.int64(0)
    pushed = [band_coder._push(push, stream, np.int64(v), known, truncate(*known, m, s), width) for v, m, s in symbols]
    count = int(push.counts[0])
    data = encode_segments(push.starts[0, :count], push.freqs[0, :count], [count], 5)[0]
    pop = coder_of(True, data)
    popped = [band_coder._pop(pop, stream, known, truncate(*known, m, s), width) for _, m, s in symbols]
    assert popped == pushed
    assert (int(pop.state[0]), int(pop.position[0])) == ((1 << 31) + 5, int(pop.limit[0]))
    assert not pop.ended[0]


def test_what_is_known_already_costs_nothing() -> None:
    push = coder_of(False)
    known = np.int64(3), np.int64(9)
    assert band_coder._push(push, np.int64(0), np.int64(5), known, truncate(*known, 0, 50), 1 << 24) == known
    assert push.counts[0] == 0


def test_words_that_run_out_are_noticed_and_the_last_symbol_still_counts() -> None:
    push, stream = coder_of(False), np.int64(0)
    known = np.int64(-510), np.int64(510)
    for value in (100, -100, 0, 77):
        band_coder._push(push, stream, np.int64(value), known, truncate(*known, 0, 48), 1 << 16)
    data = encode_segments(push.starts[0, :4], push.freqs[0, :4], [4], 0)[0]
    pop = coder_of(True, data[: state_bytes(len(data)) + 4], len(data))
    found = []
    while not pop.ended[0]:
        found.append(band_coder._pop(pop, stream, known, truncate(*known, 0, 48), 1 << 16)[0])
    assert 0 < len(found) < 4
    assert found == [100, -100, 0, 77][: len(found)]


def test_the_decoder_finds_the_integer_of_every_slot() -> None:
    """`find` and `interval` agree at the ends of intervals, where rounding would show."""
    for mean, scale in ((0, 20), (5000, 48), (-20000, 100)):
        for value in (-510, -100, -1, 0, 1, 250, 510):
            start, freq = interval(-510, 510, value, value, mean, scale)
            for slot in (start, start + freq - 1):
                assert find(-510, 510, mean, scale, slot) == value
