"""setuptools with scikit-build-core's plugin, as `pip` and `build` call it.

Where CMake fails, what it says is the last that is printed: without this file a traceback of 60 lines would follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scikit_build_core.errors import FailedLiveProcessError
from scikit_build_core.setuptools import build_meta
from scikit_build_core.setuptools.build_meta import (
    build_sdist,
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
    return quietly(build_meta.build_wheel, folder, settings, metadata)


def build_editable(folder: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    return quietly(build_meta.build_editable, folder, settings, metadata)
