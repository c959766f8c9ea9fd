"""What a prefix shows: means against brute force, their way to pixels, tiles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native as native
from native_testing import testing

NO_SCALE = 255
END = 1 << 30
CHECK = 5


def found_means(lo: Any, hi: Any, mean: Any, scale: Any) -> Any:
    columns = np.stack(np.broadcast_arrays(lo, hi, mean, scale)).astype(np.int16)
    return testing.band_means(np.ascontiguousarray(columns))


def to_ycocg(pixels: Any) -> Any:
    return testing.to_ycocg(np.ascontiguousarray(pixels))


def cdf(x: Any, mean: float, scale: float) -> Any:
    return 0.5 + 0.5 * np.tanh((x - mean) / scale / 2)


def units(scale: int) -> float:
    return float(2.0 ** ((scale - 48) / 8))


# --- coefficients


@pytest.mark.parametrize("scale", [44, 52, 64, 90, 127])
@pytest.mark.parametrize(("lo", "hi"), [(-1, 1), (0, 1), (4, 40), (-200, -4), (-255, 255)])
def test_means_are_those_of_sums_over_integers(lo: int, hi: int, scale: int) -> None:
    """Where a scale is one unit or more; a narrower logistic falls between integers."""
    k, s = np.arange(lo, hi + 1), units(scale)
    for mean in (lo - 2.5 * s, lo + 0.3, (lo + hi) / 2, hi - 0.6, hi + 2.5 * s):
        predicted = round(64 * mean)
        if abs(predicted) > 32767:
            continue
        mass = cdf(k + 0.5, predicted / 64, s) - cdf(k - 0.5, predicted / 64, s)
        expected = (mass * k).sum() / mass.sum()
        found = found_means([lo], [hi], [predicted], [scale])[0]
        assert found == pytest.approx(expected, abs=0.1 / s + 2e-4 * (hi - lo))


@pytest.mark.parametrize("scale", [0, 20, 40, 48, 80, 127])
@pytest.mark.parametrize(("lo", "hi"), [(-1, 1), (4, 40), (-200, -4), (-255, 255)])
def test_means_are_those_of_integration(lo: int, hi: int, scale: int) -> None:
    s = units(scale)
    for mean in (-400.0, -30.0, -0.5, 0.0, 7.25, 39.75, 500.0):
        centre = np.clip(mean, lo - 0.5 - 8 * s, hi + 0.5 + 8 * s)
        x = np.linspace(lo - 0.5, hi + 0.5, 400_001)
        z = np.abs(x - centre) / s
        density = -z - 2 * np.log1p(np.exp(-z))
        weight = np.exp(density - density.max())
        weight[[0, -1]] /= 2
        expected = np.clip((weight * x).sum() / weight.sum(), lo, hi)
        found = found_means([lo], [hi], [round(64 * mean)], [scale])[0]
        assert found == pytest.approx(expected, abs=2e-3 * min(s, hi - lo) + 1e-4 * (hi - lo))


def test_means_lie_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    lo = rng.integers(-510, 511, 50_000)
    hi = np.minimum(lo + np.exp2(rng.uniform(0, 10, lo.size)).astype(int) - 1, 510)
    mean = found_means(lo, hi, rng.integers(-32768, 32768, lo.size), rng.integers(0, 128, lo.size))
    assert np.isfinite(mean).all()
    assert ((lo <= mean) & (mean <= hi)).all()
    assert (mean[lo == hi] == lo[lo == hi]).all()


def test_means_mirror() -> None:
    rng = np.random.default_rng(1)
    lo, mean = rng.integers(-100, 100, 1000), rng.integers(-6400, 6400, 1000)
    scale = rng.integers(0, 128, 1000)
    found, mirrored = found_means(lo, lo + 17, mean, scale), found_means(-lo - 17, -lo, -mean, scale)
    np.testing.assert_allclose(found, -mirrored, atol=1e-4)


def test_what_was_never_coded_is_zero() -> None:
    mean = found_means(-np.array([255, 510]), [255, 510], [999, -999], [NO_SCALE, NO_SCALE])
    assert (mean == 0).all()


# --- passes


def network(role: str, components: int, rng: Any, width: int = 64, depth: int = 2, shown: int = 32) -> Any:
    inputs, outputs, *_, conditions = native.contract(role, components)
    layers: list[tuple[str, int, int, float]] = [("stem", width, inputs, 2 / (73 * inputs**0.5))]
    seen = width + 3 * shown
    layers += [(f"block{k}", width, seen, 1 / (73 * seen**0.5)) for k in range(depth)]
    layers += [("head", outputs, width, 0.5 / (73 * width**0.5)), ("skip", outputs, inputs, 1e-4)]
    tensors: dict[str, Any] = {}
    for name, rows, columns, factor in layers:
        tensors[f"{name}.weight"] = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
        tensors[f"{name}.factor"] = np.full(rows, factor, np.float32)
    tensors["stem.bias"] = np.zeros((conditions, width), np.float32)
    tensors["head.bias"] = np.zeros((conditions, outputs), np.float32)
    tensors["head.bias"][:, 4 * components : 7 * components] = 72
    return native.ContextNetwork.make(tensors, role, components)


@pytest.fixture(scope="module")
def networks() -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    direct, last = network("direct", 2, rng), network("last", 2, rng)
    return {"direct": [direct], "levels": [last, *(network("band", 1, rng) for _ in range(3))]}


def picture(height: int, width: int, channels: int = 3, images: int = 1) -> Any:
    rng = np.random.default_rng([height, width])
    steps = rng.integers(-3, 4, (images, height, width, channels))
    return (np.cumsum(np.cumsum(steps, 1), 2) // 4 + 128).clip(0, 255).astype(np.uint8)


def decoder(networks: dict[str, list[Any]], pixels: Any, levels: int) -> Any:
    """Of all bytes of images, before any is decoded."""
    own = networks["levels" if levels else "direct"]
    settings = {"streams": len(pixels), "learns": False, "threads": 1}
    encoder = native.Pass(own, levels, pixels.shape, **settings)
    encoder.encode(pixels)
    encoder.advance(END, END)
    states, words = [], []
    for stream in range(len(pixels)):
        state, parts = encoder.stream(stream, CHECK)
        states.append(state)
        words.append(np.frombuffer(b"".join(parts), "<u4").astype(np.uint32))
    found = native.Pass(own, levels, pixels.shape, **settings)
    found.decode(states, words, True)
    return found


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (7, 2), (33, 47)])
def test_means_of_exact_pixels_are_their_planes(
    networks: dict[str, list[Any]], levels: int, channels: int, height: int, width: int
) -> None:
    pixels = picture(height, width, channels)
    known_pass = decoder(networks, pixels, levels)
    planes = to_ycocg(np.broadcast_to(pixels[0], (height, width, 3)))
    while not known_pass.is_exact:
        known_pass.advance(29, END)
        mean = testing.means(known_pass, 2)
        known = known_pass.pixels()[1][0].astype(bool)
        assert mean.dtype == np.float32
        assert np.isfinite(mean).all()
        np.testing.assert_array_equal(mean[known], planes[known])
    np.testing.assert_array_equal(mean, planes)


@pytest.mark.parametrize("levels", [2, 5])
def test_means_of_a_flat_picture_come_near_it(networks: dict[str, list[Any]], levels: int) -> None:
    pixels = np.full((1, 24, 40, 3), (90, 130, 70), np.uint8)
    known_pass = decoder(networks, pixels, levels)
    wrong = []
    for segment in range(1, known_pass.segments - 7):
        known_pass.advance(END, segment)
        mean = testing.means(known_pass, 1)
        wrong.append(np.abs(mean - to_ycocg(pixels[0])).mean())
    assert wrong[-1] < 0.75 * wrong[0] < 2
    assert all(later <= before + 1e-4 for before, later in pairwise(wrong))


@pytest.mark.parametrize(("height", "width"), [(1, 6), (7, 2), (33, 47), (40, 24)])
@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_a_small_image_is_the_mean_of_the_large_one_and_needs_no_finer_band(
    networks: dict[str, list[Any]], height: int, width: int, halvings: int
) -> None:
    known_pass = decoder(networks, picture(height, width), 2)
    known_pass.advance(END, 14)  # all noise levels
    found, scale = testing.reduced(known_pass, halvings), 2**halvings
    large = testing.means(known_pass, 1)
    assert found.shape == (-(-height // scale), -(-width // scale), 3)
    for y, x in np.ndindex(found.shape[:2]):
        block = large[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale]
        if block.shape[:2] == (scale, scale):
            assert np.abs(block.mean((0, 1)) - found[y, x]).max() < halvings  # halving rounds down
    np.testing.assert_array_equal(testing.reduced(known_pass, halvings, threads=3), found)


def test_a_pass_without_noise_levels_has_no_small_image(networks: dict[str, list[Any]]) -> None:
    known_pass = decoder(networks, picture(8, 8), 0)
    with pytest.raises(ValueError, match="bands"):
        testing.reduced(known_pass, 1)
    with pytest.raises(ValueError, match=r"halvings.* 0"):
        testing.reduced(decoder(networks, picture(8, 8), 2), 0)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_a_preview_does_not_depend_on_those_before_it(networks: dict[str, list[Any]], levels: int) -> None:
    pixels = picture(33, 47)
    one = decoder(networks, pixels, levels)
    for segment in range(one.segments):
        one.advance(END, segment)
        other = decoder(networks, pixels, levels)
        other.advance(END, segment)
        np.testing.assert_array_equal(testing.means(one, 1), testing.means(other, 1))


@pytest.mark.parametrize("size", [(220, 200), (2000, 20), (20, 2000)])
def test_threads_change_nothing(size: tuple[int, int], networks: dict[str, list[Any]]) -> None:
    known_pass = decoder(networks, picture(*size), 2)
    known_pass.advance(END, 9)
    one = testing.means(known_pass, 1)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(testing.means(known_pass, threads), one)


def test_previews_are_of_one_image(networks: dict[str, list[Any]]) -> None:
    with pytest.raises(ValueError, match="one image"):
        decoder(networks, picture(16, 12, images=3), 2)


def test_without_levels_what_is_known_goes_on_below(networks: dict[str, list[Any]]) -> None:
    pixels = np.full((1, 32, 20, 3), (200, 100, 50), np.uint8)
    known_pass = decoder(networks, pixels, 0)
    assert (testing.means(known_pass, 1) == [128, 0, 0]).all()
    known_pass.advance(60, END)
    np.testing.assert_allclose(testing.means(known_pass, 1), to_ycocg(pixels[0]), atol=1e-3)


# --- colours


def test_the_colour_transform_back_is_that_of_integers() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    back = testing.to_rgb(to_ycocg(pixels).astype(np.float32))
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - pixels).max() <= 1
    far = np.array([[[900, 0, 0], [-900, 0, 0], [np.nan, 0, 0]]], np.float32)
    assert testing.to_rgb(far)[0, :2].tolist() == [[255] * 3, [0] * 3]
