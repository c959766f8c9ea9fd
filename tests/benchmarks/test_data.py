"""Which images a benchmark measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.benchmarks._data import graphics, load_dataset, synthetic_photo
from ddpmcodec.errors import DdpmError
from ddpmcodec.training import data


@pytest.fixture
def cifar10(tmp_path: Path, pictures: np.ndarray) -> Path:
    """A folder of sheets of tiles, with three test images."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    sheet = np.zeros((32, 50 * 32, 3), np.uint8)
    sheet[:, :96] = np.concatenate(pictures, 1)
    Image.fromarray(sheet).save(folder / "test_0.webp", lossless=True)
    np.savez(folder / "test_index.npz", official_index=np.arange(3))
    return folder


def test_of_a_folder_all_images_or_the_first(tmp_path: Path, pictures: np.ndarray) -> None:
    for name, image in zip("abc", pictures, strict=True):
        Image.fromarray(image[:20]).save(tmp_path / f"{name}.png")
    everything, two = load_dataset(str(tmp_path)), load_dataset(str(tmp_path), limit=2)
    assert [len(each.images) for each in (everything, two)] == [3, 2]
    assert np.array_equal(two.images[1], pictures[1, :20])
    assert (two.name, two.split, two.of, two.names) == (tmp_path.name, None, 3, ["a", "b"])


def test_of_an_archive_the_names_are_those_of_its_images(tmp_path: Path, pictures: np.ndarray) -> None:
    names = ("deep/b.png", "a.png", "c.png")
    (tmp_path / "three.ddpma").write_bytes(archive.create(zip(names, pictures, strict=True)))
    found = load_dataset(str(tmp_path / "three.ddpma"), limit=2)
    assert (found.name, found.split, found.of, found.names) == ("three", None, 3, ["b", "a"])
    assert np.array_equal(found.images, pictures[:2])


def test_cifar10_by_its_folder_says_how_many_the_test_set_has(cifar10: Path, pictures: np.ndarray) -> None:
    found = load_dataset(str(cifar10), limit=2)
    assert (found.name, found.split, found.of) == ("CIFAR-10", "test", 10_000)
    assert np.array_equal(found.images, pictures[:2])


def test_cifar10_as_torchvision_keeps_it_is_recognised(
    tmp_path: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setattr(data, "_torchvision", lambda root, split: list(pictures) if split == "train" else [])
    found = load_dataset(str(tmp_path), split="train", limit=2)
    assert (found.name, found.split, found.of) == ("CIFAR-10", "train", 50_000)
    assert np.array_equal(found.images, pictures[:2])


def test_cifar10_by_name_is_looked_for_where_the_variable_says(cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (cifar10, cifar10.parent):
        monkeypatch.setenv("DDPMCODEC_DATA", str(place))
        assert len(load_dataset("cifar10").images) == 3


def test_cifar10_by_name_is_looked_for_here(cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPMCODEC_DATA", raising=False)
    monkeypatch.chdir(cifar10.parent)
    assert len(load_dataset("cifar10").images) == 3


def test_where_cifar10_is_missing_the_error_says_where_to_get_it_and_how_to_point_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPMCODEC_DATA", str(tmp_path))
    with pytest.raises(DdpmError, match=r"CIFAR-10.*torchvision"):
        load_dataset("cifar10")


NAMES = {
    "kodak": ("Kodak", "kodak", [f"kodim{number:02}" for number in range(1, 25)]),
    "div2k": ("DIV2K", "DIV2K_valid_HR", [f"{number:04}" for number in range(801, 901)]),
    "clic-p": ("CLIC.p", "professional_valid", [f"photographer-{number:02}" for number in range(41)]),
}


@pytest.mark.parametrize(("by_name", "facts"), NAMES.items())
def test_sets_of_photographs_are_recognised_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_name: str, facts: tuple[str, str, list[str]]
) -> None:
    name, folder, stems = facts
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DDPMCODEC_DATA", str(tmp_path / "sets"))
    with pytest.raises(DdpmError, match=f"{name}.*{folder}.*--data {by_name}"):
        load_dataset(by_name)
    path = tmp_path / "sets" / folder
    path.mkdir(parents=True)
    for stem in stems:
        Image.new("RGB", (2, 3)).save(path / f"{stem}.png")
    for source in (by_name, str(path)):
        found = load_dataset(source, limit=5)
        assert (found.name, found.of, found.names) == (name, len(stems), stems[:5])
    (path / f"{stems[-1]}.png").unlink()
    assert load_dataset(by_name).name == folder


def test_graphics_by_name_are_drawn_and_have_names() -> None:
    found = load_dataset("graphics")
    assert (found.name, found.of, (found.names or [])[:3]) == ("drawn graphics", 11, ["icon 16", "icon 32", "icon 48"])
    assert [image.shape for image in found.images[:3]] == [(16, 16, 3), (32, 32, 3), (48, 48, 3)]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DdpmError, match=r"nothing: .*CIFAR-10"):
        load_dataset(str(tmp_path / "nothing"))


def test_no_images_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "empty.npy", np.zeros((0, 32, 32, 3), np.uint8))
    with pytest.raises(DdpmError, match=r"empty\.npy: .*no images"):
        load_dataset(str(tmp_path / "empty.npy"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DdpmError, match="folder: no images"):
        load_dataset(str(tmp_path / "folder"))


def test_a_data_set_is_described_by_its_pixels(array: Path, pictures: np.ndarray) -> None:
    found = load_dataset(str(array)).describe()
    assert (found["images"], found["of"], found["dimensions"], found["names"]) == (3, 3, 3072, None)
    np.save(array, pictures[::-1])
    other = load_dataset(str(array)).describe()
    assert other["ids"] == found["ids"][::-1]
    assert other["sha256"] != found["sha256"]


def test_images_of_several_sizes_have_their_dimensions_listed(tmp_path: Path, pictures: np.ndarray) -> None:
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    Image.fromarray(pictures[0, :8]).save(tmp_path / "b.png")
    assert load_dataset(str(tmp_path)).describe()["dimensions"] == [3072, 768]


# --- pictures that are drawn in code


def test_graphics_are_drawn_the_same_every_time() -> None:
    for (_, image), (_, again) in zip(graphics(), graphics(), strict=True):
        assert image.dtype == np.uint8
        assert np.array_equal(image, again)
        assert len(Image.fromarray(image).getcolors(image.size) or []) > 3


def test_the_synthetic_photograph_is_always_the_same() -> None:
    first = synthetic_photo(40, 30)
    assert first.size == (40, 30)
    assert first.tobytes() == synthetic_photo(40, 30).tobytes()
