"""The seal of a model file: a SHA-256 of all its bytes, in its own metadata, so that no flipped bit goes unseen.

A model's id is the hash of its file. A bit that changes no known answer would change the id all the same, and files
written with such a copy would decode with no other.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ddpmcodec.errors import ModelError

KEY = "ddpmcodec"  # of a safetensors file's metadata: one JSON object
SEAL = "sha256"
BLANK = "0" * 64  # what stands there while the file is hashed
ALIGNMENT = 8  # bytes, of what follows the header of a safetensors file


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
