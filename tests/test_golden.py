"""Files of every version ever written decode to the same pixels for ever, and the newest are still written the same."""

from __future__ import annotations

import hashlib
import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.model import Model

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted((path for path in GOLDEN.glob("v*") if path.is_dir()), key=lambda path: int(path.name[1:]))


class Stream(NamedTuple):
    """One golden file."""

    folder: Path
    file: str
    picture: str
    effort: int
    group_pixels: int | None  # the image was cut into groups of this size
    sha256: str

    @property
    def data(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    @property
    def image(self) -> Image.Image:
        return Image.open(self.folder / self.picture)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def streams(folders: list[Path]) -> list[Any]:
    entries = [Stream(folder, **entry) for folder in folders for entry in manifest(folder)["streams"]]
    return [pytest.param(entry, id=f"{entry.folder.name}/{entry.file}") for entry in entries]


@cache
def model(folder: Path) -> Model:
    return checkpoint.parse(lzma.decompress((folder / manifest(folder)["model"]).read_bytes()), str(folder))


pytestmark = pytest.mark.usefixtures("one_thread")


def test_there_are_golden_files() -> None:
    assert VERSIONS, "no golden files: make them with `python tests/golden/make.py v1`"


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_nothing_was_changed_or_taken_away(folder: Path) -> None:
    entries = [entry.values[0] for entry in streams([folder])]
    assert model(folder).id.hex() == manifest(folder)["sha256"]
    assert [hashlib.sha256(entry.data).hexdigest() for entry in entries] == [entry.sha256 for entry in entries]
    named = {name for entry in entries for name in (entry.file, entry.picture)} | {manifest(folder)["model"]}
    assert {path.name for path in folder.iterdir()} == named | {"manifest.json"}


@pytest.mark.parametrize("stream", streams(VERSIONS))
def test_it_decodes_to_its_picture(stream: Stream) -> None:
    found, expected = codec.decode(stream.data, model=model(stream.folder)), stream.image
    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert found.info.get("icc_profile") == expected.info.get("icc_profile")


@pytest.mark.parametrize("stream", streams(VERSIONS[-1:]))
def test_it_is_written_as_it_was(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    if stream.group_pixels:
        monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", stream.group_pixels)
        monkeypatch.setattr(container, "GROUP_PIXELS", stream.group_pixels)
    assert codec.encode(stream.image, effort=stream.effort, model=model(stream.folder), verify=False) == stream.data
