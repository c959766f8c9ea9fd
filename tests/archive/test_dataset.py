"""Archives as data sets for PyTorch's DataLoader, in the process and in its workers."""

from __future__ import annotations

import gc
import io
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ddpmcodec import archive, parallel
from ddpmcodec.archive import access, dataset
from ddpmcodec.archive.dataset import ArchiveDataset, to_tensor
from ddpmcodec.errors import ChecksumError, FormatError, ImageError
from ddpmcodec.parallel import thread_count, threads_of
from pictures import Pictures, create, crops

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has processors
]


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
    with pytest.raises(ChecksumError, match=r"4 of 40 .*photo-036.*damaged"):
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


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> ArchiveDataset[torch.Tensor]:
    """Twelve images that are files of their own, of 5,600 pixels each, of which 16,800 are decoded at a time."""
    for module in (dataset, parallel):
        monkeypatch.setattr(module, "WORK_PIXELS", 3 * 5600)
    return ArchiveDataset(create(crops(12, 80, 70), None))


def test_files_of_a_batch_are_decoded_on_all_threads_and_do_not_pile_up(
    files: ArchiveDataset[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, ahead = list[int](), list[int]()
    decode = files.image
    monkeypatch.setattr(files, "image", lambda index: decoded.append(index) or decode(index))
    files.transform = lambda image: ahead.append(len(files._ahead)) or to_tensor(image)
    with threads_of(2):
        found = [image for batch in DataLoader(files, batch_size=4, collate_fn=list) for image in batch]
    expected = [to_tensor(image) for image in crops(12, 80, 70).values()]
    assert all(map(torch.equal, found, expected))
    assert sorted(decoded) == list(range(12))
    assert ahead == [2, 1, 0, 0] * 3  # of each batch three together, and then the fourth


def test_a_file_that_cannot_be_decoded_is_an_error_when_it_is_asked_for(files: ArchiveDataset[torch.Tensor]) -> None:
    files.images = archive.open(damaged(create(crops(12, 80, 70), None)))
    files.prefetch([9, 10, 11])
    assert [len(files[9]), len(files[10])] == [3, 3]
    with pytest.raises(FormatError, match=r"1 of 12 .*photo-011"):
        files[11]
    files.prefetch(range(12))  # too many at a time
    assert len(files._ahead) == 0


def damaged(data: bytes) -> bytes:
    """The archive with another byte in its last file."""
    return data[:-300] + bytes([data[-300] ^ 1]) + data[-299:]


@pytest.mark.parametrize(("reduce", "size"), [(1, (70, 80)), (2, (35, 40)), (16, (5, 5))])
def test_images_may_be_smaller(reduce: int, size: tuple[int, int]) -> None:
    pictures = {"large.png": crops(1, 80, 70)["photo-000.png"], "small.png": crops(1)["photo-000.png"]}
    data = create(pictures, None)
    small = ArchiveDataset(data, reduce=reduce)
    assert small[0].shape == (3, *size)
    with archive.open(data) as images:
        assert all(
            torch.equal(small[i], to_tensor(images.region(name, reduce=reduce))) for i, name in enumerate(images)
        )
    with pytest.raises(ValueError, match=r"reduce.* 3"):
        ArchiveDataset(data, reduce=3)


def test_items_may_be_parts_of_images(files: ArchiveDataset[torch.Tensor]) -> None:
    class Parts(ArchiveDataset[torch.Tensor]):
        def image(self, index: int) -> Image.Image:
            return self.images.region(self.names[index], (index, 0, index + 8, 4))

    parts = Parts(create(crops(3, 80, 70), None))
    expected = [to_tensor(image)[:, :4, i : i + 8] for i, image in enumerate(crops(3, 80, 70).values())]
    assert torch.equal(next(iter(DataLoader(parts, batch_size=3))), torch.stack(expected))


def test_images_that_are_too_large_are_refused(path: Path) -> None:
    dataset = ArchiveDataset(path, max_pixels=63)
    dataset.prefetch(range(40))
    with pytest.raises(ImageError, match=r"photo-000.* 8 x 8 .*63"):
        dataset[0]
    assert len(ArchiveDataset(path, max_pixels=64)[0]) == 3


def test_it_can_be_closed(path: Path) -> None:
    with ArchiveDataset(path) as dataset:
        assert len(dataset[0]) == 3
    dataset.close()
    with pytest.raises(ValueError, match="closed"):
        dataset[0]


def test_it_is_freed_as_soon_as_nobody_has_it(path: Path) -> None:
    dataset = ArchiveDataset(path)
    assert len(list(DataLoader(dataset, batch_size=20))) == 2
    freed = weakref.ref(dataset.images)
    gc.collect()
    gc.disable()
    try:
        del dataset
        assert freed() is None
    finally:
        gc.enable()
