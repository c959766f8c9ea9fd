"""Shuffled batches of an archive: every image once, every run decoded once, in the process, in workers and on ranks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, random_split

from ddpmcodec.archive.dataset import ArchiveDataset
from ddpmcodec.archive.loading import loader

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
def test_every_run_is_decoded_once_and_by_one_worker(
    path: Path, monkeypatch: pytest.MonkeyPatch, decoded_runs: Path, workers: int
) -> None:
    """Also where workers have different numbers of images, and so of batches."""
    dataset = numbered(path, kept_blocks=4)
    dataset.images.close()
    dataset = ArchiveDataset(path, transform=number_of, kept_blocks=4)
    decoded_runs.unlink(missing_ok=True)
    monkeypatch.setattr("ddpmcodec.archive.loading.MIXED_BLOCKS", 4)
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
