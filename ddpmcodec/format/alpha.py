"""The alpha section of a file: raw deflate of the plane, each row less the one above; then the CRC-32 of the plane."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ddpmcodec._native import CRC32_BYTES
from ddpmcodec.format.sections import deflate


def pack_alpha(plane: NDArray[np.uint8]) -> bytes:
    """Alpha plane (H, W), losslessly."""
    above = np.zeros_like(plane)
    above[1:] = plane[:-1]
    return deflate((plane - above).tobytes()) + zlib.crc32(plane.tobytes()).to_bytes(CRC32_BYTES, "little")
