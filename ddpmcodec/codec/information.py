"""What a .ddpm file says of itself, without decoding it (and without a model)."""

from __future__ import annotations

from typing import Any

from ddpmcodec import _native, models
from ddpmcodec._native import ALPHA_TAG, CODED_ALPHA, MODEL_ID_BYTES, VERSION
from ddpmcodec.codec.efforts import noise_level
from ddpmcodec.content import File, bytes_of
from ddpmcodec.errors import FormatError
from ddpmcodec.format.header import CODINGS, COEFFICIENTS, KEPT_WHOLE, PIXELS
from ddpmcodec.format.sections import Metadata, kept_facts
from ddpmcodec.models import registry


def info(data: File) -> dict[str, Any]:
    """What a .ddpm file says of itself. Nothing is decoded.

    Parameters:
        data: a .ddpm file, as `decode` takes it, or a prefix of one that holds its header.

    Returns:
        Facts by name, all of them JSON values. Sizes are bytes, `bpp` is bits per pixel, `bits_per_dim` bits per
        sample. `coding` is "context model" or "JPEG coefficients". `levels` counts noise levels, and of JPEG
        coefficients those of cells. `noise` (after each step, standard deviations in grey levels) and `repeats`
        (whether exact pixels are first sought among repeats, as of graphics) are facts of the context model, else None.
        `alpha_coding` is "deflate" or "context model", and None without an alpha section. `segment_bytes` lists the
        segments of JPEG coefficients, and `recipe_bytes` counts what else rebuilds the JPEG. `original_bytes` counts
        the file that `decode_original` gives, or is None. A file of another format that is kept whole has the `coding`
        "kept whole", its `format`, `ending` and `reason`, and the width and height of its first picture, 0 if none was
        read; all else is of its preview. Other files have None. `following_bytes` are behind the end. `lossy`: it was
        cut on purpose, and says so. `model` is also None when it is not embedded, `metadata` when that section is
        damaged; it is empty for a JPEG, which holds its own.

    Raises:
        FormatError: the data does not start with an undamaged header (TruncatedError: it ends inside it).
        DdpmError: the file cannot be read. TypeError: what is no file.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> facts = ddpmcodec.info(ddpmcodec.encode(np.zeros((3, 5), np.uint8)))
    >>> facts["width"], facts["height"], facts["mode"], facts["complete"]
    (5, 3, 'L', True)
    """
    data = bytes_of(data)
    file = _native.Container(data)
    header = file.header
    start, end = header.payload
    payload, kept = file.bytes(start, end), kept_facts(file)
    pixels = (kept and kept.width * kept.height) or header.width * header.height
    return {
        "format_version": VERSION,
        "width": kept.width if kept else header.width,
        "height": kept.height if kept else header.height,
        "mode": header.mode,
        "bits": header.source_bits,
        "coded_bits": header.bits,
        "scaling": header.scaling,
        "coding": KEPT_WHOLE if header.kept_length else CODINGS[header.kind],
        "format": kept.format if kept else None,
        "ending": kept.ending if kept else None,
        "reason": kept.reason if kept else None,
        "original_bytes": kept.length if kept else file.jpeg_length,
        "effort": header.effort,
        **_steps(header),
        **_model(header),
        "tiles": header.tile_count,
        "segments": header.segments if header.is_tiled else None,
        "bytes": len(data),
        "missing_bytes": file.missing,
        "following_bytes": file.following,
        "complete": not file.missing,
        "lossy": file.is_lossy,
        "bpp": 8 * (len(data) - file.following) / pixels,
        "bits_per_dim": 8 * (len(data) - file.following) / (pixels * (header.channels + header.has_alpha)),
        "header_bytes": header.size,
        "alpha_coding": _alpha_coding(file),
        "alpha_bytes": header.alpha_length,
        "pixel_bytes": len(payload),
        "segment_bytes": _segment_bytes(header),
        "kept_bytes": header.kept_length,
        "low_bits_bytes": header.low_bits_length,
        "recipe_bytes": header.frame_length + header.recipe_length,
        "metadata_bytes": header.metadata_length,
        "orientation": header.orientation,
        "metadata": _metadata_sizes(file),
    }


def _alpha_coding(file: _native.Container) -> str | None:
    """Return how the alpha section is coded; None without one, or if it is cut off."""
    start, end = file.header.section(ALPHA_TAG)
    first = file.bytes(start, min(start + 1, end))
    if not first:
        return None
    return CODINGS[PIXELS] if first[0] & CODED_ALPHA == CODED_ALPHA else "deflate"


def _steps(header: _native.FileHeader) -> dict[str, Any]:
    noise = [round(noise_level(header, step) or 0.0, 2) for step in range(1, header.steps + 1)]
    return {
        "levels": header.levels,
        "steps": header.steps,
        "noise": None if header.has_coefficients else noise,
        "repeats": None if header.has_coefficients else header.repeats,
    }


def _segment_bytes(header: _native.FileHeader) -> list[int] | None:
    """Return the bytes of each segment of JPEG coefficients, of all tiles together."""
    if header.kind != COEFFICIENTS:
        return None
    lengths, tiles = header.chunk_lengths, header.tile_count
    return [sum(lengths[start : start + tiles]) for start in range(0, len(lengths), tiles)]


def _metadata_sizes(file: _native.Container) -> dict[str, int] | None:
    """Return the bytes of the ICC profile, EXIF and XMP, as they were before compression: nothing if their section is
    cut, None if it is damaged."""
    length = file.header.metadata_length
    begin = file.header.payload[1]  # sections of unknown types may follow
    section = file.bytes(begin, begin + length)
    if not length or len(section) < length:
        return {}
    try:
        return {key: len(value) for key, value in Metadata(*_native.parse_metadata(section)).present().items()}
    except FormatError:
        return None


def _model(header: _native.FileHeader) -> dict[str, Any]:
    """Number, name and id of the model: all of them where it is embedded in this version, otherwise what the header
    has."""
    name = registry.name_of_number(header.model_number)
    model_id = models.ids().get(name, b"")[:MODEL_ID_BYTES] if name else header.model_id
    return {"model_number": header.model_number, "model": name, "model_id": model_id.hex() or None}
