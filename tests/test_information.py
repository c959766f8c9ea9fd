"""What a file says of itself: facts that are right, JSON values, and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ddpmcodec import models
from ddpmcodec.container import Header, Index, assemble
from ddpmcodec.errors import FormatError
from ddpmcodec.information import info
from ddpmcodec.sections import pack_alpha, pack_metadata

MODEL_ID = bytes.fromhex("0a1b2c3d")
BARE = assemble(Header("RGB", 10, 8, 5, MODEL_ID), b"", [bytes(45)], b"")
ALPHA = pack_alpha(np.full((8, 10), 255, np.uint8))
FULL = assemble(Header("LA", 10, 8, 5, MODEL_ID), ALPHA, [bytes(45)], pack_metadata(b"profile", b""))
CHUNKED = assemble(Header("L", 20, 8, 2, MODEL_ID, index=Index(10, 8, 3)), b"", [bytes(n) for n in range(6)], b"")


def test_facts_of_one_stream() -> None:
    assert info(BARE) == {
        "format_version": 1,
        "width": 10,
        "height": 8,
        "mode": "RGB",
        "effort": 5,
        "progressive": False,
        "steps": None,
        "model_id": "0a1b2c3d",
        "model": None,
        "layout": "single",
        "groups": 1,
        "bytes": 60,
        "missing_bytes": 0,
        "complete": None,
        "bpp": 6.0,
        "bits_per_dim": 2.0,
        "header_bytes": 15,
        "alpha_bytes": 0,
        "pixel_bytes": 45,
        "metadata_bytes": 0,
        "metadata": {},
    }


def test_facts_of_alpha_and_metadata() -> None:
    facts = info(FULL)
    assert (facts["alpha_bytes"], facts["metadata"], facts["complete"]) == (len(ALPHA), {"icc_profile": 7}, True)
    assert facts["bits_per_dim"] == facts["bpp"] / 2
    parts = ("header_bytes", "alpha_bytes", "pixel_bytes", "metadata_bytes")
    assert sum(facts[part] for part in parts) == facts["bytes"] == len(FULL)


def test_facts_of_chunks() -> None:
    facts = info(CHUNKED)
    assert (facts["layout"], facts["groups"], facts["steps"], facts["pixel_bytes"]) == ("chunked", 2, 3, 15)


@pytest.mark.parametrize("data", [FULL, CHUNKED])
def test_a_cut_file_knows_what_is_missing(data: bytes) -> None:
    assert (info(data)["complete"], info(data)["missing_bytes"]) == (True, 0)
    assert (info(data[:-3])["complete"], info(data[:-3])["missing_bytes"]) == (False, 3)


@pytest.mark.parametrize("data", [BARE, FULL, CHUNKED, FULL[:30]])
def test_all_facts_are_json(data: bytes) -> None:
    assert json.loads(json.dumps(info(data), allow_nan=False)) == info(data)


def test_the_name_and_steps_of_an_embedded_model_are_known() -> None:
    header = Header("RGB", 10, 8, 1, models.ids()[models.DEFAULT][:4])
    facts = info(assemble(header, b"", [bytes(45)], b""))
    assert facts["model"] == models.DEFAULT
    assert 3 <= facts["steps"] <= 16


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(20), BARE[:14], FULL + b"x"])
def test_what_is_not_a_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        info(data)


def test_pytorch_and_numba_are_not_imported() -> None:
    program = "import sys, ddpmcodec.information; print(sorted({'torch', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
