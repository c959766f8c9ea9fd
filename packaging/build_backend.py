"""setuptools with scikit-build-core's plugin, as `pip` and `build` call it.

Where CMake fails, what it says is the last that is printed: without this file a traceback of 60 lines would follow. And
with SOURCE_DATE_EPOCH, source distributions of one tree are equal byte for byte, as wheels are.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scikit_build_core.errors import FailedLiveProcessError
from scikit_build_core.setuptools import build_meta
from scikit_build_core.setuptools.build_meta import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def quietly(build: Callable[..., str], *arguments: Any) -> str:
    try:
        return build(*arguments)
    except FailedLiveProcessError as error:
        raise SystemExit(f"{error}: see above") from None


def build_wheel(folder: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """One wheel for all Pythons from 3.12 on, by the stable ABI, which 3.11 and free-threaded Pythons lack."""
    settings = dict(settings or {})
    if sys.version_info >= (3, 12) and not sysconfig.get_config_var("Py_GIL_DISABLED"):
        given = settings.get("--build-option") or []
        settings["--build-option"] = [*([given] if isinstance(given, str) else given), "--py-limited-api=cp312"]
    return quietly(build_meta.build_wheel, folder, settings, metadata)


def build_editable(folder: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    return quietly(build_meta.build_editable, folder, settings, metadata)


def build_sdist(folder: str, settings: dict[str, Any] | None = None) -> str:
    name = build_meta.build_sdist(folder, settings)
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        archive = Path(folder, name)
        archive.write_bytes(dated(archive.read_bytes(), int(epoch)))
    return name


def dated(archive: bytes, epoch: int) -> bytes:
    """A .tar.gz without what differs from one machine, user and moment to another."""
    tar = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as source,
        tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            content = source.extractfile(member) if member.isfile() else None
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() or member.mode & 0o100 else 0o644, {}
            target.addfile(member, content)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=epoch) as file:
        file.write(tar.getvalue())
    return packed.getvalue()
