"""Fixtures of the core's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ddpmcodec import _native as native


@pytest.fixture(params=native.kernels())
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    before = native.kernel()
    native.use_kernel(request.param)
    yield request.param
    native.use_kernel(before)
