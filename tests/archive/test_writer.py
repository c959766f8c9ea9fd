"""Archives that are written image by image: in little memory, whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec._native import parse_header
from ddpmcodec.errors import DdpmError, FormatError, ImageError, OutputError
from ddpmcodec.format.ddpma import split
from ddpmcodec.parallel import threads_of
from pictures import Pictures, crops, drawing, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def add_all(writer: archive.Writer, pictures: Iterable[tuple[str, Image.Image]]) -> None:
    for name, image in pictures:
        writer.add(name, image)


def test_it_is_what_create_makes(tmp_path: Path) -> None:
    pictures = crops(4) | crops(2, 70, 66) | {"drawn.png": drawing()}
    with archive.Writer(spool=tmp_path, effort=1) as writer:
        add_all(writer, pictures.items())
        assert len(writer) == len(pictures)
        writer.save(tmp_path / "a.ddpma")
        assert writer.to_bytes() == (tmp_path / "a.ddpma").read_bytes() == archive.create(pictures, effort=1)
    assert os.listdir(tmp_path) == ["a.ddpma"]


def test_images_that_are_files_are_tiled() -> None:
    (photo,) = crops(1, 150, 140).values()
    made = split(archive.create({"large.png": photo}, effort=1, tile=64))
    (file,) = made.parts[0].sections
    assert parse_header(bytes(file)).tile_count == 9
    assert bytes(file) == codec.encode(photo, effort=1, tile=64)
    for tile in (7, 72, 2048):
        with pytest.raises(ValueError, match=r"tile.*64 to 1024"):
            archive.Writer(tile=tile)


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


def test_settings_of_all_blocks_are_described() -> None:
    writer = archive.Writer(effort=1)
    writer.add("new.png", crops(1)["photo-000.png"])
    writer.copy(archive.create(crops(2), effort=2, levels=5))
    described = archive.describe(writer.to_bytes())["settings"]
    assert described == [{"effort": 1, "levels": 0}, {"effort": 2, "levels": 5}]


def test_names_are_taken_once(tmp_path: Path) -> None:
    pictures = crops(2)
    first, second = pictures
    data = archive.create(pictures)
    writer = archive.Writer()
    writer.add(second, drawing())
    with pytest.raises(ImageError, match=f"^{second}: .*already"):
        writer.add(second, drawing())
    with pytest.raises(ImageError, match=f"^{second}: .*already"):
        writer.copy(data)
    with pytest.raises(DdpmError, match=r"'no\.png'"):
        writer.copy(data, without=["no.png"])
    writer.copy(data, without=[second])
    assert archive.names(writer.to_bytes()) == [second, first]


def noise(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Photographs of a sensor that sees nothing: files as large as their pixels."""
    generator = np.random.default_rng(5)
    for number in range(count):
        yield f"{number}.png", Image.fromarray(generator.integers(0, 256, (128, 256, 3), np.uint8))


def most_memory(spool: Path | None, count: int) -> int:
    """Bytes that Python's objects took at most, while so many images were coded, of which each has some 100 kB."""
    tracemalloc.start()
    try:
        with archive.Writer(spool=spool, effort=1, levels=0, verify=False) as writer:
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


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        import numpy as np
        from ddpmcodec import archive
        writer = archive.Writer(spool=sys.argv[1], effort=1, levels=0)
        for number in range(24):
            noise = np.random.default_rng(number).integers(0, 256, (128, 256, 3), np.uint8)
            writer.add(f"{number}.png", noise)
        assert writer.index.blocks  # which wait in the temporary file
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command, environment = [sys.executable, "-c", dedent(script), tmp_path], os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, check=False)
    assert (ended.returncode, os.listdir(tmp_path)) == (-signal.SIGKILL, [])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_make_the_same_archive(tmp_path: Path, threads: int) -> None:
    pictures = crops(4) | crops(3, 70, 66)
    with threads_of(1):
        alone = archive.create(pictures, effort=1)
    with threads_of(threads), archive.Writer(spool=tmp_path, effort=1) as writer:
        add_all(writer, pictures.items())
        assert writer.to_bytes() == alone


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with (
        largest_file(50_000),
        archive.Writer(spool=tmp_path, effort=1, levels=0) as writer,
        pytest.raises(OutputError, match=f"{tmp_path}: .*File too large"),
    ):
        add_all(writer, noise(16))
    assert not os.listdir(tmp_path)


