"""Model files: one safetensors file each, whose metadata say of what kind it is. Nothing else is loaded.

The metadata are one JSON object under the key `ddpmcodec`, with `format`, `kind` and `name`. What else is in it, and
the tensors, are the business of the module that reads files of that kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.format.seal import KEY, check_seal, seal

FORMAT = 1
LARGEST_HEADER = 1 << 20  # bytes; of safetensors files
LARGEST_NUMBER = 1 << 20  # of factors and biases: everything that exact networks compute stays finite


def metadata(data: bytes, source: str, kind: str) -> dict[str, Any]:
    """The metadata of a model of this kind. source: what errors call it.

    Raises ModelError for what is no model, for another format, for a model of another kind, and for a damaged one.
    """
    found = described(data, source)
    if found["kind"] != kind:
        raise ModelError(f"{source}: a model of kind {found['kind']!r}; one of kind {kind!r} is needed here")
    if found["format"] != FORMAT:
        raise ModelError(f"{source}: model format {found['format']}, this version reads {FORMAT}; update ddpmcodec")
    check_seal(data, found, source)
    return found


def described(data: bytes, source: str) -> dict[str, Any]:
    """The metadata of any model, not checked. Raises ModelError for what is no model."""
    found = _metadata(data)
    if found is None:
        raise ModelError(f"{source}: not a ddpmcodec model, but some other file")
    return found


def kind_of(path: Path) -> str | None:
    """Of what kind a file is, by its header alone; None for everything that is no model."""
    try:
        with path.open("rb") as file:
            length = file.read(8)
            found = _metadata(length + file.read(min(int.from_bytes(length, "little"), LARGEST_HEADER)))
    except OSError:
        return None
    return None if found is None else str(found["kind"])


def pack(tensors: Mapping[str, Tensor], kind: str, name: str, facts: Mapping[str, Any]) -> bytes:
    """The bytes of a model's file; facts: the rest of its metadata."""
    from safetensors.torch import save

    described = json.dumps({"format": FORMAT, "kind": kind, "name": name, **facts}, sort_keys=True)
    return seal(save({key: t.contiguous() for key, t in sorted(tensors.items())}, metadata={KEY: described}))


def _metadata(data: bytes) -> dict[str, Any] | None:
    """From the header; None where there is none, or it has no kind."""
    try:
        length = min(int.from_bytes(data[:8], "little"), LARGEST_HEADER)
        found: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
        return found if isinstance(found["kind"], str) and "format" in found else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
