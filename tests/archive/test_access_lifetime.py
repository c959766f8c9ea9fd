"""How long an open archive lives: until it is closed or nobody has it, and in other processes."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddpmcodec import archive
from ddpmcodec.archive import access
from ddpmcodec.errors import FormatError
from ddpmcodec.models.context import ContextModel
from pictures import Pictures, same

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def path(several_path: Path) -> Path:
    return several_path


def test_a_closed_archive_gives_nothing(path: Path, model: ContextModel) -> None:
    images = archive.open(path, model=model)
    images.close()
    images.close()
    asked: list[Callable[[], object]] = [
        lambda: images["photo-000.png"], lambda: len(images), lambda: "photo-000.png" in images, lambda: list(images),
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(ValueError, match="closed"):
            ask()


OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], int]]:
    """How often this process has the archive open. Python's cycle collector does not run meanwhile."""
    gc.collect()
    gc.disable()
    yield lambda: sum(file.resolve() == path for file in OPEN_FILES.iterdir())
    gc.enable()


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux lists the files of a process")
def test_its_file_is_closed_as_soon_as_nobody_has_it(
    path: Path, model: ContextModel, opened: Callable[[], int]
) -> None:
    images = archive.open(path, model=model)
    images.prefetch(list(images))
    assert images.region("drawing.png", reduce=2).size == (33, 33)
    assert all(image.size for image in images.values())
    assert opened() == 1
    del images
    assert opened() == 0


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux lists the files of a process")
def test_its_file_is_closed_also_where_images_are_damaged(
    path: Path, model: ContextModel, opened: Callable[[], int]
) -> None:
    data = bytearray(path.read_bytes())
    with archive.open(path, model=model) as images:
        (entry,) = images.index.blocks[-1].entries  # the drawing, behind which there is nothing
    for position in (-entry.length // 2, -entry.length - 200):
        data[position] ^= 1
    path.write_bytes(data)
    images, lost = archive.open(path, model=model), list[str]()
    for name in images:
        try:
            images[name].load()
        except FormatError:
            lost.append(name)
    assert len(lost) > 1
    assert "drawing.png" in lost
    del images
    assert opened() == 0


def test_it_is_pickled_as_the_place_of_its_file(
    several: tuple[Pictures, bytes], path: Path, model: ContextModel
) -> None:
    with archive.open(path, model=model) as images:
        pickled = pickle.dumps(images)
    with pickle.loads(pickled) as again:
        assert same(again["photo-009.png"], several[0]["photo-009.png"])
    assert len(pickled) < len(pickle.dumps(model)) + 2 * path.stat().st_size + 10_000  # the model goes along


def _look(images: access.ArchiveFile, queue: multiprocessing.Queue[bytes]) -> None:
    queue.put(images["photo-009.png"].tobytes())


def test_it_works_after_a_fork(several: tuple[Pictures, bytes], path: Path, model: ContextModel) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with archive.open(path, model=model) as images:
        images["photo-000.png"].load()
        child = context.Process(target=_look, args=(images, queue))
        child.start()
        assert queue.get(timeout=120) == several[0]["photo-009.png"].tobytes()
        child.join()
