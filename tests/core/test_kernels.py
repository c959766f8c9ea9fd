"""The compiled core's kernels: exact products, networks and learning, the same with every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from ddpmcodec import _native as native
from ddpmcodec._native import testing
from ddpmcodec.errors import DdpmError

F = np.float32
ROUNDER = F(1.5 * 2**23)
MOMENTUM, SQUARES, TINY = F(0.5), F(0.998), F(1e-20)
SHAPES = [(1, 1, 1), (1, 4, 16), (3, 5, 7), (5, 88, 30), (6, 64, 64), (7, 63, 17), (13, 192, 39), (24, 192, 192)]
SHAPES += [(33, 65, 49), (64, 512, 48), (67, 300, 80), (4, 1100, 33), (100, 16, 256)]
Params = dict[str, Any]


@pytest.fixture(params=native.kernels())
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.kernel()
    native.use_kernel(request.param)
    yield request.param
    native.use_kernel(before)


def network(
    width: int = 64, depth: int = 3, inputs: int = 96, outputs: int = 30, conditions: int = 3, shown: int = 0
) -> Params:  # fmt: skip
    r = np.random.default_rng(width + depth)

    def layer(name: str, rows: int, columns: int, factor: float) -> Params:
        weight = r.integers(-127, 128, (rows, columns), np.int8)
        return {f"{name}.weight": weight, f"{name}.factor": (factor * r.uniform(0.5, 1.5, rows)).astype(F)}

    params = layer("stem", width, inputs, 0.002) | layer("head", outputs, width, 0.3)
    params |= layer("skip", outputs, inputs, 0.05)
    for k in range(depth):
        params |= layer(f"block{k}", width, width + 3 * shown, 0.0005)
    params["stem.bias"] = r.normal(60, 60, (conditions, width)).astype(F)
    return params | {"head.bias": r.normal(0, 300, (conditions, outputs)).astype(F)}


@cache
def expected_of(
    width: int, depth: int, count: int, inputs: int, shown: int
) -> tuple[Params, Any, tuple[Any, Any, Any]]:  # fmt: skip
    """A network, rows, and what numpy computes of them; once for all kernels."""
    params, rows = network(width, depth, inputs, shown=shown), rows_of(count, inputs)
    return params, rows, reference(params, rows, 2)


def rows_of(count: int, inputs: int = 96) -> Any:
    return np.random.default_rng(count).integers(0, 256, (count, inputs), np.uint8)


def rounded(x: Any) -> Any:
    return ((x + ROUNDER) - ROUNDER).astype(np.int32)


def activated(trunk: Any) -> Any:
    return rounded(np.minimum(np.maximum(trunk, F(0)), F(255))).astype(np.uint8)


def times(x: Any, w: Any) -> Any:
    return x.astype(np.int64) @ w.astype(np.int64).T


def depth_of(params: Params) -> int:
    return sum(name.startswith("block") and name.endswith(".weight") for name in params)


def reference(params: Params, rows: Any, condition: int) -> tuple[Any, list[Any], Any]:
    """Outputs, and what the blocks and the head see, of rows that are alone: nobody shows them anything."""
    trunk = times(rows.astype(np.int64) - 128, params["stem.weight"]).astype(F) * params["stem.factor"]
    trunk = trunk + params["stem.bias"][condition]
    blocks = []
    for k in range(depth_of(params)):
        own, seen = activated(trunk), params[f"block{k}.weight"].shape[1]
        blocks.append(np.pad(own, ((0, 0), (0, seen - own.shape[1]))))
        trunk = trunk + times(blocks[k], params[f"block{k}.weight"]).astype(F) * params[f"block{k}.factor"]
    head = activated(trunk)
    real = times(head, params["head.weight"]).astype(F) * params["head.factor"] + params["head.bias"][condition]
    real = real + times(rows.astype(np.int64) - 128, params["skip.weight"]).astype(F) * params["skip.factor"]
    return rounded(np.minimum(np.maximum(real, F(-32767)), F(32767))), blocks, head


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


class Adam:
    """Weights, which move as in `kernels_learner.cpp`, with numpy."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights.astype(F)
        self.momentum, self.squares = np.zeros(weights.shape, F), np.zeros(weights.shape, F)
        self.powers = np.ones(2, F)

    def move(self, gradient: Any, rate: Any, limit: float) -> None:
        self.powers = self.powers * np.array([MOMENTUM, SQUARES])
        pace = rate * (np.sqrt(F(1) - self.powers[1]) / (F(1) - self.powers[0]))
        self.momentum = MOMENTUM * self.momentum + (F(1) - MOMENTUM) * gradient
        self.squares = SQUARES * self.squares + (F(1) - SQUARES) * (gradient * gradient)
        moved = pace * (self.momentum / (np.sqrt(self.squares) + TINY))
        self.weights = np.minimum(np.maximum(self.weights - moved, F(-limit)), F(limit))


