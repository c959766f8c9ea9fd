"""Outputs appear complete or not at all, and nothing is overwritten by accident."""

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

from ddpmcodec import files
from ddpmcodec.errors import OutputError
from ddpmcodec.files import check_output, remove_source, write_file

full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_written(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"
    assert names(tmp_path) == ["a"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    write_file(tmp_path / "a", b"content")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o600)
    write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system whose names are ASCII")
@pytest.mark.parametrize("write", ["write_file", "write_below"])
def test_a_name_that_the_system_cannot_write_is_an_error(tmp_path: Path, write: str) -> None:
    program = f"from pathlib import Path; from ddpmcodec.files import {write}; {write}(Path('\\u0131.png'), b'content')"
    ascii_names = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, env=ascii_names, capture_output=True, text=True, check=False)
    said = "\\u0131.png: cannot be written (this system's names are ascii): nothing was kept of it"
    assert f"OutputError: {said}\n" in ended.stderr
    assert names(tmp_path) == []


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
        "import resource, sys; from pathlib import Path; from ddpmcodec.files import write_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_file(Path(sys.argv[1]), bytes(5000))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")], capture_output=True, text=True, check=False
    )
    assert f"OutputError: {tmp_path / 'a'}: cannot be written (File too large): it is as it was\n" in ended.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@full_device
def test_a_full_device_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        write_file(Path("/dev/full"), b"content")


def test_a_device_is_written_to_and_stays_one() -> None:
    write_file(Path("/dev/null"), b"content")
    assert Path("/dev/null").is_char_device()


def test_an_output_that_exists_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match="a: exists already: use -f to overwrite it"):
        check_output(tmp_path / "a", None, force=False)
    check_output(tmp_path / "a", None, force=True)
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("force", [False, True])
def test_the_input_is_never_the_output(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "same").hardlink_to(tmp_path / "a")
    with pytest.raises(OutputError, match="is the input itself"):
        check_output(tmp_path / "same", tmp_path / "a", force=force)


KEPT = "exists already, and did not when the work began: it was kept; use -f to overwrite it"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OutputError, match=f"a: {KEPT}"):
        write_file(tmp_path / "a", b"ours", replace=False)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


def test_a_new_name_is_taken(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content", replace=False)
    assert (tmp_path / "a").read_bytes() == b"content"
    assert (tmp_path / "a").stat().st_nlink == 1
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize(
    ("source", "old", "expected"), [(0o600, None, 0o600), (0o644, 0o600, 0o600), (0o440, 0o664, 0o440)]
)
def test_a_file_made_from_another_has_its_time_and_no_wider_permissions(
    tmp_path: Path, source: int, old: int | None, expected: int
) -> None:
    (tmp_path / "source").touch()
    (tmp_path / "source").chmod(source)
    os.utime(tmp_path / "source", ns=(10**18, 10**18 + 1))
    if old is not None:
        (tmp_path / "a").touch()
        (tmp_path / "a").chmod(old)
    write_file(tmp_path / "a", b"content", like=[tmp_path / "source"])
    status = (tmp_path / "a").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (expected, 10**18 + 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_made_from_several_has_what_all_of_them_permit_and_the_newest_time(tmp_path: Path) -> None:
    for number, mode in enumerate((0o640, 0o604)):
        (tmp_path / str(number)).touch()
        (tmp_path / str(number)).chmod(mode)
        os.utime(tmp_path / str(number), ns=(10**18, 10**18 + number))
    write_file(tmp_path / "a", b"content", like=[tmp_path / "0", tmp_path / "1"])
    status = (tmp_path / "a").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o600, 10**18 + 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_a_source_is_removed_once_the_name_of_its_output_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").touch()
    (tmp_path / "out").mkdir()
    write_file(tmp_path / "out" / "a", b"content")
    seen: list[tuple[bool, bool]] = []
    sync = os.fsync

    def recorded(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), (tmp_path / "out").stat())
        seen.append((is_folder, (tmp_path / "source").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    remove_source(tmp_path / "source", tmp_path / "out" / "a")
    assert seen == [(True, True)]
    assert not (tmp_path / "source").exists()
    with pytest.raises(OutputError, match="was encoded, but not removed"):
        remove_source(tmp_path / "source", tmp_path / "out" / "a")


def test_a_source_stays_whose_output_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "source").touch()
    with pytest.raises(OutputError, match=f"was encoded, but not removed, as {os.devnull} is no file"):
        remove_source(tmp_path / "source", Path(os.devnull))
    assert (tmp_path / "source").exists()


def test_a_file_made_from_a_device_is_like_any_other(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content", like=[Path(os.devnull)])
    write_file(tmp_path / "b", b"content", like=[tmp_path / "none"])
    (tmp_path / "c").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


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


@pytest.mark.parametrize("letter", ["a", "ä", "語"])
@pytest.mark.parametrize("replace", [False, True])
def test_names_are_as_long_as_the_disk_allows(tmp_path: Path, letter: str, replace: bool) -> None:
    longest = letter * (255 // len(letter.encode()))
    write_file(tmp_path / longest, b"content", replace=replace)
    assert names(tmp_path) == [longest]
    with pytest.raises(OutputError, match=r"cannot be written \(File name too long\)"):
        write_file(tmp_path / (longest + letter), b"content", replace=replace)
    assert names(tmp_path) == [longest]


def stopped_writer(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of a write."""
    program = (
        "import os, sys, time; from pathlib import Path; from ddpmcodec.files import write_file\n"
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


@pytest.mark.parametrize("force", [False, True])
def test_a_link_to_the_input_is_never_the_output(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(OutputError, match="is the input itself"):
        check_output(tmp_path / "link", tmp_path / "a", force=force)


@pytest.mark.parametrize("target", ["link", "nowhere"])
def test_links_to_no_file_are_outputs_by_force_only(tmp_path: Path, target: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OutputError, match="link: is a link that leads to no file: use -f to write there all the same"):
        check_output(link, None, force=False)
    check_output(link, None, force=True)
    write_file(link, b"content")
    assert (tmp_path / target).read_bytes() == b"content"


def test_devices_are_not_there_already() -> None:
    write_file(Path("/dev/null"), b"content", replace=False)


def test_folders_are_not_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, None, force=True)
    with pytest.raises(OutputError, match="there is no folder"):
        check_output(tmp_path / "no" / "a", None, force=True)


def test_a_pipe_that_has_no_path_is_written_to(tmp_path: Path) -> None:
    """As standard output is, behind /dev/stdout."""
    read_end, write_end = os.pipe()
    try:
        write_file(Path(f"/dev/fd/{write_end}"), b"data")
        assert os.read(read_end, 10) == b"data"
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="no file can be written in"):
        check_output(tmp_path / "a.ddpm", None, force=False)
    tmp_path.chmod(0o755)


def test_a_process_that_leaves_lets_its_threads_end_their_files(tmp_path: Path) -> None:
    """In a process of its own, which no file is written in afterwards."""
    program = """
import os, sys, threading, time
from pathlib import Path
from ddpmcodec import files

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
