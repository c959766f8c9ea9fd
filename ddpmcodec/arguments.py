"""Checks of arguments: numbers (text that looks like one is refused, not guessed at), limits, and bytes of files."""

from __future__ import annotations

from math import inf
from mmap import mmap
from numbers import Integral, Real

from ddpmcodec.errors import ImageError
from ddpmcodec.files import FileView

REAL = ("bpp", "psnr")  # arguments that need not be whole
DEFAULT_MAX_PIXELS = 178_956_970  # of an image to decode: twice Pillow's MAX_IMAGE_PIXELS, above which it refuses


def bytes_of(data: object) -> bytes:
    """The bytes of a file. Raises TypeError for anything else, above all for a path."""
    if isinstance(data, (bytes, bytearray, memoryview, FileView)):
        return bytes(data)
    raise TypeError(f"expected the bytes of a .ddpm file, not {type(data).__name__}; read the file first")


def view_of(data: object) -> bytes | memoryview | FileView:
    """The bytes of a file; of one that is open or mapped into memory a view, which reads only what is looked at. Raises
    TypeError."""
    if isinstance(data, FileView):
        return data
    return memoryview(data) if isinstance(data, (mmap, memoryview)) else bytes_of(data)


def require_whole(name: str, value: object) -> None:
    """Raises TypeError unless `value` is a whole number of Python or NumPy. name: of the argument, for the message."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, not {value!r}")


def check_limits(**limits: float | None) -> None:
    """Raises TypeError for a limit that is no number (a whole one, unless REAL names it), and ValueError for one below
    0 or infinite. None stands for no limit."""
    for name, limit in limits.items():
        if limit is None:
            continue
        if name not in REAL:
            require_whole(name, limit)
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
