"""Odd and damaged JPEG files through real commands: each comes back byte for byte, or is refused with an error of ours.

`ODD_JPEGS=600 pytest tests/attacks/test_odd_jpegs.py` takes so many files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from odd_jpegs import odd_jpegs

COUNT = int(os.environ.get("ODD_JPEGS", "120"))
MOST_GROWTH = 192  # bytes: a model adds them to a small file, or a preview to one that is kept whole


def run(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, what is said of each file, and what is on stderr."""
    line = [sys.executable, "-m", "ddpmcodec", *map(str, arguments), "--json"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    *files, _ = map(json.loads, ended.stdout.splitlines())
    return ended.returncode, files, ended.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_jpeg_is_kept_or_refused(tmp_path: Path) -> None:
    jpegs, coded, back = (tmp_path / name for name in ("jpegs", "coded", "back"))
    jpegs.mkdir()
    files = dict(odd_jpegs(COUNT))
    for name, data in files.items():
        (jpegs / name).write_bytes(data)

    code, said, errors = run("encode", "-r", jpegs, "-o", coded)
    assert {Path(facts["file"]).name for facts in said} == files.keys()
    assert "Traceback" not in errors
    refused = {Path(facts["file"]).name: facts["error"] for facts in said if "error" in facts}
    kept = files.keys() - refused
    assert (code, names(coded)) == (1, {Path(name).with_suffix(".ddpm").name for name in kept})
    for name in kept:
        assert (coded / name).with_suffix(".ddpm").stat().st_size <= len(files[name]) + MOST_GROWTH

    code, said, errors = run("decode", "-r", coded, "-o", back, "--original")
    assert (code, len(said), errors) == (0, len(kept), "")
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {name: files[name] for name in kept}