def test_a_full_disk_is_named_for_a_few_bytes_too(tmp_path: Path) -> None:
    with largest_file(0), archive.Writer(spool=tmp_path) as writer:
        writer.add("a.png", drawing())
        with pytest.raises(OutputError, match=f"{tmp_path}: .*File too large"):
            writer.pieces()


def test_what_an_error_lost_is_not_missing_in_silence(tmp_path: Path) -> None:
    with archive.Writer(spool=tmp_path, effort=1, levels=0) as writer:
        with largest_file(50_000), pytest.raises(OutputError):
            add_all(writer, noise(16))
        for again in (lambda: writer.save(tmp_path / "a.ddpma"), lambda: writer.add("a.png", drawing())):
            with pytest.raises(DdpmError, match="begin again"):
                again()
    assert not os.listdir(tmp_path)


def test_an_archive_that_is_damaged_half_way_is_not_half_there(tmp_path: Path) -> None:
    data = bytearray(archive.create(crops(3)))
    data[-9] ^= 1
    first, *_ = crops(3)
    writer = archive.Writer()
    with pytest.raises(FormatError, match="damaged"):
        writer.copy(data, without=[first])  # which codes the others again
    with pytest.raises(DdpmError, match="an error before lost images"):
        writer.add("a.png", drawing())


def test_threads_read_pieces(tmp_path: Path) -> None:
    with archive.Writer(spool=tmp_path, effort=1, levels=0, verify=False) as writer:
        add_all(writer, noise(6))
        pieces = writer.pieces()
        whole_file = b"".join(map(bytes, pieces))
        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(lambda _: b"".join(map(bytes, pieces)), range(200)):
                assert found == whole_file


def test_a_writer_that_is_closed_says_so(tmp_path: Path) -> None:
    with archive.Writer(spool=tmp_path) as writer:
        writer.add("a.png", drawing())
    for late in (writer.pieces, lambda: writer.add("b.png", drawing())):
        with pytest.raises(ValueError, match="closed"):
            late()


def test_limits_hold_across_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpmcodec.archive.writer.MAX_IMAGES", 5)
    writer = archive.Writer()
    for prefix in "ab":
        data = archive.create({f"{prefix}{number}.png": drawing() for number in range(2)})
        writer.copy(data)
    with pytest.raises(ImageError, match=r"^b0\.png: .*already"):
        writer.copy(data)
    with pytest.raises(ImageError, match=r"^c0\.png: .* 5 images"):
        writer.copy(archive.create({f"c{number}.png": drawing() for number in range(2)}))
    writer.add("last.png", drawing())
    assert archive.test(writer.to_bytes()) == len(writer) == writer.index.total == 5


def test_names_come_as_a_list() -> None:
    with pytest.raises(TypeError, match=r"list.*'a\.png'"):
        archive.Writer().copy(archive.create({"a.png": drawing()}), without="a.png")


def test_images_that_are_coded_again_stay_coded(tmp_path: Path) -> None:
    pictures = {f"{number}.png": drawing() for number in range(3)}
    data = archive.create(pictures)
    left = archive.describe(archive.remove(data, ["1.png"]))["images"]
    assert [image["coding"] for image in left] == ["context model"] * 2


def test_a_spool_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"^{tmp_path}/none: .*temporary"):
        archive.Writer(spool=tmp_path / "none")


def test_nothing_is_written_before_it_is_saved(tmp_path: Path) -> None:
    with archive.Writer(spool=tmp_path) as writer:
        with pytest.raises(ImageError, match="no image"):
            writer.save(tmp_path / "a.ddpma")
        writer.add("a.png", drawing())
    assert not os.listdir(tmp_path)


def test_many_threads_wait_for_no_more_than_four_megapixels() -> None:
    pixels = np.zeros((1024, 1024), np.uint8)
    with threads_of(64), archive.Writer(verify=False) as writer:
        for number in range(4):
            assert not writer.index.entries
            writer.add(f"{number}.png", pixels)
        assert len(writer.index.entries) == 4


def test_an_image_that_cannot_be_taken_is_named() -> None:
    with pytest.raises(ImageError, match=r"^b: .*float32"):
        archive.create({"a": np.zeros((4, 4), np.uint8), "b": np.zeros((4, 4), np.float32)})
