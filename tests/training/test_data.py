"""Where training images come from, and in which order they are drawn."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.errors import TrainingError
from ddpmcodec.training.data import (
    NOISE,
    Crops,
    DeviceCrops,
    Mixture,
    crops_of,
    grey,
    image_sets,
    left_out,
    like_a_camera,
    load_images,
)

Pixels = NDArray[np.uint8]


def numbered(count: int, side: int = 4) -> list[Pixels]:
    """Flat images, each of a grey level of its own."""
    return [np.full((side, side, 3), 2 * i, np.uint8) for i in range(count)]


# --- sources


def test_a_folder_is_read_in_order_of_names(pictures: Path, gradients: Pixels) -> None:
    assert np.array_equal(load_images(pictures), gradients)


def test_a_folder_is_searched_to_the_bottom_and_all_modes_become_rgb(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("L", (3, 2), 7).save(tmp_path / "deep" / "grey.PNG")
    Image.new("RGBA", (3, 2), (1, 2, 3, 4)).save(tmp_path / "z.webp", lossless=True)
    (tmp_path / "readme.txt").write_text("no image")
    grey, colour = load_images(tmp_path)
    assert (grey.shape, grey[0, 0].tolist(), colour[0, 0].tolist()) == ((2, 3, 3), [7, 7, 7], [1, 2, 3])


def test_files_of_some_suffixes_are_left_as_they_are(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (9, 9, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.JPG").write_bytes(b"of any content")
    pixels, file = load_images(tmp_path, undecoded=[".jpg"])
    assert (pixels.shape, file.tobytes()) == ((2, 3, 3), b"of any content")
    sets, (held_out,), *_ = image_sets([str(tmp_path)], hold_out=1, undecoded=[".jpg"])
    assert (len(sets[0]), held_out.ndim) == (1, 1)


def test_arrays_hold_images(tmp_path: Path, gradients: Pixels) -> None:
    np.save(tmp_path / "a.npy", gradients)
    np.savez(tmp_path / "a.npz", images=gradients)
    for name in ("a.npy", "a.npz"):
        assert np.array_equal(load_images(tmp_path / name), gradients)


def test_an_archive_holds_images_of_all_modes_in_their_order(tmp_path: Path, gradients: Pixels) -> None:
    larger = np.tile(gradients[1], (2, 2, 1))
    given = {"b": gradients[0], "large": larger, "a": gradients[2], "grey": gradients[3][..., 0]}
    (tmp_path / "a.ddpma").write_bytes(archive.create(given.items()))
    expected = [*(given[name] for name in ("b", "large", "a")), gradients[3][..., :1].repeat(3, 2)]
    for found, image in zip(load_images(tmp_path / "a.ddpma"), expected, strict=True):
        assert np.array_equal(found, image)


def test_a_damaged_archive_is_refused(tmp_path: Path, gradients: Pixels) -> None:
    data = archive.create([("a.png", gradients[0])])
    (tmp_path / "a.ddpma").write_bytes(data[:-30])
    with pytest.raises(TrainingError, match=r"a\.ddpma: 1 of 1 .*a\.png"):
        load_images(tmp_path / "a.ddpma")


def test_sheets_hold_as_many_tiles_as_their_index_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    sheet = tiles.reshape(2, 50, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(64, 1600, 3)
    Image.fromarray(sheet).save(tmp_path / "train_00.webp", lossless=True)
    np.savez(tmp_path / "train_index.npz", official_index=np.arange(97))
    assert np.array_equal(load_images(tmp_path), tiles[:97])


@pytest.fixture
def cifar10(tmp_path: Path, gradients: Pixels, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of torchvision's CIFAR-10, which a stub of torchvision reads: five training images, and three to test."""
    (tmp_path / "cifar-10-batches-py").mkdir()

    def read(root: str, *, train: bool) -> SimpleNamespace:
        assert Path(root) == tmp_path
        return SimpleNamespace(data=gradients[:5] if train else gradients[5:8])

    stub, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    monkeypatch.setattr(datasets, "CIFAR10", read, raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", stub)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    return tmp_path


def test_torchvision_reads_its_cifar10(cifar10: Path, gradients: Pixels) -> None:
    assert np.array_equal(load_images(cifar10), gradients[:5])
    assert np.array_equal(load_images(cifar10, "test"), gradients[5:8])


def test_without_torchvision_the_error_says_what_to_install(cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(TrainingError, match=r"torchvision.*pip install"):
        load_images(cifar10)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nothing: .*no such file"):
        load_images(tmp_path / "nothing")
    with pytest.raises(TrainingError, match="no images"):
        load_images(tmp_path)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(TrainingError, match=r"broken.png: not an image"):
        load_images(tmp_path)


def test_an_image_of_16_bits_is_refused_as_it_would_become_white(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40), 33000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(TrainingError, match=r"deep.png: .*8 bits"):
        load_images(tmp_path)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8), np.uint8), np.zeros((2, 3, 8, 8), np.uint8)], ids=str
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[np.generic]) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(TrainingError, match=r"a\.npy: .*uint8"):
        load_images(tmp_path / "a.npy")