class Layer(Adam):
    def learn(self, slopes: Any, inputs: Any, rate: Any) -> None:
        largest = np.abs(slopes).max(axis=0)
        sums = quantised(slopes, largest[None]).T.astype(np.int64) @ inputs.astype(np.int64)
        self.move(sums.astype(F) * units(largest).astype(F)[:, None], rate, 127)


def units(largest: Any) -> Any:
    return np.where(largest > TINY, largest / F(127), F(0))


def quantised(slopes: Any, largest: Any) -> Any:
    shares = np.where(largest > TINY, F(127) / np.maximum(largest, TINY), F(0))
    return rounded(slopes * shares)


class Learner:
    """The head, its biases and the last blocks, with numpy."""

    def __init__(self, params: Params, learning: int) -> None:
        self.params = dict(params)
        depth = depth_of(params)
        self.names = [f"block{k}" for k in range(depth - learning, depth)]
        self.blocks = [Layer(params[f"{name}.weight"]) for name in self.names]
        self.head = Layer(params["head.weight"])
        self.biases = [Adam(bias) for bias in params["head.bias"]]

    def step(self, condition: int, slopes: Any, blocks: list[Any], head: Any, *rates: float) -> None:
        of_head, of_block, of_inner, of_bias = map(F, rates)
        width = head.shape[1]
        trunk, by_sums, weights, seen = np.zeros(head.shape, F), slopes, self.params["head.weight"], head
        for k in reversed(range(len(self.names))):
            name = self.names[k]
            largest = np.abs(by_sums).max(axis=1)
            sums = quantised(by_sums, largest[:, None]).astype(np.int64) @ weights[:, :width].astype(np.int64)
            back = sums.astype(F) * units(largest)[:, None]
            trunk = trunk + np.where((seen > 0) & (seen < 255), back, F(0))
            by_sums, weights, seen = (
                trunk * self.params[f"{name}.factor"], self.params[f"{name}.weight"], blocks[k][:, :width]
            )  # fmt: skip
            self.blocks[k].learn(by_sums, blocks[k], of_block if k == len(self.names) - 1 else of_inner)
        self.head.learn(slopes, head, of_head)
        total = np.zeros(slopes.shape[1], F)
        for row in slopes:
            total = total + row
        self.biases[condition].move(total / self.params["head.factor"], of_bias, 32767)
        for name, block in zip(self.names, self.blocks, strict=True):
            self.params[f"{name}.weight"] = rounded(block.weights).astype(np.int8)
        self.params["head.weight"] = rounded(self.head.weights).astype(np.int8)
        self.params["head.bias"] = np.stack([bias.weights for bias in self.biases])


class Step(NamedTuple):
    """What a learner takes: slopes of positions, and what the last blocks and the head see of them."""

    condition: int
    slopes: Any
    blocks: list[Any]
    head: Any
    rates: tuple[float, float, float, float] = (0.4, 0.9, 0.7, 5.0)


class Lesson(NamedTuple):
    """Steps, and numpy's learner after them."""

    params: Params
    learning: int  # blocks
    steps: list[Step]
    expected: Learner

    def learner(self, threads: int = 1) -> Any:
        """The learner after the steps."""
        most = max(len(step.slopes) for step in self.steps)
        learner = testing.Learner(testing.Network(self.params), self.learning, most)
        for step in self.steps:
            learner.step(*step, threads=threads)
        return learner


@cache
def lesson(
    width: int = 64, depth: int = 3, learning: int = 2, inputs: int = 96, outputs: int = 30, shown: int = 0
) -> Lesson:
    """Steps of several numbers of positions, once for all kernels."""
    params = network(width, depth, inputs, outputs, shown=shown)
    params["head.factor"][::5] *= -1
    expected, steps = Learner(params, learning), []
    for i, count in enumerate([96, 5, 1, 131, 97]):
        r = np.random.default_rng(i)
        slopes = (r.normal(size=(count, outputs)) * params["head.factor"]).astype(F)
        slopes[:, 3] = 0  # an output that nothing depends on
        slopes[0] = 0  # a position
        _, blocks, head = reference(expected.params, rows_of(count, inputs), i % 2)
        blocks = blocks[depth - learning :]
        for block in blocks:
            block[:, width:] = r.integers(0, 256, (count, 3 * shown))  # what others show
        steps.append(Step(i % 2, slopes, blocks, head))
        expected.step(i % 2, slopes, blocks, head, *steps[-1].rates)
    return Lesson(params, learning, steps, expected)


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype == F and np.array_equal(a.view(np.int32), b.view(np.int32)))


def assert_same(learner: Any, expected: Learner) -> None:
    assert same_bits(learner.head_weights(), expected.head.weights)
    for k, block in enumerate(expected.blocks):
        assert same_bits(learner.block_weights(k), block.weights)
    assert same_bits(learner.head_bias(), expected.params["head.bias"])


