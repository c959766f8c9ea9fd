"""Model files: one safetensors file each, whose metadata say of what kind it is. Nothing else is loaded.

The metadata are one JSON object under the key `ddpmcodec`, with `format`, `kind` and `name`. What else is in it, and
the tensors, are the business of the module that reads files of that kind.

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
from safetensors.numpy import save

from ddpmcodec._native import LARGEST_MODEL_HEADER, MODEL_FORMAT
from ddpmcodec.errors import ModelError

KEY = "ddpmcodec"  # of a safetensors file's metadata: one JSON object
UNET_KEY = "ddpmcodec.unet"  # in its place in files of the paper's U-Net, which `paper.denoisers` reads
SEAL = "sha256"
BLANK = "0" * 64  # what stands there while the file is hashed
ALIGNMENT = 8  # bytes, of what follows the header of a safetensors file


def metadata(data: bytes, source: str, kind: str, *, is_known: bool = False) -> dict[str, Any]:
    """The metadata of a model of this kind. source: what errors call it. is_known: the hash of all bytes is known to be
    the model's id, so that their seal need not be checked.

    Raises ModelError for what is no model, for another format, for a model of another kind, and for a damaged one.
    """
    facts = described(data, source)
    if facts["kind"] != kind:
        raise ModelError(f"{source}: a model of kind {facts['kind']!r}; one of kind {kind!r} is needed here")
    if facts["format"] != MODEL_FORMAT:
        known = f"this version reads {MODEL_FORMAT}; update ddpmcodec"
        raise ModelError(f"{source}: model format {facts['format']}, {known}")
    if not is_known:
        check_seal(data, facts, source)
    return facts


def described(data: bytes, source: str) -> dict[str, Any]:
    """The metadata of any model, not checked. Raises ModelError for what is no model."""
    facts = _metadata(data)
    if facts is None:
        unet = "a network of the paper (U-Net), which codes archives by bits back"
        raise ModelError(
            f"{source}: not a ddpmcodec model, but {unet if UNET_KEY in _entries(data) else 'some other file'}"
        )
    return facts


def kind_of(path: Path) -> str | None:
    """The kind of a model, by the header of its file alone; None for everything that is no model."""
    facts = _metadata(_header(path))
    return None if facts is None else str(facts["kind"])


def is_unet(path: Path) -> bool:
    """Whether a file holds the paper's U-Net, by its header alone."""
    return UNET_KEY in _entries(_header(path))


def _header(path: Path) -> bytes:
    """The first bytes of a file, up to the end of its header where it is a safetensors file."""
    try:
        with path.open("rb") as file:
            length = file.read(8)
            return length + file.read(min(int.from_bytes(length, "little"), LARGEST_MODEL_HEADER))
    except OSError:
        return b""


def pack(tensors: Mapping[str, NDArray[Any]], kind: str, name: str, facts: Mapping[str, Any]) -> bytes:
    """The bytes of a model's file. facts: the rest of its metadata."""
    text = json.dumps({"format": MODEL_FORMAT, "kind": kind, "name": name, **facts}, sort_keys=True)
    return seal(save({key: np.ascontiguousarray(tensors[key]) for key in sorted(tensors)}, {KEY: text}))


def _metadata(data: bytes) -> dict[str, Any] | None:
    """The metadata in the header; None where there are none, or they name no kind."""
    try:
        facts: dict[str, Any] = json.loads(_entries(data)[KEY])
        return facts if isinstance(facts["kind"], str) and "format" in facts else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _entries(data: bytes) -> Mapping[str, Any]:
    """All metadata in the header of a safetensors file; nothing where there are none."""
    try:
        length = min(int.from_bytes(data[:8], "little"), LARGEST_MODEL_HEADER)
        entries = json.loads(data[8 : 8 + length])["__metadata__"]
        return entries if isinstance(entries, dict) else {}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}


def seal(data: bytes) -> bytes:
    """A safetensors file with the hash of all its bytes in its metadata. Raises ValueError, LookupError or
    TypeError for bytes that are none."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    header["__metadata__"][KEY] = json.dumps(facts | {SEAL: BLANK}, sort_keys=True)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    blank = len(text).to_bytes(8, "little") + text + data[end:]
    return blank.replace(_entry(BLANK), _entry(hashlib.sha256(blank).hexdigest()), 1)


def _entry(digest: str) -> bytes:
    """The hash as it stands in the header: JSON in a string of JSON."""
    return json.dumps(json.dumps({SEAL: digest}))[2:-2].encode()


def check_seal(data: bytes, metadata: dict[str, Any], source: str) -> None:
    """Raises ModelError unless every byte is as it was sealed. source: what errors call the file."""
    digest = metadata.get(SEAL)
    if not isinstance(digest, str) or len(digest) != len(BLANK):
        raise ModelError(f"{source}: the model file carries no hash of itself; export the model again")
    blank = data.replace(_entry(digest), _entry(BLANK), 1)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise ModelError(f"{source}: the model file is damaged: its hash does not match; get it again")
