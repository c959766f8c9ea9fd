"""Files that were ever written decode to the same pixels for ever, and are still written the same."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, models
from ddpmcodec.formats import png
from ddpmcodec.formats.images import deep_planes
from ddpmcodec.models import context, registry
from ddpmcodec.models.context import ContextModel

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = sorted((path for path in GOLDEN.glob("v*") if path.is_dir()), key=lambda path: int(path.name[1:]))
# Of files that encoders wrote before: tiles smaller than any that are made now, and alpha that zlib deflated.
DECODED_ONLY = {f"{name}.png" for name in ("tiles", "lanes", "cutout", "grey-alpha")}
MOST_APART = 2  # grey levels between two decoders of JPEG


class Stream(NamedTuple):
    """One golden file. model: "" for the tiny one of its folder, or the name of an embedded one. tile: as asked for."""

    folder: Path
    file: str
    picture: str
    effort: int
    levels: int
    model: str
    sha256: str
    tile: int | None = None

    @property
    def data(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    @property
    def can_be_written(self) -> bool:
        return self.tile is not None or self.picture not in DECODED_ONLY

    @property
    def image(self) -> Image.Image:
        image = Image.open(self.folder / self.picture)
        image.load()
        return image


class OfJpeg(NamedTuple):
    """A golden file of a JPEG file. picture: its pixels, as they were decoded when it was made."""

    folder: Path
    file: str
    jpeg: str
    picture: str
    sha256: str
    jpeg_sha256: str

    @property
    def data(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    @property
    def original(self) -> bytes:
        return (self.folder / self.jpeg).read_bytes()


def of_jpegs(folders: list[Path]) -> list[OfJpeg]:
    found = [folder / "jpegs.json" for folder in folders]
    return [OfJpeg(path.parent, **entry) for path in found if path.exists() for entry in json.loads(path.read_text())]


def sources(folders: list[Path]) -> list[Any]:
    found = [
        (path.parent, entry)
        for path in (folder / "files.json" for folder in folders)
        if path.exists()
        for entry in json.loads(path.read_text())
    ]
    return [pytest.param(folder, entry, id=f"{folder.name}/{entry['file']}") for folder, entry in found]


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def streams(folders: list[Path]) -> list[Any]:
    entries = [Stream(folder, **entry) for folder in folders for entry in manifest(folder)["streams"]]
    return [pytest.param(entry, id=f"{entry.folder.name}/{entry.file}") for entry in entries]


@cache
def model(stream_model: str, folder: Path) -> ContextModel:
    return registry.find(stream_model or folder / "model.safetensors")


pytestmark = pytest.mark.usefixtures("one_thread")


def test_there_are_golden_files() -> None:
    assert VERSIONS, "no golden files: make them with `python tests/golden/make.py v1`"


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_nothing_was_changed_or_taken_away(folder: Path) -> None:
    entries = [entry.values[0] for entry in streams([folder])]
    for name, digest in manifest(folder)["models"].items():
        assert model(name, folder).id.hex() == digest
    assert [hashlib.sha256(entry.data).hexdigest() for entry in entries] == [entry.sha256 for entry in entries]
    jpegs = of_jpegs([folder])
    assert [hashlib.sha256(entry.data).hexdigest() for entry in jpegs] == [entry.sha256 for entry in jpegs]
    assert [hashlib.sha256(entry.original).hexdigest() for entry in jpegs] == [entry.jpeg_sha256 for entry in jpegs]
    named = {name for entry in entries for name in (entry.file, entry.picture)} | {"manifest.json", "model.safetensors"}
    named |= {name for entry in jpegs for name in (entry.file, entry.jpeg, entry.picture, "jpegs.json")}
    for _, entry in (source.values for source in sources([folder])):
        for name, digest in ((entry["file"], entry["sha256"]), (entry["source"], entry["source_sha256"])):
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        named |= {entry["file"], entry["source"], "files.json"}
    assert {path.name for path in folder.iterdir()} == named


@pytest.mark.parametrize(("folder", "entry"), sources(VERSIONS))
def test_files_of_more_bits_and_kept_ones_come_back(folder: Path, entry: dict[str, str]) -> None:
    data, source = (folder / entry["file"]).read_bytes(), (folder / entry["source"]).read_bytes()
    again = codec.decode_original(data)
    if entry["source"].endswith(".png"):  # whose pixels are compressed anew
        assert [chunk.kind for chunk in png.chunks(again)] == [chunk.kind for chunk in png.chunks(source)]
        found = deep_planes(source, None, strip=False)
        assert found is not None
        assert found[1].samples is not None
        assert np.array_equal(codec.decode(data, as_array=True), found[1].samples.values)
    else:
        assert again == source


@pytest.mark.parametrize("stream", streams(VERSIONS))
def test_it_decodes_to_its_picture(stream: Stream) -> None:
    found, expected = codec.decode(stream.data, model=model(stream.model, stream.folder)), stream.image
    assert found.mode == expected.mode
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert found.info.get("icc_profile") == expected.info.get("icc_profile")


@pytest.mark.parametrize("stream", streams(VERSIONS))
def test_its_prefixes_are_previews(stream: Stream) -> None:
    header = codec.info(stream.data)["header_bytes"]
    for share in (0.0, 0.5, 0.9):
        size = header + int(share * (len(stream.data) - header))
        found = codec.decode_details(stream.data[:size], partial=True, model=model(stream.model, stream.folder))
        assert found.image.size == stream.image.size
        assert not found.damaged


@pytest.mark.parametrize("file", of_jpegs(VERSIONS), ids=lambda file: f"{file.folder.name}/{file.file}")
def test_a_jpeg_comes_back_byte_for_byte(file: OfJpeg) -> None:
    assert codec.info(file.data)["coding"] == "JPEG coefficients"
    assert codec.decode_original(file.data) == file.original


@pytest.mark.parametrize("file", of_jpegs(VERSIONS), ids=lambda file: f"{file.folder.name}/{file.file}")
def test_a_jpeg_decodes_to_its_pixels(file: OfJpeg) -> None:
    """Those of this Pillow's decoder, which are those of any other to a grey level or two (docs/format.md)."""
    found = codec.decode(file.data)
    with Image.open(io.BytesIO(file.original)) as jpeg, Image.open(file.folder / file.picture) as picture:
        assert (found.mode, found.size) == (picture.mode, picture.size) == (jpeg.mode, jpeg.size)
        assert found.tobytes() == jpeg.tobytes()
        assert found.info.get("exif") == jpeg.info.get("exif")
        assert np.abs(np.asarray(found, np.int16) - np.asarray(picture, np.int16)).max() <= MOST_APART


