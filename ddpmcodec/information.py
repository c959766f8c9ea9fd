"""What a .ddpm file says of itself, without decoding it (and without importing PyTorch)."""

from __future__ import annotations

import json
from typing import Any

from ddpmcodec import models
from ddpmcodec.container import PROGRESSIVE, VERSION, Sections, split
from ddpmcodec.errors import FormatError
from ddpmcodec.sections import unpack_metadata


def info(data: bytes) -> dict[str, Any]:
    """Facts for people and scripts, all of them JSON values. Sizes are bytes; bpp is bits per pixel.

    `steps` (network calls) and `model` are None when the model is not embedded and the file keeps no index; `complete`
    is None when only decoding can tell; `metadata` is None when that section is damaged.

    Raises FormatError for data that does not start with an undamaged header.
    """
    file = split(data)
    header = file.header
    model = _embedded_model(header.model_id) or {}
    pixels = header.width * header.height
    return {
        "format_version": VERSION,
        "width": header.width,
        "height": header.height,
        "mode": header.mode,
        "effort": None if header.effort == PROGRESSIVE else header.effort,
        "progressive": header.effort == PROGRESSIVE,
        "steps": header.index.steps if header.index else _step_count(model, header.effort),
        "model_id": header.model_id.hex(),
        "model": model.get("name"),
        "layout": "chunked" if header.index else "single",
        "groups": header.group_count(),
        "bytes": len(data),
        "missing_bytes": file.missing,
        "complete": _complete(file),
        "bpp": 8 * len(data) / pixels,
        "bits_per_dim": 8 * len(data) / (pixels * (header.channels + header.has_alpha)),
        "header_bytes": file.start,
        "alpha_bytes": header.alpha_length,
        "pixel_bytes": sum(map(len, file.chunks)),
        "metadata_bytes": header.metadata_length,
        "metadata": _metadata_sizes(file),
    }


def _complete(file: Sections) -> bool | None:
    if file.missing:
        return False
    return True if file.header.index or file.header.stream_length is not None else None


def _metadata_sizes(file: Sections) -> dict[str, int] | None:
    """Bytes of the ICC profile and EXIF, as they were before compression; nothing of a section that is cut, and None
    of one that is damaged."""
    if len(file.metadata) < file.header.metadata_length:
        return {}
    try:
        return {key: len(value) for key, value in unpack_metadata(file.metadata).items()}
    except FormatError:
        return None


def _step_count(model: dict[str, Any], effort: int) -> int | None:
    steps = model.get("presets", {}).get(str(effort))
    return None if steps is None else len(steps)


def _embedded_model(model_id: bytes) -> dict[str, Any] | None:
    """The metadata of the embedded model with that id, as networks.checkpoint.export writes it."""
    for name, digest in models.ids().items():
        if digest.startswith(model_id):
            content = models.path(name).read_bytes()
            length = int.from_bytes(content[:8], "little")
            found: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["ddpmcodec"])
            return found
    return None
