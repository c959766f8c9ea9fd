"""Kernels: functions that numba compiles once on a machine and keeps.

Numba knows a kept kernel by the file that it is defined in, not by the files of the kernels it calls: after an update
of those, an old one would go on to compute what it did, and a file that it wrote would decode nowhere else. So what is
kept beside the sources goes when any of them has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

FOLDERS = ("ans", "channels", "networks", "training", "transform")  # whose files have kernels, or what they call


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: numba.njit without the interpreter's lock, kept where there is a folder that can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # nowhere to keep it, as in a container that is read-only
            return numba.njit(nogil=True, **options)(function)

    return compiled


def _sources(package: Path) -> str:
    """sha256 of all that kernels are made from: sources, and the tables that are frozen into them."""
    digest = hashlib.sha256()
    found = [*package.glob("*schedule.py"), *(path for folder in FOLDERS for path in (package / folder).rglob("*"))]
    for path in sorted(found):
        if path.suffix in (".py", ".npy"):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def forget_outdated(package: Path) -> None:
    """Delete kept kernels unless all sources are as they were. Where they cannot be deleted, they were not kept."""
    now, stamp = _sources(package), package / "__pycache__" / "kernels.sha256"
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text() == now:
            return
        for kept in package.rglob("__pycache__/*.nb[ic]"):
            kept.unlink()
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now)


forget_outdated(Path(__file__).parent)
