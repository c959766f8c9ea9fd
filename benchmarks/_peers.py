"""Other codecs, through Pillow, to measure in the same run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Peer(NamedTuple):
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


PEERS = (
    Peer("PNG", "PNG", {"optimize": True}),
    Peer("WebP lossless", "WEBP", {"lossless": True, "exact": True, "quality": 100, "method": 6}),
    Peer("JPEG XL e7", "JXL", {"lossless": True, "effort": 7}),
    Peer("JPEG XL e9", "JXL", {"lossless": True, "effort": 9}),
)


def sort_out(peers: Iterable[Peer]) -> tuple[list[Peer], list[dict[str, str]]]:
    """(those that can be measured, {codec, skipped} of the others, which are named on stderr)."""
    measured, skipped = [], []
    for peer in peers:
        if reason := peer.skipped:
            skipped.append({"codec": peer.name, "skipped": reason})
            say(f"{peer.name}: {reason}")
        else:
            measured.append(peer)
    return measured, skipped


@cache
def _register_plugins() -> None:
    Image.init()
    for module, _ in PLUGINS.values():
        if find_spec(module):
            import_module(module)
