"""PSNR."""

from __future__ import annotations

import pytest

from ddpmcodec.distortion import psnr


def test_psnr_is_that_of_eight_bits_and_none_without_error() -> None:
    assert psnr(255**2) == 0
    assert psnr(65.025) == pytest.approx(30)
    assert psnr(0) is None
