"""A model that is not embedded, and an archive of pictures of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddpmcodec.archive import blocks, packing
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find
from pictures import Pictures, context_model, create, crops, drawing, mixed


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    path.write_bytes(context_model("mine"))
    return path


@pytest.fixture(scope="session")
def model(model_path: Path) -> ContextModel:
    return find(model_path)


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    return mixed()


@pytest.fixture(scope="session")
def data(pictures: Pictures, model: ContextModel) -> bytes:
    return create(pictures, model)


@pytest.fixture(scope="session")
def photos() -> Pictures:
    return crops(40)


@pytest.fixture(scope="session")
def path(photos: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of ten blocks, each a run, of four photographs, by the embedded model."""
    found = tmp_path_factory.mktemp("archives") / "photos.ddpma"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK_IMAGES", 4)
        found.write_bytes(create(photos, None))
    return found


@pytest.fixture
def decoded_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that grows by a byte for each run that is decoded, by whatever process."""
    decode, counter = blocks.decode_run, tmp_path / "decoded"

    def counted(*rest: Any) -> Any:
        with counter.open("ab") as file:
            file.write(b".")
        return decode(*rest)

    monkeypatch.setattr(blocks, "decode_run", counted)
    return counter


@pytest.fixture(scope="session")
def several(model: ContextModel) -> tuple[Pictures, bytes]:
    """Pictures, and an archive of them with four blocks: three stacks, and one of files."""
    pictures = {**crops(24), "drawing.png": drawing()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK_IMAGES", 8)
        return pictures, create(pictures, model)  # other fixtures are made without the patch


@pytest.fixture
def several_path(several: tuple[Pictures, bytes], tmp_path: Path) -> Path:
    found = tmp_path / "several.ddpma"
    found.write_bytes(several[1])
    return found
