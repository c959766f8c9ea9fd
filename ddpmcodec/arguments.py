"""Checks of arguments: numbers (text that looks like one is refused, not guessed at), limits, and bytes of files."""

from __future__ import annotations

import os
from math import inf
from mmap import mmap
from numbers import Integral, Real
from pathlib import Path
from typing import BinaryIO, TypeAlias

from ddpmcodec.errors import DdpmError, ImageError, reason_of
from ddpmcodec.files import Content, FileView, SharedBytes

# What functions that read files take them as.
File: TypeAlias = "bytes | bytearray | memoryview | mmap | str | os.PathLike[str] | BinaryIO | FileView | SharedBytes"

REAL = ("bpp", "psnr")  # arguments that need not be whole
DEFAULT_MAX_PIXELS = 178_956_970  # of an image to decode: twice Pillow's MAX_IMAGE_PIXELS, above which it refuses


def content_of(data: object) -> Content:
    """The bytes of a file: of its path, or where it is mapped into memory, only those that are looked at are read; a
    binary file is read to its end. Raises DdpmError where it cannot be read, TypeError for anything else."""
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
        raise DdpmError(f"{name}: cannot be read ({reason_of(error)}); give the path of a file") from error
    if isinstance(content, bytes):
        return content
    raise TypeError(f"expected a path, bytes or a binary file, not {type(content).__name__}")


def bytes_of(data: object) -> bytes:
    """All bytes of a file. Raises as `content_of`, and TruncatedError where it becomes shorter."""
    return bytes(content_of(data))


def whole_number(name: str, value: object) -> int:
    """A whole number of Python or NumPy as one of Python: those of NumPy overflow. name: of the argument, for the
    message. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    return int(value)


def check_limits(**limits: float | None) -> None:
    """Raises TypeError for a limit that is no number (a whole one, unless REAL names it), and ValueError for one below
    0 or infinite. None stands for no limit."""
    for name, limit in limits.items():
        if limit is None:
            continue
        if name not in REAL:
            whole_number(name, limit)
        elif isinstance(limit, bool) or not isinstance(limit, Real):
            raise TypeError(f"{name} must be a number, not {limit!r}")
        if not 0 <= limit < inf:
            raise ValueError(f"{name} must be a number from 0 on, not {limit}")


def check_pixels(name: str, width: int, height: int, max_pixels: int | None) -> None:
    """Raises ImageError for an image over the limit, before anything of its size is made. name: what claims that size,
    for the message."""
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f"{name} claims {width} x {height} pixels, and at most {max_pixels} are decoded: if you trust its origin,"
            " allow more with max_pixels=N"
        )