def test_other_files_and_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "zip").write_bytes(b"PK\3\4" + bytes(30))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for name in ("text", "empty", "zip", "objects.npy"):
        with pytest.raises(TrainingError, match=f"{name}: not a .npy"):
            load_images(tmp_path / name)


def test_a_cifar_folder_without_its_batches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(TrainingError, match="CIFAR-10"):
        load_images(tmp_path)


# --- crops


def test_an_epoch_shows_every_image_once() -> None:
    crops = Crops(numbered(12), 4, seed=3)
    seen = [crops.batch(step, 5)[:, 0, 0, 0].tolist() for step in range(12)]
    flat = [int(level) // 2 for batch in seen for level in batch]
    epochs = [flat[i : i + 12] for i in range(0, 60, 12)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_step_draws_the_same_whatever_came_before(gradients: Pixels) -> None:
    one, other = (Crops(list(gradients), 8, seed=4) for _ in range(2))
    for step in range(9):
        one.batch(step, 6)
    assert one.batch(7, 6).equal(other.batch(7, 6))
    assert not one.batch(7, 6).equal(Crops(list(gradients), 8, seed=5).batch(7, 6))


def test_crops_are_windows_half_of_them_mirrored() -> None:
    y, x = np.mgrid[:9, :11]
    image = np.stack([20 * x, 20 * y, x + y], -1).astype(np.uint8)
    batch = Crops([image], 4, seed=0).batch(0, 400).numpy()
    assert batch.shape == (400, 3, 4, 4)
    mirrored = batch[:, 0, 0, 0] > batch[:, 0, 0, 1]
    assert 150 < mirrored.sum() < 250
    corners = {(int(c[0].min()) // 20, int(c[1].min()) // 20) for c in batch}
    assert corners == {(left, top) for left in range(8) for top in range(6)}


def test_large_images_give_more_crops_and_small_ones_none() -> None:
    small, fitting, large = (np.full((side, side, 3), side, np.uint8) for side in (3, 4, 8))
    drawn = Crops([small, fitting, large], 4, seed=0).batch(0, 500)[:, 0, 0, 0]
    assert drawn.unique().tolist() == [4, 8]
    assert (drawn == 8).sum() == 400


def test_a_crop_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(TrainingError, match="5x5"):
        Crops(numbered(3), 5, seed=0)


# --- crops that a device gathers


def on_cpu(images: list[Pixels], size: int) -> DeviceCrops:
    return DeviceCrops(images, size, 0, torch.device("cpu"))


def test_a_device_shows_the_same_images_in_the_same_order() -> None:
    images = numbered(12)
    for step in range(3):
        assert on_cpu(images, 4).batch(step, 8).equal(Crops(images, 4, 0).batch(step, 8))


def test_a_device_gathers_windows_of_images_of_any_size_half_of_them_mirrored() -> None:
    """Every pixel says which it is: rows in red, columns in green, the image in blue."""
    sizes = (4, 4), (9, 5), (5, 11)
    images = [np.stack([*np.mgrid[:h, :w], np.full((h, w), n)], -1).astype(np.uint8) for n, (h, w) in enumerate(sizes)]
    batch = on_cpu(images, 4).batch(0, 900).numpy().astype(int)
    rows, columns, numbers = batch.transpose(1, 0, 2, 3)
    assert (np.diff(rows, axis=1) == 1).all()
    across = np.diff(columns, axis=2)
    assert (across == across[:, :1, :1]).all()
    assert 350 < (across[:, 0, 0] == -1).sum() < 550
    assert (numbers == numbers[:, :1, :1]).all()
    for n, (height, width) in enumerate(sizes):
        own = numbers[:, 0, 0] == n
        assert set(rows[own, 0, 0]) == set(range(height - 3))
        assert set(columns[own].min((1, 2))) == set(range(width - 3))


def test_data_sets_are_used_round_robin_with_equal_numbers_of_pixels() -> None:
    small, large = Crops(numbered(12), 4, seed=0), Crops([np.full((8, 8, 3), 200, np.uint8)], 8, seed=0)
    mixed = Mixture([small, large])
    assert [tuple(mixed.batch(step, 2).shape) for step in range(4)] == [(8, 3, 4, 4), (2, 3, 8, 8)] * 2
    assert mixed.batch(2, 2).equal(small.batch(1, 8))
    assert (mixed.batch(3, 2) == 200).all()


# --- photographs as a camera takes them


def test_grey_is_as_bright_as_the_colour_that_it_was(gradients: Pixels) -> None:
    """As in Pillow's grey images (ITU-R 601)."""
    expected = [np.asarray(Image.fromarray(image).convert("L"), int) for image in gradients]
    assert np.abs(grey(gradients)[..., 0] - np.array(expected)).max() <= 1


def test_a_camera_adds_noise_within_bounds_and_keeps_the_mean() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    for seed in range(8):
        taken = like_a_camera(flat, 64, np.random.default_rng(seed)).astype(float)
        assert taken.shape == flat.shape
        assert 0.9 * NOISE[0] < taken.std() < 1.1 * NOISE[1]
        assert abs(taken.mean() - 128) < 0.5


def test_enlarging_makes_neighbours_alike() -> None:
    flat = np.full((40, 40, 3), 128, np.uint8)
    taken = like_a_camera(flat, 64, np.random.default_rng(1)).astype(float) - 128
    assert (taken[:, 1:] * taken[:, :-1]).mean() > 0.3 * (taken**2).mean()


def test_crops_of_a_camera_are_as_large_repeat_and_leave_the_others_alone() -> None:
    images = [np.random.default_rng(i).integers(0, 256, (50, 70, 3)).astype(np.uint8) for i in range(3)]
    plain, half, all_of_them = (Crops(images, 48, 0, camera=share) for share in (0.0, 0.5, 1.0))
    assert all_of_them.batch(0, 8).shape == half.batch(0, 8).shape == plain.batch(0, 8).shape
    assert torch.equal(half.batch(5, 8), half.batch(5, 8))
    cut = {image[y : y + 48, x : x + 48].tobytes() for image in images for y in range(3) for x in range(23)}
    cut |= {np.frombuffer(c, np.uint8).reshape(48, 48, 3)[:, ::-1].tobytes() for c in cut}
    drawn = half.batch(0, 40).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    assert 8 < sum(crop.tobytes() in cut for crop in drawn) < 32


# --- what a run trains and evaluates on


def noise(count: int, side: int) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[str, str]:
    """Ten images of 16 x 16 pixels, and three of 12 x 12."""
    for name, (count, side) in {"a": (10, 16), "b": (3, 12)}.items():
        np.save(tmp_path / f"{name}.npy", np.stack(noise(count, side)))
    return str(tmp_path / "a.npy"), str(tmp_path / "b.npy")


def test_the_last_images_are_held_out_of_every_set_that_has_more(arrays: tuple[str, str]) -> None:
    sets, held_out, *_ = image_sets(arrays, hold_out=4)
    assert [len(found) for found in sets] == [6, 3]
    assert np.array_equal(held_out, noise(10, 16)[6:])


def test_with_images_to_validate_on_none_is_held_out(arrays: tuple[str, str]) -> None:
    sets, held_out, *_ = image_sets(arrays[:1], validate=arrays[1])
    assert ([len(found) for found in sets], len(held_out)) == ([10], 3)


def test_images_that_are_held_out_are_not_trained_on_in_another_set(arrays: tuple[str, str]) -> None:
    sets, held_out, notes, _ = image_sets((*arrays, arrays[0]), hold_out=4)
    assert ([len(found) for found in sets], len(held_out)) == ([6, 3, 6], 4)
    assert notes == ["4 training images are held out, too, and left out"]
    with pytest.raises(TrainingError, match="held out"):
        image_sets(arrays, validate=arrays[0])


def test_a_digest_knows_images_and_their_order(arrays: tuple[str, str]) -> None:
    digests = [image_sets(data, hold_out=count).digest for data in (arrays, arrays[:1]) for count in (4, 4, 5)]
    assert [digests.index(digest) for digest in digests] == [0, 0, 2, 3, 3, 5]


@pytest.mark.parametrize("hold_out", [0, 10, 11])
def test_something_must_be_left(arrays: tuple[str, str], hold_out: int) -> None:
    with pytest.raises(TrainingError, match=f"10 images, .*hold_out=... keeps {hold_out}"):
        image_sets(arrays, hold_out=hold_out)


def test_crops_are_as_large_as_the_images_of_a_set_allow() -> None:
    crops = crops_of([noise(3, 40), noise(3, 16)], 32, 0, camera=0.5)
    assert [(part.size, part.camera) for part in crops.parts] == [(32, 0.5), (16, 0.0)]


def test_too_small_images_are_refused() -> None:
    with pytest.raises(TrainingError, match="8x8"):
        crops_of([noise(3, 7)], 32, 0)


def test_crops_are_of_a_multiple() -> None:
    crops = crops_of([noise(3, 18), noise(3, 40)], 32, 0, multiple=4)
    assert [part.size for part in crops.parts] == [16, 32]


def test_images_that_are_left_out_are_counted() -> None:
    sets = [[*noise(3, 16), *noise(1, 12)], noise(2, 16)]
    note = "1 of 6 training images are smaller than the crops, and left out"
    assert left_out(sets, crops_of(sets, 16, 0).parts) == [note]
    assert left_out(sets[1:], crops_of(sets[1:], 16, 0).parts) == []
