"""A stack is craystack's message with one lane: the words that its operations leave, live where it is installed and as
recorded of it elsewhere, and our distributions between its codecs."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest
import record_craystack

from ddpmcodec.paper.ans import Stack, pop_gaussian, push_gaussian, push_logistic

RECORDED: dict[str, list[int]] = json.loads(record_craystack.WORDS.read_text())


@pytest.fixture
def craystack() -> ModuleType:
    """Its own setup.py leaves out `craystack.codecs`: it works from a checkout (`pip install -e`)."""
    found: ModuleType = pytest.importorskip("craystack", reason="craystack is not installed from a checkout")
    return found


def test_the_words_are_those_recorded_of_craystack() -> None:
    stack = Stack.empty()
    for start, freq, precision in record_craystack.intervals():
        stack.push(start, freq, precision)
    assert stack.to_words().tolist() == RECORDED["pushes"]


def test_bits_back_leaves_the_words_recorded_of_craystacks() -> None:
    stack, x = Stack.from_words(record_craystack.start_words()), record_craystack.pixels()
    z = pop_gaussian(stack, 4.0 * x, 8.0)
    push_logistic(stack, x, 16 * z, 60)
    push_gaussian(stack, z, 1020.0, 500.0)
    assert stack.to_words().tolist() == RECORDED["bits back"]


def test_craystack_still_leaves_what_was_recorded(craystack: ModuleType) -> None:
    assert record_craystack.record() == RECORDED


def test_our_codecs_and_craystacks_share_a_message(craystack: ModuleType) -> None:
    ours = record_craystack.example()
    start = ours.message_of(Stack.from_words(record_craystack.start_words()))
    binomial = craystack.Categorical(np.array([[1, 3, 3, 1]]) / 8, 12)
    together = craystack.from_iterable(
        [ours.Gaussian(3.0, 2.0), binomial, ours.Logistic(640, 50), craystack.Uniform(9)]
    )
    drawn = [np.array([5]), np.array([2]), np.array([200]), np.array([300])]
    (message,) = together.push(start, drawn)
    stack = ours.stack_of(craystack.Uniform(9).push(start, drawn[3])[0])
    push_logistic(stack, [200], 640, 50)
    stack = ours.stack_of(binomial.push(ours.message_of(stack), drawn[1])[0])
    push_gaussian(stack, [5], 3.0, 2.0)
    assert ours.stack_of(message).to_words().tolist() == stack.to_words().tolist()
    message, found = together.pop(message)
    assert [int(symbol[0]) for symbol in found] == [5, 2, 200, 300]
    assert ours.stack_of(message).to_words().tolist() == record_craystack.start_words().tolist()


def test_the_example_runs(craystack: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    record_craystack.example().main()
    assert "words more on the message" in capsys.readouterr().out
