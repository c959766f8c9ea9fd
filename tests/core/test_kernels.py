"""The compiled core's kernels: exact products and networks, the same with every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy_networks import F, expected_of, network, reference, rows_of, times

from ddpmcodec import _native as native
from ddpmcodec.errors import DdpmError
from native_testing import testing

SHAPES = [(1, 1, 1), (1, 4, 16), (3, 5, 7), (5, 88, 30), (6, 64, 64), (7, 63, 17), (13, 192, 39), (24, 192, 192)]
SHAPES += [(33, 65, 49), (64, 512, 48), (67, 300, 80), (4, 1100, 33), (100, 16, 256)]


@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_exact(kernel: str, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    r = np.random.default_rng(m + k + n)
    x, w = r.integers(0, 256, (m, k), np.uint8), r.integers(-128, 128, (n, k), np.int8)
    assert np.array_equal(testing.product(x, w), times(x, w))


@pytest.mark.parametrize("weight", [-128, 127])
def test_the_largest_sums_are_exact(kernel: str, weight: int) -> None:
    x, w = np.full((7, 65535), 255, np.uint8), np.full((17, 65535), weight, np.int8)
    assert np.array_equal(testing.product(x, w), np.full((7, 17), 255 * weight * 65535))


def test_inputs_are_differences_from_a_pixel(kernel: str) -> None:
    """Small ones as they are, larger ones in quarters, up to 127; 128 stands for 0."""
    r = np.random.default_rng(7)
    window = np.concatenate([r.integers(-spread, spread + 1, (5, 32)) for spread in (3, 70, 300, 2000)]).astype(
        np.int16
    )
    centre = np.array([-5, 0, 120], np.int16)
    difference = window.astype(np.int64) - np.resize(centre, 32)
    size = np.abs(difference)
    bounded = np.minimum(np.where(size <= 64, size, 64 + (size - 64) // 4), 127)
    np.testing.assert_array_equal(testing.differences(window, centre), np.sign(difference) * bounded + 128)


SHAPES_OF_NETWORKS = [(16, 1, 0), (16, 1, 16), (48, 2, 0), (64, 3, 32), (192, 3, 16), (512, 8, 0), (448, 2, 192)]


@pytest.mark.parametrize(("width", "depth", "shown"), SHAPES_OF_NETWORKS)
@pytest.mark.parametrize(("count", "inputs"), [(1, 96), (3, 304), (70, 16), (58, 512)])
def test_networks_compute_what_numpy_does(
    kernel: str, width: int, depth: int, shown: int, count: int, inputs: int
) -> None:  # fmt: skip
    params, rows, (outputs, blocks, head) = expected_of(width, depth, count, inputs, shown)
    computed = testing.Network(params)
    assert np.array_equal(computed.outputs(rows, 2), outputs)
    kept = computed.kept(rows, 2)
    assert len(kept[0]) == depth
    assert all(np.array_equal(a, b) for a, b in zip(kept[0], blocks, strict=True))
    assert np.array_equal(kept[1], head)
    assert len(np.unique(head)) > 100 or head.size < 1000  # neither all at one bound, nor at the other


def test_conditions_have_gains_of_the_stem_and_biases_of_blocks(kernel: str) -> None:
    params, rows = network(), rows_of(50)
    r = np.random.default_rng(3)
    params["stem.gain"] = r.uniform(0.3, 2, (3, 64)).astype(F)
    params |= {f"block{k}.bias": r.normal(0, 60, (3, 64)).astype(F) for k in range(3)}
    computed = testing.Network(params)
    for condition in range(3):
        assert np.array_equal(computed.outputs(rows, condition), reference(params, rows, condition)[0])


def test_sums_of_pairs_are_exact(kernel: str) -> None:
    r = np.random.default_rng(4)
    weights, offsets = r.integers(-500, 500, (41, 24, 2), np.int16), r.permutation(99)[:41].astype(np.int32)
    values = r.integers(-32767, 32768, 100).astype(np.int16)
    pairs = values[offsets[:, None] + np.arange(2)].astype(np.int64)
    expected = np.einsum("kp,klp->l", pairs, weights)
    expected[8:] = np.einsum("kp,klp->l", np.abs(pairs), weights[:, 8:])
    assert np.array_equal(testing.weighed(weights.reshape(41, 48), offsets, values), expected)


def test_the_skip_layer_is_linear_in_the_inputs(kernel: str) -> None:
    params = network()
    params |= {"head.factor": np.zeros(30, F), "head.bias": np.zeros((3, 30), F)}
    params |= {"skip.weight": np.eye(30, 96, dtype=np.int8), "skip.factor": np.full(30, 3, F)}
    outputs = testing.Network(params).outputs(rows_of(70), 0)
    assert np.array_equal(outputs, 3 * (rows_of(70)[:, :30].astype(np.int32) - 128))


def test_outputs_are_bounded(kernel: str) -> None:
    params = network(outputs=39)
    params["head.factor"] = params["head.factor"] * F(1000)
    outputs = testing.Network(params).outputs(rows_of(50), 0)
    assert np.array_equal(outputs, reference(params, rows_of(50), 0)[0])
    assert (outputs.min(), outputs.max()) == (-32767, 32767)


def test_what_is_not_a_number_is_the_same_everywhere(kernel: str) -> None:
    params = network()
    params["stem.bias"][0, ::3] = np.nan
    params["head.bias"][0, 1::3] = np.nan
    params["skip.factor"][2::3] = np.nan
    outputs = testing.Network(params).outputs(rows_of(10), 0)
    params["stem.bias"][0, ::3] = -1e9  # an activation of 0
    params["head.bias"][0, 1::3] = params["head.bias"][0, 2::3] = -1e9
    params["skip.factor"] = network()["skip.factor"]
    assert np.array_equal(outputs, reference(params, rows_of(10), 0)[0])


def test_an_unknown_kernel_is_refused() -> None:
    before = native.kernel()
    with pytest.raises(DdpmError, match=r"'mmx'.*plain"):
        native.use_kernel("mmx")
    assert native.kernel() == before


def kernel_under(name: str) -> subprocess.CompletedProcess[str]:
    code = "from ddpmcodec import _native; print(_native.kernel())"
    environment = os.environ | {"DDPMCODEC_KERNELS": name}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_the_environment_chooses_kernels() -> None:
    for name in native.kernels():
        assert kernel_under(name).stdout.strip() == name
    assert kernel_under("").stdout.strip() == native.kernels()[0]
    assert "DDPMCODEC_KERNELS: no kernels 'mmx'" in kernel_under("mmx").stderr


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "stem.weight",
            lambda a: a.astype(np.int16),
            r"stem.weight: .*\(64, 96\) .*int16",
        ),
        ("stem.weight", lambda a: a[:, ::2], r"stem.weight: .*\(64, 48\)"),
        ("stem.factor", lambda a: a.astype(np.float64), r"stem.factor: .*float32 \(64\)"),
        ("block0.weight", lambda a: a[:, :63].copy(), "block0.weight: .*width"),
        (
            "block1.weight",
            lambda a: a[:, :48].copy(),
            r"block1.weight: .*\(64, 64\) .*\(64, 48\)",
        ),
        ("block2.factor", lambda a: None, r"block2.factor: .*NoneType"),
        ("skip.weight", lambda a: a[:, 16:].copy(), r"skip.weight: .*\(30, 96\) .*\(30, 80\)"),
        ("skip.factor", lambda a: a[1:].copy(), r"skip.factor: .*float32 \(30\)"),
        ("head.bias", lambda a: a[:2], r"head.bias: .*float32 \(3, 30\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name: str, change: Any, message: str) -> None:
    params = network()
    params[name] = change(params[name])
    with pytest.raises(ValueError, match=message):
        testing.Network(params)


def test_what_is_missing_or_too_large_is_refused() -> None:
    for name in ("head.factor", "skip.weight", "skip.factor"):
        with pytest.raises(ValueError, match=f"tensor {name}"):
            testing.Network({other: tensor for other, tensor in network().items() if other != name})
    with pytest.raises(ValueError, match=r"weights.*outputs"):
        testing.Network(network(inputs=0))
    shapes = [
        {"width": 24},
        {"width": 528},
        {"depth": 9},
        {"depth": 0},
        {"outputs": 257},
        {"inputs": 88},
        {"inputs": 528},
    ]
    for shape in shapes:
        with pytest.raises(ValueError, match=r"width|depth|number of inputs|number of outputs"):
            testing.Network(network(**shape))
