"""Model files: one safetensors file each, whose metadata say of what kind it is. They are written here;
`_core/format/model_file.cpp` reads and checks them.

The metadata are one JSON object under the key `ddpmcodec`, with `format`, `kind` and `name`. What else is in it, and
the tensors, are the business of the module that writes files of that kind.

The metadata also hold the file's seal: a SHA-256 of all its bytes, so that no flipped bit goes unseen. A model's id is
the hash of its file. A bit that changes no known answer would change the id all the same, and files written with such
a copy would decode with no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddpmcodec import _native
from ddpmcodec._native import LARGEST_MODEL_HEADER, MODEL_FORMAT
from ddpmcodec.errors import ModelError

KEY = "ddpmcodec"  # of a safetensors file's metadata: one JSON object
SEAL = "sha256"
BLANK = "0" * 64  # in place of the hash while the file is hashed
ALIGNMENT = 8  # bytes, of what follows the header of a safetensors file


def metadata(data: bytes, source: str, kind: str) -> dict[str, Any]:
    """Return the metadata of a model of this kind. source: what errors call it.

    Raises:
        ModelError: if the data is no model, or one of another kind or format, or damaged.
    """
    text = _native.model_metadata(data, source, kind)
    try:
        return dict(json.loads(text))
    except ValueError as error:  # a number of thousands of digits
        raise ModelError(f"{source}: the model file is damaged ({error}); get it again") from error


def stored(data: bytes, source: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model's file. Raises ModelError for a damaged one, and for types that NumPy lacks."""
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{source}: the model file is damaged ({error}); get it again") from error


def kind_of(path: Path) -> str | None:
    """Return the kind of a model by the header of its file alone; None if the file is missing, or not a model."""
    try:
        with path.open("rb") as file:
            length = file.read(8)
            header = file.read(min(int.from_bytes(length, "little"), LARGEST_MODEL_HEADER))
    except OSError:
        return None
    return _native.model_kind(length + header) or None


def pack(tensors: Mapping[str, NDArray[Any]], kind: str, name: str, facts: Mapping[str, Any]) -> bytes:
    """Return the bytes of a model's file. facts: the rest of its metadata."""
    text = json.dumps({"format": MODEL_FORMAT, "kind": kind, "name": name, **facts}, sort_keys=True)
    return seal(save({key: np.ascontiguousarray(tensors[key]) for key in sorted(tensors)}, {KEY: text}))


def seal(data: bytes) -> bytes:
    """Return a safetensors file with the hash of all its bytes in its metadata. A file that is as it was sealed is
    returned as it is.

    Raises:
        ValueError, LookupError, TypeError: if the data is no safetensors file with such metadata.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    header["__metadata__"][KEY] = json.dumps(facts | {SEAL: BLANK}, sort_keys=True)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    blank = len(text).to_bytes(8, "little") + text + data[end:]
    return blank.replace(_entry(BLANK), _entry(hashlib.sha256(blank).hexdigest()), 1)


def _entry(digest: str) -> bytes:
    """The hash in the header: JSON in a string of JSON."""
    return json.dumps(json.dumps({SEAL: digest}))[2:-2].encode()
