"""The attacks find what they look for, a few of them find nothing, and no crasher of an earlier run crashes again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

import targets
import worker
from ddpmcodec import codec
from ddpmcodec.cli import run as run_command
from ddpmcodec.errors import OutputError
from interruptions import MOST_CALLS, Interruption, interrupt, prepared
from judge import Attack, Judge
from repairs import archive_parts, file_parts
from targets import ARCHIVE, FILE, KINDS, SUFFIXES, Seed

HERE = Path(__file__).parent
CRASHERS = sorted(path for path in (HERE.parent / "fixtures" / "crashers").iterdir() if path.suffix != ".txt")
INPUTS = 60

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seed, ...]:
    return targets.seeds(str(tmp_path_factory.mktemp("seeds")))


@pytest.fixture(scope="module")
def judge(seeds: tuple[Seed, ...], tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(seeds, tmp_path_factory.mktemp("judge"))


def of_kind(seeds: tuple[Seed, ...], kind: str) -> list[Seed]:
    return [seed for seed in seeds if seed.kind == kind]


# --- the codec


def test_a_few_inputs_break_no_promise(seeds: tuple[Seed, ...], judge: Judge) -> None:
    outcomes = set()
    for number in range(INPUTS):
        attack = worker.attack_of(np.random.default_rng([0, 0, number]), number, seeds)
        if attack is not None:
            verdict = judge(attack)
            assert not verdict.crime, (number, attack.how, verdict.crime)
            outcomes.add(verdict.outcome)
    assert {"refused: FormatError", "refused: ChecksumError", "refused: ModelError"} <= outcomes


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.stem)
def test_what_broke_a_promise_once_does_no_more(seeds: tuple[Seed, ...], judge: Judge, path: Path) -> None:
    (kind, *_) = (kind for kind in KINDS if path.name.startswith(kind.replace(" ", "-")))
    for seed in of_kind(seeds, kind):
        verdict = judge(Attack(seed, "a crasher", path.read_bytes(), True))
        assert not verdict.crime, verdict.crime


@pytest.mark.parametrize(
    ("error", "overwrites", "ends"),
    [(0, False, "killed: ended by the signal"), (28, True, "a failing disk: exit code 1")],
    ids=["killed", "disk full"],
)
def test_a_command_that_is_interrupted_leaves_nothing_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, overwrites: bool, ends: str
) -> None:
    """At every system call by which it writes, each time in a folder where nothing happened yet."""
    monkeypatch.chdir(tmp_path)
    assert run_command(prepared(tmp_path)["encode"][0]) == 0  # so that its children need not import what it needs
    found = []
    for call in range(1, MOST_CALLS + 1):
        (tmp_path / str(call)).mkdir()
        found.append(interrupt(Interruption("encode", call, error, overwrites), tmp_path / str(call)))
    assert {wrong for _, wrong in found} == {""}
    happened = [what for what, _ in found]
    assert happened.count(ends) >= (4 if error else 10)
    assert happened[-1].endswith("exit code 0")  # it ends as usual once all calls are behind it


# --- the attacks


def test_valid_files_are_what_they_were_and_so_are_those_put_together_again(
    seeds: tuple[Seed, ...], judge: Judge
) -> None:
    outcomes = {FILE: "decoded: the image", ARCHIVE: "extracted: the images"}
    parts: dict[str, Callable[[bytes], Any]] = {FILE: file_parts, ARCHIVE: archive_parts}
    for seed in seeds:
        again = parts[seed.kind](seed.data).pack() if seed.kind in parts else seed.data
        for data in {seed.data, again}:
            verdict = judge(Attack(seed, "", data, False))
            assert verdict.outcome == outcomes.get(seed.kind, "loaded, and codes without loss")


def other_pixels(decode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: ImageChops.invert(decode(*arguments, **options))


def key_error(decode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: {}["nothing"]


def much_memory(decode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: np.ones(40_000_000) is None or decode(*arguments, **options)


def refusal(decode: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(*arguments: Any, **options: Any) -> Image.Image:
        raise OutputError("no reason")

    return refuse


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (other_pixels, "other pixels than were encoded, and no error"),
        (key_error, "KeyError: 'nothing'"),
        (much_memory, "MB, and 99 pixels are claimed"),
        (refusal, "a preview is called exact, and decoding fails"),
    ],
)
def test_broken_promises_are_noticed(
    seeds: tuple[Seed, ...], judge: Judge, monkeypatch: pytest.MonkeyPatch, fault: Any, words: str
) -> None:
    seed = of_kind(seeds, FILE)[0]
    monkeypatch.setattr(codec, "decode", fault(codec.decode), raising=False)
    assert words in judge(Attack(seed, "", seed.data, False)).crime


def test_a_crasher_is_kept_with_what_was_wrong(tmp_path: Path, seeds: tuple[Seed, ...]) -> None:
    log = worker.Log(tmp_path / "process-0", 0)
    log.folder.mkdir()
    log.begin(5, "file: forged", b"data")
    verdict = worker.Verdict("escaped: KeyError", "KeyError: 'nothing'")
    log.keep(SUFFIXES[FILE], FILE, verdict, b"data", "--seed 1, input 5")
    log.end(5, FILE, "forged", verdict)
    (crasher, said) = sorted((tmp_path / "crashers").iterdir())
    assert crasher.read_bytes() == b"data"
    assert said.read_text() == "--seed 1, input 5\nescaped: KeyError\nKeyError: 'nothing'\n"
    assert json.loads((log.folder / "counts-0.json").read_text())["counts"] == {"file | forged | escaped: KeyError": 1}


def test_the_page_of_guarantees_names_tests_that_exist() -> None:
    page = (HERE.parents[1] / "docs" / "reliability.md").read_text()
    named = set(re.findall(r"`(tests/[\w./]+)`", page))
    assert len(named) > 15
    assert [name for name in named if not (HERE.parents[1] / name).exists()] == []
    assert all(f"| G{number} |" in page for number in range(1, 13))
