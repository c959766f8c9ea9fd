"""Previews of every prefix, and files cut to a rate or a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_sections import split
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import codec
from ddpmcodec._native import LEVELS, Container
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.errors import ChecksumError, OutputError, TruncatedError
from ddpmcodec.format.sections import NO_METADATA
from ddpmcodec.models.context import ContextModel
from pictures import nearly_flat

Picture = Callable[..., Image.Image]
Planes = NDArray[np.float64]

pytestmark = pytest.mark.usefixtures("one_thread")


def steps_of(file: bytes) -> int:
    found: int = codec.info(file)["steps"]
    return found


def test_every_strict_prefix_is_refused_without_partial(model: ContextModel, file: bytes) -> None:
    for size in range(len(file)):
        with pytest.raises(TruncatedError):
            codec.decode(file[:size], model=model)


def test_every_prefix_with_the_header_decodes_to_a_preview(model: ContextModel, file: bytes) -> None:
    facts = codec.info(file)
    for size in range(facts["header_bytes"], len(file), 1 if len(file) < 200 else 3):
        found = decode_details(file[:size], partial=True, model=model)
        assert (found.image.mode, *found.image.size) == (facts["mode"], facts["width"], facts["height"])
        assert (found.exact, found.damaged) == (False, False)
        assert found.bytes_used <= size


@pytest.mark.parametrize("cut", [1, 4])
def test_what_lacks_words_and_yet_comes_to_an_end_is_a_prefix(cut: int) -> None:
    """Where nearly nothing is left to be said, wrong symbols may reach the last pixel without a word more: only the
    check tells. `cifar10` does so with the image of seed 113."""
    for seed in range(110, 116):
        flat = nearly_flat(seed)
        file = codec.encode(flat, effort=1, levels=0, model="cifar10")
        found = decode_details(file[:-cut], partial=True)
        assert (found.exact, found.damaged) == (False, False)
        decoder = codec.ProgressiveDecoder()
        decoder.feed(file[:-cut])
        decoder.feed(file[-cut:])
        assert np.array_equal(np.asarray(decoder.close()), flat)


def test_a_prefix_of_the_header_says_how_much_is_needed(model: ContextModel, file: bytes) -> None:
    for size in range(codec.info(file)["header_bytes"]):
        with pytest.raises(TruncatedError, match=r"at least \d+"):
            codec.decode(file[:size], partial=True, model=model)


def test_a_whole_file_is_exact_with_partial_too(model: ContextModel, file: bytes) -> None:
    found = decode_details(file, partial=True, model=model)
    assert found.exact
    assert (found.steps_done, found.bytes_used) == (found.steps, len(file))
    assert found.image == codec.decode(file, model=model)


def test_more_bytes_never_complete_fewer_steps(model: ContextModel, file: bytes) -> None:
    sizes = [*range(codec.info(file)["header_bytes"], len(file), 5), len(file)]
    done = [decode_details(file[:size], partial=True, model=model).steps_done for size in sizes]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, steps_of(file))


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_a_preview_of_nothing_but_the_header_is_flat_and_grey(model: ContextModel, bare: bytes) -> None:
    found = codec.decode(bare, max_bytes=codec.info(bare)["header_bytes"], model=model)
    assert len(np.unique(np.asarray(found).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_previews_of_every_mode_come_nearer(picture: Picture, model: ContextModel, mode: str) -> None:
    image = picture(mode, 24, 24)
    data = codec.encode(image, model=model)
    start = codec.info(data)["header_bytes"] + codec.info(data)["alpha_bytes"]
    shares = (0.1, 0.5, 1.0)
    sizes = [start + int(share * (len(data) - start)) for share in shares]
    errors = [distance(codec.decode(data, max_bytes=size, model=model), image) for size in sizes]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_a_chunk_that_is_cut_shows_what_there_is_of_it(picture: Picture) -> None:
    """The first chunk of a tile of four lanes has hundreds of words; every hundred bytes of it help."""
    image = picture("RGB", 257, 256)
    data = codec.encode(image, effort=1)
    file = split(data)
    sizes = [file.start, *range(file.start + 50, file.start + file.header.chunk_lengths[0], 100)]
    assert len(sizes) > 3
    errors = [distance(codec.decode(data, max_bytes=size), image) for size in sizes]
    assert errors == sorted(errors, reverse=True)
    assert len({*errors}) == len(errors)


PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


@pytest.fixture(scope="module")
def photograph() -> tuple[Planes, bytes]:
    """Float64 [256, 320, 3], and its file by the embedded model."""
    image = np.asarray(Image.open(PHOTO).convert("RGB"))[:256, :320]
    return image.astype(np.float64), codec.encode(image, verify=False)


def after_segment(data: bytes, segment: int) -> Planes:
    end = Container(data).end_of_segment(segment)
    return np.asarray(decode_details(data[:end], partial=True).image, np.float64)


def test_bands_that_nothing_was_coded_of_are_predicted(photograph: tuple[Planes, bytes]) -> None:
    """The first segments hold no coefficient of the finest band, which halves columns. What the preview has of it is
    right more often than not: pairs of pixels that are made equal are farther from the photograph."""
    image, data = photograph
    found = after_segment(data, 5)
    pairs = found.reshape(256, 160, 2, 3)
    equal = np.broadcast_to(pairs.mean(2, keepdims=True), pairs.shape).reshape(found.shape)
    assert np.abs(pairs[:, :, 0] - pairs[:, :, 1]).mean() > 0.5
    assert np.square(found - image).mean() < 0.9 * np.square(equal - image).mean()


def test_bands_that_were_coded_are_predicted_again(photograph: tuple[Planes, bytes]) -> None:
    """Before the second step reaches the finest band: its cells under the distributions that they were coded with are
    36.8 dB from the photograph, under those that the band's network predicts for the second step 37.8."""
    image, data = photograph
    error = np.square(after_segment(data, 13) - image).mean()
    assert 10 * np.log10(255**2 / error) > 37.5


