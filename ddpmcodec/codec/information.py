"""What a .ddpm file says of itself, without decoding it (and without importing PyTorch)."""

from __future__ import annotations

from typing import Any

from ddpmcodec import models
from ddpmcodec.arguments import bytes_of
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.errors import FormatError
from ddpmcodec.format.ddpm import Sections, split
from ddpmcodec.format.header import VERSION, Header
from ddpmcodec.format.sections import unpack_metadata


def info(data: bytes) -> dict[str, Any]:
    """What a .ddpm file says of itself. Nothing is decoded, and PyTorch is not imported.

    Parameters:
        data: the bytes of a .ddpm file, or of a prefix that holds its header.

    Returns:
        Facts by name, all of them JSON values. Sizes are bytes, `bpp` is bits per pixel, `bits_per_dim` bits per
        sample. `coding` is "context model" or "lossless WebP"; `effort`, `steps`, `levels` (noise levels of the steps,
        standard deviations in grey levels) and `model_id` are None for WebP. `model` is None when the model is not
        embedded, `metadata` when that section is damaged.

    Raises:
        FormatError: the data does not start with an undamaged header (TruncatedError: it ends inside it), or bytes
            follow the end.
        TypeError: a path, or anything else that is no bytes.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> facts = ddpmcodec.info(ddpmcodec.encode(np.zeros((3, 5), np.uint8)))
    >>> facts["width"], facts["height"], facts["mode"], facts["complete"]
    (5, 3, 'L', True)
    """
    file = split(bytes_of(data))
    header = file.header
    pixels = header.width * header.height
    return {
        "format_version": VERSION,
        "width": header.width,
        "height": header.height,
        "mode": header.mode,
        "coding": "lossless WebP" if header.webp else "context model",
        "effort": None if header.webp else header.effort,
        **_steps(header),
        "model_id": None if header.webp else header.model_id.hex(),
        "model": None if header.webp else _embedded_name(header.model_id),
        "tiles": header.tile_count,
        "segments": header.index.segments if header.index else None,
        "bytes": len(data),
        "missing_bytes": file.missing,
        "complete": not file.missing,
        "bpp": 8 * len(data) / pixels,
        "bits_per_dim": 8 * len(data) / (pixels * (header.channels + header.has_alpha)),
        "header_bytes": file.start,
        "alpha_bytes": header.alpha_length,
        "pixel_bytes": sum(map(len, file.chunks)),
        "metadata_bytes": header.metadata_length,
        "metadata": _metadata_sizes(file),
    }


def _steps(header: Header) -> dict[str, Any]:
    if header.webp:
        return {"steps": None, "levels": None}
    schedule = EFFORTS[header.effort]
    return {"steps": len(schedule), "levels": [round(step.level / 12**0.5, 2) for step in schedule]}


def _metadata_sizes(file: Sections) -> dict[str, int] | None:
    """Bytes of the ICC profile and EXIF, as they were before compression; nothing of a section that is cut, and None
    of one that is damaged."""
    if len(file.metadata) < file.header.metadata_length:
        return {}
    try:
        return {key: len(value) for key, value in unpack_metadata(file.metadata).items()}
    except FormatError:
        return None


def _embedded_name(model_id: bytes) -> str | None:
    return next((name for name, digest in models.ids().items() if digest.startswith(model_id)), None)
