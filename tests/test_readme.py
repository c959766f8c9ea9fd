"""README.md is short, and what it and the page of limits show works as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ddpmcodec
from ddpmcodec.cli import COMMANDS, run

README = Path(__file__).parents[1] / "README.md"
LIMITS = README.parent / "docs" / "limits.md"


def test_the_readme_fits_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= 110


def test_the_python_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    assert getattr(names["preview"], "size", None) == (32, 24)


def test_every_command_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    used = set(re.findall(r"^    .*?(?:ddpmcodec|ddpmcodec\.cli) ([a-z][a-z-]*) ", README.read_text(), re.MULTILINE))
    assert {"encode", "decode", "truncate", "train"} <= used <= set(COMMANDS)
    assert [run([command, "--help"]) for command in sorted(used)] == [0] * len(used)
    assert "Usage" in capsys.readouterr().out


def test_a_preview_needs_as_many_bytes_as_the_limits_say() -> None:
    (size,) = map(int, re.findall(r"(\d+) bytes of `docs/photo\.ddpm`", LIMITS.read_text()))
    data = ddpmcodec.encode(README.parent / "docs" / "photo.png", verify=False)
    assert ddpmcodec.decode(data[:size], partial=True).size == (384, 256)
    with pytest.raises(ddpmcodec.TruncatedError):
        ddpmcodec.decode(data[: size - 1], partial=True)
