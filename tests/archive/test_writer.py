"""Archives that are written image by image: in little memory, whole or not at all."""

from __future__ import annotations

import os
import re
import resource
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.errors import DdpmError, ImageError, OutputError
from pictures import Pictures, crops, drawing, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def written(writer: archive.Writer) -> bytes:
    return b"".join(map(bytes, writer.pieces()))


def add_all(writer: archive.Writer, pictures: Iterable[tuple[str, Image.Image]]) -> None:
    for name, image in pictures:
        writer.add(name, image)


def test_it_is_what_create_makes(tmp_path: Path) -> None:
    pictures = crops(4) | crops(2, 70, 66) | {"drawn.png": drawing()}
    with archive.Writer(spool=tmp_path, effort=1) as writer:
        add_all(writer, pictures.items())
        assert len(writer) == len(pictures)
        writer.save(tmp_path / "a.ddpma")
        assert written(writer) == (tmp_path / "a.ddpma").read_bytes() == archive.create(pictures, effort=1)
    assert os.listdir(tmp_path) == ["a.ddpma"]


def test_other_archives_are_copied_between_images(tmp_path: Path) -> None:
    old, new = crops(3), {f"new/{name}": image for name, image in crops(2).items()}
    (tmp_path / "old.ddpma").write_bytes(archive.create(old))
    gone, *left = old
    with archive.Writer(spool=tmp_path) as writer:
        writer.add("first.png", drawing())
        writer.copy(tmp_path / "old.ddpma", without=[gone])
        add_all(writer, new.items())
        writer.save(tmp_path / "old.ddpma")  # in its own place
    assert archive.names(tmp_path / "old.ddpma") == ["first.png", *left, *new]
    pictures: Pictures = {"first.png": drawing()} | {name: old[name] for name in left} | new
    assert whole(pictures, archive.extract(tmp_path / "old.ddpma"))


def test_names_are_taken_once(tmp_path: Path) -> None:
    pictures = crops(2)
    first, second = pictures
    data = archive.create(pictures)
    writer = archive.Writer()
    writer.add(second, drawing())
    with pytest.raises(ImageError, match=f"^{second}: there is an image of this name already"):
        writer.add(second, drawing())
    with pytest.raises(ImageError, match=f"^{second}: there is an image of this name already"):
        writer.copy(data)
    with pytest.raises(DdpmError, match=r"^there is no image 'no\.png' in the archive"):
        writer.copy(data, without=["no.png"])
    writer.copy(data, without=[second])
    assert archive.names(written(writer)) == [second, first]


def noise(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Photographs of a sensor that sees nothing: files as large as their pixels."""
    generator = np.random.default_rng(5)
    for number in range(count):
        yield f"{number}.png", Image.fromarray(generator.integers(0, 256, (128, 256, 3), np.uint8))


def most_memory(spool: Path | None, count: int) -> int:
    """Bytes that Python's objects took at most, while so many images were coded, of which each has some 100 kB."""
    tracemalloc.start()
    try:
        with archive.Writer(spool=spool, effort=1, levels=0, webp=False, verify=False) as writer:
            add_all(writer, noise(count))
            assert sum(map(len, writer.pieces())) > 98_000 * count
            return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    few, many = most_memory(tmp_path, 16), most_memory(tmp_path, 48)
    assert many < few + 500_000
    assert most_memory(None, 48) > few + 2_500_000


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond this size fails, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    wrong = re.escape(f"{tmp_path}: a temporary file there cannot be written (File too large): make room")
    with (
        largest_file(50_000),
        archive.Writer(spool=tmp_path, effort=1, levels=0, webp=False) as writer,
        pytest.raises(OutputError, match=wrong),
    ):
        add_all(writer, noise(16))
    assert not os.listdir(tmp_path)


def test_a_spool_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"^{tmp_path}/none: a temporary file there cannot be written"):
        archive.Writer(spool=tmp_path / "none")


def test_nothing_is_written_before_it_is_saved(tmp_path: Path) -> None:
    with archive.Writer(spool=tmp_path) as writer:
        with pytest.raises(ImageError, match="there is no image to put into the archive"):
            writer.save(tmp_path / "a.ddpma")
        writer.add("a.png", drawing())
    assert not os.listdir(tmp_path)
