"""What a file says of itself: facts that are right, JSON values, and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from written_files import assemble
from written_headers import Header, Index

from ddpmcodec import models
from ddpmcodec._native import LEVELS
from ddpmcodec.codec.information import info
from ddpmcodec.errors import FormatError
from ddpmcodec.format.sections import Metadata, pack_alpha, pack_metadata
from repairs import file_parts

MODEL_ID = bytes.fromhex("0a1b2c3d")
BARE = assemble(Header("RGB", 10, 8, 1, 2, 0, MODEL_ID), b"", bytes(44), b"")
ALPHA = pack_alpha(np.full((8, 10), 255, np.uint8))
FULL = assemble(Header("LA", 10, 8, 2, 2, 0, MODEL_ID), ALPHA, bytes(44), pack_metadata(Metadata(b"profile")))
TILED = assemble(Header("L", 20, 8, 2, 0, 1, index=Index(10, 8)), b"", [bytes(n) for n in range(16)], b"")
FILES = [BARE, FULL, TILED]


def test_facts_of_one_stream() -> None:
    assert info(BARE) == {
        "format_version": 1,
        "width": 10,
        "height": 8,
        "mode": "RGB",
        "bits": 8,
        "coded_bits": 8,
        "scaling": "none",
        "coding": "context model",
        "format": None,
        "ending": None,
        "reason": None,
        "original_bytes": None,
        "effort": 1,
        "levels": 2,
        "steps": 3,
        "noise": [9.24, 2.31, 0.0],
        "repeats": False,
        "model_number": 0,
        "model": None,
        "model_id": "0a1b2c3d",
        "tiles": 1,
        "segments": None,
        "bytes": 56,
        "missing_bytes": 0,
        "following_bytes": 0,
        "complete": True,
        "lossy": False,
        "bpp": 5.6,
        "bits_per_dim": pytest.approx(5.6 / 3),
        "header_bytes": 12,
        "alpha_coding": None,
        "alpha_bytes": 0,
        "pixel_bytes": 44,
        "segment_bytes": None,
        "kept_bytes": 0,
        "low_bits_bytes": 0,
        "recipe_bytes": 0,
        "metadata_bytes": 0,
        "orientation": 1,
        "metadata": {},
    }


@pytest.mark.parametrize("levels", LEVELS)
def test_noise_falls_to_nothing(levels: int) -> None:
    facts = info(assemble(Header("L", 3, 3, 1, levels, 1), b"", bytes(8), b""))
    noise = facts["noise"]
    assert (facts["levels"], facts["steps"], len(noise), noise[-1]) == (levels, levels + 1, levels + 1, 0)
    assert noise == sorted(noise, reverse=True)


def test_facts_of_alpha_and_metadata() -> None:
    facts = info(FULL)
    assert (facts["alpha_bytes"], facts["metadata"], facts["complete"]) == (len(ALPHA), {"icc_profile": 7}, True)
    assert facts["alpha_coding"] == "deflate"
    assert facts["bits_per_dim"] == facts["bpp"] / 2


def test_damaged_metadata_are_none() -> None:
    assert info(FULL[:-1] + bytes([FULL[-1] ^ 1]))["metadata"] is None


def test_metadata_are_found_before_a_section_of_an_unknown_type() -> None:
    parts = file_parts(FULL)
    parts.others = [(0x47, b"of a later version")]
    assert info(parts.pack())["metadata"] == {"icc_profile": 7}


def test_facts_of_tiles() -> None:
    facts = info(TILED)
    assert (facts["tiles"], facts["segments"], facts["pixel_bytes"]) == (2, 8, 120)


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


@pytest.mark.parametrize("name", models.CONTEXT_MODELS)
def test_the_name_of_an_embedded_model_is_known(name: str) -> None:
    facts = info(assemble(Header("RGB", 10, 8, 1, 2, models.NUMBERS[name]), b"", bytes(44), b""))
    assert (facts["model"], facts["model_number"]) == (name, models.NUMBERS[name])
    assert facts["model_id"] == models.ids()[name][:4].hex()


def test_an_embedded_model_that_this_version_does_not_have_has_no_name() -> None:
    facts = info(assemble(Header("RGB", 10, 8, 1, 2, 255), b"", bytes(44), b""))
    assert (facts["model"], facts["model_number"], facts["model_id"]) == (None, 255, None)


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(20), BARE[:9]])
def test_what_is_not_a_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        info(data)


def test_pytorch_is_not_imported() -> None:
    program = (
        f"import sys, ddpmcodec, ddpmcodec.codec; data = bytes.fromhex({BARE.hex()!r});"
        "ddpmcodec.info(data); ddpmcodec.codec.info(data);"
        "print(sorted({'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
