"""Baselines: other codecs, through Pillow, to measure in the same run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ._work import say

PLUGINS = {"JXL": ("pillow_jxl", "pillow-jxl-plugin")}  # of Pillow: the module that registers a format, its package
JXL_MODULE = "pillow_jxl.JpegXLImagePlugin"
REFERENCE = "JPEG XL e9"  # what sizes and times are compared with


class Baseline(NamedTuple):
    """A file format of Pillow, and the options of `Image.save` to write it with."""

    name: str
    format: str
    options: Mapping[str, Any]

    @property
    def skipped(self) -> str | None:
        """Why it cannot be measured here."""
        _register_plugins()
        if self.format in Image.SAVE:
            return None
        package = PLUGINS[self.format][1] if self.format in PLUGINS else f"a Pillow with {self.format}"
        return f"skipped: needs {package}"

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, self.format, **self.options)
        return stream.getvalue()

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))

    def with_threads(self, count: int) -> Baseline:
        """The same with so many threads inside; formats other than JPEG XL have one."""
        if self.format != "JXL":
            return self
        return self._replace(options={**self.options, "num_threads": count if count > 1 else 0})  # 0: none but its own


PNG = Baseline("PNG", "PNG", {"optimize": True})
WEBP = Baseline("WebP lossless", "WEBP", {"lossless": True, "exact": True, "quality": 100, "method": 6})
BASELINES = (
    PNG,
    WEBP,
    Baseline("JPEG XL e7", "JXL", {"lossless": True, "effort": 7}),
    Baseline(REFERENCE, "JXL", {"lossless": True, "effort": 9}),
)


def sort_out(baselines: Iterable[Baseline]) -> tuple[list[Baseline], list[dict[str, str]]]:
    """(those that can be measured, {codec, skipped} of the rest, which are named on stderr)."""
    measured, skipped = [], []
    for baseline in baselines:
        if reason := baseline.skipped:
            skipped.append({"codec": baseline.name, "skipped": reason})
            say(f"{baseline.name}: {reason}")
        else:
            measured.append(baseline)
    return measured, skipped


@contextmanager
def decoding_threads(count: int) -> Iterator[None]:
    """So many threads inside JPEG XL's decoder, which takes all cores otherwise."""
    plugin = sys.modules.get(JXL_MODULE)
    before = getattr(plugin, "DECODE_THREADS", None)
    if before is None:
        yield
        return
    setattr(plugin, "DECODE_THREADS", count if count > 1 else 0)  # noqa: B010
    try:
        yield
    finally:
        setattr(plugin, "DECODE_THREADS", before)  # noqa: B010


@cache
def _register_plugins() -> None:
    Image.init()
    for module, _ in PLUGINS.values():
        if find_spec(module):
            import_module(module)
