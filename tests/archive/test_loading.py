"""Shuffled batches of an archive: every image once, every run decoded once, in the process, in workers and on ranks."""

from __future__ import annotations

import multiprocessing
import re
import warnings
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import distributed
from torch.utils.data import Subset, random_split

from ddpmcodec.archive import packing
from ddpmcodec.archive.dataset import ArchiveDataset
from ddpmcodec.archive.loading import loader
from ddpmcodec.errors import ChecksumError, FormatError
from pictures import create, crops

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has processors
]


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
def test_every_run_is_decoded_once_and_by_one_worker(path: Path, decoded_runs: Path, workers: int) -> None:
    """Also where workers have different numbers of images, and so of batches."""
    dataset = numbered(path, kept_blocks=4)
    dataset.images.close()
    dataset = ArchiveDataset(path, transform=number_of, kept_blocks=4)
    decoded_runs.unlink(missing_ok=True)
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


# --- images that are files of their own


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of sixty blocks of two images each, which are files of their own."""
    found = tmp_path_factory.mktemp("archives") / "drawings.ddpma"
    pictures = {f"{number:03}.png": Image.new("RGB", (65, 64), (number, 0, 0)) for number in range(120)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK_IMAGES", 2)
        found.write_bytes(create(pictures, None))
    return found


def red(image: Image.Image) -> int:
    """The number of a drawing."""
    value = image.getpixel((0, 0))
    assert isinstance(value, tuple)
    return int(value[0])


def test_files_are_shuffled_over_the_whole_epoch(drawings: Path) -> None:
    """Neighbours in the archive, which may be of one class, are no neighbours in the order."""
    (order,) = listed(loader(ArchiveDataset(drawings, red), 120, generator=torch.Generator().manual_seed(1)))
    assert sorted(order) == list(range(120))
    assert len({number // 2 for number in order[:60]}) > 40  # of blocks
    assert sum(abs(a - b) == 1 for a, b in pairwise(order)) < 10


def test_workers_share_the_files_of_a_block(drawings: Path) -> None:
    batches = loader(ArchiveDataset(drawings, red), 40, workers=3)
    found = listed(batches)
    assert [len(batch) for batch in found] == [40, 40, 40]
    assert sorted(number for batch in found for number in batch) == list(range(120))
    assert all(len({number // 2 for number in batch}) > 25 for batch in found)


def test_files_are_decoded_once_and_when_their_batch_needs_them(
    drawings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, decoded = ArchiveDataset(drawings, red), list[int]()
    image = dataset.image
    monkeypatch.setattr(dataset, "image", lambda index: decoded.append(index) or image(index))
    given = 0
    for batch in loader(dataset, 7):
        given += len(batch)
        assert len(decoded) == given
    assert sorted(decoded) == list(range(120))


def test_thumbnails_and_files_are_mixed() -> None:
    pictures = {f"{n:03}.png": Image.new("RGB", (65, 64), (n, 0, 0)) for n in range(60)}
    pictures |= {f"{n:03}.png": picture for n, picture in enumerate(crops(60).values(), start=60)}
    dataset = ArchiveDataset(create(pictures, None), lambda image: image.size[0])
    assert sum(map(dataset.is_file, range(120))) == 60
    (widths,) = listed(loader(dataset, 120, generator=torch.Generator().manual_seed(1)))
    assert 20 < widths[:60].count(65) < 40


def test_as_many_runs_are_mixed_as_are_kept(path: Path) -> None:
    (order,) = listed(loader(numbered(path, kept_blocks=5), 40, generator=torch.Generator().manual_seed(1)))
    assert [len({number // 4 for number in order[start : start + 20]}) for start in (0, 20)] == [5, 5]
    assert order[:20] != sorted(order[:20])
    (order,) = listed(loader(numbered(path, kept_blocks=10), 40, generator=torch.Generator().manual_seed(1)))
    assert len({number // 4 for number in order[:20]}) > 7


# --- distributed training


def ranks(path: Path, world_size: int, **options: Any) -> list[list[list[int]]]:
    """The batches of each rank, whose generators differ."""
    numbered(path)
    found = []
    for rank in range(world_size):
        dataset = ArchiveDataset(path, transform=number_of)
        options |= {"rank": rank, "world_size": world_size, "generator": torch.Generator().manual_seed(rank)}
        batches = loader(dataset, 4, **options)
        found.append(listed(batches))
        assert len(found[-1]) == len(batches)
    return found


def joined(batches: Iterable[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


@pytest.mark.parametrize(("world_size", "workers", "count"), [(2, 0, 20), (3, 0, 14), (3, 2, 14), (7, 1, 6)])
def test_ranks_have_as_many_batches_and_share_the_images(path: Path, world_size: int, workers: int, count: int) -> None:
    found = ranks(path, world_size, workers=workers)
    assert len({len(batches) for batches in found}) == 1
    assert [len(joined(batches)) for batches in found] == [count] * world_size
    images = [number for batches in found for number in joined(batches)]
    assert {*images} == {*range(40)}
    own = [{*joined(batches)} for batches in found]
    assert sum(map(len, own)) == 40  # none is on two ranks: a rank that lacks an image repeats one of its own


@pytest.mark.parametrize(("world_size", "workers", "count"), [(2, 0, 20), (3, 0, 12), (3, 2, 8)])
def test_ranks_may_leave_out_what_does_not_come_out_even(path: Path, world_size: int, workers: int, count: int) -> None:
    found = ranks(path, world_size, workers=workers, drop_last=True)
    assert {len(batch) for batches in found for batch in batches} == {4}
    assert [len(joined(batches)) for batches in found] == [count] * world_size
    images = [number for batches in found for number in joined(batches)]
    assert len({*images}) == len(images) == count * world_size


def test_the_rank_of_an_image_depends_neither_on_the_epoch_nor_on_the_generator(path: Path) -> None:
    dataset = numbered(path)
    shares, orders = set[frozenset[int]](), set[tuple[int, ...]]()
    for seed in range(3):
        batches = loader(dataset, 4, rank=1, world_size=2, generator=torch.Generator().manual_seed(seed))
        for _ in range(2):
            order = joined(listed(batches))
            shares.add(frozenset(order))
            orders.add(tuple(order))
    assert [len(share) for share in shares] == [20]
    assert len(orders) == 6


def test_ranks_have_images_of_the_whole_archive(drawings: Path) -> None:
    """Which may be sorted by class."""
    dataset = ArchiveDataset(drawings, red)
    own = joined(listed(loader(dataset, 4, rank=1, world_size=2)))
    assert 20 < sum(number < 60 for number in own) < 40


def test_a_run_is_decoded_by_one_rank_but_where_shares_meet(path: Path, decoded_runs: Path) -> None:
    numbered(path)
    decoded_runs.unlink(missing_ok=True)
    for rank in range(3):
        dataset = ArchiveDataset(path, transform=number_of)
        assert len(joined(listed(loader(dataset, 4, rank=rank, world_size=3)))) == 14
    assert decoded_runs.stat().st_size <= 10 + 2


def test_there_may_be_fewer_images_than_ranks(path: Path) -> None:
    part = Subset(numbered(path), [3, 30])
    found = [listed(loader(part, 4, rank=rank, world_size=3)) for rank in range(3)]
    assert [len(joined(batches)) for batches in found] == [1, 1, 1]
    assert {number for batches in found for number in joined(batches)} == {3, 30}
    none = Subset(numbered(path), [])
    assert [listed(loader(none, 4, rank=rank, world_size=2)) for rank in range(2)] == [[], []]
    assert listed(loader(none, 4)) == []


def _train(rank: int, place: Path, dataset: ArchiveDataset[int], queue: multiprocessing.Queue[list[list[int]]]) -> None:
    distributed.init_process_group("gloo", init_method=place.as_uri(), rank=rank, world_size=2)
    torch.manual_seed(rank)
    batches = loader(dataset, 4, workers=1)
    for _ in range(2):
        own, everywhere = listed(batches), [[[0]]] * 2
        distributed.all_gather_object(everywhere, own)
        if rank == 0:
            for found in everywhere:
                queue.put(found)
    distributed.destroy_process_group()


def test_processes_of_torch_distributed_share_the_images(path: Path, tmp_path: Path) -> None:
    context = torch.multiprocessing.get_context("fork")
    queue, dataset = context.Queue(), numbered(path)
    processes = [context.Process(target=_train, args=(rank, tmp_path / "place", dataset, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    one, other, one_later, other_later = (queue.get(timeout=120) for _ in range(4))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(one) == len(other) == 5
    assert sorted(joined(one) + joined(other)) == list(range(40))
    assert (sorted(joined(one_later)), sorted(joined(other_later))) == (sorted(joined(one)), sorted(joined(other)))
    assert (one_later, other_later) != (one, other)


def test_ranks_that_are_none_are_refused(path: Path) -> None:
    dataset = ArchiveDataset(path)
    for rank, world_size in ((2, 2), (-1, 2), (0, 0), (1, None)):
        with pytest.raises(ValueError, match=f"rank.*world_size.* {rank}"):
            loader(dataset, 2, rank=rank, world_size=world_size)
    with pytest.raises(TypeError, match=r"world_size.*'2'"):
        loader(dataset, 2, rank=0, world_size="2")  # type: ignore[arg-type]


# --- damaged images


@pytest.fixture
def damaged(path: Path, tmp_path: Path) -> Path:
    """The archive, whose last four images are lost."""
    data, found = bytearray(path.read_bytes()), tmp_path / "damaged.ddpma"
    data[-3] ^= 1
    found.write_bytes(data)
    numbered(path)
    return found


LOST = [f"photo-{number:03}.png" for number in range(36, 40)]


def test_a_damaged_image_is_an_error_that_names_the_archive(damaged: Path) -> None:
    dataset = ArchiveDataset(damaged, transform=number_of)
    with pytest.raises(ChecksumError, match=f"^{re.escape(str(damaged))}: 4 of 40"):
        listed(loader(dataset, 4))


def test_damaged_images_can_be_left_out_with_a_warning_for_each(damaged: Path) -> None:
    batches = loader(ArchiveDataset(damaged, transform=number_of), 8, on_error="warn")
    with pytest.warns(UserWarning, match="left out") as warned:
        assert sorted(joined(listed(batches))) == list(range(36))
    texts = sorted(str(warning.message) for warning in warned)
    assert [text[:13] for text in texts] == LOST
    assert all(f" is left out: {damaged}: 4 of 40 images are lost" in text for text in texts)
    with warnings.catch_warnings(action="error"):
        assert sorted(joined(listed(batches))) == list(range(36))


def test_damaged_files_can_be_left_out(drawings: Path) -> None:
    data = bytearray(drawings.read_bytes())
    data[-3] ^= 1
    batches = loader(ArchiveDataset(bytes(data), red), 8, on_error="warn")
    with pytest.warns(UserWarning, match="119.png .*1 of 120"):
        assert sorted(joined(listed(batches))) == list(range(119))


def test_images_that_are_too_large_can_be_left_out() -> None:
    pictures = {f"{n}.png": Image.new("RGB", (65 + n, 64), (n, 0, 0)) for n in range(3)}
    dataset = ArchiveDataset(create(pictures, None), red, max_pixels=66 * 64)
    with pytest.warns(UserWarning, match=r"2\.png .*67 x 64"):
        assert sorted(joined(listed(loader(dataset, 8, on_error="warn")))) == [0, 1]


@pytest.mark.filterwarnings("ignore:photo-.* is left out")
def test_ranks_repeat_images_in_place_of_those_that_are_left_out(damaged: Path) -> None:
    found = []
    for rank in range(2):
        dataset = ArchiveDataset(damaged, transform=number_of)
        found.append(listed(loader(dataset, 5, rank=rank, world_size=2, on_error="warn")))
    assert [[len(batch) for batch in batches] for batches in found] == [[5] * 4] * 2
    assert {number for batches in found for number in joined(batches)} == {*range(36)}


@pytest.mark.filterwarnings("ignore:photo-.* is left out")
def test_a_rank_without_whole_images_is_an_error(damaged: Path) -> None:
    part = Subset(ArchiveDataset(damaged, transform=number_of), range(36, 40))
    assert listed(loader(part, 2, on_error="warn")) == []
    with pytest.raises(FormatError, match="none of the 2 images"):
        listed(loader(part, 2, rank=0, world_size=2, on_error="warn"))


def test_other_ways_with_errors_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"on_error.*'ignore'"):
        loader(ArchiveDataset(path), 2, on_error="ignore")  # type: ignore[arg-type]


# --- arguments


def test_what_the_order_excludes_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch.* 0"):
        loader(ArchiveDataset(path), 0)
    with pytest.raises(TypeError, match="sampler, shuffle"):
        loader(ArchiveDataset(path), 2, shuffle=True, sampler=None)
    for wrong in ([1], Subset([1], [0])):
        with pytest.raises(TypeError, match=r"ArchiveDataset.*list"):
            loader(wrong, 2)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"batch_size.*2\.5"):
        loader(ArchiveDataset(path), 2.5)  # type: ignore[arg-type]
