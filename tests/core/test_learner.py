"""Networks that go on learning compute what numpy does, the same with every instruction set and on all threads."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy_networks import F, Params, depth_of, network, reference, rounded, rows_of

from native_testing import testing

BETA1, BETA2, EPSILON = F(0.5), F(0.998), F(1e-20)


class Adam:
    """Weights, which move as in `kernels_learner.cpp`, with numpy."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights.astype(F)
        self.first_moment, self.second_moment = np.zeros(weights.shape, F), np.zeros(weights.shape, F)
        self.beta_powers = np.ones(2, F)

    def adam_step(self, gradient: Any, rate: Any, limit: float) -> None:
        self.beta_powers = self.beta_powers * np.array([BETA1, BETA2])
        step_size = rate * (np.sqrt(F(1) - self.beta_powers[1]) / (F(1) - self.beta_powers[0]))
        self.first_moment = BETA1 * self.first_moment + (F(1) - BETA1) * gradient
        self.second_moment = BETA2 * self.second_moment + (F(1) - BETA2) * (gradient * gradient)
        moved = step_size * (self.first_moment / (np.sqrt(self.second_moment) + EPSILON))
        self.weights = np.minimum(np.maximum(self.weights - moved, F(-limit)), F(limit))


class Layer(Adam):
    def learn(self, gradients: Any, inputs: Any, rate: Any) -> None:
        largest = np.abs(gradients).max(axis=0)
        sums = quantised(gradients, largest[None]).T.astype(np.int64) @ inputs.astype(np.int64)
        self.adam_step(sums.astype(F) * units(largest).astype(F)[:, None], rate, 127)


def units(largest: Any) -> Any:
    return np.where(largest > EPSILON, largest / F(127), F(0))


def quantised(gradients: Any, largest: Any) -> Any:
    shares = np.where(largest > EPSILON, F(127) / np.maximum(largest, EPSILON), F(0))
    return rounded(gradients * shares)


class Learner:
    """The head, its biases and the last blocks, with numpy."""

    def __init__(self, params: Params, learning: int) -> None:
        self.params = dict(params)
        depth = depth_of(params)
        self.names = [f"block{k}" for k in range(depth - learning, depth)]
        self.blocks = [Layer(params[f"{name}.weight"]) for name in self.names]
        self.head, self.skip = Layer(params["head.weight"]), Layer(params["skip.weight"])
        self.biases = [Adam(bias) for bias in params["head.bias"]]

    def step(
        self, condition: int, gradients: Any, blocks: list[Any], head: Any, rates: tuple[float, ...], inputs: Any
    ) -> None:  # fmt: skip
        of_head, of_block, of_inner, of_bias, of_skip = map(F, rates)
        width = head.shape[1]
        trunk, by_sums, weights, seen = np.zeros(head.shape, F), gradients, self.params["head.weight"], head
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
        self.head.learn(gradients, head, of_head)
        for rows in inputs:
            self.skip.learn(gradients, rows.astype(np.int64) - 128, of_skip)
        total = np.zeros(gradients.shape[1], F)
        for row in gradients:
            total = total + row
        self.biases[condition].adam_step(total / self.params["head.factor"], of_bias, 32767)
        for name, block in zip(self.names, self.blocks, strict=True):
            self.params[f"{name}.weight"] = rounded(block.weights).astype(np.int8)
        self.params["head.weight"] = rounded(self.head.weights).astype(np.int8)
        self.params["skip.weight"] = rounded(self.skip.weights).astype(np.int8)
        self.params["head.bias"] = np.stack([bias.weights for bias in self.biases])


class Step(NamedTuple):
    """What a learner takes: gradients of positions, and what the layers that learn see of them."""

    condition: int
    gradients: Any
    blocks: list[Any]
    head: Any
    rates: tuple[float, ...] = (0.4, 0.9, 0.7, 5.0, 0.3)
    inputs: tuple[Any, ...] = ()


