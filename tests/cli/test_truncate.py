"""ddpmcodec truncate: prefixes to a rate, that decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddpmcodec import codec


@pytest.mark.parametrize(("limit", "size"), [(["--bytes", 60], 60), (["--bpp", 1.1], 66), (["--bytes", 10**6], None)])
def test_a_file_is_cut_to_a_rate(ddpm: Any, file: Path, coded: bytes, limit: list[Any], size: int | None) -> None:
    out = file.with_name("small.ddpm")
    ended = ddpm("truncate", file, *limit, "-o", out)
    cut = coded[:size]
    assert (ended.code, ended.stdout) == (0, b"")
    assert ended.stderr == f"ddpmcodec: {out}: {len(cut)} of {len(coded)} bytes, {len(cut) / 60:.3f} bpp\n"
    assert out.read_bytes() == cut
    assert ddpm("decode", out, "--partial").code == 0
    assert file.read_bytes() == coded


def test_a_file_is_cut_after_a_step(ddpm: Any, file: Path, coded: bytes) -> None:
    ended = ddpm("truncate", file, "--step", 2, "-o", "-")
    assert ended.code == 0
    assert ended.stdout == codec.truncate(coded, step=2)


def test_a_step_of_a_file_of_another_model_needs_that_model(ddpm: Any, foreign: Path, other_model: Path) -> None:
    arguments = ("truncate", foreign, "--step", 2, "-o", "-")
    assert ddpm(*arguments).code == 4
    ended = ddpm(*arguments, "--model", other_model)
    assert (ended.code, ended.stdout) == (0, codec.truncate(foreign.read_bytes(), step=2, model=other_model))


def test_a_webp_has_one_step(ddpm: Any, webp: bytes) -> None:
    assert ddpm("truncate", "-", "--step", 1, "-o", "-", stdin=webp).stdout == webp
    header = codec.info(webp)["header_bytes"]
    assert ddpm("truncate", "-", "--step", 0, "-o", "-", stdin=webp).stdout == webp[:header]


def test_pipes(ddpm: Any, coded: bytes) -> None:
    ended = ddpm("truncate", "-", "--bytes", 50, "-o", "-", "-q", stdin=coded)
    assert (ended.code, ended.stdout, ended.stderr) == (0, coded[:50], "")


def test_too_few_bytes_are_an_error_with_the_least_number(ddpm: Any, file: Path, names: Any) -> None:
    ended = ddpm("truncate", file, "--bytes", 10, "-o", file.with_name("small.ddpm"))
    assert ended.code == 1
    assert ended.stderr == f"ddpmcodec: {file}: 10 bytes are too few: the header alone takes 14, ask for more\n"
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
