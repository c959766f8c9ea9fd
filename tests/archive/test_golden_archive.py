"""Archives of every version ever written give back the same images for ever; the newest are still written the same."""

from __future__ import annotations

import hashlib
import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.model import Model

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = sorted(GOLDEN.glob("archive-v*"), key=lambda path: int(path.name.rpartition("v")[2]))

pytestmark = pytest.mark.usefixtures("one_thread")
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


@cache
def model(folder: Path) -> Model:
    packed = (GOLDEN / manifest(folder)["model"] / "tiny.safetensors.xz").read_bytes()
    return checkpoint.parse(lzma.decompress(packed), folder.name)


def data(folder: Path) -> bytes:
    return (folder / "images.ddpma").read_bytes()


def facts(name: str, image: Image.Image) -> dict[str, Any]:
    kept = {key: image.info.get(key, b"").hex() for key in ("icc_profile", "exif")}
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return {"name": name, "mode": image.mode, "size": list(image.size), "sha256": pixels, **kept}


def test_there_are_golden_archives_of_both_channels() -> None:
    assert {bool(manifest(folder)["levels"]) for folder in FOLDERS} == {True, False}, (
        "no golden archive: make it with `python tests/golden/make_archive.py archive-v1 v1`"
    )


@each
def test_nothing_was_changed_or_taken_away(folder: Path) -> None:
    assert hashlib.sha256(data(folder)).hexdigest() == manifest(folder)["sha256"]
    assert {path.name for path in folder.iterdir()} == {"images.ddpma", "manifest.json"}


@each
def test_its_images_are_what_they_were(folder: Path) -> None:
    found = {name: facts(name, image) for name, image in archive.extract(data(folder), model=model(folder))}
    assert [found[name] for name in archive.names(data(folder))] == manifest(folder)["images"]


@each
def test_it_has_batches_and_by_bits_back_files(folder: Path) -> None:
    (block,) = archive.read_index(data(folder)).blocks
    files = {False, True} if manifest(folder)["levels"] else {False}
    assert {bool(run.file_bytes) for run in block.runs} == files
    assert max(run.images for run in block.runs) > 1


@each
def test_it_is_written_as_it_was(folder: Path) -> None:
    images, told = dict(archive.extract(data(folder), model=model(folder))), manifest(folder)
    again = [(name, images[name]) for name in archive.names(data(folder))]
    options = {"levels": told["levels"], "effort": told["effort"], "model": model(folder)}
    assert archive.create(again, verify=False, **options) == data(folder)
