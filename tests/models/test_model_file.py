"""A model file carries a hash of all its bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from ddpmcodec.errors import ModelError
from ddpmcodec.models.model_file import kind_of, metadata, pack, seal

FACTS = {"answers": ["0" * 64], "training": {"images": 3}}


@pytest.fixture
def sealed() -> bytes:
    return pack({"a": np.arange(5, dtype=np.int8), "b": np.zeros((2, 3), np.float32)}, "some", "mine", FACTS)


def test_it_is_a_safetensors_file_with_metadata(sealed: bytes, tmp_path: Path) -> None:
    found = metadata(sealed, "m", "some")
    assert found.pop("sha256") != "0" * 64
    assert found == {"format": 1, "kind": "some", "name": "mine", **FACTS}
    assert load(sealed)["a"].tolist() == [0, 1, 2, 3, 4]
    assert int.from_bytes(sealed[:8], "little") % 8 == 0
    (path := tmp_path / "m").write_bytes(sealed)
    assert kind_of(path) == "some"


def test_sealing_again_changes_nothing(sealed: bytes) -> None:
    assert seal(sealed) == sealed


def test_every_flipped_bit_is_found(sealed: bytes) -> None:
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises(ModelError, match=r"^m: .*(damaged|no hash|kind|format|not a ddpmcodec model)"):
                metadata(bytes(changed), "m", "some")


@pytest.mark.parametrize("value", ["null", "7", '""', '"0"'])
def test_other_seals_are_none(sealed: bytes, value: str) -> None:
    digest = json.dumps(metadata(sealed, "m", "some")["sha256"])
    entry, other = (json.dumps(text)[1:-1].encode() for text in (digest, value))
    other += b" " * (len(entry) - len(other))
    with pytest.raises(ModelError, match="no hash"):
        metadata(sealed.replace(entry, other), "m", "some")


def test_a_number_that_python_refuses_is_damage() -> None:
    facts = json.loads('{"x": 1}') | {"x": "DIGITS"}
    data = pack({}, "some", "mine", facts)
    huge = data.replace(b'\\"DIGITS\\"', b"1" * 5000)
    length = int.from_bytes(data[:8], "little") + len(huge) - len(data)
    with pytest.raises(ModelError, match="damaged"):
        metadata(length.to_bytes(8, "little") + huge[8:], "m", "some")
