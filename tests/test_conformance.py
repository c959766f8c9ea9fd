"""The suite for other decoders passes with this one, finds wrong ones, and is made of the golden files as they are."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SUITE = Path(__file__).parent / "conformance"
CLI = [sys.executable, "-m", "ddpmcodec"]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", SUITE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checked(command: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    runner = [sys.executable, str(SUITE / "run.py"), *options, "--", *command]
    return subprocess.run(runner, capture_output=True, text=True)


def test_the_cases_are_those_of_the_golden_files() -> None:
    """If not: python tests/conformance/make.py. Previews may differ a little between machines."""
    made, listed = script("make").made(), json.loads((SUITE / "cases.json").read_text())
    for found, expected in zip(made["previews"], listed["previews"], strict=True):
        assert found.pop("psnr") == pytest.approx(expected.pop("psnr"), abs=0.5)
    assert made == listed


@pytest.mark.parametrize("name", ["v2/alpha-2*", "v1/jpeg-grey", "v1/bilevel-2", "v1/deep"])
def test_the_command_of_this_project_passes(name: str) -> None:
    decode = [*CLI, "decode", "-q", "--model", "{model}", "{input}", "-o", "{output}.png"]
    options = [
        *["--partial", " ".join([*decode, "--partial"])],
        *["--original", " ".join([*CLI, "decode", "-q", "--original", "{input}", "-o", "-"])],
    ]
    ended = checked(decode, "--only", name, "--damaged-code", "3", *options)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("print('P5 40 24 255')", "samples"),
        ("import sys; sys.stdout.buffer.write(b'P6 40 24 255 ' + bytes(40 * 24 * 3))", "differs"),
        ("import sys; sys.stdout.buffer.write(b'P6 24 40 255 ' + bytes(40 * 24 * 3))", "width"),
        ("raise OSError('broken')", "broken"),
        ("import time; time.sleep(100)", "timed out"),
    ],
)
def test_wrong_commands_fail(program: str, word: str) -> None:
    ended = checked([sys.executable, "-c", program], "--only", "v2/photo-2", "--seconds", "5")
    assert (ended.returncode, ended.stdout) == (1, "images 0 of 1\n")
    assert ended.stderr.startswith("v2/photo-2: ")
    assert word in ended.stderr


def test_a_command_that_accepts_damage_fails() -> None:
    decode = [*CLI, "decode", "-q", "--partial", "--model", "{model}", "{input}", "-o", "{output}.png"]
    ended = checked(decode, "--only", "v2/photo-2 cut to 1528 bytes")
    assert (ended.returncode, ended.stdout) == (1, "damaged 0 of 1\n")


def test_a_pattern_without_cases_fails() -> None:
    assert checked(["true"], "--only", "nothing").returncode == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_pictures_of_every_mode_are_read(mode: str, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 11, 4)).astype(np.uint8)
    image, file = Image.fromarray(pixels.cumsum(0, np.uint8)).convert(mode), BytesIO()
    if kind == "PPM" and "A" in mode:
        image = image.convert("RGB")
    image.save(file, kind)
    found = script("raster").read(file.getvalue())
    expected = image.convert("L") if mode == "1" else image
    assert found == (11, 13, len(expected.getbands()), 8, expected.tobytes())


def test_pictures_of_16_bits_are_read() -> None:
    raster = script("raster")
    values = np.random.default_rng(0).integers(0, 1 << 16, (5, 7)).astype(np.uint16)
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    assert raster.read(file.getvalue()).samples == values.astype(">u2").tobytes()
    header = b"P7\nWIDTH 7\nHEIGHT 5\nDEPTH 3\nMAXVAL 65535\nTUPLTYPE RGB\nENDHDR\n"
    found = raster.read(header + values.repeat(3).astype(">u2").tobytes()).as_grey()
    assert found == (7, 5, 1, 16, values.astype(">u2").tobytes())


@pytest.mark.parametrize(
    "file", [b"", b"P6 2 2 255\n12", b"P7\nWIDTH 1\nENDHDR\n", b"\x89PNG\r\n\x1a\n1234", b"P9 1 1"]
)
def test_pictures_that_are_damaged_are_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="picture"):
        script("raster").read(file)