SIZES = [
    (16, 1, 1, 96, 30, 16), (64, 3, 1, 16, 30, 0), (192, 2, 2, 304, 39, 16), (512, 1, 1, 512, 256, 0),
    (448, 1, 1, 96, 30, 192), (32, 4, 4, 96, 24, 16), (64, 3, 2, 96, 24, 0),
]  # fmt: skip


@pytest.mark.parametrize(("width", "depth", "learning", "inputs", "outputs", "shown"), SIZES)
def test_learning_computes_what_numpy_does(
    kernel: str, width: int, depth: int, learning: int, inputs: int, outputs: int, shown: int
) -> None:  # fmt: skip
    taught, rows = lesson(width, depth, learning, inputs, outputs, shown), rows_of(20, inputs)
    learner = taught.learner()
    assert_same(learner, taught.expected)
    for condition in range(3):
        outputs_then = reference(taught.expected.params, rows, condition)[0]
        assert np.array_equal(learner.outputs(rows, condition), outputs_then)
    assert not np.array_equal(outputs_then, reference(taught.params, rows, 2)[0])


@pytest.mark.parametrize("threads", [2, 3, 5, 40])
def test_learning_does_not_depend_on_the_number_of_threads(kernel: str, threads: int) -> None:
    assert_same(lesson(shown=16).learner(threads), lesson(shown=16).expected)


def test_learning_leaves_the_network_that_it_began_with(kernel: str) -> None:
    start = testing.Network(params := network())
    before = start.outputs(rows_of(5), 0)
    learner = testing.Learner(start, 1, 8)
    learner.step(0, np.ones((8, 30), F), [rows_of(8, 64)], rows_of(8, 64), [1, 1, 1, 1])
    assert np.array_equal(start.outputs(rows_of(5), 0), before)
    assert np.array_equal(before, reference(params, rows_of(5), 0)[0])


def test_what_a_learner_cannot_learn_from_is_refused() -> None:
    start, rows = testing.Network(network()), rows_of(8, 64)
    for blocks in (0, 4):
        with pytest.raises(ValueError, match=r"the blocks that learn are not 1 \.\. the depth"):
            testing.Learner(start, blocks, 8)
    for kept in ([], [rows] * 2):
        with pytest.raises(ValueError, match="one array for each block that learns"):
            testing.Learner(start, 1, 8).step(0, np.ones((8, 30), F), kept, rows, [1, 1, 1, 1])


def test_a_learner_keeps_the_kernels_of_its_network(kernel: str) -> None:
    taught = lesson(64, 3, 2, 96, 30)
    start = testing.Network(taught.params)
    for other in native.kernels():
        native.use_kernel(other)
        learner = testing.Learner(start, taught.learning, 131)
        for step in taught.steps:
            learner.step(*step)
        assert_same(learner, taught.expected)


def test_an_unknown_kernel_is_refused() -> None:
    before = native.kernel()
    with pytest.raises(DdpmError, match=r"no kernels 'mmx' on this processor; possible here: .*plain"):
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
    assert "DDPMCODEC_KERNELS: no kernels 'mmx' on this processor; possible here:" in kernel_under("mmx").stderr


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "stem.weight",
            lambda a: a.astype(np.int16),
            r"stem.weight: expected int8 \(64, 96\) in one piece, found int16 \(64, 96\)",
        ),
        ("stem.weight", lambda a: a[:, ::2], r"stem.weight: expected int8 \(64, 48\) in one piece"),
        ("stem.factor", lambda a: a.astype(np.float64), r"stem.factor: expected float32 \(64\) in one piece"),
        (
            "block1.weight",
            lambda a: a[:, :48].copy(),
            r"block1.weight: expected int8 \(64, 64\) .*, found int8 \(64, 48\)",
        ),
        ("block2.factor", lambda a: None, r"block2.factor: expected float32 \(64\) in one piece, found NoneType"),
        ("skip.weight", lambda a: a[:, 16:].copy(), r"skip.weight: expected int8 \(30, 96\) .*, found int8 \(30, 80\)"),
        ("skip.factor", lambda a: a[1:].copy(), r"skip.factor: expected float32 \(30\) "),
        ("head.bias", lambda a: a[:2], r"head.bias: expected float32 \(3, 30\) "),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name: str, change: Any, message: str) -> None:
    params = network()
    params[name] = change(params[name])
    with pytest.raises(ValueError, match=message):
        testing.Network(params)


def test_what_is_missing_or_too_large_is_refused() -> None:
    for name in ("head.factor", "skip.weight", "skip.factor"):
        with pytest.raises(ValueError, match=f"there is no tensor {name}"):
            testing.Network({other: tensor for other, tensor in network().items() if other != name})
    with pytest.raises(ValueError, match="weights: expected 1 or more outputs"):
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
        with pytest.raises(ValueError, match=r"network: the (width|depth|number of inputs|number of outputs) is "):
            testing.Network(network(**shape))
