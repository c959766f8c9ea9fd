"""`ddpmcodec doctor`: in order, and with faults."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ddpmcodec import _native, models
from ddpmcodec.cli import doctor
from ddpmcodec.errors import DdpmError, ModelError

IN_ORDER = """
import sys
from ddpmcodec.cli import doctor, run

doctor.SIDE = doctor.WARM_UP_SIDE  # a smaller photograph to measure the speed with
codes = run(["doctor"]), run(["doctor", "--json"])
print(codes, "torch" in sys.modules, file=sys.stderr)
"""
OTHER_MODELS = """
import pathlib, sys
from ddpmcodec import models
from ddpmcodec.cli import main

models.FOLDER = pathlib.Path(sys.argv.pop(1))
main()
"""


def test_all_is_well_here_for_people_and_for_machines() -> None:
    """In a process of its own, which PyTorch is not imported for."""
    ended = subprocess.run([sys.executable, "-c", IN_ORDER], capture_output=True, text=True, check=True)
    assert ended.stderr == "(0, 0) False\n"
    text, _, rest = ended.stdout.partition("all is well\n")
    lines = text.splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines if not line.startswith("model "))
    assert {line.split()[1] for line in lines if line.startswith("model ") and line.endswith("  ok")} == {
        *models.names()
    }
    assert (shown["core"], shown["coder"]) == ("ok", "ok")
    assert shown["kernels"] == f"{_native.kernel()} is used, this processor runs {', '.join(_native.kernels())}"
    assert shown["speed"].endswith("megapixels a second, on one thread")
    found = json.loads(rest)
    assert found["well"]
    assert {*found["checks"].values()} == {"ok"}
    assert found["versions"]["core"] == _native.version()
    assert found["versions"]["numpy"] == version("numpy")
    assert (found["kernel"], found["kernels"]) == (_native.kernel(), _native.kernels())
    assert min(found["megapixels_a_second"].values()) > 0


def test_it_says_which_kernel_is_slow_and_why() -> None:
    assert doctor.slowness("avx2", ["avx2", "plain"]) is None
    assert "DDPMCODEC_KERNELS" in str(doctor.slowness("plain", ["avx2", "plain"]))
    assert str(doctor.slowness("plain", ["plain"])).startswith("slow: ")


def test_what_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    assert set(doctor.description()["versions"]) == {"ddpmcodec", "core", "python", "numpy"}


def test_damaged_and_missing_models_are_named_with_what_to_do(tmp_path: Path) -> None:
    for path in models.FOLDER.iterdir():
        if path.is_file() and path.stem != models.PHOTO:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / f"{models.THUMBNAIL}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    command = [sys.executable, "-c", OTHER_MODELS, tmp_path, "doctor"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 4, ended.stderr
    lines = ended.stdout.splitlines()
    found = {" ".join(line.split()[:2]): line for line in lines}
    assert "the embedded model is damaged" in found["model cifar10"]
    assert "install ddpmcodec again" in found["model cifar10"]
    assert "no model of that name" in found["model photo"]
    assert found["model ddpm-cifar10"].endswith("  ok")
    assert lines[-1] == "2 problems: see above what to do"
    assert not any(line.startswith("speed") for line in lines)


def test_a_core_of_another_version_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_native, "version", lambda: "0.0.9")
    with pytest.raises(DdpmError, match=r"version 0\.0\.9"):
        doctor.require_own_core()


def test_a_coder_that_computes_something_else_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def require() -> None:
        raise ModelError("this process does not compute what every other does")

    monkeypatch.setattr(_native, "require_coder_answer", require)
    (found,) = (check for check in doctor.checks() if check.problem)
    assert (found.name, found.exit_code) == ("coder", 4)
    assert "does not compute" in str(found.problem)
