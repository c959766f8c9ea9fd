"""Outputs that are interrupted, or that several processes write: each is complete or not there, and nothing is left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ddpmcodec.errors import OutputError
from ddpmcodec.formats import files
from ddpmcodec.formats.files import write_file

full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
KEPT = "did not when the work began"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def interrupted(descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(error):
        write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """The limit on file sizes fails a write in the same way as a full disk does: after a part of the data."""
    (tmp_path / "a").write_bytes(b"old")
    program = (
        "import resource, sys; from pathlib import Path; from ddpmcodec.formats.files import write_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_file(Path(sys.argv[1]), bytes(5000))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")], capture_output=True, text=True, check=False
    )
    assert f"OutputError: {tmp_path / 'a'}: cannot be written (File too large)" in ended.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@full_device
def test_a_full_device_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: .*No space left"):
        write_file(Path("/dev/full"), b"content")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OutputError, match=f"a: .*{KEPT}"):
        write_file(tmp_path / "a", b"ours", replace=False)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


def test_where_there_are_no_hard_links_names_are_taken_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT."""

    def refused(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    write_file(tmp_path / "a", b"first", replace=False)
    with pytest.raises(OutputError, match=KEPT):
        write_file(tmp_path / "a", b"second", replace=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_where_there_are_no_hard_links_a_fault_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        assert not (target.exists() and target.stat().st_mode & stat.S_IXUSR)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OutputError, match="cannot be written"):
        write_file(tmp_path / "a", b"content", replace=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_where_files_have_no_locks_nothing_is_left_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """As on Windows, where open files can neither be renamed nor removed."""

    def must_be_closed(*paths: Path) -> None:
        opened = {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}
        assert opened.isdisjoint(map(str, paths))

    def replaced(source: Path, target: Path) -> None:
        must_be_closed(source, target)
        if target.name == "refused":
            raise PermissionError(13, "Permission denied")
        os.rename(source, target)

    def linked(source: Path, target: Path) -> None:
        must_be_closed(source)
        if not links:
            raise PermissionError(1, "Operation not permitted")
        link(source, target)

    link, unlink = os.link, Path.unlink
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(Path, "unlink", lambda path: must_be_closed(path) or unlink(path))  # type: ignore[func-returns-value]
    write_file(tmp_path / "a", b"first", replace=False)
    write_file(tmp_path / "a", b"second")
    with pytest.raises(OutputError, match=KEPT):
        write_file(tmp_path / "a", b"third", replace=False)
    with pytest.raises(OutputError, match="Permission denied"):
        write_file(tmp_path / "refused", b"fourth")
    if not links:
        with pytest.raises(OutputError, match="Permission denied"):
            write_file(tmp_path / "refused", b"fifth", replace=False)
    assert (tmp_path / "a").read_bytes() == b"second"
    assert names(tmp_path) == ["a"]


def test_of_many_writers_to_one_output_one_succeeds(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        try:
            write_file(tmp_path / "a", bytes([number]) * 9999, replace=False)
        except OutputError:
            return False
        return True

    with ThreadPoolExecutor(8) as executor:
        succeeded = list(executor.map(write, range(8)))
    assert sum(succeeded) == 1
    assert (tmp_path / "a").read_bytes() == bytes([succeeded.index(True)]) * 9999
    assert names(tmp_path) == ["a"]


def stopped_writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of a write."""
    program = (
        "import os, sys, time; from pathlib import Path; from ddpmcodec.formats.files import write_file\n"
        "os.fsync = lambda _: (print('writing', flush=True), time.sleep(600))\n"
        "write_file(Path(sys.argv[1]), bytes(5000))"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    return writer


def test_what_killed_writers_left_is_removed_by_the_next_one_to_that_output(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    writers = [stopped_writer(tmp_path / "a") for _ in range(2)]
    left = set(names(tmp_path)) - {"a"}
    assert len(left) == 2
    writers[0].kill()
    writers[0].wait()
    write_file(tmp_path / "b", b"of another output")
    assert set(names(tmp_path)) - {"a", "b"} == left
    write_file(tmp_path / "a", b"first")
    assert len(set(names(tmp_path)) - {"a", "b"}) == 1, "the file of a living writer stays"
    writers[1].send_signal(signal.SIGKILL)
    writers[1].wait()
    write_file(tmp_path / "a", b"second", replace=True)
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == b"second"
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()


def test_files_of_others_that_look_like_temporary_ones_are_kept(tmp_path: Path) -> None:
    with stopped_writer(tmp_path / "a") as writer:
        (temporary,) = tmp_path.iterdir()
        writer.kill()
    temporary.unlink()
    temporary.mkdir()
    write_file(tmp_path / "a", b"content")
    assert names(tmp_path) == [temporary.name, "a"]
    temporary.rmdir()
    (tmp_path / "theirs").write_bytes(b"theirs")
    temporary.symlink_to("theirs")
    write_file(tmp_path / "a", b"content")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_process_that_leaves_lets_its_threads_end_their_files(tmp_path: Path) -> None:
    """In a process of its own, which no file is written in afterwards."""
    program = """
import os, sys, threading, time
from pathlib import Path
from ddpmcodec.formats import files

begun, sync = threading.Event(), os.fsync

def slow(descriptor):
    begun.set()
    time.sleep(0.5)
    sync(descriptor)

os.fsync = slow
threading.Thread(target=files.write_file, args=(Path(sys.argv[1], "a"), b"whole"), daemon=True).start()
begun.wait()
files.end_writing()
threading.Thread(target=files.write_file, args=(Path(sys.argv[1], "b"), b"late"), daemon=True).start()
time.sleep(0.2)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"whole")]
