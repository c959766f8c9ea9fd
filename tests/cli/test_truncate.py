"""ddpmcodec truncate: prefixes to a rate, that decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddpmcodec import codec


@pytest.mark.parametrize(("limit", "size"), [(["--bytes", 60], 60), (["--bpp", 4.1], 61), (["--bytes", 10**6], None)])
def test_a_file_is_cut_to_a_rate(
    ddpm: Any, file: Path, coded: bytes, tiny_model: Path, limit: list[Any], size: int | None
) -> None:
    out = file.with_name("small.ddpm")
    ended = ddpm("truncate", file, *limit, "-o", out)
    cut = coded[:size]
    assert (ended.code, ended.stdout) == (0, b"")
    assert ended.stderr == f"ddpmcodec: {out}: {len(cut)} of {len(coded)} bytes, {len(cut) / 15:.3f} bpp\n"
    assert out.read_bytes() == cut
    assert ddpm("decode", out, "--partial", "--model", tiny_model).code == 0
    assert file.read_bytes() == coded


def test_a_file_is_cut_after_a_step(ddpm: Any, file: Path, coded: bytes, tiny_model: Path) -> None:
    ended = ddpm("truncate", file, "--step", 4, "-o", "-", "--model", tiny_model)
    assert ended.code == 0
    assert ended.stdout == codec.truncate(coded, step=4, model=tiny_model)


def test_pipes(ddpm: Any, coded: bytes) -> None:
    ended = ddpm("truncate", "-", "--bytes", 50, "-o", "-", "-q", stdin=coded)
    assert (ended.code, ended.stdout, ended.stderr) == (0, coded[:50], "")


def test_too_few_bytes_are_an_error_with_the_least_number(ddpm: Any, file: Path, names: Any) -> None:
    ended = ddpm("truncate", file, "--bytes", 10, "-o", file.with_name("small.ddpm"))
    assert ended.code == 1
    assert ended.stderr == f"ddpmcodec: {file}: 10 bytes are too few: the header alone takes 15, ask for more\n"
    assert names(file.parent) == ["file.ddpm"]


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_the_input_is_never_overwritten(ddpm: Any, file: Path, coded: bytes, force: list[str]) -> None:
    ended = ddpm("truncate", file, "--bytes", 60, "-o", file, *force)
    assert ended.code == 1
    assert "is the input itself" in ended.stderr
    assert file.read_bytes() == coded


def test_a_damaged_file_is_3(ddpm: Any, file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"foreign")
    assert ddpm("truncate", file, "--bytes", 60, "-o", tmp_path / "small.ddpm").code == 3
