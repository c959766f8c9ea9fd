"""Coefficients of JPEG files: what is pushed is popped, on any kernels, from prefixes, and from damaged chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from coefficients import Component, drawn, geometry, model_bytes, of_plane

from ddpmcodec._native import CoefficientModel
from ddpmcodec.errors import CorruptError, DdpmError, TruncatedError
from native_testing import testing

MODEL = CoefficientModel.parse(model_bytes(), "small")
SEGMENTS = [0, 1, 3, 6, 10, 15, 21, 28, 36, 64]
SAMPLINGS = {
    "grey": [(9, 7)],
    "two": [(4, 6), (2, 3)],
    "4:4:4": [(5, 6), (5, 6), (5, 6)],
    "4:2:2": [(5, 12), (5, 6), (5, 6)],
    "4:4:0": [(10, 6), (5, 6), (5, 6)],
    "4:2:0": [(10, 12), (5, 6), (5, 6)],
    "4:1:1": [(5, 24), (5, 6), (5, 6)],
    "chroma of two sizes": [(10, 12), (5, 6), (10, 12)],
    "coarse luma": [(5, 6), (10, 12), (10, 12)],
    "four": [(6, 8), (3, 4), (3, 4), (6, 8)],
    "one block": [(1, 1), (1, 1), (1, 1)],
    "one row": [(1, 40), (1, 20), (1, 20)],
}


def coded(components: Sequence[Component], effort: int = 2, levels: int = 0) -> list[bytes]:
    chunks, bits = testing.encode_coefficients(MODEL, effort, list(components), levels=levels)
    assert abs(8 * sum(map(len, chunks)) - bits) < 120  # the state, its size, and its check
    return list(chunks)


def decoded(components: Sequence[Component], chunks: Sequence[bytes], *, is_cut: bool = False, levels: int = 0) -> Any:
    return testing.decode_coefficients(MODEL, 2, geometry(components), list(chunks), is_cut, levels=levels)


def is_coded_exactly(components: Sequence[Component], levels: int = 0) -> bool:
    values, done, ended_well = decoded(components, coded(components, levels=levels), levels=levels)
    same = all(np.array_equal(a, b) for a, (_, b) in zip(values, components, strict=True))
    return same and ended_well and done == len(SEGMENTS) - 1 + levels


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("sizes", SAMPLINGS.values(), ids=SAMPLINGS)
def test_components_of_any_sampling_are_coded(sizes: list[tuple[int, int]], levels: int) -> None:
    assert is_coded_exactly(drawn(sizes), levels)


@pytest.mark.parametrize("levels", [1, 3])
def test_levels_show_the_nearest_cells(levels: int) -> None:
    components = drawn(SAMPLINGS["4:2:0"], 8000)
    chunks = coded(components, levels=levels)
    for done in range(levels):
        values, segments, _ = decoded(components, chunks[: 9 + done], levels=levels)
        assert segments == 9 + done
        for found, (steps, exact) in zip(values, components, strict=True):
            coarsest = np.array([max(k for k in range(levels + 1) if 3**k * step <= 27 or not k) for step in steps])
            width = 3 ** np.minimum(coarsest, levels - done)
            assert not (found % width).any()
            assert (np.abs(found - exact) <= width // 2).all()


def test_the_coefficients_of_a_picture_are_coded() -> None:
    y, x = np.mgrid[:160, :128]
    picture = 128 + 60 * np.sin(x / 9 + y / 17) + 40 * (x > y) + np.random.default_rng(2).normal(0, 3, x.shape)
    small = picture.reshape(80, 2, 64, 2).mean((1, 3))
    assert is_coded_exactly([of_plane(picture.clip(0, 255), 7), of_plane(255 - small, 12), of_plane(small, 12)])


@pytest.mark.parametrize("step", [0, 1, 255, 65535])
def test_any_coefficient_and_any_step_are_coded(step: int) -> None:
    components = drawn(SAMPLINGS["4:2:0"])
    r = np.random.default_rng(3)
    extremes = np.array([-32768, 32767, 1023, 1024, 1025, -1023, -1024, -1025, 0], np.int16)
    components = [([step] * 64, r.choice(extremes, values.shape)) for _, values in components]
    assert is_coded_exactly(components)


def test_nothing_costs_next_to_nothing() -> None:
    components = [([9] * 64, np.zeros((20, 20, 64), np.int16))]
    assert is_coded_exactly(components)
    assert len(coded(components)[-1]) < 100  # one flag said that all blocks have ended


def test_all_kernels_code_alike(kernel: str) -> None:
    model = CoefficientModel.parse(model_bytes(), "small")  # weights are packed for kernels
    chunks, _ = testing.encode_coefficients(model, 2, drawn(SAMPLINGS["4:2:0"]))
    assert hashlib.sha256(b"".join(chunks)).hexdigest()[:16] == "90f79f0e252a93b8"


@pytest.mark.parametrize("segments", range(1, 10))
def test_a_prefix_decodes_to_whole_segments(segments: int) -> None:
    components = drawn(SAMPLINGS["4:2:0"])
    values, done, ended_well = decoded(components, coded(components)[:segments])
    assert (done, ended_well) == (segments, segments == 9)
    for found, (_, expected) in zip(values, components, strict=True):
        assert np.array_equal(found[..., : SEGMENTS[segments]], expected[..., : SEGMENTS[segments]])
        assert not found[..., SEGMENTS[segments] :].any()


def test_a_chunk_that_is_cut_shows_what_it_has() -> None:
    components = drawn([(12, 12)])
    chunks = coded(components)
    (found,), done, ended_well = decoded(components, [*chunks[:4], chunks[4][:-7]], is_cut=True)
    expected = components[0][1]
    assert (done, ended_well) == (4, False)
    assert np.array_equal(found[..., :10], expected[..., :10])
    is_right = found[..., 10:15] == expected[..., 10:15]
    assert is_right[found[..., 10:15] != 0].all()
    assert found[..., 10:15].any()


@pytest.mark.parametrize(("largest", "levels"), [(90, 0), (30000, 0), (9000, 2)])
def test_damaged_chunks_end_in_an_error_or_are_noticed(largest: int, levels: int) -> None:
    components = drawn(SAMPLINGS["4:2:0"], largest)
    chunks = coded(components, levels=levels)
    r = np.random.default_rng(5)
    for _ in range(100):
        damaged = list(chunks)
        k = int(r.integers(len(chunks)))
        data = bytearray(damaged[k])
        data[r.integers(len(data))] ^= 1 << r.integers(8)
        damaged[k] = bytes(data[: len(data) - r.integers(6)])
        try:
            _, _, ended_well = decoded(components, damaged, levels=levels)
        except DdpmError:
            continue
        assert not ended_well


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedError),
        (b"\4\0\0", TruncatedError),
        (b"\3" + bytes(9), CorruptError),
        (b"\4" + bytes(9), CorruptError),
    ],
)
def test_a_state_that_no_encoder_writes_is_refused(data: bytes, error: type[DdpmError]) -> None:
    with pytest.raises(error):
        decoded(drawn([(2, 2)]), [data])


def test_geometry_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="block"):
        testing.decode_coefficients(MODEL, 2, [([1] * 64, 0, 3)], [bytes(9)])
    with pytest.raises(ValueError, match="components"):
        testing.encode_coefficients(MODEL, 2, [])
    with pytest.raises(ValueError, match="effort"):
        testing.encode_coefficients(MODEL, 4, drawn([(1, 1)]))
