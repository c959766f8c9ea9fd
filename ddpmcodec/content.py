"""The content of files that are read: in memory, or in views of which no more is read than is looked at."""

from __future__ import annotations

import os
import threading
from copy import copy
from mmap import mmap
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

from ddpmcodec.errors import TruncatedError, unreadable

# What functions that read files take them as.
File: TypeAlias = "bytes | bytearray | memoryview | mmap | str | os.PathLike[str] | BinaryIO | FileView | SharedBytes"
# A file, and a part of it, of which only what is looked at need be in memory.
Content: TypeAlias = "bytes | FileView | SharedBytes"
Part: TypeAlias = "bytes | memoryview | FileView"
SEARCHED = 1 << 20  # bytes that are read at a time to find something


def content_of(data: object) -> Content:
    """The bytes of a file: of its path, or where it is mapped into memory, only those that are looked at are read; a
    binary file is read to its end. Raises DdpmError if it cannot be read, MissingFileError if there is no such file,
    TypeError for anything else."""
    if isinstance(data, (bytes, FileView, SharedBytes)):
        return data
    if isinstance(data, (bytearray, memoryview, mmap)):
        return SharedBytes(data)
    name = os.fspath(data) if isinstance(data, (str, os.PathLike)) else str(getattr(data, "name", "the file"))
    try:
        if isinstance(data, (str, os.PathLike)):
            view = FileView(Path(name))
            bytes(view[:1])  # of a folder nothing can be read
            return view
        content = data.read() if hasattr(data, "read") else data
    except (OSError, ValueError) as error:
        raise unreadable(name, error, "give the path of a file") from error
    if isinstance(content, bytes):
        return content
    raise TypeError(f"expected a path, bytes or a binary file, not {type(content).__name__}")


def bytes_of(data: object) -> bytes:
    """All bytes of a file. Raises as `content_of`, and TruncatedError where it becomes shorter."""
    return bytes(content_of(data))


class FileView:
    """The bytes of a file, or of a slice of it, which are read when `bytes` asks for them. Where the file is cut short
    meanwhile, this raises TruncatedError; a file that is mapped into memory would end the process. The view stays with
    the file that it opened, even when another one takes its name. source: its path, or a binary file that somebody else
    opened and can seek in, whose position changes."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        self._file = _OpenFile(source) if isinstance(source, Path) else _BorrowedFile(source)
        self._extent = range(self._file.size)

    def __len__(self) -> int:
        return len(self._extent)

    def __getitem__(self, part: slice) -> FileView:
        view = copy(self)
        view._extent = self._extent[part]
        return view

    def extended(self) -> FileView:
        """The whole file, as long as it is now: a view that shares it, so that threads may read both."""
        view = copy(self)
        view._extent = range(self._file.size)
        return view

    def __bytes__(self) -> bytes:
        content = self._file.read(self._extent)
        if len(content) < len(self):
            raise TruncatedError("the file became shorter while it was read: get it again")
        return content

    @property
    def has_shrunk(self) -> bool:
        """Whether bytes of the slice are there no longer."""
        return self._file.size < self._extent.stop

    def find(self, part: bytes, start: int = 0) -> int:
        """As `bytes.find`."""
        return _find(self, part, start)


def _find(content: FileView | SharedBytes, part: bytes, start: int) -> int:
    for offset in range(start, len(content), SEARCHED):
        position = bytes(content[offset : offset + SEARCHED + len(part) - 1]).find(part)
        if position >= 0:
            return offset + position
    return -1


class _OpenFile:
    """A file that any thread can read at any position, also after a fork."""

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        self._descriptor, self._lock = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), threading.Lock()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, extent: range) -> bytes:
        """The bytes at these positions, as many as the file has."""
        content = bytearray()
        while piece := self._read(len(extent) - len(content), extent.start + len(content)):
            content += piece
        return bytes(content)

    def _read(self, count: int, start: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, count, start)
        with self._lock:  # Windows, which has no forks either
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, count)


class _BorrowedFile:
    """A binary file of somebody else, which any thread of this process can read at any position."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._lock = file, threading.Lock()

    @property
    def size(self) -> int:
        with self._lock:
            return self._file.seek(0, os.SEEK_END)

    def read(self, extent: range) -> bytes:
        with self._lock:
            self._file.seek(extent.start)
            return self._file.read(len(extent))


class SharedBytes:
    """Bytes whose slices share their memory: of an object that holds them, such as a file that is mapped into it."""

    def __init__(self, content: bytes | bytearray | memoryview | mmap) -> None:
        view = memoryview(content)
        self._view = view.cast("B") if view.c_contiguous else memoryview(bytes(view))

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, part: slice) -> memoryview:
        return self._view[part]

    def __bytes__(self) -> bytes:
        return bytes(self._view)

    def find(self, part: bytes, start: int = 0) -> int:
        """As `bytes.find`."""
        return _find(self, part, start)
