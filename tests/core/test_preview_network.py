"""The network that corrects previews: what it sees, its convolutions, and that they are the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_networks import F, Params, activated, depth_of, network, rounded, times

from ddpmcodec import _native as native
from native_testing import testing

INPUTS, OUTPUTS = 224, 12
SIZES = [(1, 1), (2, 2), (1, 7), (9, 1), (5, 4), (33, 47), (6, 303), (301, 5), (141, 150)]


def estimate(height: int, width: int) -> tuple[Any, Any]:
    """Means and variances, float32 [H, W, 3], of any size; some of what is known is certain."""
    rng = np.random.default_rng([height, width])
    mean = np.cumsum(rng.normal(0, 6, (height, width, 3)), 1).astype(F)
    return mean, (rng.exponential(20, mean.shape) * (rng.random(mean.shape) > 0.2)).astype(F)


def preview_network(width: int = 48, depth: int = 3) -> Params:
    return network(width, depth, INPUTS, OUTPUTS, 1, shown=width, neighbours=8)


def made(params: Params) -> Any:
    return native.ContextNetwork.make(params, "preview", 1)


# --- what it sees


def squares_of(planes: Any) -> Any:
    """[h, w, 12]: pixels by rows, of each its planes; odd sizes have their last pixels twice."""
    height, width, _ = planes.shape
    even = np.pad(planes, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    split = even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2, 3)
    return split.transpose(0, 2, 1, 3, 4).reshape(*split.shape[0:4:2], 12)


def around(squares: Any) -> Any:
    """[h, w, 9, 12]: nine squares by rows; outside lie the outermost ones."""
    h, w, _ = squares.shape
    padded = np.pad(squares, ((1, 1), (1, 1), (0, 0)), "edge")
    return np.stack([padded[y : y + h, x : x + w] for y in range(3) for x in range(3)], 2)


@pytest.mark.parametrize("size", SIZES)
def test_it_sees_squares_in_their_own_standard_deviations(size: tuple[int, int]) -> None:
    mean, variance = estimate(*size)
    values, variances = (squares_of(planes).astype(np.float64) for planes in (mean, variance))
    h, w, _ = values.shape
    own_mean, own_variance = (each.reshape(h, w, 4, 3).mean(2) for each in (values, variances))
    own_variance = np.maximum(own_variance, 1 / 16)
    middle, spread = (np.tile(each, 4)[:, :, None] for each in (own_mean, own_variance))
    differences = (around(values) - middle) / np.sqrt(spread) * 4
    octaves = (np.log2(around(variances) + 1 / 256) - np.log2(spread)) * 8
    own = (np.log2(own_variance) - 4) * 8
    expected = np.concatenate([each.reshape(h, w, -1) for each in (differences, octaves, own)], 2)
    found = native.squares(mean, variance)
    assert (found.shape, found.dtype) == ((h, w, INPUTS), np.uint8)
    np.testing.assert_allclose(found[:, :, :219] - 128.0, np.clip(expected, -128, 127), atol=0.51)
    assert (found[:, :, 219:] == 128).all()


def test_it_sees_noise_of_any_size_alike() -> None:
    """Sizes that are powers of two, so that nothing is rounded in another way."""
    mean, variance = estimate(24, 30)
    variance += 1
    small, large = native.squares(mean, variance), native.squares(4 * mean, 16 * variance)
    np.testing.assert_array_equal(small[:, :, :108], large[:, :, :108])
    np.testing.assert_allclose(small[:, :, 108:216], large[:, :, 108:216].astype(int), atol=1)


@pytest.mark.parametrize("variance", [-1.0, float("nan")])
def test_variances_are_not_negative(variance: float) -> None:
    with pytest.raises(ValueError, match="variance"):
        native.squares(np.zeros((4, 4, 3), F), np.full((4, 4, 3), variance, F))


@pytest.mark.parametrize(("mean", "variance"), [((4, 4, 3), (4, 5, 3)), ((4, 4), (4, 4)), ((0, 4, 3), (0, 4, 3))])
def test_estimates_have_a_shape(mean: tuple[int, ...], variance: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"float32 \[H, W, 3\]"):
        native.squares(np.zeros(mean, F), np.zeros(variance, F))


# --- convolutions


def convolved(params: Params, rows: Any) -> Any:
    """In numpy, int32 [h, w, outputs] of uint8 [h, w, inputs]."""
    h, w, _ = rows.shape
    seen = rows.astype(np.int64) - 128
    trunk = times(seen, params["stem.weight"]).astype(F) * params["stem.factor"] + params["stem.bias"][0]
    for k in range(depth_of(params)):
        padded = np.pad(activated(trunk), ((1, 1), (1, 1), (0, 0)))
        parts = {(y, x): padded[y : y + h, x : x + w] for y in range(3) for x in range(3)}
        own = parts.pop((1, 1))
        sums = times(np.concatenate([own, *parts.values()], 2), params[f"block{k}.weight"])
        trunk = trunk + sums.astype(F) * params[f"block{k}.factor"]
    deep = times(activated(trunk), params["head.weight"]).astype(F) * params["head.factor"] + params["head.bias"][0]
    real = deep + times(seen, params["skip.weight"]).astype(F) * params["skip.factor"]
    return rounded(np.minimum(np.maximum(real, F(-32767)), F(32767)))


@pytest.mark.parametrize(("width", "depth"), [(16, 1), (48, 2), (80, 3)])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (5, 50), (3, 101)])
def test_it_convolves_as_numpy_does(kernel: str, width: int, depth: int, size: tuple[int, int]) -> None:
    params = preview_network(width, depth)
    rows = np.random.default_rng(size).integers(0, 256, (*size, INPUTS), np.uint8)
    found = made(params).outputs(rows.reshape(-1, INPUTS), 0, size[1])
    np.testing.assert_array_equal(found.reshape(*size, OUTPUTS), convolved(params, rows))


@pytest.mark.parametrize("size", SIZES)
def test_corrections_are_in_standard_deviations(size: tuple[int, int]) -> None:
    mean, variance = estimate(*size)
    params = preview_network()
    found = convolved(params, native.squares(mean, variance)) / F(64)
    expected = mean + np.sqrt(variance) * upright(found)[: size[0], : size[1]]
    np.testing.assert_allclose(testing.corrected(made(params), mean, variance), expected, rtol=1e-6, atol=1e-4)


def upright(squares: Any) -> Any:
    """[h, w, 12] to [2 h, 2 w, 3]."""
    h, w, _ = squares.shape
    return squares.reshape(h, w, 2, 2, 3).transpose(0, 2, 1, 3, 4).reshape(2 * h, 2 * w, 3)


def test_what_is_certain_stays() -> None:
    mean, _ = estimate(11, 14)
    np.testing.assert_array_equal(testing.corrected(made(preview_network()), mean, np.zeros_like(mean)), mean)


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_change_nothing(threads: int) -> None:
    mean, variance = estimate(237, 341)
    corrector = made(preview_network())
    alone = testing.corrected(corrector, mean, variance)
    np.testing.assert_array_equal(testing.corrected(corrector, mean, variance, threads), alone)


def test_other_networks_correct_nothing() -> None:
    inputs, outputs, _ = native.contract("direct", 1)
    other = native.ContextNetwork.make(network(16, 1, inputs, outputs, 1), "direct", 1)
    mean, variance = estimate(4, 4)
    with pytest.raises(ValueError, match="previews"):
        testing.corrected(other, mean, variance)


def test_a_network_of_previews_is_the_cores_own() -> None:
    with pytest.raises(ValueError, match="core's own"):
        native.ContextNetwork.wrap(object(), "preview", 1, 1)


@pytest.mark.parametrize("shown", [0, 16])
def test_blocks_see_all_around(shown: int) -> None:
    with pytest.raises(ValueError, match="activations"):
        made(network(48, 2, INPUTS, OUTPUTS, 1, shown=shown, neighbours=8))
