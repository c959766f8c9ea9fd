"""States of runs: what is written is read, and what is no state is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import state
from ddpmcodec.training.state import State


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = State({"a.b": torch.arange(6.0).view(2, 3).t(), "c": torch.ones(())}, {"step": 3, "settings": {"x": [1]}})
    assert not state.exists(tmp_path)
    state.write(tmp_path, written)
    found = state.read(tmp_path)
    assert state.exists(tmp_path)
    assert found.facts == written.facts
    assert all(torch.equal(found.tensors[key], value) for key, value in written.tensors.items())


@pytest.mark.parametrize("content", [b"", b"no state", None], ids=["empty", "text", "missing"])
def test_what_is_no_state_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / state.FILE).write_bytes(content)
    with pytest.raises(TrainingError, match=r"state.safetensors: not the state"):
        state.read(tmp_path)


def test_flipped_bits_are_found(tmp_path: Path) -> None:
    state.write(tmp_path, State({"a": torch.arange(6.0), "b": torch.ones(3)}, {"step": 3}))
    written = (tmp_path / state.FILE).read_bytes()
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= 1 << place % 8
        (tmp_path / state.FILE).write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"state.safetensors: (is damaged|not the state)"):
            state.read(tmp_path)
    for end in range(len(written)):
        (tmp_path / state.FILE).write_bytes(written[:end])
        with pytest.raises(TrainingError, match=r"state.safetensors: not the state"):
            state.read(tmp_path)


def test_a_state_without_its_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / state.FILE).write_bytes(save({"a": torch.ones(3)}, {"ddpmcodec": '{"step": 3}'}))
    with pytest.raises(TrainingError, match=r"state.safetensors: .*hash"):
        state.read(tmp_path)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_modules_and_moments_go_on_where_they_were(kind: type[torch.optim.Optimizer]) -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        module = nn.Linear(3, 2)
        return module, kind(module.parameters(), lr=0.1)  # type: ignore[call-arg]

    def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    first, again = made(), made()
    step(*first)
    tensors = state.of_module(first[0], "net") | state.of_optimizer(first[1], "adam")
    state.load_module(again[0], "net", tensors)
    state.load_optimizer(again[1], "adam", {key: value.clone() for key, value in tensors.items()})
    step(*first)
    step(*again)
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True))


def test_parts_are_distinguished_by_the_whole_prefix() -> None:
    module = nn.Linear(1, 1)
    tensors = state.of_module(module, "net") | {"net2.weight": torch.zeros(5)}
    state.load_module(module, "net", tensors)
    with pytest.raises(RuntimeError):
        state.load_module(module, "net2", tensors)