@pytest.mark.parametrize("file", of_jpegs(VERSIONS), ids=lambda file: f"{file.folder.name}/{file.file}")
def test_prefixes_of_a_jpeg_are_previews(file: OfJpeg) -> None:
    for size in (codec.info(file.data)["header_bytes"], len(file.data) - 1):
        assert codec.decode(file.data[:size], partial=True).size == codec.decode(file.data).size


@pytest.mark.parametrize("stream", [each for each in streams(VERSIONS) if each.values[0].can_be_written])
def test_it_is_written_as_it_was(stream: Stream) -> None:
    chosen = model(stream.model, stream.folder)
    coding = {"effort": stream.effort, "levels": stream.levels, "tile": stream.tile}
    assert codec.encode(stream.image, **coding, model=chosen, verify=False) == stream.data


# --- the script that makes them


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(GOLDEN))
    sys.modules.pop("make", None)
    import make

    return make


def test_a_folder_that_exists_is_never_touched(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "GOLDEN", tmp_path)
    (tmp_path / "v1").mkdir()
    with pytest.raises(SystemExit, match="golden files"):
        make.main("v1")
    assert not list((tmp_path / "v1").iterdir())


def test_streams_of_an_embedded_model_are_added_once(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"pixel": Image.new("RGB", (1, 1)), "grey": Image.new("L", (3, 2))}
    monkeypatch.setattr(make, "GOLDEN", tmp_path)
    monkeypatch.setattr(make, "pictures", lambda: few)
    make.main("v9")
    before = {path.name: path.read_bytes() for path in (tmp_path / "v9").iterdir()}
    make.main("v9", models.THUMBNAIL)
    after = {path.name: path.read_bytes() for path in (tmp_path / "v9").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    added = {entry["file"] for entry in manifest(tmp_path / "v9")["streams"]} - before.keys()
    assert added == after.keys() - before.keys()
    assert len(added) == len(before) - 4  # the model, the manifest and two pictures stay as they are
    with pytest.raises(SystemExit, match=models.THUMBNAIL):
        make.main("v9", models.THUMBNAIL)


def test_files_of_jpegs_are_added_once(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "GOLDEN", tmp_path)
    (jpeg,) = (entry.original for entry in of_jpegs(VERSIONS[:1]) if entry.file == "jpeg-grey.ddpm")
    monkeypatch.setattr(make, "jpegs", lambda: {"jpeg-grey": jpeg})
    (tmp_path / "v9").mkdir()
    make.main("v9", "jpegs")
    (entry,) = of_jpegs([tmp_path / "v9"])
    assert codec.decode_original(entry.data) == entry.original == jpeg
    before = {path.name: path.read_bytes() for path in (tmp_path / "v9").iterdir()}
    make.main("v9", "jpegs")
    assert {path.name: path.read_bytes() for path in (tmp_path / "v9").iterdir()} == before


@pytest.mark.parametrize(("version", "shown", "band3"), [("v1", 0, 32), ("v2", 16, 96)])
def test_the_tiny_model_can_be_made_again(version: str, shown: int, band3: int, make: Any) -> None:
    keys = (f"{effort}.{role}" for effort in context.EFFORTS for role in context.ROLES)
    components = dict.fromkeys(keys, make.COMPONENTS)
    made = context.pack(make.tensors(20061123, shown, band3), components, "golden")
    assert made == (GOLDEN / version / "model.safetensors").read_bytes()


def test_the_tiny_model_with_a_network_of_effort_0_can_be_made_again(make: Any) -> None:
    assert context.pack(*make.fast_parts(), "golden") == (GOLDEN / "v3" / "model.safetensors").read_bytes()
