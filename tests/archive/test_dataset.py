"""Archives as data sets for PyTorch's DataLoader, in the process and in its workers."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset, random_split

from ddpmcodec import archive
from ddpmcodec.archive import access, blocks, packing
from ddpmcodec.archive.dataset import ArchiveDataset, loader, to_tensor
from ddpmcodec.errors import ChecksumError
from ddpmcodec.parallel import thread_count, threads_of
from pictures import Pictures, create, crops

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has processors
]


@pytest.fixture(scope="module")
def photos() -> Pictures:
    return crops(40)


@pytest.fixture(scope="module")
def path(photos: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of ten blocks of four photographs, by the embedded model."""
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


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_tensors_have_channels_first(photos: Pictures, mode: str, channels: int) -> None:
    image = photos["photo-000.png"].convert(mode).crop((0, 0, 5, 3))
    tensor = to_tensor(image)
    assert (tensor.dtype, tensor.shape) == (torch.uint8, (channels, 3, 5))
    expected = np.asarray(image.convert("L") if mode == "1" else image).reshape(3, 5, channels)
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)


def test_images_are_in_the_order_in_which_they_were_given(photos: Pictures, path: Path) -> None:
    dataset = ArchiveDataset(path)
    assert (len(dataset), dataset.names) == (40, list(photos))
    assert all(torch.equal(dataset[i], to_tensor(photos[name])) for i, name in enumerate(dataset.names))


def test_a_transform_sees_pillow_images(path: Path) -> None:
    dataset = ArchiveDataset(path, transform=lambda image: image.rotate(90).getpixel((0, 0)))
    with archive.open(path) as images:
        assert dataset[5] == images[dataset.names[5]].getpixel((7, 0))


@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_decode_the_same(photos: Pictures, path: Path, method: str, workers: int) -> None:
    dataset = ArchiveDataset(path)
    assert dataset[0].shape == (3, 8, 8)  # the parent has decoded, too
    loader = DataLoader(dataset, batch_size=7, num_workers=workers, multiprocessing_context=method)
    assert torch.equal(torch.cat(list(loader)), torch.stack([to_tensor(image) for image in photos.values()]))


