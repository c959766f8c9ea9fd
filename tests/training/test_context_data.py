"""What a run trains and evaluates on."""

from __future__ import annotations

import numpy as np
import pytest

from ddpmcodec.training import context_data
from ddpmcodec.training.context_data import Ahead, Source, held_out_batches
from ddpmcodec.training.data import crops_of


def images(count: int, side: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_a_source_goes_on_where_another_one_ended() -> None:
    sources = [Source(crops_of([images(9, 16)], 16, 3), 3, 1 << 10) for _ in range(2)]
    first = [sources[0]() for _ in range(4)]
    sources[1].number = 2
    assert first[0].shape == (4, 16, 16, 3)
    assert np.array_equal(sources[1](), first[2])
    assert np.array_equal(sources[1](), first[3])


def test_some_images_are_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_data, "GREY_SHARE", 0.25)
    found = Source(crops_of([images(400, 8)], 8, 0), 0, 400 * 64)()
    grey = (found == found[..., :1]).all((1, 2, 3))
    assert 60 < grey.sum() < 140


def test_held_out_images_of_one_size_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = held_out_batches([*images(2, 150), *images(3, 20), *images(1, 200)])
    assert [batch.shape for batch in batches] == [(3, 128, 128, 3), (3, 20, 20, 3)]
    monkeypatch.setattr(context_data, "HELD_OUT_PIXELS", 1000)
    assert [batch.shape for batch in held_out_batches(images(9, 20))] == [(3, 20, 20, 3)]


def test_threads_make_the_batches_of_their_source() -> None:
    source, other = (Source(crops_of([images(9, 16)], 16, 3), 3, 1 << 10) for _ in range(2))
    ahead = Ahead(source, threads=3)
    for _ in range(7):  # more than an epoch
        assert np.array_equal(ahead(), other())
    assert ahead.number == other.number
    ahead.number = other.number = 2
    assert np.array_equal(ahead(), other())
