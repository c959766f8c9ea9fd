"""What a file says of itself: facts that are right, JSON values, and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ddpmcodec import models
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.codec.information import info
from ddpmcodec.errors import FormatError
from ddpmcodec.format.ddpm import Header, Index, assemble
from ddpmcodec.format.sections import pack_alpha, pack_metadata

MODEL_ID = bytes.fromhex("0a1b2c3d")
BARE = assemble(Header("RGB", 10, 8, 1, MODEL_ID), b"", bytes(45), b"")
ALPHA = pack_alpha(np.full((8, 10), 255, np.uint8))
FULL = assemble(Header("LA", 10, 8, 2, MODEL_ID), ALPHA, bytes(45), pack_metadata(b"profile", b""))
TILED = assemble(Header("L", 20, 8, 2, MODEL_ID, index=Index(10, 8, 3)), b"", [bytes(n) for n in range(6)], b"")
WEBP = assemble(Header("RGBA", 10, 8, webp=True, mean_colour=b"abc"), b"", bytes(30), b"")
FILES = [BARE, FULL, TILED, WEBP]


def test_facts_of_one_stream() -> None:
    assert info(BARE) == {
        "format_version": 1,
        "width": 10,
        "height": 8,
        "mode": "RGB",
        "coding": "context model",
        "effort": 1,
        "steps": 1,
        "levels": [0.0],
        "model_id": "0a1b2c3d",
        "model": None,
        "tiles": 1,
        "segments": None,
        "bytes": 58,
        "missing_bytes": 0,
        "complete": True,
        "bpp": 5.8,
        "bits_per_dim": pytest.approx(5.8 / 3),
        "header_bytes": 13,
        "alpha_bytes": 0,
        "pixel_bytes": 45,
        "metadata_bytes": 0,
        "metadata": {},
    }


@pytest.mark.parametrize("effort", EFFORTS)
def test_levels_fall_to_nothing(effort: int) -> None:
    facts = info(assemble(Header("L", 3, 3, effort, MODEL_ID), b"", bytes(9), b""))
    levels = facts["levels"]
    assert (facts["effort"], len(levels), levels[-1]) == (effort, facts["steps"], 0)
    assert levels == sorted(levels, reverse=True)
    assert effort != 2 or levels == [9.24, 2.31, 0.0]


def test_facts_of_alpha_and_metadata() -> None:
    facts = info(FULL)
    assert (facts["alpha_bytes"], facts["metadata"], facts["complete"]) == (len(ALPHA), {"icc_profile": 7}, True)
    assert facts["bits_per_dim"] == facts["bpp"] / 2


def test_damaged_metadata_are_none() -> None:
    assert info(FULL[:-1] + bytes([FULL[-1] ^ 1]))["metadata"] is None


def test_facts_of_tiles() -> None:
    facts = info(TILED)
    assert (facts["tiles"], facts["segments"], facts["pixel_bytes"]) == (2, 3, 15)


def test_facts_of_a_webp() -> None:
    facts = info(WEBP)
    assert facts["coding"] == "lossless WebP"
    assert [facts[key] for key in ("effort", "steps", "levels", "model_id", "model")] == [None] * 5
    assert (facts["pixel_bytes"], facts["bits_per_dim"]) == (30, facts["bpp"] / 4)


@pytest.mark.parametrize("data", FILES)
def test_the_parts_are_the_whole(data: bytes) -> None:
    facts = info(data)
    parts = ("header_bytes", "alpha_bytes", "pixel_bytes", "metadata_bytes")
    assert sum(facts[part] for part in parts) == facts["bytes"] == len(data)


@pytest.mark.parametrize("data", FILES)
def test_a_cut_file_knows_what_is_missing(data: bytes) -> None:
    assert (info(data)["complete"], info(data)["missing_bytes"]) == (True, 0)
    assert (info(data[:-3])["complete"], info(data[:-3])["missing_bytes"]) == (False, 3)


@pytest.mark.parametrize("data", [*FILES, FULL[:30]])
def test_all_facts_are_json(data: bytes) -> None:
    assert json.loads(json.dumps(info(data), allow_nan=False)) == info(data)


def test_the_name_of_an_embedded_model_is_known() -> None:
    header = Header("RGB", 10, 8, 1, models.ids()[models.DEFAULT][:4])
    assert info(assemble(header, b"", bytes(45), b""))["model"] == models.DEFAULT


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(20), BARE[:11], *(file + b"x" for file in FILES)])
def test_what_is_not_a_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        info(data)


@pytest.mark.parametrize("call", ["ddpmcodec.info(data)", "ddpmcodec.codec.info(data)"])
def test_pytorch_and_numba_are_not_imported(call: str) -> None:
    program = (
        f"import sys, ddpmcodec, ddpmcodec.codec; data = bytes.fromhex({BARE.hex()!r}); {call};"
        "print(sorted({'torch', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
