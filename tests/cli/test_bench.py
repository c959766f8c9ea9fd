"""ddpmcodec bench: its commands, and the command line that a result keeps."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ddpmcodec.cli import _bench, bench
from ddpmcodec.codec.efforts import Coding


@pytest.mark.parametrize("command", [*bench.bench.commands])
def test_every_command_has_help(ddpm: Any, command: str) -> None:
    ended = ddpm("bench", command, "--help")
    assert ended.code == 0
    assert f"Usage: ddpmcodec bench {command}" in ended.stdout.decode()


def test_a_missing_data_set_is_reported_before_anything_else(ddpm: Any, tmp_path: Path) -> None:
    ended = ddpm("bench", "bpd", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert ended.code == 1
    assert f"{tmp_path / 'none'}: no such file or folder" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--settings=1/0,12/0", "12 is not in the range"),
        ("--settings=1/3", "'3' is not one of"),
        ("--settings=2", "'2' is no effort"),
        ("--settings=", "'' is no effort"),
        ("--bits-back=8,x", "'x' is not"),
        ("--limit=0", "0 is not in the range"),
    ],
)
def test_wrong_usage_is_2(ddpm: Any, option: str, problem: str) -> None:
    ended = ddpm("bench", "bpd", "--data=x", "--out=y", option)
    assert (ended.code, ended.stdout) == (2, b"")
    assert problem in ended.stderr


def test_the_command_line_can_be_typed_again() -> None:
    @click.command()
    @click.option("--data")
    @click.option("--settings", type=_bench.codings(), default="2/2")
    @click.option("--sizes", type=_bench.reals(0.1), default="1")
    @click.option("--no-baselines", is_flag=True)
    @click.option("--with/--without", "both", default=True)
    @click.option("-n", "--number", type=int, default=3)
    @click.argument("images", nargs=-1)
    def example(**_: object) -> None:
        click.echo(_bench.command_line())

    given = "--data 'a b' --settings 1/5,2/0 --no-baselines --without --number 4 x 'y z'"
    ended = CliRunner().invoke(example, shlex.split(given), prog_name="ddpmcodec bench example")
    assert ended.output == f"ddpmcodec bench example {given}\n"


def test_numbers_are_separated_by_commas_and_each_counts_once() -> None:
    assert _bench.numbers(1)("3, 3,4") == (3, 4)
    assert _bench.reals(0.1)("0.5,2") == (0.5, 2.0)
    assert _bench.numbers(1, none=True)("") == ()
    assert _bench.codings()("2/0, 1/5,2/0") == (Coding(2, 0), Coding(1, 5))
