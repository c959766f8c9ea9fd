"""Other lossless codecs, through Pillow, to measure in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Peer(NamedTuple):
    """A file format of Pillow, and the options of `Image.save` that make it small and lossless."""

    name: str
    format: str
    options: Mapping[str, Any]

    @property
    def skipped(self) -> str | None:
        """Why it cannot be measured here."""
        _register_plugins()
        return None if self.format in Image.SAVE else "skipped: not installed"

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, self.format, **self.options)
        return stream.getvalue()

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image)


PEERS = (
    Peer("PNG", "PNG", {"optimize": True}),
    Peer("WebP lossless", "WEBP", {"lossless": True, "exact": True, "quality": 100, "method": 6}),
    Peer("JPEG XL e7", "JXL", {"lossless": True, "effort": 7}),
    Peer("JPEG XL e9", "JXL", {"lossless": True, "effort": 9}),
)


@cache
def _register_plugins() -> None:
    Image.init()
    if find_spec("pillow_jxl"):
        import_module("pillow_jxl")