def test_max_bytes_is_a_prefix_and_implies_partial(model: ContextModel, file: bytes) -> None:
    half = len(file) // 2
    assert codec.decode(file, max_bytes=half, model=model) == codec.decode(file[:half], partial=True, model=model)


@pytest.mark.parametrize("limit", [{"max_bytes": -1}, {"step": -1}])
def test_negative_limits_are_refused(model: ContextModel, file: bytes, limit: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"number.*-1"):
        codec.decode(file, model=model, **limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [{"max_bytes": "100"}, {"max_bytes": 2.5}, {"step": "1"}, {"step": True}])
def test_limits_are_whole_numbers(model: ContextModel, file: bytes, limit: dict[str, Any]) -> None:
    ((name, value),) = limit.items()
    with pytest.raises(TypeError, match=f"{name}.*{value!r}"):
        codec.decode(file, model=model, **limit)


def test_rates_are_numbers(file: bytes) -> None:
    with pytest.raises(TypeError, match=r"bpp.*'4'"):
        codec.truncate(file, bpp="4")  # type: ignore[arg-type]
    assert codec.truncate(file, bpp=np.float32(32)) == codec.truncate(file, bpp=32)


@pytest.mark.parametrize("limit", [{"bytes": -1}, {"step": -1}, {"bpp": -0.5}, {"bpp": float("nan")}])
def test_files_are_not_cut_to_less_than_nothing(model: ContextModel, file: bytes, limit: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="number from 0"):
        codec.truncate(file, model=model, **limit)


def test_what_is_there_of_the_alpha_shows_in_a_preview(picture: Picture, model: ContextModel, small: bytes) -> None:
    facts = codec.info(small)
    none = codec.decode(small, max_bytes=facts["header_bytes"], model=model)
    whole = codec.decode(small, max_bytes=facts["header_bytes"] + facts["alpha_bytes"], model=model)
    assert none.getchannel("A").getextrema() == (255, 255)
    assert whole.getchannel("A") == picture("RGBA", 5, 6).getchannel("A")


def test_cut_metadata_is_left_out_of_a_preview(model: ContextModel, small: bytes) -> None:
    found = decode_details(small[:-1], partial=True, model=model)
    assert (found.planes.metadata, found.exact) == (NO_METADATA, False)
    assert np.array_equal(found.image, codec.decode(small, model=model))


