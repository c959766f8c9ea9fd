"""From runs to a model file: whose networks it has, and that it codes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.format.model_file import described
from ddpmcodec.models.context import parse
from ddpmcodec.training import state
from ddpmcodec.training.exporting import export, gathered
from ddpmcodec.training.networks import networks_of


def coded(content: bytes, effort: int, levels: int, images: np.ndarray) -> np.ndarray:
    """Encoded and decoded."""
    networks = parse(content, "exported").networks(effort, levels)
    layout: dict[str, Any] = {"streams": len(images), "learns": False, "threads": 1}
    encoder, decoder = (_native.Pass(networks, levels, images.shape, **layout) for _ in range(2))
    encoder.encode(images)
    encoder.advance(1 << 30, encoder.segments)
    streams = [encoder.stream(number, 0) for number in range(len(images))]
    words = [np.frombuffer(b"".join(own), np.uint32) for _, own in streams]
    decoder.decode([own for own, _ in streams], words)
    decoder.advance(1 << 30, decoder.segments)
    assert decoder.is_exact
    pixels, _ = decoder.pixels()
    return pixels


@pytest.mark.parametrize("levels", [0, 2, 5])
def test_an_exported_model_codes_images(levels: int, run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    content = export([run_folder], "mine", base=str(model_path))
    images = np.ascontiguousarray(gradients[:2])
    assert np.array_equal(coded(content, 1, levels, images), images)


def test_a_trained_network_takes_fewer_bits(run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    sizes = []
    for content in (model_path.read_bytes(), export([run_folder], "mine", base=str(model_path))):
        layout: dict[str, Any] = {"streams": 1, "learns": False, "threads": 1}
        encoder = _native.Pass(parse(content, "m").networks(1, 0), 0, (1, 16, 16, 3), **layout)
        encoder.encode(np.ascontiguousarray(gradients[-1:]))
        encoder.advance(1 << 30, encoder.segments)
        sizes.append(encoder.bits())
    assert sizes[1] < sizes[0]


def test_networks_of_runs_replace_those_of_the_base(run_folder: Path, model_path: Path) -> None:
    content = gathered([run_folder], str(model_path)).packed("mine")
    assert parse(content, "mine").name == "mine"
    found, base = parse(content, "mine").tensors, parse(model_path.read_bytes(), "base").tensors
    assert found.keys() == base.keys()  # though efforts 2 and 3 of the base have no tensors but those of effort 1
    changed = {key.rpartition(".")[0].rpartition(".")[0] for key in found if not np.array_equal(found[key], base[key])}
    assert changed == {"1.direct", "1.band1"}
    own = networks_of(state.read(run_folder), run_folder)["direct"].exported()
    assert all(np.array_equal(found[f"1.direct.{key}"], value.numpy()) for key, value in own.items())


def test_an_exported_model_says_how_it_was_made(run_folder: Path, model_path: Path) -> None:
    (made,) = described(gathered([run_folder], str(model_path)).packed("mine"), "mine")["training"]["runs"]
    assert (made["efforts"], made["roles"], made["steps"]) == ([1], ["direct", "band1"], 30)


def test_the_same_runs_give_the_same_file(run_folder: Path, model_path: Path) -> None:
    first, second = (gathered([run_folder, run_folder], str(model_path)).packed("mine") for _ in range(2))
    assert first == second


def test_missing_networks_are_named(run_folder: Path) -> None:
    with pytest.raises(
        TrainingError,
        match=r"1.last, 1.band2, 1.band3, 2.direct, .*base=",
    ):
        gathered([run_folder], None)


def test_a_base_must_be_a_model(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        gathered([run_folder], str(tmp_path / "no.safetensors"))
