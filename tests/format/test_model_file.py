"""A model file carries a hash of all its bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from ddpmcodec.errors import ModelError
from ddpmcodec.format.model_file import BLANK, check_seal, seal

FACTS = {"answers": ["0" * 64], "kind": "context", "training": {"images": 3}}


@pytest.fixture
def sealed() -> bytes:
    tensors = {"a": np.arange(5, dtype=np.int8), "b": np.zeros((2, 3), np.float32)}
    return seal(save(tensors, {"ddpmcodec": json.dumps(FACTS)}))


def facts_of(data: bytes) -> dict[str, object]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, object] = json.loads(header["__metadata__"]["ddpmcodec"])
    return found


def test_a_sealed_file_is_a_safetensors_file_with_one_fact_more(sealed: bytes) -> None:
    check_seal(sealed, facts_of(sealed), "m")
    assert facts_of(sealed).keys() == FACTS.keys() | {"sha256"}
    assert load(sealed)["a"].tolist() == [0, 1, 2, 3, 4]
    assert int.from_bytes(sealed[:8], "little") % 8 == 0


def test_sealing_again_changes_nothing(sealed: bytes) -> None:
    assert seal(sealed) == sealed


def test_every_flipped_bit_is_found(sealed: bytes) -> None:
    for place in range(8, len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            try:
                facts = facts_of(bytes(changed))
            except (ValueError, LookupError):
                continue  # no model at all
            with pytest.raises(ModelError, match=r"^m: .*(damaged|no hash)"):
                check_seal(bytes(changed), facts, "m")


@pytest.mark.parametrize("value", [None, 7, "", "0", [BLANK]])
def test_other_seals_are_none(sealed: bytes, value: object) -> None:
    with pytest.raises(ModelError, match="no hash"):
        check_seal(sealed, {"sha256": value}, "m")
