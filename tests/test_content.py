"""Files in memory and in views: no more is read than is looked at, and what was opened stays."""

from __future__ import annotations

import errno
import io
import mmap
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import ddpmcodec
from ddpmcodec import archive, content
from ddpmcodec.content import FileView, SharedBytes, bytes_of, content_of
from ddpmcodec.errors import DdpmError, ImageError, MissingFileError, TruncatedError


def test_a_view_is_read_when_its_bytes_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    view = FileView(path)
    part = view[10:60][5:20]
    path.write_bytes(bytes(range(100, 200)))
    assert (len(view), len(part), len(view[90:300])) == (100, 15, 10)
    assert bytes(part) == bytes(range(115, 130))


def test_a_view_of_an_open_file_reads_no_more_than_is_wanted(tmp_path: Path) -> None:
    read: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return super().read(size)

    view = FileView(Counted(b"0123456789"))
    assert (len(view), bytes(view[3:6]), bytes(view[8:]), view[2:9].find(b"67")) == (10, b"345", b"89", 4)
    assert sum(read) < 20


def test_a_view_finds_what_lies_across_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "SEARCHED", 4)
    given = b"..abc....abc"
    (tmp_path / "a").write_bytes(given)
    view = FileView(tmp_path / "a")
    assert [view.find(b"abc", start) for start in range(13)] == [given.find(b"abc", start) for start in range(13)]


def test_what_takes_the_name_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    view = FileView(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"other")
    (tmp_path / "b").replace(tmp_path / "a")
    assert bytes(view) == b"first"


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    view = FileView(path)
    os.truncate(path, 50)
    assert bytes(view[:50]) == bytes(50)
    with pytest.raises(TruncatedError, match="shorter"):
        bytes(view[40:60])


@pytest.mark.parametrize("given", [bytearray(b"0123456789"), memoryview(b"0.1.2.3.4.5.6.7.8.9.")[::2]])
def test_slices_of_shared_bytes_are_those_of_the_bytes(given: Any) -> None:
    shared = SharedBytes(given)
    assert (len(shared), bytes(shared[3:6]), bytes(shared)) == (10, b"345", b"0123456789")
    assert [shared.find(b"56"), shared.find(b"56", 6)] == [5, -1]


def test_a_file_is_its_path_its_bytes_or_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        forms: list[Any] = [
            path,
            str(path),
            b"0123456789",
            bytearray(b"0123456789"),
            mapped,
            io.BytesIO(b"0123456789"),
            file,
        ]
        assert [bytes_of(form) for form in forms] == [b"0123456789"] * len(forms)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DdpmError, match=f"^{path}: cannot be read"):
            content_of(path)
    with pytest.raises(TypeError, match="not int"):
        content_of(3)


@pytest.mark.parametrize(
    "use",
    [
        ddpmcodec.encode, ddpmcodec.decode, ddpmcodec.info, ddpmcodec.thumbnail, archive.open, archive.names,
        lambda path: ddpmcodec.encode_many([path]), lambda path: ddpmcodec.decode_many([path]),
        lambda path: archive.create({"a.png": path}), lambda path: archive.join([path]),
    ],
)  # fmt: skip
def test_a_path_to_no_file_is_what_python_calls_it(tmp_path: Path, use: Any) -> None:
    """Also in another process, to which errors are sent."""
    with pytest.raises(FileNotFoundError, match="none") as raised:
        use(tmp_path / "none")
    error = pickle.loads(pickle.dumps(raised.value))
    assert (type(error), isinstance(error, ImageError), error.errno) == (MissingFileError, True, errno.ENOENT)
    with pytest.raises(DdpmError) as raised_for_folder:
        use(tmp_path)
    assert not isinstance(raised_for_folder.value, FileNotFoundError)