def test_the_error_of_a_worker_is_that_of_the_archive(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    with pytest.raises(ChecksumError, match=r"4 of 40 images are lost \(photo-036.png, .*the data is damaged"):
        list(DataLoader(ArchiveDataset(bytes(data)), batch_size=7, num_workers=1, multiprocessing_context="fork"))


def test_it_is_pickled_as_for_workers_that_are_spawned_by_path_or_with_its_bytes(photos: Pictures, path: Path) -> None:
    for source in (path, io.BytesIO(path.read_bytes())):
        dataset = ArchiveDataset(source)
        assert dataset[0].shape == (3, 8, 8)  # it was read from, too
        sent = pickle.dumps(dataset)
        assert (len(sent) < path.stat().st_size) == (source is path)
        assert torch.equal(pickle.loads(sent)[39], to_tensor(photos["photo-039.png"]))


def test_runs_of_a_batch_are_decoded_together(path: Path, monkeypatch: pytest.MonkeyPatch, decoded_runs: Path) -> None:
    dataset, together = ArchiveDataset(path), list[int]()
    run_all = access.run_all
    monkeypatch.setattr(access, "run_all", lambda *rest: together.append(len(rest[1])) or run_all(*rest))
    assert len(list(DataLoader(dataset, batch_size=20))) == 2
    assert together == [5, 5]
    assert decoded_runs.read_bytes() == b"." * 10


def test_workers_share_the_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(ArchiveDataset[int]):
        """Its items are the threads that a batch was decoded on."""

        def __getitem__(self, index: int) -> int:
            return self.threads

    dataset = Told(path)
    monkeypatch.setattr(dataset.images, "prefetch", lambda names: setattr(dataset, "threads", thread_count()))
    with threads_of(6):
        options = {"batch_size": 20, "multiprocessing_context": "fork"}
        for workers, threads in ((0, 6), (1, 6), (2, 3)):
            batches = DataLoader(dataset, num_workers=workers, **(options if workers else {"batch_size": 20}))  # type: ignore[arg-type]
            assert {int(item) for batch in batches for item in batch} == {threads}


def test_a_subclass_may_have_other_indices(photos: Pictures, path: Path) -> None:
    class Twice(ArchiveDataset[torch.Tensor]):
        """Every image, and all of them again upside down."""

        def __len__(self) -> int:
            return 2 * super().__len__()

        def __getitem__(self, index: int) -> torch.Tensor:
            again, number = divmod(index, super().__len__())
            return super().__getitem__(number).flip(1) if again else super().__getitem__(number)

    found = torch.cat(list(DataLoader(Twice(path), batch_size=16)))
    expected = torch.stack([to_tensor(image) for image in photos.values()])
    assert torch.equal(found, torch.cat([expected, expected.flip(2)]))


def numbered(path: Path, **options: Any) -> ArchiveDataset[int]:
    """Items are the numbers of images, which every worker decodes all the same."""
    found = ArchiveDataset(path, transform=number_of, **options)
    NUMBERS.update({image.tobytes(): number for number, image in enumerate(found.images.values())})
    return found


NUMBERS: dict[bytes, int] = {}


def number_of(image: Image.Image) -> int:
    return NUMBERS[image.tobytes()]


def listed(found: Iterable[Any]) -> list[list[int]]:
    return [batch.tolist() for batch in found]


@pytest.mark.parametrize(("workers", "size"), [(0, 1), (0, 100), (1, 6), (3, 1), (3, 6)])
def test_batches_hold_every_image_once(path: Path, workers: int, size: int) -> None:
    batches = loader(numbered(path), size, workers=workers)
    found = listed(batches)
    assert sorted(i for batch in found for i in batch) == list(range(40))
    assert len(found) == len(batches)
    assert max(map(len, found)) <= size


@pytest.mark.parametrize("workers", [0, 3])
def test_smaller_batches_can_be_left_out(path: Path, workers: int) -> None:
    batches = loader(numbered(path), 6, workers=workers, drop_last=True)
    found = listed(batches)
    assert {len(batch) for batch in found} == {6}
    assert len(found) == len(batches) == (6 if workers == 0 else 3 * 2)
    assert len({i for batch in found for i in batch}) == 36


@pytest.mark.parametrize("workers", [0, 2])
def test_a_part_of_a_data_set_has_its_own_images(path: Path, workers: int) -> None:
    parts = random_split(numbered(path), [30, 10], torch.Generator().manual_seed(1))
    found = [sorted(i for batch in listed(loader(part, 4, workers=workers)) for i in batch) for part in parts]
    assert found == [sorted(part.indices) for part in parts]
    nested = Subset(Subset(numbered(path), [8, 9, 20, 21]), [1, 2])
    assert sorted(i for batch in listed(loader(nested, 2, workers=workers)) for i in batch) == [9, 20]


@pytest.mark.parametrize("options", [{}, {"workers": 2, "persistent_workers": True}], ids=str)
def test_batches_are_in_another_order_each_epoch_and_the_same_by_generator(path: Path, options: dict[str, Any]) -> None:
    dataset = numbered(path)
    one, other = (loader(dataset, 6, generator=torch.Generator().manual_seed(3), **options) for _ in range(2))
    first, second = listed(one), listed(one)
    assert first != second
    assert [first, second] == [listed(other), listed(other)]
    assert first != [list(range(start, start + 6)) for start in range(0, 40, 6)]


@pytest.mark.parametrize("workers", [0, 3])
def test_every_run_is_decoded_once_and_by_one_worker(
    path: Path, monkeypatch: pytest.MonkeyPatch, decoded_runs: Path, workers: int
) -> None:
    """Also where workers have different numbers of images, and so of batches."""
    dataset = numbered(path, kept_blocks=4)
    dataset.images.close()
    dataset = ArchiveDataset(path, transform=number_of, kept_blocks=4)
    decoded_runs.unlink(missing_ok=True)
    monkeypatch.setattr("ddpmcodec.archive.dataset.MIXED_BLOCKS", 4)
    assert len(listed(loader(dataset, 3, workers=workers))) >= 14
    assert decoded_runs.read_bytes() == b"." * 10


@pytest.mark.parametrize("options", [{}, {"workers": 2, "persistent_workers": True}], ids=str)
@pytest.mark.parametrize(("kept_blocks", "decoded"), [(10, 10), (0, 120)])
def test_a_second_epoch_decodes_nothing_again_where_all_runs_are_kept(
    path: Path, decoded_runs: Path, options: dict[str, Any], kept_blocks: int, decoded: int
) -> None:
    """Ten runs of four images each, three epochs. Without room every image decodes its run."""
    numbered(path)
    dataset = ArchiveDataset(path, transform=number_of, kept_blocks=kept_blocks)
    decoded_runs.unlink(missing_ok=True)
    batches = loader(dataset, 7, **options)
    for _ in range(3):
        assert sorted(i for batch in listed(batches) for i in batch) == list(range(40))
    assert decoded_runs.stat().st_size == decoded


def test_what_the_order_excludes_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="a batch has 1 image or more, not 0"):
        loader(ArchiveDataset(path), 0)
    with pytest.raises(TypeError, match="takes no sampler, shuffle"):
        loader(ArchiveDataset(path), 2, shuffle=True, sampler=None)
    for wrong in ([1], Subset([1], [0])):
        with pytest.raises(TypeError, match="takes an ArchiveDataset or a Subset of one, not list"):
            loader(wrong, 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"batch_size must be a whole number, not 2\.5"):
        loader(ArchiveDataset(path), 2.5)  # type: ignore[arg-type]
