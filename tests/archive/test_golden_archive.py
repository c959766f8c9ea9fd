"""Golden archives decode for ever, and are made again byte for byte (tests/golden/make_archive.py)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ddpmcodec import archive
from ddpmcodec.format import ddpma
from ddpmcodec.models.registry import find

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = sorted(GOLDEN.glob("archive-v*"))


@pytest.fixture(scope="module")
def make_archive() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GOLDEN)
        spec = importlib.util.spec_from_file_location("make_archive", GOLDEN / "make_archive.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules.pop("make", None)
        return module


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_image_is_what_it_was(folder: Path, make_archive: ModuleType) -> None:
    manifest, data = manifest_of(folder), (folder / make_archive.ARCHIVE).read_bytes()
    assert hashlib.sha256(data).hexdigest() == manifest["sha256"]
    model = find(GOLDEN / manifest["model"] / make_archive.make.MODEL) if manifest["bits_back"] is None else None
    found = dict(archive.extract(data, model=model))
    assert archive.names(data) == [facts["name"] for facts in manifest["images"]]
    assert [make_archive.facts(facts["name"], found[facts["name"]]) for facts in manifest["images"]] == manifest[
        "images"
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_is_made_again_byte_for_byte(folder: Path, make_archive: ModuleType) -> None:
    manifest = manifest_of(folder)
    pictures = make_archive.pictures_of(manifest.get("pictures"))
    data = make_archive.create(pictures, GOLDEN / manifest["model"], manifest["bits_back"])
    assert hashlib.sha256(data).hexdigest() == manifest["sha256"]


def archived_file(path: Path, name: str) -> bytes:
    """Of an image of an archive that is not on a stack."""
    found = ddpma.split(path.read_bytes())
    for block, parts in zip(found.index.blocks, found.parts, strict=True):
        for entry, section in zip(block.entries, parts.sections, strict=True):
            if entry.name == name:
                return bytes(section)
    raise KeyError(name)
