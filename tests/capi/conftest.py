"""The decoder for C, built and installed once. Without CMake or a compiler these tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from ctypes import c_void_p
from pathlib import Path

import pytest

from installed import GOLDEN, TINY, Installed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if missing := [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]:
        pytest.skip(f"no {' and no '.join(missing)} here")
    if sys.platform != "linux":
        pytest.skip("these tests know names of files on Linux")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("prefix")
    options = ["-DDDPMCODEC_PYTHON=OFF", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
    options += ["-GNinja"] if shutil.which("ninja") else []
    options += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    make = ["cmake", "--build", build, "--parallel", "2"]
    for command in (["cmake", "-S", ROOT, "-B", build, *options], make, ["cmake", "--install", build]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Installed(prefix)


@pytest.fixture(scope="session")
def tiny(installed: Installed) -> c_void_p:
    """The model of the golden files."""
    return installed.model(TINY.read_bytes())


@pytest.fixture(scope="session")
def archive_model(installed: Installed) -> c_void_p:
    """The model of the golden archive."""
    return installed.model((GOLDEN / "v1" / "model.safetensors").read_bytes())


@pytest.fixture(scope="session")
def photo_model(installed: Installed) -> c_void_p:
    """An embedded model, as it was installed."""
    return embedded(installed, "photo")


@pytest.fixture(scope="session")
def cifar10_model(installed: Installed) -> c_void_p:
    """The embedded model of thumbnails."""
    return embedded(installed, "cifar10")


def embedded(installed: Installed, name: str) -> c_void_p:
    return installed.model((installed.prefix / "share" / "ddpm" / "models" / f"{name}.safetensors").read_bytes())
