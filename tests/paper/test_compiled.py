"""Kernels are kept by content: never used after a change, whole or not at all, and never in the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError

import ddpmcodec
from ddpmcodec.paper import compiled
from ddpmcodec.paper.ans.logistic import find_in
from ddpmcodec.paper.ans.stack import peek

SOURCE = Path(ddpmcodec.__file__).parent
KERNELS = """
from ddpmcodec.paper import compiled

@compiled.kernel()
def twice(x):
    return 2 * x
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__", "models", "cli", "benchmarks")
    return Path(shutil.copytree(SOURCE, tmp_path / "ddpmcodec", ignore=ignored))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where numba keeps kernels, as NUMBA_CACHE_DIR has it. Nothing was complained about."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiled, "_complaints", set())
    return tmp_path / "cache"


Start = Callable[[], Any]


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Start:
    """A kernel as a new process has it: nothing of it is in memory."""
    (tmp_path / "kernels.py").write_text(KERNELS)

    def new() -> Any:
        return defined(tmp_path / "kernels.py", "twice")

    return new


def defined(source: Path, name: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    return names[name]


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def hits(twice: Any) -> int:
    assert twice(21) == 42
    return sum(twice.stats.cache_hits.values())


# --- by content


def test_the_content_stays_while_no_kernel_changes(package: Path) -> None:
    before = compiled.content_of(package)
    (package / "codec.py").write_text("# no kernel is made from it")
    assert compiled.content_of(package) == before == compiled.CONTENT


@pytest.mark.parametrize("name", ["gaussian/fused.py", "ans/logistic.py", "bits_back.py", "compiled.py"])
def test_the_content_changes_with_any_source(package: Path, name: str) -> None:
    before = compiled.content_of(package)
    with (package / "paper" / name).open("a") as file:
        file.write("# changed")
    assert compiled.content_of(package) != before


def test_the_content_changes_with_the_tables_that_are_frozen_into_kernels(package: Path) -> None:
    before = compiled.content_of(package)
    (table, *_) = sorted((package / "paper" / "ans").glob("*.npy"))
    table.write_bytes(table.read_bytes() + b"0")
    assert compiled.content_of(package) != before


@pytest.mark.parametrize("module", ["numba", "llvmlite"])
def test_the_content_changes_with_the_compiler(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(getattr(compiled, module), "__version__", "0.0")
    assert compiled.content_of(SOURCE) != compiled.CONTENT


def test_a_kernel_is_kept_wherever_numba_keeps_its_own(start: Start, cache: Path) -> None:
    assert not compiled.is_kept(start())
    assert hits(start()) == 0
    assert compiled.is_kept(start())
    assert hits(start()) == 1
    assert {path.parent.name for path in files(cache)} == {f"ddpmcodec-{compiled.CONTENT}"}


def test_a_kernel_of_other_content_is_not_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update of a kernel that it calls, in a file that numba does not look at."""
    assert hits(start()) == 0
    monkeypatch.setattr(compiled, "CONTENT", "0" * 16)
    assert hits(start()) == 0
    assert hits(start()) == 1


def test_a_kernel_whose_own_file_changes_is_not_used(start: Start, tmp_path: Path) -> None:
    """As of tests, which are no part of the package."""
    assert hits(start()) == 0
    (tmp_path / "kernels.py").write_text(KERNELS.replace("2 * x", "x + x"))
    assert hits(start()) == 0


def test_only_the_newest_other_content_is_kept(start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        monkeypatch.setattr(compiled, "CONTENT", f"{number:016}")
        hits(start())
    kept = [int(path.parent.name.removeprefix("ddpmcodec-")) for path in files(cache)]
    assert len(kept) == 1 + compiled.KEPT_FOLDERS
    assert max(kept) == 5


def test_other_users_of_numba_keep_their_kernels_where_they_did(start: Start, cache: Path, tmp_path: Path) -> None:
    hits(start())
    source = tmp_path / "theirs.py"
    source.write_text("def half(x):\n    return x / 2")
    assert numba.njit(cache=True)(defined(source, "half"))(3) == 1.5
    theirs = [path for path in files(cache) if "half" in path.name]
    assert {path.suffix for path in theirs} == {".nbi", ".nbc"}
    assert {path.parent.parent for path in theirs} == {cache}


# --- damage


@pytest.mark.parametrize("content", [b"", b"junk" * 99, None], ids=["empty", "junk", "a flipped bit"])
def test_a_damaged_kernel_is_compiled_again_and_that_is_said(start: Start, cache: Path, content: bytes | None) -> None:
    hits(start())
    (file,) = files(cache)
    flipped = bytearray(file.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    file.write_bytes(flipped if content is None else content)
    with pytest.warns(
        RuntimeWarning, match=f"^compiled kernels in {file.parent} are damaged .*compiled again$"
    ) as said:
        assert hits(start()) == 0
    assert len(said) == 1
    assert hits(start()) == 1  # it heals


def test_damage_is_said_once(start: Start, cache: Path) -> None:
    hits(start())
    (file,) = files(cache)
    file.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="damaged"):
        hits(start())
    file.write_bytes(b"")
    hits(start())  # a warning would be an error


def test_on_a_full_disk_kernels_run_all_the_same(start: Start, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    text = r"^compiled kernels cannot be kept in .* \(No space left on device\): every run compiles them again$"
    with pytest.warns(RuntimeWarning, match=text):
        assert hits(start()) == 0
    assert hits(start()) == 0  # and says no more
    assert files(cache) == []


def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same() -> None:
    names: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x", names)
    assert compiled.kernel()(names["twice"])(21) == 42


# --- references


def test_references_are_counted_only_where_a_kernel_allocates() -> None:
    """Without, a kernel that makes an array does not compile, and none can let go of an array that it was given."""

    @compiled.kernel(allocates=True)
    def allowed(x: Any) -> Any:
        return np.zeros(3)[0] + x[0]

    @compiled.kernel()
    def forgotten(x: Any) -> Any:
        return np.zeros(3)[0] + x[0]

    assert allowed(np.ones(1)) == 1
    with pytest.raises(NumbaError, match=r"np\.zeros|NRT required"):
        forgotten(np.ones(1))


@pytest.mark.parametrize("kernel", [peek, find_in])
def test_kernels_of_the_entropy_coder_count_none(kernel: Any) -> None:
    """Two atomic operations an array and call were half of the time of decoding."""
    assert kernel.targetoptions["_nrt"] is False
