"""Fixtures of the core's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from ddpmcodec import _native as native

CORES = ("ddpmcodec._native", "ddpmcodec._testing")


@pytest.fixture(params=native.kernels())
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Kernels that networks are made for meanwhile, also by the second copy of the core."""
    before, modules = native.kernel(), [sys.modules[name] for name in CORES if name in sys.modules]
    for module in modules:
        module.use_kernel(request.param)
    yield request.param
    for module in modules:
        module.use_kernel(before)
