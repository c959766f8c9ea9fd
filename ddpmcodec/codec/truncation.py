"""Prefixes of .ddpm files: of so many bytes, bits per pixel or steps, or whose preview reaches a quality."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import comparison
from ddpmcodec._native import DEFAULT_MAX_PIXELS, MARK_BYTES, Container
from ddpmcodec.arguments import check_limits
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.efforts import segments_of_steps
from ddpmcodec.codec.reading import Picture, Reading, planes_of
from ddpmcodec.content import File, bytes_of
from ddpmcodec.errors import FormatError, ImageError, OutputError, TruncatedError, bytes_follow
from ddpmcodec.format.marks import end_mark
from ddpmcodec.models.registry import Model, ModelSource, find

FINENESS = 1.01  # between sizes that are tried: a prefix for a quality is at most so much longer than needed


def truncate(
    data: File,
    *,
    bytes: int | None = None,
    bpp: float | None = None,
    step: int | None = None,
    psnr: float | None = None,
    original: Picture | None = None,
    mark: bool = False,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> bytes:
    """A prefix of a file, which shows a preview, or a lossy file. Exactly one limit is given.

    Parameters:
        data: a .ddpm file, as `decode` takes it, or a prefix of one.
        bytes: keep at most so many bytes.
        bpp: keep at most so many bits per pixel, of the whole file.
        step: keep what so many steps of the schedule need.
        psnr: keep the shortest prefix whose preview has this PSNR, in dB over all colour samples, to one percent of its
            bytes. Some ten previews are decoded to find it.
        original: for `psnr`, the image that was encoded; needed where the data is a prefix or a lossy file.
        mark: put an end mark behind the prefix, 6 bytes that count for `bytes` and `bpp`. The result says that it was
            cut on purpose, and is checked as whole files are.
        model: as in `decode`; needed for `psnr`, and for `step` if the file is one stream, which is decoded to find
            the end.
        max_pixels: as in `decode`, wherever `model` is needed.

    Returns:
        The prefix, which `decode(..., partial=True)` takes; with a mark a file, which `decode` takes. A whole or marked
        file that is shorter than a limit in bytes comes back as it is.

    Raises:
        OutputError: the header alone is longer than the limit, or all of the data does not show that quality.
        ImageError: the original is not of the file's size and colours; more than `max_pixels`.
        TruncatedError: the data ends before that step does, or is a prefix or a lossy file, and `original` is missing.
        ChecksumError: what a mark would vouch for is damaged.
        FormatError, ModelError: as `decode`.
        TypeError, ValueError: no limit, several, or one that is negative.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> noise = np.random.default_rng(0).integers(0, 9, (24, 32, 3))
    >>> image = (noise + 5 * np.arange(32)[:, None]).astype(np.uint8)
    >>> data = ddpmcodec.encode(image)
    >>> small = ddpmcodec.truncate(data, bpp=4)
    >>> len(small) == 24 * 32 * 4 // 8, data.startswith(small)
    (True, True)
    >>> coarse = ddpmcodec.truncate(data, psnr=30)
    >>> len(coarse) < len(small)
    True
    >>> lossy = ddpmcodec.truncate(data, bpp=4, mark=True)
    >>> len(lossy) == len(small), ddpmcodec.info(lossy)["lossy"], ddpmcodec.decode(lossy).size
    (True, True, (32, 24))
    """
    if sum(limit is not None for limit in (bytes, bpp, step, psnr)) != 1:
        raise TypeError("truncate() takes exactly one of bytes, bpp, step and psnr")
    if original is not None and psnr is None:
        raise TypeError("truncate() takes original for psnr only")
    check_limits(bytes=bytes, bpp=bpp, step=step, max_pixels=max_pixels)
    whole = bytes_of(data)
    if psnr is not None:
        reached = find_quality(whole, psnr, original, model=model, max_pixels=max_pixels)
        return cut(whole, reached.bytes, mark)
    file = _intact(whole)
    if step is not None:
        return cut(whole, _end_of_step(whole, file, step, find(model), max_pixels), mark)
    pixels = file.header.width * file.header.height
    most = len(whole) + MARK_BYTES
    size = bytes if bytes is not None else int(min((bpp or 0) * pixels / 8, most))  # the product may be infinite
    if size >= len(whole) and not (mark and _needs_mark(file)):
        return whole
    if size >= file.size and not mark:  # of a file that was marked before
        return whole[: file.size]
    beside = MARK_BYTES if mark else 0
    if size < file.header.size + beside:
        least = f"the header {'and the mark take' if mark else 'alone takes'} {file.header.size + beside}"
        raise OutputError(f"{size} bytes are too few: {least}, ask for more")
    return cut(whole, size - beside, mark)


def cut(data: bytes, size: int, mark: bool) -> bytes:
    """The first `size` bytes of a file, and an end mark if wanted; the file as it is where that is no longer and it
    needs no mark."""
    file = _intact(data)
    is_whole = size >= file.size or (mark and size + MARK_BYTES >= len(data))
    if is_whole and not (mark and _needs_mark(file)):
        return data
    if mark and file.missing:  # what is as long as the whole is taken for it
        size = min(size, file.size + file.missing - MARK_BYTES - 1)
    kept = data[:size]
    if not mark:
        return kept
    Container(kept).require_undamaged()
    return kept + end_mark(kept)


def _needs_mark(file: Container) -> bool:
    """Return whether the file ends before the image does, without a mark that states it."""
    return file.missing > 0 and not file.is_lossy


class PrefixQuality(NamedTuple):
    """How long a prefix is, and what it shows. psnr: dB; infinite where every colour is exact."""

    bytes: int
    psnr: float


def find_quality(
    data: File,
    psnr: float,
    original: Picture | None = None,
    *,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> PrefixQuality:
    """Where `truncate(data, psnr=...)` cuts, found by bisection, and what is reached there. Parameters and errors are
    its."""
    check_limits(psnr=psnr, max_pixels=max_pixels)
    whole = bytes_of(data)
    start, given = _intact(whole).header.size, find(model)
    colours = _reference(whole, original, given, max_pixels)

    @cache
    def quality(size: int) -> float:
        planes = decode_details(whole, max_bytes=size, model=given, max_pixels=max_pixels).planes
        return _psnr(planes.colour, colours)

    sizes = _sizes(start, len(whole))
    smallest = bisect_left(sizes, psnr, key=quality)
    if smallest == len(sizes):
        best = f"all {len(whole)} bytes show {quality(len(whole)):.2f} dB"
        raise OutputError(f"a PSNR of {psnr:g} dB is not reached: {best}; ask for less")
    return PrefixQuality(sizes[smallest], quality(sizes[smallest]))


def _sizes(first: int, last: int) -> list[int]:
    """Sizes from `first` to `last`, each larger than the one before by FINENESS, and by one byte at least."""
    sizes = [first]
    while sizes[-1] < last:
        sizes.append(min(last, max(sizes[-1] + 1, int(sizes[-1] * FINENESS))))
    return sizes


def _reference(data: bytes, original: Picture | None, given: Model | None, max_pixels: int | None) -> NDArray[np.uint8]:
    """Colours to compare with, [H, W, C]."""
    if original is None:
        _require_whole(data)
        return decode_details(data, model=given, max_pixels=max_pixels).planes.colour
    header = _intact(data).header
    colours = planes_of(original, Reading(strip=True, pixels=True, warns=False)).colour
    if colours.shape != (header.height, header.width, header.channels):
        height, width, channels = colours.shape
        raise ImageError(
            f"the original is {width} x {height} with {channels} colour channel(s), the file {header.width} x"
            f" {header.height} with {header.channels}: name the image that it was encoded from"
        )
    return colours


def _require_whole(data: bytes) -> None:
    """Raises TruncatedError with advice that fits."""
    file = _intact(data)
    if file.missing or file.is_lossy:
        raise TruncatedError(
            f"the file was cut after {file.size} bytes, and so does not hold the image to compare with: name that with"
            " original=IMAGE"
        )


def _psnr(shown: NDArray[np.uint8], original: NDArray[np.uint8]) -> float:
    """In dB; infinite where there is no error."""
    found = comparison.psnr(float(np.square(np.subtract(shown, original, dtype=np.float32)).mean(dtype=np.float64)))
    return math.inf if found is None else found


def _end_of_step(data: bytes, file: Container, step: int, given: Model | None, max_pixels: int | None) -> int:
    """Bytes of the file that its first `step` steps need."""
    header = file.header
    end = file.end_of_segment(segments_of_steps(header, step)) if header.is_tiled else header.size
    if step >= header.steps or file.size < end:
        file.require_whole()
        return file.size
    if header.is_tiled:
        return end
    return decode_details(data, step=step, model=given, max_pixels=max_pixels).bytes_used


def _intact(data: bytes) -> Container:
    """Return a file, or a prefix of one, in its parts. Raises FormatError if bytes follow the end."""
    file = Container(data)
    if file.following:
        raise FormatError(bytes_follow(file.following, "image", file.size))
    return file
