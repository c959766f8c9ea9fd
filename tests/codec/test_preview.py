"""What a prefix shows: conditional means against numerical integration, their way to pixels, and the canvas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.channels import progressive
from ddpmcodec.channels.progressive import NO_SCALE, BandRanges, CodingPass, PyramidState
from ddpmcodec.codec import preview
from ddpmcodec.codec.preview import Canvas, band_moments, moments, truncated_means
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.transform import pyramid
from ddpmcodec.transform.color import to_ycocg


def integrated(lo: float, hi: float, mean: float, scale: float) -> float:
    """The mean of a truncated logistic by a sum over a fine grid."""
    x = np.linspace(lo, hi, 200_001)
    z = (x - mean) / scale
    log_density = -np.abs(z) - 2 * np.log1p(np.exp(-np.abs(z)))
    weight = np.exp(log_density - log_density.max())
    weight[[0, -1]] /= 2
    return float((weight * x).sum() / weight.sum())


@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0, 8.0, 300.0])
@pytest.mark.parametrize(("lo", "hi"), [(-0.5, 0.5), (3.5, 40.5), (-200.5, -3.5), (-255.5, 255.5)])
def test_means_are_those_of_numerical_integration(lo: float, hi: float, scale: float) -> None:
    for mean in (-400.0, -30.0, -0.4, 0.0, 7.3, 39.9, 500.0):
        found = truncated_means(*(np.array([a], np.float32) for a in (lo, hi, mean, scale)))[0]
        expected = integrated(lo, hi, np.float32(mean), np.float32(scale))
        assert found == pytest.approx(expected, abs=2e-3 * min(scale, hi - lo) + 1e-4 * (hi - lo))


def test_means_lie_in_their_ranges_whatever_the_distribution() -> None:
    rng = np.random.default_rng(0)
    lo = rng.integers(-510, 511, 20_000).astype(np.float32)
    hi = lo + np.exp2(rng.uniform(0, 9, 20_000)).astype(np.float32)
    mean, scale = rng.uniform(-1000, 1000, 20_000), np.exp2(rng.uniform(-6, 10, 20_000))
    found = truncated_means(lo, hi, mean.astype(np.float32), scale.astype(np.float32))
    assert np.isfinite(found).all()
    assert ((lo <= found) & (hi >= found)).all()


def test_means_mirror() -> None:
    rng = np.random.default_rng(1)
    lo, mean = rng.uniform(-100, 100, (2, 1000)).astype(np.float32)
    hi, scale = lo + 17, np.full(1000, 3, np.float32)
    found, mirrored = truncated_means(lo, hi, mean, scale), truncated_means(-hi, -lo, -mean, scale)
    np.testing.assert_allclose(found, -mirrored, atol=1e-4)


# --- a band


def band_ranges() -> BandRanges:
    return BandRanges(1, pyramid.bands(4, 6)[0], 3)


def test_what_was_never_coded_is_zero_and_thought_small() -> None:
    ranges = band_ranges()
    found = band_moments(ranges)
    assert (found.mean == 0).all()
    assert (found.deviation > 0).all()
    assert (found.deviation < 20).all()


def test_what_is_exact_is_known_without_a_doubt() -> None:
    ranges = band_ranges()
    ranges.lo[...] = ranges.hi[...] = 7
    ranges.scale[...] = 60
    found = band_moments(ranges)
    assert (found.mean == 7).all()
    assert (found.deviation == 0).all()


def test_a_narrow_prediction_is_shown_and_a_wide_one_gives_the_middle() -> None:
    ranges = band_ranges()
    ranges.lo[...], ranges.hi[...] = 10, 20
    ranges.mean[...], ranges.scale[...] = 64 * 12, 24  # a scale of 1/8
    narrow = band_moments(ranges)
    np.testing.assert_allclose(narrow.mean, 12, atol=0.01)
    ranges.scale[...] = 127
    wide = band_moments(ranges)
    np.testing.assert_allclose(wide.mean, 15, atol=0.1)
    assert (narrow.deviation < wide.deviation).all()


def test_scales_are_marked_where_nothing_was_coded() -> None:
    assert (band_ranges().scale == NO_SCALE).all()


# --- all planes


def walked(pixels: np.ndarray, model: ContextModel, segments: int) -> PyramidState:
    """What an encoder knows after so many segments of the long schedule."""
    images, height, width, channels = pixels.shape
    wide = np.zeros((images, height, width, 3), np.int16)
    wide[..., :channels] = to_ycocg(pixels)
    root, differences = pyramid.analyse(wide)
    coding_pass = CodingPass(model, SCHEDULES["long"], (images, height, width, channels), adapts=True)
    streams = np.arange(images)
    coder = progressive.encoder(images, streams, pixels.size * len(SCHEDULES["long"]))._replace(values=root)
    for number, _ in enumerate(coding_pass.run(coder, differences), start=1):
        if number == segments:
            break
    return coding_pass.state


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        return np.asarray(image.convert("RGB"))[None, 60 : 60 + height, 60 : 60 + width, :channels]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (7, 2), (12, 17)])
def test_means_of_what_is_exact_are_the_planes(
    context_model: ContextModel, height: int, width: int, channels: int
) -> None:
    pixels = photo(height, width, channels)
    state = walked(pixels, context_model, 1000)
    found = moments(state)
    np.testing.assert_allclose(found.mean[..., :channels], to_ycocg(pixels), atol=1e-3)
    np.testing.assert_allclose(found.deviation, 0, atol=1e-3)
    assert found.mean.dtype == found.deviation.dtype == np.float32


def test_deviations_show_how_wrong_the_means_are(context_model: ContextModel) -> None:
    pixels = photo(32, 40)
    planes = to_ycocg(pixels)
    for segments in (3, 9, 15, 21):
        found = moments(walked(pixels, context_model, segments))
        wrong = np.sqrt(np.square(found.mean - planes).mean())
        expected = np.sqrt(np.square(found.deviation).mean())
        assert 0.2 < wrong / expected < 3


def test_the_colour_transform_back_is_that_of_integers() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (1, 50, 50, 3), dtype=np.uint8)
    shown = preview.to_rgb(to_ycocg(pixels).astype(np.float32))
    assert np.abs(shown - pixels).max() <= 1


# --- the canvas


def test_a_canvas_of_nothing_is_grey() -> None:
    for channels in (1, 3):
        assert (Canvas(3, 4, channels).pixels(None) == 128).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_put_where_they_belong(context_model: ContextModel, channels: int) -> None:
    pixels = photo(8, 12, channels)
    canvas = Canvas(8, 24, channels)
    canvas.place((slice(0, 8), slice(12, 24)), None, pixels[0])
    canvas.place((slice(0, 8), slice(0, 12)), walked(pixels, context_model, 1000), None)
    shown = canvas.pixels(None)
    np.testing.assert_array_equal(shown[:, 12:], pixels[0])
    assert np.abs(shown[:, :12].astype(int) - pixels[0]).max() <= 1


def test_a_tile_that_has_no_state_stays_grey() -> None:
    canvas = Canvas(4, 4, 3)
    canvas.place((slice(0, 4), slice(0, 2)), None, None)
    assert (canvas.pixels(None) == 128).all()
