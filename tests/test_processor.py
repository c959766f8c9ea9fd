"""The processor's settings are those that exact arithmetic needs, or that is said."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from ddpmcodec import codec
from ddpmcodec.archive.blocks import ContextCoder
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.paper.gaussian.model import GaussianModel
from ddpmcodec.processor import require_denormals, require_rounding_to_nearest

ROUNDING = {  # FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO in <fenv.h>
    "x86_64": (0x800, 0x400, 0xC00),
    "aarch64": (0x400000, 0x800000, 0xC00000),
}
LIBRARY = ctypes.util.find_library("m")
MODES = ROUNDING.get(platform.machine(), ()) if LIBRARY else ()
REFUSED = r"does not round to nearest \(fesetround\): nothing can be coded exactly; set FE_TONEAREST"

pytestmark = pytest.mark.usefixtures("no_webp")
pixels = np.add.outer(np.arange(0, 60, 5), np.arange(0, 45, 3)).astype(np.uint8)


@contextmanager
def rounding(mode: int) -> Iterator[None]:
    library = ctypes.CDLL(LIBRARY)
    assert library.fesetround(mode) == 0
    try:
        yield
    finally:
        library.fesetround(0)


def test_a_processor_as_it_comes_is_right() -> None:
    require_rounding_to_nearest()
    require_denormals()


@pytest.mark.parametrize("mode", MODES)
def test_other_rounding_modes_are_found(mode: int) -> None:
    with rounding(mode), pytest.raises(ModelError, match=REFUSED):
        require_rounding_to_nearest()
    require_rounding_to_nearest()


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_coded_under_another_rounding_mode(
    context_model: ContextModel, gaussian_model: GaussianModel, mode: int
) -> None:
    """Models were loaded before, and would compute something else now."""
    data = codec.encode(pixels, model=context_model, effort=1)
    coder = ContextCoder(context_model, Coding(1))
    attempts: list[Callable[[], object]] = [
        lambda: codec.encode(pixels, model=context_model),
        lambda: codec.encode_many([pixels], model=context_model, verify=False),
        lambda: codec.decode(data, model=context_model),
        lambda: codec.decode(data[:-8], model=context_model, partial=True),
        lambda: coder.encoded(pixels[None, ..., None]),
        lambda: gaussian_model.predict(np.zeros((1, 4, 4, 3), np.int64), 1.0, 1024),
    ]
    for attempt in attempts:
        with rounding(mode), pytest.raises(ModelError, match=REFUSED):
            attempt()
    assert codec.decode(data, model=context_model).tobytes() == pixels.tobytes()


def test_flushing_to_zero_is_found() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    try:
        with pytest.raises(ModelError, match=r"flushes denormal numbers to zero \(torch.set_flush_denormal\)"):
            require_denormals()
    finally:
        torch.set_flush_denormal(False)
    require_denormals()
