"""Previews of every prefix, and files cut to a rate or a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.errors import OutputError, TruncatedError
from ddpmcodec.networks.model import Model

Picture = Callable[..., Image.Image]


def test_every_strict_prefix_is_refused_without_partial(model: Model, file: bytes) -> None:
    for size in range(len(file)):
        with pytest.raises(TruncatedError):
            codec.decode(file[:size], model=model)


def test_every_prefix_with_the_header_decodes_to_a_preview(model: Model, file: bytes) -> None:
    facts = codec.info(file)
    for size in range(facts["header_bytes"], len(file), 3):
        found = codec.decode_details(file[:size], partial=True, model=model)
        assert (found.image.mode, *found.image.size) == (facts["mode"], facts["width"], facts["height"])
        assert (found.exact, found.damaged) == (False, False)
        assert found.bytes_used <= size


def test_a_prefix_of_the_header_tells_how_much_is_needed(model: Model, file: bytes) -> None:
    for size in range(codec.info(file)["header_bytes"]):
        with pytest.raises(TruncatedError, match=r"at least \d+ are needed"):
            codec.decode(file[:size], partial=True, model=model)


def test_a_whole_file_is_exact_with_partial_too(model: Model, file: bytes) -> None:
    found = codec.decode_details(file, partial=True, model=model)
    assert found.exact
    assert (found.steps_done, found.bytes_used) == (found.steps, len(file))
    assert found.image == codec.decode(file, model=model)


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("limit", [10**6, 128])
def test_more_bytes_give_a_better_preview(
    picture: Picture, model: Model, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", limit)
    image = picture("RGB", 32, 32)
    data = codec.encode(image, effort=1, model=model)
    start = codec.info(data)["header_bytes"]
    sizes = np.linspace(start, len(data), 9).astype(int)
    errors = [distance(codec.decode(data, max_bytes=int(size), model=model), image) for size in sizes]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_max_bytes_is_a_prefix_and_implies_partial(model: Model, file: bytes) -> None:
    half = len(file) // 2
    assert codec.decode(file, max_bytes=half, model=model) == codec.decode(file[:half], partial=True, model=model)


@pytest.mark.parametrize("limit", [{"max_bytes": -1}, {"step": -1}])
def test_negative_limits_are_refused(model: Model, file: bytes, limit: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be a number from 0 on, not -1"):
        codec.decode(file, model=model, **limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [{"bytes": -1}, {"step": -1}, {"bpp": -0.5}, {"bpp": float("nan")}])
def test_files_are_not_cut_to_less_than_nothing(model: Model, file: bytes, limit: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be a number from 0 on, not"):
        codec.truncate(file, model=model, **limit)


def test_what_is_there_of_the_alpha_shows_in_a_preview(picture: Picture, model: Model, small: bytes) -> None:
    facts = codec.info(small)
    none = codec.decode(small, max_bytes=facts["header_bytes"], model=model)
    whole = codec.decode(small, max_bytes=facts["header_bytes"] + facts["alpha_bytes"], model=model)
    assert none.getchannel("A").getextrema() == (255, 255)
    assert whole.getchannel("A") == picture("RGBA", 5, 6).getchannel("A")


def test_cut_metadata_is_left_out_of_a_preview(model: Model, small: bytes) -> None:
    found = codec.decode_details(small[:-1], partial=True, model=model)
    assert (found.planes.icc, found.planes.exif, found.exact) == (b"", b"", False)


def test_a_step_is_a_preview(model: Model, file: bytes) -> None:
    last = len(model.presets[1])
    for step in range(last + 2):
        found = codec.decode_details(file, step=step, model=model)
        assert found.steps_done == min(step, last)
        assert found.exact == (step >= last)


# --- truncate


@pytest.mark.parametrize("step", [0, 1, 4, 7, 8, 99])
def test_a_file_cut_after_a_step_has_what_the_step_needs(model: Model, file: bytes, step: int) -> None:
    cut = codec.truncate(file, step=step, model=model)
    assert file.startswith(cut)
    assert (cut == file) == (step >= len(model.presets[1]))
    assert np.array_equal(codec.decode(cut, step=step, model=model), codec.decode(file, step=step, model=model))


@pytest.mark.parametrize("step", [1, 4, 8])
def test_a_step_tells_how_many_bytes_it_needs(model: Model, file: bytes, step: int) -> None:
    found = codec.decode_details(file, step=step, model=model)
    assert found.bytes_used == len(codec.truncate(file, step=step, model=model))


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_file_cut_after_a_step_has_no_byte_too_many(model: Model, file: bytes, step: int) -> None:
    cut = codec.truncate(file, step=step, model=model)
    with pytest.raises(TruncatedError):
        codec.decode(cut[:-1], step=step, model=model)


@pytest.mark.parametrize("size", [60, 100, 200, 10**9])
def test_a_file_is_cut_to_bytes(model: Model, file: bytes, size: int) -> None:
    cut = codec.truncate(file, bytes=max(size, codec.info(file)["header_bytes"]))
    assert cut == file[: max(size, codec.info(file)["header_bytes"])]
    assert codec.decode(cut, partial=True, model=model).size == codec.decode(file, model=model).size


def test_a_file_is_cut_to_a_rate(bare: bytes) -> None:
    assert len(codec.truncate(bare, bpp=8.19)) == 30
    assert codec.truncate(bare, bpp=1e6) == bare


def test_a_cut_file_can_be_cut_again(bare: bytes) -> None:
    assert codec.truncate(codec.truncate(bare, bytes=60), bytes=50) == bare[:50]


def test_a_cut_shorter_than_the_header_is_refused(bare: bytes) -> None:
    with pytest.raises(OutputError, match="14 bytes are too few: the header alone takes 15, ask for more"):
        codec.truncate(bare, bytes=14)


def test_a_step_that_is_not_there_is_an_error(model: Model, file: bytes) -> None:
    cut = codec.truncate(file, step=2, model=model)
    with pytest.raises(TruncatedError):
        codec.truncate(cut, step=3, model=model)


@pytest.mark.parametrize("limits", [{}, {"bytes": 50, "step": 1}, {"bytes": 50, "bpp": 1.0, "step": 1}])
def test_truncate_takes_exactly_one_limit(bare: bytes, limits: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one of bytes, bpp and step"):
        codec.truncate(bare, **limits)