class Lesson(NamedTuple):
    """Steps, and numpy's learner after them."""

    params: Params
    learning: int  # blocks
    steps: list[Step]
    expected: Learner

    def learner(self, threads: int = 1) -> Any:
        """The learner after the steps."""
        most = max(len(step.gradients) for step in self.steps)
        learner = testing.Learner(testing.Network(self.params), self.learning, most, bool(self.steps[0].inputs))
        for step in self.steps:
            learner.step(*step, threads=threads)
        return learner


@cache
def lesson(
    width: int = 64,
    depth: int = 3,
    learning: int = 2,
    inputs: int = 96,
    outputs: int = 30,
    shown: int = 0,
    learns_skip: bool = False,
) -> Lesson:
    """Steps of several numbers of positions, once for all kernels."""
    params = network(width, depth, inputs, outputs, shown=shown)
    params["head.factor"][::5] *= -1
    expected, steps = Learner(params, learning), []
    for i, count in enumerate([96, 5, 1, 131, 97]):
        r = np.random.default_rng(i)
        gradients = (r.normal(size=(count, outputs)) * params["head.factor"]).astype(F)
        gradients[:, 3] = 0  # an output that nothing depends on
        gradients[0] = 0  # a position
        rows = rows_of(count, inputs)
        _, blocks, head = reference(expected.params, rows, i % 2)
        blocks = blocks[depth - learning :]
        for block in blocks:
            block[:, width:] = r.integers(0, 256, (count, 3 * shown))  # what others show
        steps.append(Step(i % 2, gradients, blocks, head, inputs=(rows,) if learns_skip else ()))
        expected.step(*steps[-1])
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


@pytest.mark.parametrize("learning", [0, 2])
def test_the_skip_layer_learns_with_the_head(kernel: str, learning: int) -> None:
    taught, rows = lesson(learning=learning, outputs=10, learns_skip=True), rows_of(20)
    for threads in (1, 3):
        learner = taught.learner(threads)
        assert_same(learner, taught.expected)
        assert np.array_equal(learner.outputs(rows, 1), reference(taught.expected.params, rows, 1)[0])
    assert not np.array_equal(taught.expected.params["skip.weight"], taught.params["skip.weight"])


@pytest.mark.parametrize("threads", [2, 3, 5, 40])
def test_learning_does_not_depend_on_the_number_of_threads(kernel: str, threads: int) -> None:
    assert_same(lesson(shown=16).learner(threads), lesson(shown=16).expected)


def test_learning_leaves_the_network_that_it_began_with(kernel: str) -> None:
    start = testing.Network(params := network())
    before = start.outputs(rows_of(5), 0)
    learner = testing.Learner(start, 1, 8)
    learner.step(0, np.ones((8, 30), F), [rows_of(8, 64)], rows_of(8, 64), [1, 1, 1, 1, 0])
    assert np.array_equal(start.outputs(rows_of(5), 0), before)
    assert np.array_equal(before, reference(params, rows_of(5), 0)[0])


def test_what_a_learner_cannot_learn_from_is_refused() -> None:
    start, rows = testing.Network(network()), rows_of(8, 64)
    for blocks in (-1, 4):
        with pytest.raises(ValueError, match="blocks that learn"):
            testing.Learner(start, blocks, 8)
    for kept in ([], [rows] * 2):
        with pytest.raises(ValueError, match="block that learns"):
            testing.Learner(start, 1, 8).step(0, np.ones((8, 30), F), kept, rows, [1, 1, 1, 1, 0])


def test_a_learner_keeps_the_kernels_of_its_network(kernel: str) -> None:
    taught = lesson(64, 3, 2, 96, 30)
    start = testing.Network(taught.params)
    for other in testing.kernels():
        testing.use_kernel(other)
        learner = testing.Learner(start, taught.learning, 131)
        for step in taught.steps:
            learner.step(*step)
        assert_same(learner, taught.expected)
