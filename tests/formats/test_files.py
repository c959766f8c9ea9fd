"""Outputs appear complete or not at all, and nothing is overwritten by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddpmcodec.errors import OutputError
from ddpmcodec.formats.files import check_output, remove_source, write_file


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
    program = "from pathlib import Path; from ddpmcodec.formats import files;"
    program += f" files.{write}(Path('\\u0131.png'), b'content')"
    ascii_names = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, env=ascii_names, capture_output=True, text=True, check=False)
    assert "OutputError: \\u0131.png: cannot be written (this system's names are ascii)" in ended.stderr
    assert names(tmp_path) == []


def test_a_device_is_written_to_and_stays_one() -> None:
    write_file(Path("/dev/null"), b"content")
    assert Path("/dev/null").is_char_device()


def test_an_output_that_exists_is_refused_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"a: exists already: .*-f"):
        check_output(tmp_path / "a", None, force=False)
    check_output(tmp_path / "a", None, force=True)
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("force", [False, True])
def test_the_input_is_never_the_output(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "same").hardlink_to(tmp_path / "a")
    with pytest.raises(OutputError, match="input itself"):
        check_output(tmp_path / "same", tmp_path / "a", force=force)


def test_a_new_name_is_taken(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content", replace=False)
    assert (tmp_path / "a").read_bytes() == b"content"
    assert (tmp_path / "a").stat().st_nlink == 1
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
    with pytest.raises(OutputError, match="not removed"):
        remove_source(tmp_path / "source", tmp_path / "out" / "a")


def test_a_source_stays_whose_output_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "source").touch()
    with pytest.raises(OutputError, match=f"not removed.*{os.devnull}"):
        remove_source(tmp_path / "source", Path(os.devnull))
    assert (tmp_path / "source").exists()


def test_a_file_made_from_a_device_is_like_any_other(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"content", like=[Path(os.devnull)])
    write_file(tmp_path / "b", b"content", like=[tmp_path / "none"])
    (tmp_path / "c").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("letter", ["a", "ä", "語"])
@pytest.mark.parametrize("replace", [False, True])
def test_names_are_as_long_as_the_disk_allows(tmp_path: Path, letter: str, replace: bool) -> None:
    longest = letter * (255 // len(letter.encode()))
    write_file(tmp_path / longest, b"content", replace=replace)
    assert names(tmp_path) == [longest]
    with pytest.raises(OutputError, match="File name too long"):
        write_file(tmp_path / (longest + letter), b"content", replace=replace)
    assert names(tmp_path) == [longest]


@pytest.mark.parametrize("force", [False, True])
def test_a_link_to_the_input_is_never_the_output(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(OutputError, match="input itself"):
        check_output(tmp_path / "link", tmp_path / "a", force=force)


@pytest.mark.parametrize("target", ["link", "nowhere"])
def test_links_to_no_file_are_outputs_by_force_only(tmp_path: Path, target: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OutputError, match=r"link: .*-f"):
        check_output(link, None, force=False)
    check_output(link, None, force=True)
    write_file(link, b"content")
    assert (tmp_path / target).read_bytes() == b"content"


def test_devices_are_not_there_already() -> None:
    write_file(Path("/dev/null"), b"content", replace=False)


def test_folders_are_not_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        check_output(tmp_path, None, force=True)
    with pytest.raises(OutputError, match="no folder"):
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
    with pytest.raises(OutputError, match="no file can be written"):
        check_output(tmp_path / "a.ddpm", None, force=False)
    tmp_path.chmod(0o755)
