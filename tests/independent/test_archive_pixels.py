"""docs/format.md says enough: a decoder that is written from it alone finds the images that share a stream."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from archive_reader import CONTEXT, Archive, decode_alphas, decode_run, read_archive
from ddpmcodec import archive
from ddpmcodec.archive import blocks
from ddpmcodec.format.sections import pack_alpha
from ddpmcodec.models.registry import find
from image_reader import Bad
from networks import Model, read_model

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDER = GOLDEN / "archive-v1"


def decoded(found: Archive, model: Model) -> dict[str, NDArray[np.uint8]]:
    """Images of all runs."""
    runs = [
        decode_run(block, body, run, model)
        for block, body in zip(found.blocks, found.bodies, strict=True)
        if block.kind == CONTEXT
        for run in range(len(block.runs))
    ]
    return {name: pixels for images in runs for name, pixels in images.items()}


def decoded_alphas(found: Archive, model: Model) -> dict[str, NDArray[np.uint8]]:
    """Alpha planes that runs code."""
    runs = [
        decode_alphas(block, body, run, model)
        for block, body in zip(found.blocks, found.bodies, strict=True)
        for run in range(len(block.alpha_sizes) and len(block.runs))
    ]
    return {name: plane for planes in runs for name, plane in planes.items()}


def test_runs_of_the_golden_archive_are_decoded() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    expected = {facts["name"]: facts for facts in manifest["images"] if facts["mode"] in ("L", "RGB")}
    model = read_model(GOLDEN / manifest["model"] / "model.safetensors")
    images = decoded(read_archive((FOLDER / "images.ddpma").read_bytes()), model)
    assert len(images) == 24
    for name in images.keys() & expected.keys():
        assert hashlib.sha256(images[name].tobytes()).hexdigest() == expected[name]["sha256"]


def test_alpha_of_the_golden_archive_is_decoded() -> None:
    folder = GOLDEN / "archive-v2"
    manifest = json.loads((folder / "manifest.json").read_text())
    expected = {facts["name"]: facts for facts in manifest["images"]}
    model = read_model(GOLDEN / manifest["model"] / "model.safetensors")
    found = read_archive((folder / "images.ddpma").read_bytes())
    colours, planes = decoded(found, model), decoded_alphas(found, model)
    assert {name for name, facts in expected.items() if facts["mode"] in ("LA", "RGBA")} == planes.keys()
    for name, facts in expected.items():
        pixels = np.dstack([colours[name], planes[name]]) if name in planes else colours[name]
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == facts["sha256"]


def small_images(repeated: bool) -> dict[str, NDArray[np.uint8]]:
    """Pictures that are a run, large enough that networks learn; or drawings of a few colours."""
    y, x = np.mgrid[:16, :12]
    noise = np.random.Generator(np.random.Philox(9)).integers(0, 16, (11, 16, 12, 3))
    waves = [90 + n + 50 * np.sin(x / 4 + y / (3 + n)) for n in range(11)]
    if repeated:
        palette = np.array([[255, 255, 255], [20, 60, 200], [230, 40, 10]], np.uint8)
        return {f"{n}.png": palette[1 * ((x + n) % 6 < 2) + ((y + n) % 5 < 1)] for n in range(11)}
    return {f"{n}.png": (waves[n][..., None] + noise[n]).astype(np.uint8) for n in range(11)}


def archived(images: dict[str, NDArray[np.uint8]], levels: int = 0) -> Archive:
    pictures = {name: Image.fromarray(pixels) for name, pixels in images.items()}
    model = find(GOLDEN / "v3" / "model.safetensors")
    return read_archive(archive.create(pictures.items(), model=model, effort=1, levels=levels))


@pytest.mark.parametrize("repeated", [False, True])
def test_runs_learn(repeated: bool) -> None:
    images = small_images(repeated)
    found = archived(images)
    assert [block.repeats for block in found.blocks] == [repeated]
    model = read_model(GOLDEN / "v3" / "model.safetensors")
    once_more = decoded(found, model)
    assert once_more.keys() == images.keys()
    assert all(np.array_equal(once_more[name], pixels) for name, pixels in images.items())


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("repeated", [False, True])
def test_alpha_of_runs_is_one_more_stream(repeated: bool, levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "pack_alpha", lambda plane: pack_alpha(plane) + bytes(999))  # the stream is smaller
    colours, planes = small_images(False), {n: a[..., 1] for n, a in small_images(repeated).items() if n != "5.png"}
    images = {name: np.dstack([own, planes[name]]) if name in planes else own for name, own in colours.items()}
    found = archived(images, levels)
    assert [block.alpha_repeats for block in found.blocks] == [repeated]
    model = read_model(GOLDEN / "v3" / "model.safetensors")
    once_more = decoded_alphas(found, model)
    assert once_more.keys() == planes.keys()
    assert all(np.array_equal(once_more[name], plane) for name, plane in planes.items())


def test_a_run_of_another_effort_is_damage() -> None:
    found, model = archived(small_images(True)), read_model(GOLDEN / "v3" / "model.safetensors")
    with pytest.raises((Bad, IndexError)):
        decoded(found._replace(blocks=tuple(block._replace(effort=2) for block in found.blocks)), model)