def test_a_step_is_a_preview(model: ContextModel, file: bytes) -> None:
    last = steps_of(file)
    for step in range(last + 2):
        found = decode_details(file, step=step, model=model)
        assert found.steps_done == min(step, last)
        assert found.exact == (step >= last)
    assert found.image == codec.decode(file, model=model)


@pytest.mark.parametrize("levels", LEVELS)
def test_steps_come_nearer(picture: Picture, model: ContextModel, levels: int) -> None:
    image = picture("RGB", 20, 76)
    data = codec.encode(image, levels=levels, tile=64, model=model)
    count = codec.info(data)["steps"]
    errors = [distance(codec.decode(data, step=step, model=model), image) for step in range(count + 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_whole_tiles_of_a_cut_file_are_exact(model: ContextModel, tiled: bytes) -> None:
    cut = decode_details(tiled[:-3], partial=True, model=model)
    assert np.array_equal(np.asarray(cut.image)[:, :64], np.asarray(codec.decode(tiled, model=model))[:, :64])
    assert not cut.exact


# --- truncate


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 99])
def test_a_file_cut_after_a_step_has_what_the_step_needs(model: ContextModel, file: bytes, step: int) -> None:
    cut = codec.truncate(file, step=step, model=model)
    assert file.startswith(cut)
    assert (cut == file) == (step >= steps_of(file))
    assert np.array_equal(codec.decode(cut, step=step, model=model), codec.decode(file, step=step, model=model))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_step_says_how_many_bytes_it_needs(model: ContextModel, file: bytes, step: int) -> None:
    found = decode_details(file, step=step, model=model)
    assert found.bytes_used == len(codec.truncate(file, step=step, model=model))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_file_cut_after_a_step_has_no_byte_too_many(model: ContextModel, file: bytes, step: int) -> None:
    """But the word that a decoder takes at the end of the step, and has no use for yet, and one before it."""
    cut = codec.truncate(file, step=step, model=model)
    spare = 8 if not split(file).header.is_tiled and step < steps_of(file) else 0
    with pytest.raises((TruncatedError, ChecksumError)):
        codec.decode(cut[: -1 - spare], step=step, model=model)


@pytest.mark.parametrize("size", [60, 100, 200, 10**9])
def test_a_file_is_cut_to_bytes(model: ContextModel, file: bytes, size: int) -> None:
    cut = codec.truncate(file, bytes=max(size, codec.info(file)["header_bytes"]))
    assert cut == file[: max(size, codec.info(file)["header_bytes"])]
    assert codec.decode(cut, partial=True, model=model).size == codec.decode(file, model=model).size


def test_a_file_is_cut_to_a_rate(bare: bytes) -> None:
    assert len(codec.truncate(bare, bpp=8.19)) == 30
    assert codec.truncate(bare, bpp=1e6) == codec.truncate(bare, bpp=1e308) == bare


def test_a_cut_file_can_be_cut_again(bare: bytes) -> None:
    assert codec.truncate(codec.truncate(bare, bytes=60), bytes=50) == bare[:50]


def test_a_cut_shorter_than_the_header_is_refused(bare: bytes) -> None:
    header = codec.info(bare)["header_bytes"]
    with pytest.raises(OutputError, match=f"{header - 1} .*{header}"):
        codec.truncate(bare, bytes=header - 1)


def test_a_step_that_is_not_there_is_an_error(model: ContextModel, file: bytes) -> None:
    cut = codec.truncate(file, step=1, model=model)
    with pytest.raises((TruncatedError, ChecksumError)):
        codec.truncate(cut, step=2, model=model)


def test_a_step_that_is_there_can_be_cut_to_again(model: ContextModel, file: bytes) -> None:
    cut = codec.truncate(file, step=2, model=model)
    assert codec.truncate(cut, step=2, model=model) == cut
    assert codec.truncate(cut, step=1, model=model) == codec.truncate(file, step=1, model=model)


@pytest.mark.parametrize(
    "limits", [{}, {"bytes": 50, "step": 1}, {"bytes": 50, "bpp": 1.0, "step": 1}, {"bpp": 1.0, "psnr": 30}]
)
def test_truncate_takes_exactly_one_limit(bare: bytes, limits: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="bytes, bpp, step and psnr"):
        codec.truncate(bare, **limits)
